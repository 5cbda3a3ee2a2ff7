"""Histories of runs: losses and metrics by epoch, written, read, listed, plotted."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.callbacks.plots import percent_axis
from larq_bnnopt.recipes.runs import Run
from larq_bnnopt.recipes.words import METRIC_WORDS, epochs_of, in_words, percent
from larq_bnnopt.texts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Whose curves are drawn together, the test's first.
_CURVES = {
    "accuracy": ("val_accuracy", "accuracy"),
    **{words: (f"val_{name}", name) for name, words in METRIC_WORDS.items()},
    "mean absolute error": ("val_mean_absolute_error", "mean_absolute_error"),
    "loss": ("val_loss", "loss"),
    "binary weights that flip in a step": ("flip_ratio",),
}
_STYLES = (".-", ".:")
_WHOSE = ("test", "training")


@dataclasses.dataclass(frozen=True)
class History:
    """The losses and metrics of a run.

    Attributes:
        folder: The folder of the run.
        recipe: Its recipe, as it is written down.
        columns: An array (epochs,) for each metric, NaN if an epoch has none.
        model_bytes: Size of its model, `None` without one.
        tflite_bytes: Size of its .tflite, `None` without one.
        recalibrated: Accuracy after batch-norm statistics were re-estimated, `None` if
            they were not.
    """

    folder: pathlib.Path
    recipe: dict[str, object]
    columns: dict[str, np.ndarray]
    model_bytes: int | None
    tflite_bytes: int | None
    recalibrated: float | None = None

    @classmethod
    def of(cls, run: Run) -> History:
        """Reads the history of a run.

        Raises:
            FileNotFoundError: If the folder holds no run.
            ValueError: If its configuration or history is damaged.
        """
        recipe = run.read_recipe()
        rows: list[dict[str, str]] = []
        try:
            if run.history.exists():
                with run.history.open(newline="", encoding="utf-8") as file:
                    rows = list(csv.DictReader(file))
            columns = {
                name: np.array([float(row[name] or "nan") for row in rows])
                for name in (rows[0] if rows else {})
            }
        except (TypeError, ValueError, KeyError, csv.Error) as error:
            raise ValueError(f"{run.history} is damaged: {error}") from error
        re_estimated = run.read_recalibration()
        return cls(
            run.folder,
            recipe,
            columns,
            _size(run.model),
            _size(run.tflite),
            None if re_estimated is None else re_estimated.after,
        )

    @property
    def epochs(self) -> int:
        """Number of trained epochs."""
        return len(self.columns.get("epoch", ()))

    def last(self, name: str) -> float | None:
        """Returns the last value of a metric, `None` where there is none."""
        values = self.columns.get(name, np.zeros(0))
        known = values[~np.isnan(values)]
        return float(known[-1]) if len(known) else None

    @property
    def accuracy(self) -> float | None:
        """Accuracy of the model as it is, on the test images; `None` without one."""
        if self.recalibrated is not None:
            return self.recalibrated
        return self.last("val_accuracy")

    def scores(self) -> dict[str, float]:
        """Returns the last test scores of a data set of texts, by what they are called.

        The accuracy is not among them.
        """
        found = {words: self.last(f"val_{n}") for n, words in METRIC_WORDS.items()}
        return {words: score for words, score in found.items() if score is not None}

    def network(self) -> str:
        """Returns network, recipe, data and optimizer in a line."""
        facts = dict(in_words(self.recipe))
        start = self.recipe.get("start")
        network = f"the network of {start}" if start else facts.get("network", "?")
        text = f"{network}, {facts.get('recipe', 'one step')} on {facts.get('data')}"
        return f"{text}; {facts.get('optimizer of the binary weights')}"

    def epochs_in_words(self) -> str:
        """Returns the number of trained epochs, of all, and of each stage, in words."""
        stages = epochs_of(self.recipe)
        planned = sum(count for _, count in stages)
        if not planned:
            return str(self.epochs)
        text = f"{self.epochs} of {planned}"
        if len(stages) == 1:
            return text
        parts = [f"{count} {name.removeprefix('epochs ')}" for name, count in stages]
        return f"{text}: {', '.join(parts)}"

    def row(self) -> tuple[str, ...]:
        """Returns the main figures as texts, for the heading `HEADING`."""
        accuracy, flips = self.accuracy, self.last("flip_ratio")
        return (
            self.folder.name,
            str(self.recipe.get("kind", "one_step")),
            str(self.recipe.get("model") or self.recipe.get("start")),
            str(self.recipe.get("dataset")),
            str(self.recipe.get("optimizer")),
            self.epochs_in_words().partition(":")[0],
            ", ".join(
                [
                    *([] if accuracy is None else [f"{accuracy:.2%}"]),
                    *(f"{words} {score:.3f}" for words, score in self.scores().items()),
                ]
            ),
            "" if flips is None else percent(flips),
            "" if self.model_bytes is None else f"{self.model_bytes:,}",
            "" if self.tflite_bytes is None else f"{self.tflite_bytes:,}",
        )


def differing_settings(histories: Sequence[History]) -> list[tuple[str, ...]]:
    """Returns the settings in which runs differ, a row each after a heading.

    Args:
        histories: The histories of the runs.

    Returns:
        The name of the setting and its value in each run, empty where it has none. An
        empty list if the runs do not differ.
    """
    settings = [dict(in_words(history.recipe)) for history in histories]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [(name, *(one.get(name, "") for one in settings)) for name in names]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    heading = ("setting", *(history.folder.name for history in histories))
    return [heading, *differing] if differing else []


class HistoryWriter(tf.keras.callbacks.Callback):
    """Writes `history.csv`: losses and metrics, one row an epoch, of all stages."""

    def __init__(self, run: Run):
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds a row, and columns for new metrics."""
        rows: list[dict[str, Any]] = []
        if self._run.history.exists():
            with self._run.history.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        rows.append({"epoch": epoch, **(logs or {})})
        columns = dict.fromkeys(itertools.chain.from_iterable(rows))
        lines = [",".join(columns)]
        lines += [",".join(str(row.get(name, "")) for name in columns) for row in rows]
        self._run.write_text("history.csv", "\n".join(lines) + "\n")


