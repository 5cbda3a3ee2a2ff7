#!/usr/bin/env python3
"""Accuracy of the quickstart's network under each optimizer, with the same budget.

    python benchmarks/quickstart_accuracy.py [--seeds 3] [--epochs 12]

Every training is the quickstart's recipe on the sample of Fashion-MNIST in the package,
with another optimizer for the binary weights: Diode and the gradient filter on kernels
in {-1, +1}, Adam on latent kernels. Reported is the accuracy after the last epoch on
the 1,000 test images, on which nothing was chosen; one standard error of such a figure
is about one point.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from larq_bnnopt import recipes


def main() -> None:
    """Trains with every optimizer and seed, interleaved, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    optimizers = {"diode": "Diode", "gradient_filter": "GradientFilter", "adam": "Adam"}
    accuracies: dict[str, list[float]] = {name: [] for name in optimizers}
    seconds: dict[str, list[float]] = {name: [] for name in optimizers}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            for name in optimizers:
                recipe = recipes.OneStep(
                    optimizer=name, epochs=arguments.epochs, seed=seed
                )
                start = time.perf_counter()
                model = recipes.train(recipe, pathlib.Path(folder, f"{name}-{seed}"))
                seconds[name].append(time.perf_counter() - start)
                accuracy = recipes.evaluate(model, recipe.load_data()).accuracy
                accuracies[name].append(accuracy)
                print(f"seed {seed} {name:16} {accuracy:.3f}", flush=True)
    print(
        "\n| binary weights | mean | spread | seeds | seconds |\n|---|--:|--:|---|--:|"
    )
    for name, title in optimizers.items():
        values = accuracies[name]
        print(
            f"| {title}{' (latent weights)' if name == 'adam' else ''} "
            f"| {statistics.mean(values):.1%} "
            f"| {max(values) - min(values):.1%} "
            f"| {', '.join(f'{value:.1%}' for value in values)} "
            f"| {min(seconds[name]):.0f} |"
        )
    difference = statistics.mean(accuracies["diode"]) - statistics.mean(
        accuracies["adam"]
    )
    print(f"\nDiode against latent weights with Adam: {100 * difference:+.1f} points")


if __name__ == "__main__":
    main()
