"""Files of texts: tables (CSV, TSV) with labels, and text files in folders of classes.

Each fault is named by file and line before anything else is done with the texts.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from larq_bnnopt.texts import csv_fault

SUFFIXES = (".csv", ".tsv")
TEXT, FIRST, SECOND, LABEL = "text", "text_a", "text_b", "label"
TRAINING = ("train", "training")
TEST = ("test",)
VALIDATION = ("validation", "valid", "val", "dev")
# Of the texts without a split, the rest of which is the test.
_TRAIN_SHARE, _WITH_VALIDATION = 0.8, 0.9
_LONGEST_LINE = 1 << 20
_LARGEST_FILE = 1 << 24
_NAMED = 5
_OTHER_ENCODING = "is no "


@dataclasses.dataclass(frozen=True)
class Rows:
    """Texts with their labels, as they are written.

    Attributes:
        texts: The texts.
        pairs: The second text of each, `None` if there is none.
        labels: The labels.
        places: Where each is from, for errors: `"reviews.csv, line 3"`.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[str, ...]
    places: tuple[str, ...]

    def take(self, numbers: Iterable[int]) -> Rows:
        """Returns some of them, by their numbers from 0."""
        kept = list(numbers)
        pairs = self.pairs
        return Rows(
            tuple(self.texts[n] for n in kept),
            None if pairs is None else tuple(pairs[n] for n in kept),
            tuple(self.labels[n] for n in kept),
            tuple(self.places[n] for n in kept),
        )

    def keys(self) -> list[str]:
        """Returns a text for each example that is equal where its texts are equal."""
        pairs = self.pairs or ("",) * len(self.texts)
        return [f"{a.strip()}\0{b.strip()}" for a, b in zip(self.texts, pairs)]


def read_table(path: pathlib.Path, encoding: str = "utf-8") -> Rows:
    """Reads a table of texts.

    Its first line names the columns: `text,label` or `text_a,text_b,label`. A `.csv`
    has commas, and quotes around a text that holds commas, quotes (doubled) or line
    breaks; a `.tsv` has tabs, and nothing is quoted.

    Args:
        path: The file.
        encoding: How it is written. Defaults to `"utf-8"`.

    Raises:
        ValueError: If it cannot be read, or a text or a label is missing; it names file
            and line.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file. Remove it.")
    lines = _lines(path, encoding)
    split = _split_tabs if path.suffix.lower() == ".tsv" else _split_commas
    records = split(path, lines)
    _, header = next(records, (0, []))
    columns = [name.strip().lower() for name in header]
    wanted = {TEXT, LABEL}, {FIRST, SECOND, LABEL}
    if set(columns) not in wanted or len(set(columns)) < len(columns):
        raise ValueError(
            f"{path}: the first line must name the columns {TEXT},{LABEL} or "
            f"{FIRST},{SECOND},{LABEL}. Received: {','.join(header)!r:.100}"
        )
    problems, rows, places = [], [], []
    for number, record in records:
        place = f"{path}, line {number}"
        problem = _problem(columns, record)
        if problem:
            problems.append(f"{place} {problem}")
        else:
            rows.append(dict(zip(columns, record)))
            places.append(place)
    require_none(path, problems, len(problems) + len(rows), "lines")
    if not rows:
        raise ValueError(f"{path} has no text below its first line.")
    return Rows(
        tuple(row[TEXT if TEXT in row else FIRST] for row in rows),
        tuple(row[SECOND] for row in rows) if SECOND in columns else None,
        tuple(row[LABEL].strip() for row in rows),
        tuple(places),
    )


def read_classes(folder: pathlib.Path, encoding: str = "utf-8") -> Rows:
    """Reads the text files (`.txt`) in the folders of classes; a file is a text.

    Args:
        folder: What holds a folder for each class, whose name is the label.
        encoding: How the files are written. Defaults to `"utf-8"`.

    Raises:
        ValueError: If one is empty or cannot be read; it names the file.
    """
    texts, labels, places, problems = [], [], [], []
    for part in class_folders(folder):
        for path in sorted(part.rglob("*.txt")):
            if path.name.startswith("."):
                continue
            try:
                texts.append(_whole(path, encoding))
            except ValueError as error:
                problems.append(str(error))
                continue
            labels.append(part.name)
            places.append(str(path))
    require_none(
        folder, problems, len(texts) + len(problems), "texts", _advice(problems)
    )
    return Rows(tuple(texts), None, tuple(labels), tuple(places))


def class_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders in a folder that hold text files."""
    return [
        part
        for part in sorted(folder.iterdir())
        if part.is_dir()
        and not part.name.startswith(".")
        and any(not path.name.startswith(".") for path in part.rglob("*.txt"))
    ]


