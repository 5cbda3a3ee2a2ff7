#!/usr/bin/env python3
"""Time of one optimizer step on 10.4 million weights in 20 variables.

    python benchmarks/optimizer_step.py [--rounds 100]

Ours beside Keras's Adam (both APIs) and larq's Bop in its CaseOptimizer, in one
process, interleaved: in each round, in a new order, every optimizer takes one step
inside a tf.function, on equal gradients. The floor is a plain copy of as many bytes as
Diode must read and write, 24 a weight, with one thread and with two.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import random
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq_bnnopt.optimizers as ours  # isort: skip  (chooses Keras 2)
import larq as lq
import numpy as np
import tensorflow as tf

SHAPES = [(720, 720)] * 20


def candidate(optimizer: object) -> Callable[[], float]:
    """Returns a function that takes one step and returns its seconds."""
    generator = np.random.default_rng(0)
    signs = [np.sign(generator.normal(size=s)).astype(np.float32) for s in SHAPES]
    variables = [tf.Variable(value) for value in signs]
    gradients = [tf.constant(np.roll(value, 1) * 1e-3) for value in signs]

    @tf.function
    def step() -> None:
        optimizer.apply_gradients(zip(gradients, variables))  # type: ignore[attr-defined]

    if hasattr(optimizer, "build"):
        optimizer.build(variables)

    def measure() -> float:
        start = time.perf_counter()
        step()
        # Reading one weight waits for the last variable.
        variables[-1][0, 0].numpy()
        return time.perf_counter() - start

    for _ in range(3):
        measure()
    return measure


def copy(threads: int) -> Callable[[], float]:
    """Returns a function that copies 12 bytes a weight and returns its seconds."""
    source = np.ones(3 * sum(int(np.prod(shape)) for shape in SHAPES), np.float32)
    target = np.empty_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))
    pool = concurrent.futures.ThreadPoolExecutor(threads)

    def measure() -> float:
        start = time.perf_counter()
        list(pool.map(lambda part: np.copyto(*part), parts))
        return time.perf_counter() - start

    for _ in range(3):
        measure()
    return measure


def main() -> None:
    """Measures in turns and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    keras = tf.keras.optimizers
    candidates = {
        "Diode": ours.Diode(),
        "Diode, bfloat16": ours.Diode(state_dtype="bfloat16"),
        "GradientFilter": ours.GradientFilter(),
        "GradientFilter, bfloat16": ours.GradientFilter(state_dtype="bfloat16"),
        "IIRFilter of order 2": ours.IIRFilter([0.01], [1.0, -1.8, 0.81]),
        "Bop": ours.Bop(),
        "Bop2ndOrder": ours.Bop2ndOrder(),
        "legacy.Diode": ours.legacy.Diode(),
        "legacy.GradientFilter": ours.legacy.GradientFilter(),
        "legacy.Bop2ndOrder": ours.legacy.Bop2ndOrder(),
        "larq's Bop in CaseOptimizer": lq.optimizers.CaseOptimizer(
            (lambda variable: True, lq.optimizers.Bop()),
            default_optimizer=keras.legacy.SGD(),
        ),
        "Keras legacy Adam": keras.legacy.Adam(),
        "Keras Adam": keras.Adam(),
    }
    measures = {name: candidate(optimizer) for name, optimizer in candidates.items()}
    measures["copy, one thread"] = copy(1)
    measures["copy, two threads"] = copy(2)
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(measures), len(measures)):
            seconds[name].append(measures[name]())
    peer = {
        "min": min(seconds["Keras legacy Adam"]),
        "median": float(np.median(seconds["Keras legacy Adam"])),
    }
    print("| step | min ms | median ms | min, median against Keras legacy Adam |")
    print("|---|--:|--:|--:|")
    for name, values in seconds.items():
        low, middle = min(values), float(np.median(values))
        print(
            f"| {name} | {1000 * low:.1f} | {1000 * middle:.1f} "
            f"| {low / peer['min']:.2f}, {middle / peer['median']:.2f} |"
        )


if __name__ == "__main__":
    main()
