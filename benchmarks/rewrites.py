#!/usr/bin/env python3
"""Operators, bytes and time saved by the rewrites before a conversion.

    python benchmarks/rewrites.py [--models meliusnet22 ...] [--rounds 20]

Each network is converted with and without rewrites, with random weights and statistics,
since operators do not depend on training. Both files run in turn in one process, one
thread, in Larq Compute Engine's interpreter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import converters
import zoo_extensions as zx

MODELS = ("meliusnet22", "meliusnet_a", "reactnet_a")
COUNTED = ("ADD", "MUL", "LceBconv2d")


def main() -> None:
    """Converts and times each network, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    print(
        f"| network | rewrites | operators | {' | '.join(COUNTED)} | bytes | "
        "conversion, s | ms, minimum (median) | ratio |"
    )
    print(f"|---|---|--:|{'--:|' * (len(COUNTED) + 4)}")
    for name in arguments.models:
        rows = [measured(name, rewrites) for rewrites in (False, True)]
        times = alternated([row[1] for row in rows], rows[0][2], arguments.rounds)
        for (text, *_), own in zip(rows, times):
            print(
                f"{text} {min(own):.1f} ({statistics.median(own):.1f}) | "
                f"{min(own) / min(times[0]):.2f} |",
                flush=True,
            )


def measured(name: str, rewrites: bool) -> tuple[str, converters.Interpreter, Any]:
    """Converts a network; returns the start of its row, the file and an input."""
    model = zx.create_model(name, latent_weights=False)
    randomize(model)
    options = {} if rewrites else {"rewrites": None}
    start = time.perf_counter()
    conversion = converters.convert(model, inputs=None, **options)
    seconds = time.perf_counter() - start
    audit = conversion.report.audit
    counts = " | ".join(str(audit.operators.get(kind, 0)) for kind in COUNTED)
    text = (
        f"| {name} | {'all' if rewrites else 'none'} | {sum(audit.operators.values())} "
        f"| {counts} | {audit.num_bytes:,} | {seconds:.1f} |"
    )
    image = np.random.default_rng(1).normal(size=(1, *model.input_shape[1:]))
    return (
        text,
        converters.Interpreter(conversion.content, backend="lce"),
        image.astype(np.float32),
    )


def randomize(model: Any) -> None:
    """Gives all but kernels random values, so that nothing is left out as 0 or 1."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if not hasattr(layer, "kernel"):
            layer.set_weights(
                [
                    weight + generator.uniform(0.1, 0.5, weight.shape)
                    for weight in layer.get_weights()
                ]
            )


def alternated(
    interpreters: list[converters.Interpreter], image: Any, rounds: int
) -> list[list[float]]:
    """Runs interpreters in turn; returns the milliseconds of each."""
    times: list[list[float]] = [[] for _ in interpreters]
    for _ in range(rounds):
        for interpreter, own in zip(interpreters, times):
            start = time.perf_counter()
            interpreter.predict(image)
            own.append(1000 * (time.perf_counter() - start))
    return times


if __name__ == "__main__":
    main()
