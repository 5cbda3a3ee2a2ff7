#!/usr/bin/env python3
"""Time of a training step that counts flips, against one that does not.

    python benchmarks/flip_monitor.py [--model birealnet20] [--batch 128] [--rounds 40]

The same network in one process: plain, watched by `FlipMonitor`, and with larq's metric
`FlipRatio` in each binary layer. In each round, in a new order, each takes one step on
the same batch. The counts are fetched from the device every 256 steps, which is no part
of a step here, as validation and checkpoints are none.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq_bnnopt  # isort: skip  (chooses Keras 2)
import larq as lq
import numpy as np
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.callbacks import FlipMonitor


def candidate(kind: str, name: str, batch: int) -> Callable[[], float]:
    """Returns a function that takes one step and returns its seconds."""
    tf.keras.utils.set_random_seed(0)
    metrics = ["flip_ratio"] if kind == "larq" else []
    with lq.context.metrics_scope(metrics):
        model = zx.create_model(
            name, input_shape=(32, 32, 3), num_classes=10, latent_weights=True
        )
    model.compile(
        tf.keras.optimizers.Adam(1e-3), tf.keras.losses.SparseCategoricalCrossentropy()
    )
    generator = np.random.default_rng(0)
    images = generator.normal(size=(batch, 32, 32, 3)).astype(np.float32)
    labels = generator.integers(0, 10, size=batch)
    data = tf.data.Dataset.from_tensors((images, labels)).repeat()
    # Keras makes the counting step when a training begins.
    monitor = FlipMonitor(per_weight=kind == "per weight")
    if kind in ("ours", "per weight"):
        monitor.set_params({"epochs": 1, "steps": None, "verbose": 0})
        monitor.set_model(model)
        monitor.on_train_begin()
        monitor.on_epoch_begin(0)
    function, batches = model.make_train_function(), iter(data)
    first = model.trainable_variables[-1]

    def measure() -> float:
        start = time.perf_counter()
        function(batches)
        first.numpy()
        return time.perf_counter() - start

    for _ in range(3):
        measure()
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
    candidates = {
        kind: candidate(kind, arguments.model, arguments.batch) for kind in names
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
