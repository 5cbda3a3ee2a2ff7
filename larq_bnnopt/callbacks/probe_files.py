"""Files of the probes of `FlipMonitor`: a table of steps, histograms of epochs."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from larq_bnnopt.callbacks.probe_recorder import QUANTITIES
from larq_bnnopt.writing import replacing

COLUMNS = ("epoch", "step", "layer", "index", *QUANTITIES)


def probes_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the path of the table of probes, beside the table of flips."""
    return path.with_name(f"{path.stem}_probes.csv")


def histograms_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the path of the histograms, beside the table of flips."""
    return path.with_name(f"{path.stem}_histograms.npz")


def probe_rows(
    epoch: int,
    steps: np.ndarray,
    values: np.ndarray,
    chosen: Mapping[str, np.ndarray],
    known: Mapping[str, set[str]],
) -> Iterator[list[object]]:
    """Yields the rows of an epoch, in the order of `COLUMNS`.

    Args:
        epoch: Number of the epoch, from 0.
        steps: Numbers of the steps, (steps,).
        values: Their values, (steps, quantities, weights).
        chosen: Flat indices of the weights, by layer.
        known: Quantities of each layer; the cells of others stay empty.
    """
    weights = [(layer, index) for layer, own in chosen.items() for index in own]
    for step, record in zip(steps, values):
        for column, (layer, index) in enumerate(weights):
            cells = [
                # Nine digits are every float32.
                f"{value:.9g}" if quantity in known[layer] else ""
                for quantity, value in zip(QUANTITIES, record[:, column])
            ]
            yield [epoch, step, layer, index, *cells]


def read_probes(
    path: str | os.PathLike[str],
) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """Returns the series of each weight in a table of `FlipMonitor` with probes.

    Args:
        path: The table, `<name>_probes.csv`.

    Returns:
        By layer and index of the weight: the columns `epoch` and `step`, int64, and
        each of `gradient`, `u`, `m`, `v`, `g` and `weight` that the table has, float64.

    Raises:
        ValueError: If the file is no such table.
    """
    rows: dict[tuple[str, int], list[dict[str, str]]] = {}
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"{os.fspath(path)} is no table of probes, whose columns are "
                f"{', '.join(COLUMNS)}. Received: {', '.join(reader.fieldnames or ())}"
            )
        for row in reader:
            rows.setdefault((row["layer"], int(row["index"])), []).append(row)
    series = {}
    for weight, own in rows.items():
        series[weight] = {n: np.array([int(r[n]) for r in own]) for n in COLUMNS[:2]}
        for name in QUANTITIES:
            if any(row[name] for row in own):
                series[weight][name] = np.array([float(r[name] or "nan") for r in own])
    return series


@dataclasses.dataclass(frozen=True)
class Histogram:
    """The distribution of a quantity of a kernel at the end of an epoch.

    Attributes:
        epoch: Number of the epoch, from 0.
        layer: Name of the layer.
        quantity: `gradient` of the epoch's last step, `u`, `m`, `v`, `g` or `weight`.
        counts: Number of weights in each bin, int64 (bins,). Values that are not finite
            are in none.
        edges: Edges of the bins, float64 (bins + 1,), from the least to the largest.
    """

    epoch: int
    layer: str
    quantity: str
    counts: np.ndarray
    edges: np.ndarray


def histograms_of(
    epoch: int, kernels: Mapping[str, Mapping[str, np.ndarray]], bins: int
) -> list[Histogram]:
    """Returns the histograms of an epoch.

    Args:
        epoch: Number of the epoch, from 0.
        kernels: Values by layer and quantity.
        bins: Number of bins.

    Example:
        >>> kernels = {"dense": {"u": np.array([0.0, 1.0, 4.0])}}
        >>> (one,) = histograms_of(0, kernels, bins=2)
        >>> one.counts.tolist(), one.edges.tolist()
        ([2, 1], [0.0, 2.0, 4.0])
    """
    found = []
    for layer, quantities in kernels.items():
        for quantity, values in quantities.items():
            finite = values[np.isfinite(values)].astype(np.float64)
            counts, edges = np.histogram(finite, bins)
            found.append(Histogram(epoch, layer, quantity, counts, edges))
    return found


def write_histograms(
    path: str | os.PathLike[str], histograms: Iterable[Histogram]
) -> None:
    """Writes histograms to an `.npz` file, whole or not at all."""
    content = {}
    for one in histograms:
        key = f"{one.epoch}/{one.layer}/{one.quantity}"
        content[f"{key}/counts"], content[f"{key}/edges"] = one.counts, one.edges
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)


def read_histograms(path: str | os.PathLike[str]) -> list[Histogram]:
    """Returns the histograms that `FlipMonitor` wrote, in the order of the epochs.

    Args:
        path: The file, `<name>_histograms.npz`.

    Raises:
        ValueError: If the file is damaged.
    """
    histograms = []
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                if key.endswith("/counts"):
                    stem = key.removesuffix("/counts")
                    epoch, _, rest = stem.partition("/")
                    layer, _, quantity = rest.rpartition("/")
                    arrays = file[key], file[f"{stem}/edges"]
                    histograms.append(Histogram(int(epoch), layer, quantity, *arrays))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{os.fspath(path)} is damaged ({error}). Restore it, or remove it to "
            "continue without its earlier epochs."
        ) from error
    return histograms
