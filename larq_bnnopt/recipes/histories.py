"""What runs did, epoch by epoch: read, listed, and drawn side by side."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from larq_bnnopt.recipes.runs import Run
from larq_bnnopt.texts import drawable

_CURVES = {
    "val_accuracy": "accuracy on the test images",
    "loss": "loss",
    "flip_ratio": "share of binary weights that flip in a step",
}


@dataclasses.dataclass(frozen=True)
class History:
    """The losses and metrics of a run.

    Attributes:
        folder: The folder of the run.
        recipe: Its recipe, as it is written down.
        columns: An array (epochs,) for each metric, NaN where an epoch has none.
        model_bytes: Size of its model, `None` without one.
        tflite_bytes: Size of its .tflite, `None` without one.
        recalibrated: Accuracy after batch normalization was computed anew, `None` where
            it was not.
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
        anew = run.read_recalibration()
        return cls(
            run.folder,
            recipe,
            columns,
            _size(run.model),
            _size(run.tflite),
            None if anew is None else anew.after,
        )

    @property
    def epochs(self) -> int:
        """Epochs that were trained."""
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

    def row(self) -> tuple[str, ...]:
        """Returns the main figures as texts, for the heading `HEADING`."""
        accuracy, flips = self.accuracy, self.last("flip_ratio")
        return (
            self.folder.name,
            str(self.recipe.get("kind", "one_step")),
            str(self.recipe.get("model") or self.recipe.get("start")),
            str(self.recipe.get("dataset")),
            str(self.recipe.get("optimizer")),
            str(self.epochs),
            "" if accuracy is None else f"{accuracy:.2%}",
            "" if flips is None else f"{flips:.2e}",
            "" if self.model_bytes is None else f"{self.model_bytes:,}",
            "" if self.tflite_bytes is None else f"{self.tflite_bytes:,}",
        )


HEADING = (
    "run",
    "recipe",
    "network",
    "data",
    "optimizer",
    "epochs",
    "accuracy",
    "flips",
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
    """Draws the curves of several runs over each other.

    Args:
        histories: The histories, at least one with an epoch.
        path: File of the picture; its suffix chooses the format.

    Raises:
        ValueError: If no run has trained an epoch.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [
        name for name in _CURVES if any(h.last(name) is not None for h in histories)
    ]
    if not names:
        raise ValueError("None of these runs has trained an epoch.")
    figure = Figure(figsize=(5 * len(names), 4), layout="constrained")
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), place)
        for history in histories:
            if history.last(name) is not None:
                epochs = history.columns["epoch"] + 1
                axes.plot(
                    epochs,
                    history.columns[name],
                    ".-",
                    label=drawable(history.folder.name),
                )
        if name == "flip_ratio" and any(
            (h.columns.get(name, np.zeros(1)) > 0).any() for h in histories
        ):
            axes.set_yscale("log", nonpositive="mask")
        axes.set_title(_CURVES[name])
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def _size(path: pathlib.Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
