"""Texts that can be printed and drawn, names compared, Markdown tables, CSV faults."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Iterable


def printable(name: str | os.PathLike[str]) -> str:
    r"""Returns a name with `\udc..` for each byte that is not UTF-8.

    Example:
        >>> printable("caf\udce9") == r"caf\udce9", printable("café")
        (True, 'café')
    """
    return os.fspath(name).encode("utf-8", "backslashreplace").decode("utf-8")


def plain(name: str) -> str:
    """Returns a name in lower case without separators, for comparisons.

    Example:
        >>> plain("_BiRealNet20") == plain("birealnet-20")
        True
    """
    return name.lower().replace("_", "").replace("-", "")


def nearest(received: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Returns a sentence that names the known names which are nearest to a wrong one.

    Args:
        received: The wrong name.
        known: The known names.
        otherwise: The sentence where none is near. Defaults to `None`, all of them.

    Example:
        >>> nearest("cosin", ["cosine", "step"]), nearest("x", ["cosine", "step"])
        ('Nearest: cosine.', 'Known: cosine, step.')
    """
    names = list(known)
    close = difflib.get_close_matches(received, names, cutoff=0.5)
    if close:
        return f"Nearest: {', '.join(close)}."
    return f"Known: {', '.join(names)}." if otherwise is None else otherwise


def require_known(
    what: str, value: str, known: Iterable[str], otherwise: str | None = None
) -> None:
    """Raises a ValueError with the nearest names unless a value is known.

    Args:
        what: What the value names.
        value: The value.
        known: The known names.
        otherwise: As for `nearest`. Defaults to `None`.

    Example:
        >>> require_known("schedule", "cosin", ["cosine", "step"])
        Traceback (most recent call last):
        ...
        ValueError: No schedule 'cosin'. Nearest: cosine.
    """
    names = list(known)
    if value not in names:
        raise ValueError(f"No {what} {value!r}. {nearest(value, names, otherwise)}")


def markdown_table(heading: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    r"""Returns a table in Markdown, one line a row.

    Example:
        >>> print(markdown_table(["name", "value"], [("a|b", 1)]), end="")
        | name | value |
        |---|---|
        | a\|b | 1 |
    """
    lines = [[str(cell).replace("|", r"\|") for cell in row] for row in rows]
    names = list(heading)
    table = [names, *lines]
    text = [f"| {' | '.join(row)} |\n" for row in table]
    return "".join([text[0], f"|{'---|' * len(names)}\n", *text[1:]])


def drawable(name: str | os.PathLike[str]) -> str:
    r"""Returns a name that Matplotlib draws as it is.

    Matplotlib takes `$` for the start of a formula, and omits names that start with `_`
    from legends.

    Example:
        >>> drawable("_5$ to 9$") == r" _5\$ to 9\$"
        True
    """
    text = printable(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def csv_fault(error: csv.Error) -> str:
    """Returns what is wrong with a record, and what to do.

    Args:
        error: What the reader raised.
    """
    if "field limit" in str(error):
        return (
            f"a text has more than {csv.field_size_limit():,} characters, or its "
            "quotes do not end. Cut it, or close them."
        )
    return (
        f"{error}. A text with commas, quotes or line breaks stands in quotes, its own "
        "quotes doubled."
    )
