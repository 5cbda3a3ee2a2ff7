#!/usr/bin/env python3
"""Time of one optimizer step on 10.4 million weights in 20 variables.

    python benchmarks/optimizer_step.py [--rounds 100]

Ours beside Keras's Adam (both APIs) and larq's Bop, in one process, interleaved: in
each round every optimizer takes one step inside a tf.function, on equal gradients.
"""

from __future__ import annotations

import argparse
import os
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


def main() -> None:
    """Measures in turns and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    keras = tf.keras.optimizers
    candidates = {
        "Diode": ours.Diode(),
        "GradientFilter": ours.GradientFilter(),
        "Bop": ours.Bop(),
        "Bop2ndOrder": ours.Bop2ndOrder(),
        "legacy.Diode": ours.legacy.Diode(),
        "legacy.GradientFilter": ours.legacy.GradientFilter(),
        "larq Bop": lq.optimizers.Bop(),
        "Keras legacy Adam": keras.legacy.Adam(),
        "Keras Adam": keras.Adam(),
    }
    measures = {name: candidate(optimizer) for name, optimizer in candidates.items()}
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            seconds[name].append(measure())
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
