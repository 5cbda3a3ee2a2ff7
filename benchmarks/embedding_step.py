#!/usr/bin/env python3
"""Time and memory of an optimizer step on an embedding of 30,522 x 768 signs.

    python benchmarks/embedding_step.py [--rounds 40] [--optimizer Diode]

A batch of 64 texts of 64 tokens, whose frequencies follow Zipf's law, gives a sparse
gradient of 4,096 rows, many of them repeated. Three steps: of the gradient made dense
first, as up to version 0.1 ("before"), and with both values of `embedding_updates`.

Time: in one process, interleaved; in each round, in a new order, each takes one step.
Memory: a process each; the largest resident memory during ten steps, less what is
resident between them. Table and averages themselves, 281 MB for Diode in float32, are
not in it. `--monitor` adds, in the same way, what FlipMonitor does to mark the weights
that have a gradient. Needs Linux.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from larq_bnnopt import optimizers  # isort: skip  (chooses Keras 2)
import numpy as np
import tensorflow as tf

from larq_bnnopt.callbacks.had_gradient import HadGradient

ROWS, CHANNELS, TEXTS, TOKENS = 30_522, 768, 64, 64
STEPS = {
    "before": "gradient made dense first",
    "dense": '`embedding_updates="dense"`',
    "seen_rows": '`embedding_updates="seen_rows"`',
}
MARKS = {
    "marks before": "FlipMonitor's marks, gradient made dense first",
    "marks": "FlipMonitor's marks",
}


def sparse_gradient() -> tf.IndexedSlices:
    """Returns the gradient of one batch; the rank of a row is its number."""
    generator = np.random.default_rng(0)
    share = 1 / np.arange(1, ROWS + 1)
    positions = TEXTS * TOKENS
    indices = generator.choice(ROWS, positions, p=share / share.sum())
    values = generator.normal(size=(positions, CHANNELS)).astype(np.float32)
    return tf.IndexedSlices(
        tf.constant(values), tf.constant(indices), tf.constant([ROWS, CHANNELS])
    )


def candidate(kind: str, options: argparse.Namespace) -> Callable[[], None]:
    """Returns a function that takes one step."""
    gradient = sparse_gradient()
    signs = np.random.default_rng(1).integers(0, 2, (ROWS, CHANNELS), np.int8)
    table = tf.Variable(tf.cast(2 * signs - 1, tf.float32))
    if kind in MARKS:
        marks = HadGradient(table)

        def change(gradient: tf.IndexedSlices) -> None:
            marks.mark(tf.convert_to_tensor(gradient) if "before" in kind else gradient)

    else:
        optimizer = getattr(optimizers, options.optimizer)(
            embedding_updates="dense" if kind == "before" else kind,
            state_dtype=options.state_dtype,
            jit_compile=not options.plain,
        )
        optimizer.build([table])

        def change(gradient: tf.IndexedSlices) -> None:
            if kind == "before":
                gradient = tf.convert_to_tensor(gradient)
            optimizer.apply_gradients([(gradient, table)])

    step = tf.function(change)

    def take() -> None:
        step(gradient)
        # Reading one weight waits for the step.
        table[0, 0].numpy()

    return take


def temporary_memory(kind: str, options: argparse.Namespace) -> float:
    """Returns the memory that a process needs during steps alone, MB."""
    command = [sys.executable, __file__, "--child", kind]
    command += ["--optimizer", options.optimizer, "--state-dtype", options.state_dtype]
    command += ["--plain"] if options.plain else []
    # Else TensorFlow and the C library keep for themselves what is freed.
    returned = {"TF_ENABLE_ONEDNN_OPTS": "0", "MALLOC_MMAP_THRESHOLD_": "100000"}
    result = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **returned},
    )
    return float(result.stdout)


def take_alone(step: Callable[[], None]) -> None:
    """Prints the memory that ten steps need, MB."""
    for _ in range(3):
        step()
    # The largest memory so far is forgotten.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    for _ in range(10):
        step()
    print(resident("VmHWM") - before)


def resident(name: str) -> float:
    """Returns a memory of this process, MB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--optimizer", default="Diode")
    parser.add_argument("--state-dtype", default="float32")
    parser.add_argument("--plain", action="store_true", help="without XLA")
    parser.add_argument("--monitor", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return take_alone(candidate(options.child, options))
    names = {**STEPS, **(MARKS if options.monitor else {})}
    memory = {kind: temporary_memory(kind, options) for kind in names}
    steps = {kind: candidate(kind, options) for kind in names}
    for step in steps.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {kind: [] for kind in names}
    order = random.Random(0)
    for _ in range(options.rounds):
        for kind in order.sample(list(names), len(names)):
            start = time.perf_counter()
            steps[kind]()
            times[kind].append(1e3 * (time.perf_counter() - start))
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line for line in lines if line.startswith("model name")), "")
    seen = len(np.unique(sparse_gradient().indices))
    print(
        f"{options.optimizer}, {options.state_dtype}, "
        f"{'without' if options.plain else 'with'} XLA; {ROWS:,} x {CHANNELS}, "
        f"{TEXTS} x {TOKENS} tokens, {seen:,} rows seen; {options.rounds} rounds; "
        f"TensorFlow {tf.__version__}; {processor.partition(': ')[2]}, "
        f"{os.cpu_count()} cores"
    )
    print("| step | minimum, ms | median, ms | temporary memory, MB |")
    print("|:--|--:|--:|--:|")
    for kind, text in names.items():
        low, middle = min(times[kind]), statistics.median(times[kind])
        print(f"| {text} | {low:.1f} | {middle:.1f} | {memory[kind]:.0f} |")


if __name__ == "__main__":
    main()
