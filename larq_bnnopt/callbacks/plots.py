"""Pictures of what the callbacks counted."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from larq_bnnopt.callbacks import summaries


def check_format(path: str | os.PathLike[str]) -> None:
    """Raises, before a training, if no picture can be drawn into a file.

    Args:
        path: The file.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If its suffix names no format of pictures.
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
            f"{os.fspath(path)} must end in the name of a format of pictures: "
            f"{', '.join(sorted(formats))}."
        )


def plot_flips(csv_path: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Draws the flip ratios of a table of `FlipMonitor`, a line for each layer.

    Args:
        csv_path: The table.
        path: File of the picture; its suffix chooses the format.
    """
    # A figure of its own: pyplot would keep global state and might open a window.
    from matplotlib.figure import Figure

    columns = summaries.read_columns(csv_path)
    epochs = np.array(columns["epoch"])
    layers = [name for name in columns if name not in summaries.FIRST_COLUMNS]
    # The place of each step on an axis of epochs.
    steps = np.bincount(epochs.astype(int), minlength=1)
    x = epochs + (np.array(columns["batch"]) + 0.5) / steps[epochs.astype(int)]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    width = max(1, len(x) // 100)
    colours = [f"C{index % 10}" for index in range(len(layers))]
    for name, colour in zip(layers, colours):
        axes.plot(*_smooth(x, columns[name], width), color=colour, lw=1, label=name)
    axes.plot(
        *_smooth(x, columns["flip_ratio"], width), color="black", lw=2, label="all"
    )
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("share of weights that flip in a step")
    axes.set_title("Flips of binary weights" + _means(width))
    axes.grid(alpha=0.3)
    if len(layers) <= 20:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="small")
    figure.savefig(path, dpi=120)


def _means(width: int) -> str:
    return "" if width == 1 else f" (each point is the mean of {width} steps)"


def _smooth(x: np.ndarray, y: list[float], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns means over windows; none at all is left out of a logarithmic axis."""
    windows = len(x) // width
    x = x[: windows * width].reshape(windows, width).mean(axis=1)
    means = np.array(y)[: windows * width].reshape(windows, width).mean(axis=1)
    return x, np.where(means > 0, means, np.nan)
