#!/usr/bin/env python3
"""Cost and savings of int8 for the real-valued layers: the tables of docs/int8.md.

    python benchmarks/int8.py [--rounds 300]

Networks learn the sample of Fashion-MNIST in the package: the quickstart's by its
recipe, narrow ones of other families (those of families_on_cifar10.py) for four epochs.
Each is converted with and without `calibration`, on 256 training images. Reported are
the predictions that stay on the 1,000 test images, accuracies, bytes and times of both
files, which run in turn, one thread, in Larq Compute Engine's interpreter. The last
rows are of whole networks that were not trained, with the largest number of steps that
an 8-bit tensor is away from the graph of its ranges.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import tempfile
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from families_on_cifar10 import FAMILIES
from rewrites import alternated, randomize

import converters
import zoo_extensions as zx
from larq_bnnopt import datasets, recipes
from larq_bnnopt.optimizers import CaseOptimizer, Diode

import tensorflow as tf  # isort: skip

CALIBRATED_ON = 256
EPOCHS = 4
MODELS = (
    "BiRealNet20",
    "ReActNetBiReal18",
    "ReActNetA",
    "MeliusNet22",
    "BinaryDenseNet28",
)


def main() -> None:
    """Trains, converts and times, and prints two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    print(
        "| network | equal predictions | accuracy, float and int8 | bytes, float and "
        "int8 | ms, float and int8: minimum (median) |\n|---|--:|--:|--:|--:|"
    )
    data = datasets.load(datasets.EMBEDDED)
    images, labels = data.test_arrays()
    calibration = first_images(data)
    quick = quickstart()
    for model in (quick, *(trained(family, data) for family in chosen())):
        plain, calibrated = (
            attempt(model, images, labels, ranges) for ranges in (None, calibration)
        )
        found = calibrated.report.verification
        text = (
            f"{model.name} | {found.agreement:.1%} | {found.keras_accuracy:.1%}, "
            f"{found.tflite_accuracy:.1%}"
        )
        if isinstance(calibrated, converters.ConversionError):
            print(f"| {text} | refused | |", flush=True)
        else:
            row(text, [plain, calibrated], images, rounds)
    print(
        "\n| calibration images of tiny_residual_bnn | equal predictions |\n|---|--:|"
    )
    for factor in (0.5, 1, 3):
        report = attempt(quick, images, labels, factor * calibration).report
        print(f"| times {factor} | {report.verification.agreement:.1%} |")
    print(
        "\n| untrained | steps away | bytes, float and int8 | ms, float and int8: "
        "minimum (median) |\n|---|--:|--:|--:|"
    )
    generator = np.random.default_rng(0)
    for model in whole():
        noise = generator.normal(size=(8, *model.input_shape[1:])).astype(np.float32)
        files = [
            converters.convert(model, inputs=None, calibration=ranges)
            for ranges in (None, noise)
        ]
        steps = largest_step(model, noise)
        row(f"{model.name} | {steps}", files, noise, max(3, rounds // 20))


def attempt(model: Any, images: Any, labels: Any, calibration: Any) -> Any:
    """Converts, or returns the error, which has the report too."""
    try:
        return converters.convert(
            model, inputs=images, labels=labels, calibration=calibration
        )
    except converters.ConversionError as error:
        return error


def chosen() -> list[Any]:
    """Returns the narrow families, in the order of `MODELS`."""
    return [family for name in MODELS for family in FAMILIES if family.model == name]


def first_images(data: Any) -> np.ndarray:
    """Returns training images, as many as ranges are made from."""
    images, _ = data.train_arrays(CALIBRATED_ON)
    return images


def quickstart() -> tf.keras.Model:
    """Returns the quickstart's network, trained as there."""
    with tempfile.TemporaryDirectory() as folder:
        return recipes.train(recipes.OneStep(), pathlib.Path(folder, "run"))


def trained(family: Any, data: Any) -> tf.keras.Model:
    """Returns a narrow network after a short training."""
    tf.keras.utils.set_random_seed(0)
    model = family.build(data, latent=False)
    steps = EPOCHS * data.steps_per_epoch
    diode = Diode.for_steps(steps)
    adam = tf.keras.optimizers.Adam(
        tf.keras.optimizers.schedules.CosineDecay(0.01, steps)
    )
    model.compile(
        CaseOptimizer((Diode.is_binary_variable, diode), default_optimizer=adam),
        "sparse_categorical_crossentropy",
    )
    model.fit(
        data.train_from(0),
        epochs=EPOCHS,
        steps_per_epoch=data.steps_per_epoch,
        verbose=0,
    )
    return model


def whole() -> list[tf.keras.Model]:
    """Returns whole networks with random statistics."""
    from larq_zoo.sota import QuickNet

    models = [QuickNet(weights=None), zx.MeliusNet22(latent_weights=False)]
    for model in models:
        randomize(model)
    return models


def largest_step(model: tf.keras.Model, noise: np.ndarray) -> int:
    """Returns how far 8-bit values are from the graph of their ranges, in steps."""
    # Predictions of a network that was not trained mean nothing.
    return attempt(model, noise, None, noise).report.verification.steps.farthest


def row(text: str, files: list[Any], images: np.ndarray, rounds: int) -> None:
    """Times two files in turn and prints a row."""
    interpreters = [
        converters.Interpreter(file.content, backend="lce") for file in files
    ]
    times = alternated(interpreters, images[:1], rounds)
    sizes = ", ".join(f"{len(file.content):,}" for file in files)
    both = ", ".join(f"{min(own):.3f} ({statistics.median(own):.3f})" for own in times)
    print(f"| {text} | {sizes} | {both} |", flush=True)


if __name__ == "__main__":
    main()
