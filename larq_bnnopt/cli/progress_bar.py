"""Progress bar of a training, with the figures of the last epoch."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Sequence

import tensorflow as tf
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from larq_bnnopt.cli.console import console
from larq_bnnopt.recipes import percent


class ProgressBar(tf.keras.callbacks.Callback):
    """Shows the batches of a training as one bar, with the last epoch's figures.

    Args:
        stages: Numbers of epochs of its stages, each fitted separately. Defaults to one
            stage with all epochs.
    """

    def __init__(self, stages: Sequence[int] = ()) -> None:
        super().__init__()
        self._stages = tuple(stages)
        self._stage = ""
        self._supports_tf_logs = True
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task: TaskID | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts the bar."""
        self._start = time.monotonic()
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows the number of the epoch."""
        epochs = sum(self._stages) or self.params["epochs"]
        steps = self.params["steps"]
        self._stage = self._stage_of(epoch)
        if self._task is None:
            self._task = self._bar.add_task(
                "", total=epochs * steps, completed=epoch * steps, figures=""
            )
        text = f"{self._stage}epoch {epoch + 1}/{epochs}"
        self._bar.update(self._task, description=text)

    def _stage_of(self, epoch: int) -> str:
        """Returns the stage of an epoch in words, if there are several stages."""
        if len(self._stages) < 2:
            return ""
        ends = list(itertools.accumulate(self._stages))
        return f"stage {bisect.bisect(ends, epoch) + 1} of {len(ends)}, "

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Advances the bar."""
        if self._task is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows accuracy and flips of the epoch."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        figures = []
        if "val_accuracy" in logs:
            figures.append(f"test accuracy {logs['val_accuracy']:.1%}")
        if "flip_ratio" in logs:
            figures.append(f"flips {percent(logs['flip_ratio'])} a step")
        if self._task is not None:
            self._bar.update(self._task, figures=", ".join(figures))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Ends the bar and prints the time of the training."""
        self.close()
        text = f"{self._stage}trained in {time.monotonic() - self._start:.0f} s."
        console.print(text[0].upper() + text[1:])

    def close(self) -> None:
        """Ends the bar, also if the training was interrupted or never began."""
        if self._bar.live.is_started:  # Stopping twice prints an empty line.
            self._bar.stop()
