"""Argument parser with one-line errors that name the nearest valid words."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from larq_bnnopt.field_ranges import COUNT, FieldRange
from larq_bnnopt.texts import nearest

_INVALID_CHOICE = re.compile(
    r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)"
)


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that explains in one line and exits with 2."""

    def __init__(self, **kwargs: object):
        super().__init__(allow_abbrev=False, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Prints one line and exits."""
        if match := _INVALID_CHOICE.fullmatch(message):
            what, received, names = match.groups()
            what = what.strip("-").lower()
            names = [name.strip(" '") for name in names.split(",")]
            message = f"unknown {what} {received!r}. {nearest(received, names)}"
        self.exit(2, f"{self.prog}: {message}\n")

    def option_names(self) -> list[str]:
        """Returns the options that the parser knows."""
        return [name for action in self._actions for name in action.option_strings]


def unknown_options(received: Sequence[str], known: Sequence[str]) -> str:
    """Returns the error text for words that no command takes."""
    word = received[0].split("=")[0]
    if word.startswith("-"):
        return f"unknown option {word!r}. {nearest(word, known)}"
    return f"unexpected word {word!r}"


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    """Returns a type for numbers above zero."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(
                f"needs a positive {'integer' if kind is int else 'number'}. "
                f"Received: {text!r}"
            )
        return value

    return read


def within(valid: FieldRange, kind: Callable[[str], float]) -> Callable[[str], float]:
    """Returns a type for numbers in a range.

    Args:
        valid: The range.
        kind: `int` or `float`.
    """
    if valid == COUNT:
        return positive(kind)

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if value not in valid:
            words = str(valid)
            if kind is int and "integer" not in words:
                words = f"an integer, {words}"
            raise argparse.ArgumentTypeError(f"must be {words}. Received: {text!r}")
        return value

    return read


def number(text: str) -> float:
    """Returns the number of a text, whose range is checked later."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a number. Received: {text!r}"
        ) from None


def numbers(text: str) -> tuple[float, ...]:
    """Returns the numbers of a text such as `1,-1.9,0.9`."""
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(
            f"must be numbers with commas between them. Received: {text!r}"
        )
    return found
