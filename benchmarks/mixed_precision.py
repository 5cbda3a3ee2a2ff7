#!/usr/bin/env python3
"""Images a second and accuracy in float32 and mixed_bfloat16, at several batch sizes.

    python benchmarks/mixed_precision.py [--rounds 7] [--seconds 3] [--epochs 6]
        [--seeds 3] [--model tiny_residual_bnn] [--batch-sizes 64 256]

Training steps on batches of fashion_mnist_mini that are there already. The settings
take turns in each round, so that what else the machine does meets all of them; the
least and the median time of a step are printed. Then each setting trains by Diode for
some epochs and seeds; the mean and the range of the test accuracies are printed.
`--epochs 0` leaves that out.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq_bnnopt  # noqa: F401  isort: skip  (chooses Keras 2)
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes import OneStep

DTYPES = ("float32", "mixed_bfloat16")


def step_of(recipe: OneStep) -> Callable[[], None]:
    """Returns a training step of a recipe on one batch, traced already."""
    data = recipe.load_data()
    model = recipe.build(0, data)
    batch = next(iter(data.train_from(0)))
    function = model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def step() -> None:
        function(batches)
        # Waits for it.
        model.trainable_variables[-1].numpy()

    step()
    return step


def times(
    steps: list[Callable[[], None]], rounds: int, seconds: float
) -> list[list[float]]:
    """Returns the seconds of each step, the steps taking turns."""
    found: list[list[float]] = [[] for _ in steps]
    for _, (index, step) in itertools.product(range(rounds), enumerate(steps)):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            step()
            found[index].append(time.perf_counter() - start)
    return found


def accuracy(recipe: OneStep) -> float:
    """Returns the test accuracy of a training."""
    with tempfile.TemporaryDirectory() as parent:
        model = recipes.train(recipe, f"{parent}/run")
        data = recipe.load_data()
        return float(model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"])


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="tiny_residual_bnn")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 256])
    options = parser.parse_args()
    settings = [
        OneStep(
            model=options.model,
            compute_dtype=dtype,
            batch_size=size,
            epochs=max(options.epochs, 1),
        )
        for size in options.batch_sizes
        for dtype in DTYPES
    ]
    found = times([step_of(one) for one in settings], options.rounds, options.seconds)
    print("| batch | numbers | least, ms | median, ms | images a second (least) |")
    print("|--:|:--|--:|--:|--:|")
    for recipe, taken in zip(settings, found, strict=True):
        least, median = min(taken), statistics.median(taken)
        print(
            f"| {recipe.batch_size} | {recipe.compute_dtype} | {1000 * least:.1f} | "
            f"{1000 * median:.1f} | {recipe.batch_size / least:.0f} |",
            flush=True,
        )
    if not options.epochs:
        return
    print("\n| batch | numbers | accuracy, mean | range |")
    print("|--:|:--|--:|:--|")
    for recipe in settings:
        reached = [
            accuracy(dataclasses.replace(recipe, seed=seed))
            for seed in range(options.seeds)
        ]
        print(
            f"| {recipe.batch_size} | {recipe.compute_dtype} | "
            f"{statistics.mean(reached):.2%} | {min(reached):.2%} to "
            f"{max(reached):.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