def split(rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Splits texts into training (80 %), validation (10 %) and test (10 %).

    The digest of a text decides, so that it stays where it is when others are added,
    and equal texts are together.
    """
    parts: tuple[list[int], ...] = ([], [], [])
    for number, key in enumerate(rows.keys()):
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        share = int.from_bytes(digest[:4], "big") / 2**32
        parts[(share >= _TRAIN_SHARE) + (share >= _WITH_VALIDATION)].append(number)
    train, validation, test = (rows.take(part) for part in parts)
    return train, validation, test


def require_none(
    place: object, problems: Sequence[str], total: int, called: str, advice: str = ""
) -> None:
    """Raises a ValueError that names the first of what is wrong, if anything is."""
    if problems:
        more = len(problems) - _NAMED
        raise ValueError(
            f"{len(problems):,} of the {total:,} {called} of {place} cannot be used: "
            f"{'; '.join(problems[:_NAMED])}"
            f"{f'; and {more:,} more' * (more > 0)}.{advice}"
        )


def _advice(problems: Iterable[str]) -> str:
    """Returns what to do about bytes of another encoding, empty if there are none."""
    if not any(_OTHER_ENCODING in problem for problem in problems):
        return ""
    return (
        " Save texts as UTF-8, or say in data.json how they are written: "
        '{"encoding": "latin-1"}.'
    )


def _problem(columns: Sequence[str], record: Sequence[str]) -> str | None:
    """Returns what is wrong with a line."""
    if len(record) != len(columns):
        return f"has {len(record)} fields, not {len(columns)}"
    for column, value in zip(columns, record):
        if not value.strip():
            return f"has no {column}"
    return None


def _lines(path: pathlib.Path, encoding: str) -> Iterator[str]:
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            place = f"{path}, line {number}"
            if len(line) > _LONGEST_LINE:
                raise ValueError(
                    f"{place} has more than {_LONGEST_LINE >> 20} MiB. Cut its text, "
                    "or break the lines of the file."
                )
            if number == 1 and encoding == "utf-8":
                line = line.removeprefix(b"\xef\xbb\xbf")
            if fault := _fault(line, encoding):
                raise ValueError(f"{place} {fault}.{_advice([fault])}")
            yield line.decode(encoding)


def _whole(path: pathlib.Path, encoding: str) -> str:
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    with open(path, "rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError(f"{path} has more than {_LARGEST_FILE >> 20} MiB")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if fault := _fault(line, encoding):
            raise ValueError(f"{path}, line {number} {fault}")
    text = content.decode(encoding).removeprefix("\ufeff")
    if not text.strip():
        raise ValueError(f"{path} has no text")
    return text


def _fault(line: bytes, encoding: str) -> str | None:
    """Returns why a line is no text, `None` if it is one."""
    if b"\0" in line:
        return "holds a NUL byte: remove it, or save UTF-16 as UTF-8"
    try:
        line.decode(encoding)
    except UnicodeDecodeError as error:
        return f"{_OTHER_ENCODING}{encoding.upper()} (byte {line[error.start]:#04x})"
    return None


def _split_tabs(
    path: pathlib.Path, lines: Iterable[str]
) -> Iterator[tuple[int, list[str]]]:
    """Yields the fields of each line with its number."""
    del path
    for number, line in enumerate(lines, start=1):
        if line.strip("\r\n"):
            yield number, line.rstrip("\r\n").split("\t")


def _split_commas(
    path: pathlib.Path, lines: Iterable[str]
) -> Iterator[tuple[int, list[str]]]:
    """Yields the fields of each record with the number of its first line."""
    reader = csv.reader(lines, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{path}, the record that begins in line {start}: {csv_fault(error)}"
            ) from error
        if record:
            yield start, record
