"""Training with a progress bar, for `quickstart` and `train`."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from larq_bnnopt.cli.console import console, counts, warnings_as_lines
from larq_bnnopt.cli.progress_bar import ProgressBar
from larq_bnnopt.cli.silence import start_xla

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt import datasets, recipes

# Takes callbacks, and a function for the progress of checking images.
Fit = Callable[
    ["list[tf.keras.callbacks.Callback]", Callable[[int, int], None]], "tf.keras.Model"
]


class Beginning:
    """Prints the data of a training when it begins, and a warning if it learned little.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: recipes.Recipe):
        self._recipe = recipe
        self._data: datasets.Dataset | None = None

    def __call__(self, data: datasets.Dataset) -> None:
        """Prints data and model."""
        self._data = data
        shape, count = "x".join(map(str, data.input_shape)), len(data.class_names)
        answers = f"{count:,} classes"
        if data.task != "classification":
            answers = f"{count:,} {'number' if count == 1 else 'numbers'} to predict"
        console.print(
            f"Data: {data.name}, {data.train_size:,} training and {data.test_size:,} "
            f"test {data.kind} of {answers}, {shape}. Model: {self._recipe.network}."
        )

    def warn_of_guessing(self, folder: str | os.PathLike[str]) -> None:
        """Prints a warning with advice if the model of a run learned little."""
        from larq_bnnopt.recipes import History, Run, doubt

        data, recipe = self._data, self._recipe
        if data is None or data.task != "classification":
            return
        steps = recipe.steps(sum(recipe.stage_epochs()) * data.steps_per_epoch)
        accuracy = History.of(Run(folder)).accuracy
        why = doubt(accuracy, len(data.class_names), data.test_size, steps)
        if why is not None:
            trained = "" if recipe.kind == "fine_tune" else _FROM_A_TRAINED_ONE
            console.print(
                f"Warning: {why}. What helps: more --epochs, a smaller "
                f"--batch-size{trained}."
            )


_FROM_A_TRAINED_ONE = ", or to start from a trained model (--recipe fine_tune)"


def with_bar(
    fit: Fit,
    folder: str | os.PathLike[str],
    stages: Sequence[int] = (),
) -> tf.keras.Model:
    """Calls a training function with a progress bar; after Ctrl-C says how to resume.

    Args:
        fit: The training function.
        folder: The folder of the run.
        stages: Numbers of epochs of the stages of the training. Defaults to one stage.
    """
    start_xla()
    bar = ProgressBar(stages)
    try:
        with warnings_as_lines(), counts("checking the images") as show:
            return fit([bar], show)
    except KeyboardInterrupt:
        bar.close()
        if (pathlib.Path(folder) / "config.json").exists():
            words = f"bnnopt train --resume {shlex.quote(os.fspath(folder))}"
            console.print(f"Resume with: {words}")
        raise
    finally:
        bar.close()
