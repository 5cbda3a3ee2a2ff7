"""Plots of the probes that `FlipMonitor` recorded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from larq_bnnopt.callbacks.probe_files import Histogram, read_histograms, read_probes
from larq_bnnopt.callbacks.probe_recorder import QUANTITIES
from larq_bnnopt.texts import drawable, require_known

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVES = 5


def plot_probes(
    csv_path: str | os.PathLike[str],
    path: str | os.PathLike[str],
    layer: str | None = None,
    index: int | None = None,
) -> None:
    """Plots the gradient of a weight, its averages and the weight, over the steps.

    A panel for each, with its own scale, because an average is much smaller than the
    gradients that it averages. For a gradient filter it is paper 001, figure 2: the
    raw gradient, the output of order 1 (m) and that of order 2 (g).

    Args:
        csv_path: The table of probes, `<name>_probes.csv`.
        path: File of the picture; its suffix selects the format.
        layer: Layer of the weight. Defaults to `None`: the first of the table.
        index: Its index in the kernel. Defaults to `None`: the first of the layer.

    Raises:
        ValueError: If the table does not have the weight.
    """
    # Not by pyplot, which would keep global state and might open a window.
    from matplotlib.figure import Figure

    series = read_probes(csv_path)
    layer, index = _chosen(os.fspath(csv_path), list(series), layer, index)
    steps = series[layer, index].pop("step")
    quantities = [name for name in QUANTITIES if name in series[layer, index]]
    figure = Figure(figsize=(8, 1 + 1.2 * len(quantities)), layout="constrained")
    panels = figure.subplots(len(quantities), sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, quantities):
        _draw_series(axes, steps, series[layer, index][name], name)
    panels[0].set_title(f"Weight {index} of {drawable(layer)}", fontsize="medium")
    panels[-1].set_xlabel("step")
    figure.align_ylabels()
    figure.savefig(path, dpi=120)


def _draw_series(axes: Axes, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """Draws a quantity of a weight; a binary weight as a line with corners."""
    binary = name == "weight" and set(np.abs(y)) == {1.0}
    style = "steps-post" if binary else "default"
    color = {"gradient": "0.6", "weight": "black"}.get(name, "C0")
    axes.plot(x, y, lw=0.8, color=color, drawstyle=style)
    if binary:
        axes.set_yticks([-1, 1], ["-1", "+1"])
        axes.set_ylim(-1.4, 1.4)
    else:
        axes.axhline(0, color="black", lw=0.5)
        axes.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
    axes.set_ylabel(name)
    axes.margins(x=0.01)


def _chosen(
    table: str,
    weights: Sequence[tuple[str, int]],
    layer: str | None,
    index: int | None,
) -> tuple[str, int]:
    """Returns the weight of a table that is meant."""
    if not weights:
        raise ValueError(f"{table} has no records. Its training took no step.")
    if layer is None:
        layer = weights[0][0]
    require_known("layer", layer, dict.fromkeys(name for name, _ in weights))
    known = [number for name, number in weights if name == layer]
    if index is not None and index not in known:
        raise ValueError(
            f"No weight {index} of {layer}. Known: {', '.join(map(str, known))}."
        )
    return layer, known[0] if index is None else index


def plot_histograms(
    npz_path: str | os.PathLike[str],
    path: str | os.PathLike[str],
    layer: str | None = None,
    quantities: Sequence[str] | None = None,
) -> None:
    """Plots how the gradients, averages or weights of a kernel are distributed.

    A panel for each quantity, a curve for each of five epochs between the first and the
    last. For Diode's u and m it is paper 003, figure 4.

    Args:
        npz_path: The histograms, `<name>_histograms.npz`.
        path: File of the picture; its suffix selects the format.
        layer: Layer of the kernel. Defaults to `None`: the first of the file.
        quantities: Which quantities. Defaults to `None`: the averages of the optimizer,
            or all if it has none.

    Raises:
        ValueError: If the file does not have the layer or a quantity, or is damaged.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    histograms = read_histograms(npz_path)
    if not histograms:
        raise ValueError(f"{os.fspath(npz_path)} holds no histograms.")
    if layer is None:
        layer = histograms[0].layer
    require_known("layer", layer, dict.fromkeys(one.layer for one in histograms))
    own = [one for one in histograms if one.layer == layer]
    names = list(dict.fromkeys(one.quantity for one in own))
    averages = [name for name in names if name not in ("gradient", "weight")]
    drawn = list(quantities or averages or names)
    for name in drawn:
        require_known("quantity", name, names)
    figure = Figure(figsize=(1 + 3.5 * len(drawn), 3.4), layout="constrained")
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, name in zip(panels, drawn):
        curves = [one for one in own if one.quantity == name]
        some = np.unique(np.linspace(0, len(curves) - 1, _CURVES).round().astype(int))
        for position, number in enumerate(some):
            color = colormaps["viridis"](0.9 * position / max(1, len(some) - 1))
            _draw_histogram(axes, curves[number], color)
        axes.set_xlabel(name)
        axes.ticklabel_format(axis="x", scilimits=(-2, 3), useMathText=True)
    panels[0].set_ylabel("density, share of the peak")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="small")
    figure.suptitle(drawable(layer), fontsize="medium")
    figure.savefig(path, dpi=120)


def _draw_histogram(axes: Axes, one: Histogram, color: tuple[float, ...]) -> None:
    density = one.counts / np.diff(one.edges)
    axes.stairs(
        density / max(density.max(), 1e-300),
        one.edges,
        color=color,
        label=f"epoch {one.epoch + 1}",
    )
