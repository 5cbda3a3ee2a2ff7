"""The table of flips that `FlipMonitor` leaves: one row a training step."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Iterable, Sequence

FIRST_COLUMNS = ("epoch", "batch", "flip_ratio")


def append_rows(
    path: str | os.PathLike[str],
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
) -> None:
    """Appends rows to a CSV file, which starts with the header where it is new."""
    path = pathlib.Path(path)
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(header)
        writer.writerows(rows)


def drop_epochs(path: str | os.PathLike[str], first: int) -> None:
    """Drops the rows of an epoch and of later ones, for a run that goes on from it.

    A row that a killed process left incomplete is dropped as well.

    Args:
        path: A CSV file with a column `epoch`; nothing happens where it is missing.
        first: First epoch to drop, counted from 0.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    header, kept = rows[:1], []
    for row in rows[1:]:
        if len(row) == len(header[0]) and int(row[header[0].index("epoch")]) < first:
            kept.append(row)
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(header + kept)
    os.replace(temporary, path)


def read_columns(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Returns the columns of a CSV file of numbers by name."""
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {
        name: [float(row[index]) for row in rows] for index, name in enumerate(header)
    }
