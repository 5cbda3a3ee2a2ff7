"""The table in the README of BNext."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_extensions.figures.rows import PublishedFigures
from zoo_extensions.figures.units import times_1e9


def table_of_bnext() -> Iterator[PublishedFigures]:
    """Returns the rows of the table in the README."""
    # Its column "BOPs" holds all operations, 8-bit ones as an eighth.
    for name, ops, top1 in (
        ("tiny", "0.077", 72.4),
        ("small", "0.172", 76.1),
        ("middle", "0.317", 78.3),
        ("large", "0.819", 80.6),
    ):
        yield PublishedFigures(
            f"bnext_{name}",
            f"BNext-{name.capitalize()}",
            "BNext README",
            ops=times_1e9(ops),
            top1=top1,
            rest_speedup=8,
        )
