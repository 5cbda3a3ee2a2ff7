"""Percentiles of the flips of a weight by layer, from the tables of FlipMonitor."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Callable, Sequence


def percentiles_of(*layers: str) -> Callable[[pathlib.Path], dict[str, list[float]]]:
    """Returns a function that reads percentiles of some layers, for `Study.of_flips`.

    Its result has a list for each layer and percentile, a number an epoch, by names
    such as `flips_p95/conv`.

    Args:
        *layers: Names of binary layers.
    """

    def read(path: pathlib.Path) -> dict[str, list[float]]:
        from larq_bnnopt.callbacks.summaries import PERCENTILES, layers_path

        with layers_path(path).open(newline="", encoding="utf-8") as file:
            return by_layer(list(csv.DictReader(file)), layers, list(PERCENTILES))

    return read


def by_layer(
    rows: Sequence[dict[str, str]], layers: Sequence[str], columns: Sequence[str]
) -> dict[str, list[float]]:
    """Returns the columns of some layers, by `column/layer`.

    Args:
        rows: Rows of the table of layers, in the order of the epochs.
        layers: Names of layers.
        columns: Names of columns.

    Example:
        >>> rows = [{"layer": "a", "flips_max": "3"}, {"layer": "b", "flips_max": "1"}]
        >>> by_layer(rows, ["a"], ["flips_max"])
        {'flips_max/a': [3.0]}
    """
    return {
        f"{column}/{layer}": [
            float(row[column]) for row in rows if row["layer"] == layer
        ]
        for layer in layers
        for column in columns
    }
