"""Times of the binary operators in real runs, and of LiteRT between them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from converters.runtime.delegate import DelegateEngine
from converters.runtime.tflite_file import TfliteFile


@dataclasses.dataclass(frozen=True)
class OperatorTime:
    """The time of a binary operator, or of LiteRT's operators between two of them.

    Attributes:
        operator: Index of the binary operator in the file, or `None`.
        name: Its name, or `"LiteRT"`.
        milliseconds: The shortest time of all runs.
        median_milliseconds: The median.
    """

    operator: int | None
    name: str
    milliseconds: float
    median_milliseconds: float


def measure_operators(
    engine: DelegateEngine, file: TfliteFile, arrays: Sequence[np.ndarray], runs: int
) -> tuple[OperatorTime, ...]:
    """Returns the times of operators, in the order of the run.

    Args:
        engine: The file in LiteRT.
        file: The file.
        arrays: Inputs of one run.
        runs: How many runs.
    """
    measured = []
    for _ in range(runs):
        engine.run(arrays)
        times = engine.times()
        measured.append(
            [end - start for _, start, end in times]
            + [after[1] - before[2] for before, after in itertools.pairwise(times)]
        )
    order = [operator for operator, _, _ in times]
    shortest = np.min(measured, axis=0) / 1e6
    medians = np.median(measured, axis=0) / 1e6
    rows = []
    for place, operator in enumerate(order):
        if place:
            gap = len(order) + place - 1
            rows.append(OperatorTime(None, "LiteRT", shortest[gap], medians[gap]))
        name = file.operators[operator].name
        rows.append(OperatorTime(operator, name, shortest[place], medians[place]))
    return tuple(rows)
