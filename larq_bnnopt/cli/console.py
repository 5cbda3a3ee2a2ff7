"""What the commands show: lines, a progress bar, a table."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# Paths may hold brackets, and lines are for copying.
console = Console(highlight=False, markup=False, soft_wrap=True)
_WIDEST = 10_000


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
            figures.append(f"flips {logs['flip_ratio']:.1e} a step")
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


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Shows on a terminal, in one line that vanishes, what is being done.

    Yields:
        A function that takes the text of the next stage.
    """
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(Text(text))


def print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Prints pairs of a label and a text."""
    table = Table(title=Text(title), show_header=False, title_justify="left")
    table.add_column()
    table.add_column()
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def print_rows(title: str, rows: list[tuple[str, ...]]) -> None:
    """Prints a table whose first row is the heading; numbers stand on the right."""
    heading, *rows = rows
    table = Table(title=Text(title), title_justify="left")
    for index, name in enumerate(heading):
        cells = [row[index] for row in rows if row[index]]
        numbers = bool(cells) and all(cell[0].isdigit() for cell in cells)
        table.add_column(Text(name), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    # A pipe counts as 80 columns wide, where numbers would be cut off.
    widest = console.options.update(max_width=_WIDEST)
    width = max(console.width, console.measure(table, options=widest).maximum)
    Console(width=width, highlight=False, markup=False).print(table)


def progress(name: str) -> None:
    """Says on standard error what is being done."""
    print(f"counting {name}", file=sys.stderr, flush=True)
