"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], alignment: str
) -> str:
    """Returns a table in Markdown, without a line break at its end.

    Args:
        heading: Texts of the first row.
        rows: Texts of the other rows.
        alignment: A letter for each column: `"l"` for left, `"r"` for right.

    Example:
        >>> print(markdown_table(["layer", "MACs"], [["conv", "1,024"]], "lr"))
        | layer | MACs |
        |---|--:|
        | conv | 1,024 |
    """
    rule = "|".join({"l": "---", "r": "--:"}[letter] for letter in alignment)
    first, *others = (f"| {' | '.join(row)} |" for row in (heading, *rows))
    return "\n".join([first, f"|{rule}|", *others])
