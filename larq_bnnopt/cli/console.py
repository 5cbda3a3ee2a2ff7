"""Output of commands: lines, status lines, warnings, tables.

Without rich, as on a device, tables are plain columns.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

try:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ImportError:
    _HAS_RICH = False
else:
    _HAS_RICH = True

    class _Console(Console):
        """A console that prints control characters as text."""

        def print(self, *objects: Any, **keywords: Any) -> None:
            """Prints."""
            shown = (plain(one) if isinstance(one, str) else one for one in objects)
            super().print(*shown, **keywords)

    # Paths may hold brackets, and lines are for copying.
    console = _Console(highlight=False, markup=False, soft_wrap=True)
_WIDEST = 10_000
_CONTROLS = {
    code: f"\\x{code:02x}"
    for code in (*range(32), *range(127, 160))
    if chr(code) not in "\n\t"
}


def plain(text: str) -> str:
    r"""Returns a text with control characters escaped.

    Names of classes and layers come from foreign folders and files.

    Example:
        >>> print(plain("\x1b[2Jdog"))
        \x1b[2Jdog
    """
    return text.translate(_CONTROLS)


def print_line(text: str) -> None:
    """Prints a line."""
    if _HAS_RICH:
        console.print(text)
    else:
        print(plain(text))


@contextlib.contextmanager
def warnings_as_lines(error: bool = False) -> Iterator[None]:
    """Prints warnings for users as plain lines, each once, when they are raised.

    Args:
        error: Whether to print them to standard error. Defaults to `False`.
    """
    printed: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarning) and str(message) not in printed:
            printed.add(str(message))
            if error:
                print(f"Warning: {plain(str(message))}", file=sys.stderr)
            else:
                print_line(f"Warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Shows the current stage on a terminal, in a line that vanishes.

    Yields:
        A function that takes the text of the next stage.
    """
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(Text(text))


@contextlib.contextmanager
def counts(text: str) -> Iterator[Callable[[int, int], None]]:
    """Shows progress on a terminal, in a line that vanishes.

    Yields:
        A function that takes the finished and the total count; the line is shown from
        its first call until all is finished.
    """
    shown: list[Any] = []

    def show(done: int, total: int) -> None:
        if not shown and console.is_terminal:
            shown.append(console.status(""))
            shown[0].start()
        for status in shown:
            status.update(Text(f"{text}: {done:,} of {total:,}"))
            if done >= total:
                status.stop()

    try:
        yield show
    finally:
        for status in shown:
            status.stop()


def print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Prints pairs of a label and a text."""
    if not _HAS_RICH:
        _print_columns(title, rows)
        return
    table = Table(title=Text(plain(title)), show_header=False, title_justify="left")
    table.add_column()
    table.add_column()
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)


def print_rows(title: str, rows: list[tuple[str, ...]]) -> None:
    """Prints a table whose first row is the heading; numbers are right-aligned."""
    if not _HAS_RICH:
        _print_columns(title, rows)
        return
    heading, *rows = rows
    table = Table(title=Text(plain(title)), title_justify="left")
    for index, name in enumerate(heading):
        cells = [row[index] for row in rows if row[index]]
        # An id such as 001-fig-5 is no number.
        numbers = bool(cells) and all(
            cell[0].isdigit() and "-" not in cell for cell in cells
        )
        table.add_column(Text(plain(name)), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    # A pipe counts as 80 columns wide, where numbers would be truncated.
    widest = console.options.update(max_width=_WIDEST)
    width = max(console.width, console.measure(table, options=widest).maximum)
    Console(width=width, highlight=False, markup=False).print(table)


def progress(name: str) -> None:
    """Prints to standard error which network is being counted."""
    print(f"counting {name}", file=sys.stderr, flush=True)


def _print_columns(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    print(plain(title))
    rows = [tuple(map(plain, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print("  " + "  ".join(cells).rstrip())