HEADING = (
    "run",
    "recipe",
    "network",
    "data",
    "optimizer",
    "epochs",
    "accuracy",
    "flips a step",
    "model, bytes",
    ".tflite, bytes",
)


def find_runs(folder: str | os.PathLike[str]) -> list[Run]:
    """Returns the runs in a folder, by name.

    Args:
        folder: The folder that holds the folders of the runs.

    Raises:
        FileNotFoundError: If there is no such folder, or no run in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder.")
    runs = [Run(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    runs = [run for run in runs if run.config.is_file()]
    if not runs:
        raise FileNotFoundError(f"{folder} holds no run: none has a config.json.")
    return runs


def plot_histories(histories: Sequence[History], path: str | os.PathLike[str]) -> None:
    """Plots the curves of several runs in the same axes.

    Args:
        histories: The histories, at least one with an epoch.
        path: File of the picture; its suffix chooses the format.

    Raises:
        ValueError: If no run has trained an epoch.
    """
    from matplotlib.figure import Figure

    drawn = known_curves(histories)
    if not drawn:
        raise ValueError("None of these runs has trained an epoch.")
    figure = Figure(figsize=(5 * len(drawn), 4.2), layout="constrained")
    for place, title in enumerate(drawn, start=1):
        draw_curve(figure.add_subplot(1, len(drawn), place), histories, title)
    figure.savefig(path, dpi=120)


def known_curves(histories: Sequence[History]) -> list[str]:
    """Returns the titles of the curves that these runs have."""
    return [
        title
        for title, names in _CURVES.items()
        if any(h.last(name) is not None for h in histories for name in names)
    ]


def draw_curve(axes: Axes, histories: Sequence[History], title: str) -> None:
    """Draws one of the curves of several runs.

    Args:
        axes: Axes of Matplotlib.
        histories: The histories.
        title: One of `known_curves`.
    """
    from matplotlib.ticker import MaxNLocator

    names = _CURVES[title]
    alone = len(histories) == 1
    drawn = [_draw(axes, h, names, f"C{i}", alone) for i, h in enumerate(histories)]
    if "flip_ratio" in names and any(drawn):
        axes.set_yscale("log", nonpositive="mask")
        percent_axis(axes)
    elif "accuracy" in names:
        axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if not alone or len(names) > 1:
        axes.legend(fontsize="small")


def _draw(
    axes: Axes, history: History, names: tuple[str, ...], colour: str, alone: bool
) -> bool:
    """Draws the curves of a run; returns whether any is above zero."""
    run, above = drawable(history.folder.name), False
    for name, style, whose in zip(names, _STYLES, _WHOSE):
        if history.last(name) is None:
            continue
        label = run if len(names) == 1 else whose if alone else f"{run}, {whose}"
        values = history.columns[name]
        axes.plot(
            history.columns["epoch"] + 1, values, style, color=colour, label=label
        )
        above = above or bool((values > 0).any())
    return above


def _size(path: pathlib.Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
