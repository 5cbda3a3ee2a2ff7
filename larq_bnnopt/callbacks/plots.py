"""Plots of the flip ratios that `FlipMonitor` recorded."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from larq_bnnopt.callbacks import summaries

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def check_format(path: str | os.PathLike[str]) -> None:
    """Raises, before a training, if no picture can be written to a file.

    Args:
        path: The file.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If its suffix is no image format.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"Drawing {os.fspath(path)} needs matplotlib: pip install matplotlib. "
            f"({error})"
        ) from error
    formats = Figure().canvas.get_supported_filetypes()
    suffix = pathlib.Path(path).suffix.removeprefix(".").lower()
    # Without a suffix matplotlib adds its own.
    if suffix and suffix not in formats:
        raise ValueError(
            f"{os.fspath(path)} must end in the name of an image format: "
            f"{', '.join(sorted(formats))}."
        )


def plot_flips(csv_path: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Plots the flip ratios of a table of `FlipMonitor`, a line for each layer.

    The grey band reaches from the layer with the fewest flips to the one with the most:
    a layer at its edge behaves differently from the others. It is no range of healthy
    values: how many flips are usual depends on the optimizer and the length of a run.

    Args:
        csv_path: The table.
        path: File of the picture; its suffix selects the format.
    """
    # Not by pyplot, which would keep global state and might open a window.
    from matplotlib.figure import Figure

    columns = summaries.read_columns(csv_path)
    epochs = np.array(columns["epoch"])
    layers = [name for name in columns if name not in summaries.FIRST_COLUMNS]
    # The position of each step on an axis of epochs.
    steps = np.bincount(epochs.astype(int), minlength=1)
    x = epochs + (np.array(columns["batch"]) + 0.5) / steps[epochs.astype(int)]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    width = max(1, len(x) // 100)
    lines = {name: _smooth(x, columns[name], width)[1] for name in layers}
    middles, whole = _smooth(x, columns["flip_ratio"], width)
    if len(layers) > 1:
        _draw_band(axes, middles, np.array(list(lines.values())))
    for index, (name, line) in enumerate(lines.items()):
        axes.plot(middles, line, color=f"C{index % 10}", lw=1, label=name)
    axes.plot(middles, whole, color="black", lw=2, label="all weights")
    axes.set_yscale("log")
    percent_axis(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel("binary weights that flip in a step")
    axes.set_title("Flips of binary weights" + _note_of_means(width), fontsize="medium")
    axes.grid(alpha=0.3)
    if len(layers) <= 20:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="small")
    figure.savefig(path, dpi=120)


def _draw_band(axes: Axes, x: np.ndarray, lines: np.ndarray) -> None:
    """Fills the area between the fewest and the most flips of a layer."""
    known = ~np.isnan(lines).all(axis=0)
    if known.any():
        least, most = np.nanmin(lines[:, known], 0), np.nanmax(lines[:, known], 0)
        axes.fill_between(
            x[known], least, most, color="0.85", lw=0, label="range of the layers"
        )


def percent_axis(axes: Axes) -> None:
    """Labels the shares of a logarithmic axis in percent.

    Args:
        axes: Matplotlib axes, with their lines.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.get_ylim()
    # Within two decades the powers of ten are too few.
    steps = (1, 2, 5) if low > 0 and high < 100 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _note_of_means(width: int) -> str:
    return "" if width == 1 else f" (each point is the mean of {width} steps)"


def _smooth(x: np.ndarray, y: list[float], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns means over windows; 0 becomes NaN, which a logarithmic axis omits."""
    windows = len(x) // width
    x = x[: windows * width].reshape(windows, width).mean(axis=1)
    means = np.array(y)[: windows * width].reshape(windows, width).mean(axis=1)
    return x, np.where(means > 0, means, np.nan)
