#!/usr/bin/env python3
"""Images a second and accuracy in float32 and mixed_bfloat16, at several batch sizes.

    python benchmarks/mixed_precision.py [--rounds 7] [--seconds 3] [--epochs 6]
        [--seeds 3] [--model tiny_residual_bnn] [--batch-sizes 64 256]

Training steps on batches of fashion_mnist_mini that are there already. The settings
take turns in each round, so that what else the machine does meets all of them; the
least and the median time of a step are printed, and the median of the processor time
of all threads, which other programs disturb less. Then each setting trains by Diode for
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
) -> list[list[tuple[float, float]]]:
    """Returns seconds and processor seconds of each step, the steps taking turns."""
    found: list[list[tuple[float, float]]] = [[] for _ in steps]
    for _, (index, step) in itertools.product(range(rounds), enumerate(steps)):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start, used = time.perf_counter(), time.process_time()
            step()
            taken = time.perf_counter() - start, time.process_time() - used
            found[index].append(taken)
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
    print(
        "| batch | numbers | least, ms | median, ms | processor, ms | images a second |"
    )
    print("|--:|:--|--:|--:|--:|--:|")
    for recipe, taken in zip(settings, found, strict=True):
        seconds, used = zip(*taken)
        print(
            f"| {recipe.batch_size} | {recipe.compute_dtype} | "
            f"{1000 * min(seconds):.1f} | {1000 * statistics.median(seconds):.1f} | "
            f"{1000 * statistics.median(used):.1f} | "
            f"{recipe.batch_size / min(seconds):.0f} |",
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
