"""A run as one HTML file: what it trains, how it goes, what flips."""

from __future__ import annotations

import base64
import html
import io
import os
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from larq_bnnopt import writing
from larq_bnnopt.callbacks import plot_flips, summaries
from larq_bnnopt.recipes.histories import History, plot_histories
from larq_bnnopt.recipes.runs import Run

_STYLE = """
body { font: 16px/1.5 sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { border-bottom: 1px solid #ccc; padding: 0.2rem 0.8rem; text-align: left }
img { max-width: 100% }
"""


def write_page(run: Run, path: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Writes a run as one HTML file, its pictures in it.

    Args:
        run: The run.
        path: Where to write. Defaults to `None`, `report.html` in its folder.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration or history is damaged.
    """
    history = History.of(run)
    parts = [f"<h1>{html.escape(run.folder.resolve().name)}</h1>"]
    if history.epochs:
        parts.append(_table(_figures(history)))
        parts.append(_picture("How it went", _drawn(plot_histories, [history])))
    else:
        parts.append("<p>No epoch is complete yet.</p>")
    if run.flips.exists() and history.last("flip_ratio") is not None:
        flips = _drawn(plot_flips, run.flips)
        parts.append(_picture("Flips of binary weights", flips))
        parts.append(_layers(run))
    anew = run.read_recalibration()
    if anew is not None:
        title = f"Batch normalization anew from {anew.batches} batches"
        rows = [("accuracy before", anew.before), ("accuracy after", anew.after)]
        parts.append(f"<h2>{title}</h2>" + _table(rows))
    confusion = run.folder / "confusion.png"
    if confusion.exists():
        parts.append(_picture("Confusion on the test images", confusion.read_bytes()))
    given = {k: v for k, v in history.recipe.items() if v is not None}
    parts += ["<h2>Recipe</h2>", _table(given.items())]
    parts += ["<h2>Versions</h2>", _table(run.read_versions().items())]
    title = html.escape(run.folder.resolve().name)
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    target = pathlib.Path(path or run.folder / "report.html")
    writing.write_text(target, page)
    return target


def try_to_write_page(run: Run) -> None:
    """Writes the page of a run, or warns: no page is worth a training."""
    try:
        write_page(run)
    except Exception as error:  # A drawing fails in many ways.
        warnings.warn(
            f"The page of {run.folder} could not be written ({error}). The training "
            f"goes on; to try again: bnnopt report {run.folder}",
            stacklevel=2,
        )


class Page(tf.keras.callbacks.Callback):
    """Writes the page of a run after every epoch.

    Args:
        run: The run.
    """

    def __init__(self, run: Run):
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes `report.html`."""
        try_to_write_page(self._run)


def _figures(history: History) -> Iterable[tuple[str, str]]:
    yield "epochs", str(history.epochs)
    for name, text in (
        ("val_accuracy", "accuracy on the test images"),
        ("accuracy", "accuracy in training"),
        ("loss", "loss"),
        ("flip_ratio", "share of binary weights that flip in a step"),
        ("c2i_ratio", "share with the sign of the start"),
        ("never_flipped_ratio", "share that has not flipped since the start"),
        ("dead_ratio", "share without a gradient in the last epoch"),
    ):
        value = history.accuracy if name == "val_accuracy" else history.last(name)
        if value is not None:
            yield text, f"{value:.4g}"


def _layers(run: Run) -> str:
    """Returns the layers in the last epoch as a table, empty without their file."""
    rows = summaries.last_layers(summaries.layers_path(run.flips))
    if not rows:
        return ""
    known = [name for name in rows[0] if any(row[name] for row in rows)]
    columns = [name for name in known if name != "epoch"]
    heading = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = [
        "".join(f"<td>{html.escape(row[name])}</td>" for name in columns)
        for row in rows
    ]
    table = "\n".join(f"<tr>{line}</tr>" for line in (heading, *lines))
    return f"<h2>Binary layers in the last epoch</h2>\n<table>\n{table}\n</table>"


def _drawn(plot: Any, what: Any) -> bytes:
    """Returns a picture as the bytes of a PNG."""
    picture = io.BytesIO()
    plot(what, picture)
    return picture.getvalue()


def _picture(title: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    return (
        f'<h2>{html.escape(title)}</h2>\n<img alt="{html.escape(title)}" '
        f'src="data:image/png;base64,{data}">'
    )


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    lines = []
    for name, value in rows:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append(
            f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(text)}</td></tr>"
        )
    return "<table>\n" + "\n".join(lines) + "\n</table>"
