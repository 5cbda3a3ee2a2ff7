"""What `quickstart` and `train` share: a training with a bar, and its end."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from larq_bnnopt.cli.console import console, counts, warnings_as_lines
from larq_bnnopt.cli.progress_bar import ProgressBar
from larq_bnnopt.cli.silence import start_xla


class Beginning:
    """Says what a training is about to learn from, and behind it whether it did.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: Any):
        self._recipe = recipe
        self._data: Any = None

    def __call__(self, data: Any) -> None:
        """Says which images, and which model."""
        self._data = data
        shape = "x".join(map(str, data.input_shape))
        console.print(
            f"Data: {data.name}, {data.train_size:,} training and {data.test_size:,} "
            f"test images of {len(data.class_names):,} classes, {shape}. Model: "
            f"{self._recipe.network}."
        )

    def warn_of_guessing(self, folder: str | os.PathLike[str]) -> None:
        """Says in a line what helps where the model of a run learned little."""
        from larq_bnnopt.recipes import History, Run, doubt

        data, recipe = self._data, self._recipe
        if data is None:
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


_FROM_A_TRAINED_ONE = ", or to go on from a trained model (--recipe fine_tune)"


def with_bar(
    fit: Callable[[Any, Any], Any],
    folder: str | os.PathLike[str],
    stages: Sequence[int] = (),
) -> Any:
    """Calls a training function with a progress bar; says how to go on after Ctrl-C.

    Args:
        fit: Takes callbacks, and a function that is told how many images of how many
            were looked at before.
        folder: The folder of the run.
        stages: Numbers of epochs of the stages of the training. Defaults to those of
            one stage.
    """
    start_xla()
    bar = ProgressBar(stages)
    try:
        with warnings_as_lines(), counts("looking at the images") as tell:
            return fit([bar], tell)
    except KeyboardInterrupt:
        bar.close()
        if (pathlib.Path(folder) / "config.json").exists():
            words = f"bnnopt train --resume {shlex.quote(os.fspath(folder))}"
            console.print(f"Go on with: {words}")
        raise
    finally:
        bar.close()
