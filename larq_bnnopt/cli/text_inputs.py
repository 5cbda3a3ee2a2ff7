"""Texts to predict: words of the command line, files, or tables without labels."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Literal

from larq_bnnopt.texts import csv_fault

SUFFIXES = (".csv", ".tsv", ".txt")
_LARGEST = 1 << 24
_SINGLE, _PAIR = ("text",), ("text_a", "text_b")
_SHOWN = 60


@dataclasses.dataclass(frozen=True)
class TextInputs:
    """Texts to predict.

    Attributes:
        texts: The texts.
        pairs: The second text of each, `None` if there is none.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None

    def shown(self, number: int) -> str:
        """Returns a text as a table shows it."""
        words = self.texts[number]
        if self.pairs is not None:
            words = f"{words} | {self.pairs[number]}"
        words = " ".join(words.split())
        return words if len(words) <= _SHOWN else f"{words[: _SHOWN - 3]}..."

    def as_dict(self, number: int) -> dict[str, str]:
        """Returns a text as plain data for JSON."""
        found = {"text": self.texts[number]}
        return found if self.pairs is None else {**found, "pair": self.pairs[number]}


def texts_of(arguments: argparse.Namespace) -> TextInputs:
    """Returns the texts that the words of `bnnopt predict` name.

    Args:
        arguments: Its arguments: `text` and `pair`, or `images`, which are files.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no text, or a table cannot be read.
    """
    texts, pairs = arguments.text, arguments.pair
    if arguments.images and (texts or pairs):
        raise ValueError("Give --text or files of texts, not both.")
    if texts or pairs:
        if pairs and len(pairs) != len(texts):
            raise ValueError(
                f"Each --text needs its --pair: {len(texts)} texts, {len(pairs)} pairs."
            )
        for text in (*texts, *pairs):
            if not text.strip():
                raise ValueError(f"A text is empty. Received: {text!r}")
        return TextInputs(tuple(texts), tuple(pairs) if pairs else None)
    if not arguments.images:
        raise ValueError(
            'Name texts: --text "..." (and --pair "..."), or a .csv, .tsv or .txt file.'
        )
    return _joined([read_texts(path) for path in map(pathlib.Path, arguments.images)])


def read_texts(path: pathlib.Path) -> TextInputs:
    """Reads a table of texts, with or without labels, or a text.

    The first line of a table names the columns: `text`, or `text_a` and `text_b`;
    others, such as `label`, are not read.

    Args:
        path: A `.csv` or `.tsv`, or a `.txt` of one text.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or a text is missing; it names the line.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} holds no texts ({', '.join(SUFFIXES)}).")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    if path.suffix.lower() == ".txt":
        return _text_of(path)
    is_tabs = path.suffix.lower() == ".tsv"
    quoting: Literal[0, 3] = csv.QUOTE_NONE if is_tabs else csv.QUOTE_MINIMAL
    start = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(
                file, delimiter="\t" if is_tabs else ",", quoting=quoting, strict=True
            )
            header = [name.strip().lower() for name in next(reader, [])]
            columns = next((c for c in (_SINGLE, _PAIR) if set(c) <= set(header)), None)
            if columns is None:
                raise ValueError(
                    f"{path}: the first line must name the column text, or text_a and "
                    f"text_b. Received: {','.join(header)!r:.100}"
                )
            found, start = [], reader.line_num + 1
            for record in reader:
                if record:
                    place = f"{path}, line {start}"
                    found.append(_fields(place, record, header, columns))
                start = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise _not_utf_8(path, error) from error
    except csv.Error as error:
        raise ValueError(f"{path}, line {start}: {csv_fault(error)}") from error
    if not found:
        raise ValueError(f"{path} has no text below its first line.")
    parts = tuple(zip(*found))
    return TextInputs(parts[0], parts[1] if len(parts) > 1 else None)


def _not_utf_8(path: pathlib.Path, error: UnicodeDecodeError) -> ValueError:
    # The encoding in data.json is one of the training data.
    return ValueError(
        f"{path} is no text in UTF-8 ({error}). Save it as UTF-8, whatever the "
        "encoding of the training texts was."
    )


def _text_of(path: pathlib.Path) -> TextInputs:
    """Returns the text in a file."""
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{path} has more than {_LARGEST >> 20} MiB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf_8(path, error) from error
    if not text.strip():
        raise ValueError(f"{path} has no text.")
    return TextInputs((text,))


def _fields(
    place: str, record: Sequence[str], header: Sequence[str], columns: Sequence[str]
) -> tuple[str, ...]:
    """Returns the texts of a line."""
    if len(record) != len(header):
        raise ValueError(f"{place} has {len(record)} fields, not {len(header)}.")
    row = dict(zip(header, record))
    for column in columns:
        if not row[column].strip():
            raise ValueError(f"{place} has no {column}.")
    return tuple(row[column] for column in columns)


def _joined(parts: Sequence[TextInputs]) -> TextInputs:
    """Returns the texts of several tables as one."""
    if len({one.pairs is None for one in parts}) > 1:
        raise ValueError("Some of the files hold pairs of texts, and others do not.")
    pairs = [pair for one in parts for pair in one.pairs or ()]
    texts = tuple(text for one in parts for text in one.texts)
    return TextInputs(texts, tuple(pairs) if pairs else None)
