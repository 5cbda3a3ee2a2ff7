#!/usr/bin/env python3
"""Time of a training step with and without FlipMonitor.

    python benchmarks/flip_monitor.py [--model birealnet20] [--batch 128] [--rounds 40]

One network trained by three functions in one process, plain, watched by `FlipMonitor`,
and by one that counts each weight; and a second one with larq's metric `FlipRatio` in
each binary layer. In each round, in a new order, each takes one step on the same batch.
The counts are fetched from the device every 256 steps; like validation and checkpoints,
that is not part of a step here.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq_bnnopt  # isort: skip  (chooses Keras 2)
import larq as lq
import numpy as np
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.callbacks import FlipMonitor


def network(name: str, metrics: list[str]) -> tf.keras.Model:
    """Returns a compiled network with latent weights."""
    tf.keras.utils.set_random_seed(0)
    with lq.context.metrics_scope(metrics):
        model = zx.create_model(
            name, input_shape=(32, 32, 3), num_classes=10, latent_weights=True
        )
    model.compile(
        tf.keras.optimizers.Adam(1e-3), tf.keras.losses.SparseCategoricalCrossentropy()
    )
    return model


def candidate(
    model: tf.keras.Model, batches: Iterator[Any], monitor: FlipMonitor | None = None
) -> Callable[[], float]:
    """Returns a function that takes one step and returns its seconds."""
    model.train_function = None
    if monitor is not None:
        # Keras makes the counting step when a training begins.
        monitor.set_params({"epochs": 1, "steps": None, "verbose": 0})
        monitor.set_model(model)
        monitor.on_train_begin()
        monitor.on_epoch_begin(0)
    function = model.make_train_function()
    kernel = model.trainable_variables[-1]

    def measure() -> float:
        start = time.perf_counter()
        function(batches)
        kernel.numpy()
        return time.perf_counter() - start

    for _ in range(3):
        measure()
    if monitor is not None:
        monitor.on_train_end()
    return measure


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="birealnet20")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    names = {
        "plain": "no flips counted",
        "ours": "FlipMonitor()",
        "per weight": "FlipMonitor(per_weight=True)",
        "larq": "larq's FlipRatio in each layer",
    }
    generator = np.random.default_rng(0)
    images = generator.normal(size=(arguments.batch, 32, 32, 3)).astype(np.float32)
    labels = generator.integers(0, 10, size=arguments.batch)
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    model = network(arguments.model, [])
    candidates = {
        "plain": candidate(model, batches),
        "ours": candidate(model, batches, FlipMonitor()),
        "per weight": candidate(model, batches, FlipMonitor(per_weight=True)),
        "larq": candidate(network(arguments.model, ["flip_ratio"]), batches),
    }
    times: dict[str, list[float]] = {kind: [] for kind in names}
    order = list(names)
    for _ in range(arguments.rounds):
        random.shuffle(order)
        for kind in order:
            times[kind].append(1e3 * candidates[kind]())
    print(
        f"{arguments.model}, batch {arguments.batch}, {arguments.rounds} rounds, "
        f"TensorFlow {tf.__version__}, larq_bnnopt {larq_bnnopt.__version__}"
    )
    print("| A step | minimum, ms | median, ms | more than plain, minimum | median |")
    print("|:--|--:|--:|--:|--:|")
    least, middle = min(times["plain"]), statistics.median(times["plain"])
    for kind, text in names.items():
        low, mid = min(times[kind]), statistics.median(times[kind])
        print(
            f"| {text} | {low:.1f} | {mid:.1f} | {low / least - 1:+.1%} | "
            f"{mid / middle - 1:+.1%} |"
        )


if __name__ == "__main__":
    main()
