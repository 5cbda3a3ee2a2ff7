"""CSV tables of `FlipMonitor`: one row per training step, one row per layer."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from larq_bnnopt.callbacks.flips import KernelEpoch
from larq_bnnopt.writing import replacing

FIRST_COLUMNS = ("epoch", "batch", "flip_ratio")
# Percentiles of the flips of a weight in an epoch.
PERCENTILES = {
    "flips_p50": 50,
    "flips_p75": 75,
    "flips_p95": 95,
    "flips_p99": 99,
    "flips_max": 100,
}
_SHARES = ("positive_ratio", "dead_ratio", "never_flipped_ratio")
LAYER_COLUMNS = ("epoch", "layer", "flip_ratio", *_SHARES, *PERCENTILES)
# The last column of a model with a binary embedding.
UNUSED_COLUMN = "unused_ratio"


def layers_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the path of the table of layers, beside the table of steps."""
    return path.with_name(f"{path.stem}_layers.csv")


def state_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the path of the state file, beside the table of steps."""
    return path.with_name(f"{path.stem}_state.npz")


def shares(layers: Sequence[KernelEpoch], sizes: np.ndarray) -> dict[str, float]:
    """Returns the shares and percentiles over all weights, by their names in the logs.

    Args:
        layers: The layers.
        sizes: Number of weights of each.
    """
    logs = {"positive_ratio": _mean([layer.positive for layer in layers], sizes)}
    # Rows that no batch used had no chance of a gradient.
    chances = [
        (layer.dead, size * (1 - (layer.unused or 0)))
        for layer, size in zip(layers, sizes)
        if layer.dead is not None
    ]
    if chances:
        logs["dead_ratio"] = _mean(*zip(*chances))
    never = [layer.never_flipped for layer in layers]
    logs["never_flipped_ratio"] = _mean(never, sizes)
    flips = [layer.flips for layer in layers if layer.flips is not None]
    return {**logs, **(_percentiles(np.concatenate(flips)) if flips else {})}


def _mean(values: Sequence[float], weights: Sequence[float] | np.ndarray) -> float:
    return float(np.average(values, weights=weights))


def append_layers(
    path: pathlib.Path,
    epoch: int,
    flips: Mapping[str, float],
    layers: Mapping[str, KernelEpoch],
) -> None:
    """Appends the rows of an epoch to the table of layers.

    Args:
        path: The table of steps, beside which it is.
        epoch: Number of the epoch, from 0.
        flips: Share of weights that flip in a step, by layer.
        layers: The statistics of each layer.
    """
    unused = any(layer.unused is not None for layer in layers.values())
    rows = [
        [epoch, name, f"{flips[name]:.6g}", *_layer_row(layer)]
        for name, layer in layers.items()
    ]
    if unused:
        for row, layer in zip(rows, layers.values()):
            row.append("" if layer.unused is None else f"{layer.unused:.6g}")
    columns = (*LAYER_COLUMNS, *([UNUSED_COLUMN] if unused else []))
    append_rows(layers_path(path), columns, rows)


def _layer_row(layer: KernelEpoch) -> list[str]:
    """Returns the cells of a layer after its flip ratio; unknown values are empty."""
    known = (layer.positive, layer.dead, layer.never_flipped)
    cells = ["" if share is None else f"{share:.6g}" for share in known]
    if layer.flips is None:
        return cells + [""] * len(PERCENTILES)
    return cells + [f"{value:g}" for value in _percentiles(layer.flips).values()]


def _percentiles(flips: np.ndarray) -> dict[str, float]:
    values = np.percentile(flips, list(PERCENTILES.values()))
    return dict(zip(PERCENTILES, map(float, values)))


def append_rows(
    path: str | os.PathLike[str],
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
) -> None:
    """Appends rows to a CSV file, after the header if the file is new."""
    path = pathlib.Path(path)
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(header)
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())


def require_header(path: str | os.PathLike[str], header: Sequence[str]) -> None:
    """Checks the columns of a CSV file before rows are added.

    Raises:
        FileExistsError: If it has other columns.
    """
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        there = next(csv.reader(file), list(header))
    if there != list(header):
        raise FileExistsError(
            f"{os.fspath(path)} has the columns {', '.join(there)}. This training "
            f"writes {', '.join(header)}. Name another file."
        )


def drop_epochs(path: str | os.PathLike[str], first: int) -> int:
    """Drops the rows of an epoch and of later ones, for a run that resumes there.

    Also drops a row that a killed process left incomplete.

    Args:
        path: A CSV file with a column `epoch`; it may be missing.
        first: First epoch to drop, counted from 0.

    Returns:
        The number of remaining rows.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return 0
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        header, kept = rows[:1], []
        for row in rows[1:]:
            epoch = header[0].index("epoch")
            if len(row) == len(header[0]) and int(row[epoch]) < first:
                kept.append(row)
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Restore it, or remove it to continue "
            "without its earlier epochs."
        ) from error
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows(header + kept)
    return len(kept)


def read_columns(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Returns the columns of a CSV file of numbers, by name."""
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {
        name: [float(row[index]) for row in rows] for index, name in enumerate(header)
    }


def last_layers(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Returns the last epoch's rows of a table of layers, none without a file."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row["epoch"] == rows[-1]["epoch"]]
