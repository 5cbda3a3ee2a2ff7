"""A training as one bar."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from larq_bnnopt.cli.console import console
from larq_bnnopt.recipes.words import percent


class ProgressBar(tf.keras.callbacks.Callback):
    """Shows the steps of a training as one bar, with the last epoch's figures."""

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task: TaskID | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the bar."""
        self._start = time.monotonic()
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shows the number of the epoch."""
        epochs, steps = self.params["epochs"], self.params["steps"]
        if self._task is None:
            self._task = self._bar.add_task(
                "", total=epochs * steps, completed=epoch * steps, figures=""
            )
        self._bar.update(self._task, description=f"epoch {epoch + 1}/{epochs}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar on."""
        if self._task is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Shows accuracy and flips of the epoch."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        figures = []
        if "val_accuracy" in logs:
            figures.append(f"test accuracy {logs['val_accuracy']:.1%}")
        if "flip_ratio" in logs:
            figures.append(f"flips {percent(logs['flip_ratio'])} a step")
        if self._task is not None:
            self._bar.update(self._task, figures=", ".join(figures))

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the bar and says how long it took."""
        self.close()
        console.print(f"Trained in {time.monotonic() - self._start:.0f} s.")

    def close(self) -> None:
        """Ends the bar, also where the training did not end or never began."""
        if self._bar.live.is_started:  # Stopping twice prints an empty line.
            self._bar.stop()
