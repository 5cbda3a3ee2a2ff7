"""Tables of Markdown, and figures that several of them have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def markdown_table(
    heading: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Collection[str] = (),
) -> list[str]:
    """Returns the lines of a table of Markdown.

    Args:
        heading: Names of the columns.
        rows: For each row, a cell for each column.
        numbers: The columns that are aligned to the right. Defaults to none.

    Example:
        >>> for line in markdown_table(("name", "ms"), [("ADD", 1.5)], {"ms"}):
        ...     print(line)
        | name | ms |
        |---|--:|
        | ADD | 1.5 |
    """
    ruler = "|".join("--:" if name in numbers else "---" for name in heading)
    lines = [heading, *rows]
    heading_line, *row_lines = (f"| {' | '.join(map(str, line))} |" for line in lines)
    return [heading_line, f"|{ruler}|", *row_lines]


def thread_count(number: int) -> str:
    """Returns a number of threads in words.

    Example:
        >>> thread_count(1), thread_count(4)
        ('1 thread', '4 threads')
    """
    return f"{number} thread" if number == 1 else f"{number} threads"
