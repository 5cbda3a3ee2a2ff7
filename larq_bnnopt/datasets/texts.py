"""Data sets of texts: tables with labels, or a folder of text files for each class."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence

from larq_bnnopt.datasets.dataset import Source
from larq_bnnopt.datasets.facts import TEXT_ENTRIES, facts_of
from larq_bnnopt.datasets.folders import holds_images
from larq_bnnopt.datasets.records import holds_records
from larq_bnnopt.datasets.text_files import (
    SUFFIXES,
    TEST,
    TRAINING,
    VALIDATION,
    Rows,
    class_folders,
    read_classes,
    read_table,
    split,
)
from larq_bnnopt.datasets.text_labels import labels_of
from larq_bnnopt.datasets.token_source import TextOptions, Texts, token_source
from larq_bnnopt.datasets.tokenizing import TOKENIZER, VOCABULARY
from larq_bnnopt.texts import require_known

HELD_OUT = ("test", "validation")


def holds_texts(folder: pathlib.Path) -> bool:
    """Whether a folder is one of texts.

    There is a table (`.csv`, `.tsv`) in it, or a `.txt` in a folder of a class, and no
    image and no TFRecord file: beside these they are notes.
    """
    if holds_images(folder) or holds_records(folder):
        return False
    return bool(_tables(folder) or class_folders(folder))


def text_rows(folder: pathlib.Path, held_out: str = "test") -> tuple[Rows, Rows]:
    """Reads the texts of a folder.

    It holds tables `train.csv` and `test.csv` (or `validation.csv`, which may lie
    beside it), as `larq_bnnopt.datasets.text_files.read_table` reads them, or with
    tabs, `.tsv`. Or it holds folders `train` and `test` (or `validation`), each with a
    folder for each class, of `.txt` files, a text each.

    A single table of any other name, or the folders of the classes alone, are split by
    the digests of the texts: 80 % for the training, 10 % for the validation, 10 % for
    the test. A text stays where it is when others are added, and equal texts are
    together.

    Args:
        folder: The folder.
        held_out: What is returned beside the training: `"test"`, or `"validation"` to
            choose settings by, so that the test is not seen. Defaults to `"test"`.

    Returns:
        Training and test.

    Raises:
        ValueError: If a file is missing or cannot be read; it names file and line.
    """
    encoding = facts_of(folder, TEXT_ENTRIES).encoding
    tables = _by_name(_tables(folder))
    read: Callable[[pathlib.Path, str], Rows]
    read = read_table if tables else read_classes
    places = tables or {part.name: part for part in class_folders(folder)}
    chosen = _chosen(folder, places, held_out)
    if chosen:
        train, test = (read(path, encoding) for path in chosen)
        if (train.pairs is None) != (test.pairs is None):
            raise ValueError(
                f"{chosen[0]} and {chosen[1]} must have the same columns: one of them "
                "has pairs of texts."
            )
        return train, test
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables.values())
        raise ValueError(
            f"{folder} has {names}: call them train and test, or leave one, which is "
            "split."
        )
    rows = read(next(iter(tables.values()), folder), encoding)
    train, validation, test = split(rows)
    held = validation if held_out == "validation" else test
    if not train.texts or not held.texts:
        raise ValueError(
            f"{folder} has {len(rows.texts)} texts, too few to keep some for the "
            f"{held_out}. Add more, or make train and test."
        )
    return train, held


def from_texts(name: str, options: TextOptions, held_out: str = "test") -> Source:
    """Returns the source of a folder of texts.

    All texts are read and tokenized once, when the data are loaded.

    Args:
        name: The folder, as for `text_rows`. Its `tokenizer.json` or `vocab.txt` is
            taken unless `options` name another.
        options: How texts become inputs.
        held_out: As for `text_rows`.

    Raises:
        ValueError: If texts or labels are missing or cannot be used.
        ImportError: If `tokenizers` is not installed.
    """
    folder = pathlib.Path(name)
    facts = facts_of(folder, TEXT_ENTRIES)
    train, test = text_rows(folder, held_out)
    own = next((p for p in (TOKENIZER, VOCABULARY) if (folder / p).exists()), None)
    if options.tokenizer is None and own is not None:
        options = dataclasses.replace(options, tokenizer=folder / own)
    labels = labels_of(name, train, test, facts)
    return token_source(
        name,
        Texts(train.texts, train.pairs, "training"),
        Texts(test.texts, test.pairs, held_out),
        labels,
        options,
        facts.metrics,
        _digest(train, test),
    )


def _tables(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]


def _by_name(paths: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Returns tables by their names without suffix."""
    found: dict[str, pathlib.Path] = {}
    for path in paths:
        if path.stem in found:
            raise ValueError(
                f"{path.parent} has {found[path.stem].name} and {path.name}. Remove "
                "one."
            )
        found[path.stem] = path
    return found


def _chosen(
    folder: pathlib.Path, places: Mapping[str, pathlib.Path], held_out: str
) -> tuple[pathlib.Path, pathlib.Path] | None:
    """Returns what is the training and the test, `None` if nothing is called so."""
    require_known("held_out", held_out, HELD_OUT)
    wanted = VALIDATION if held_out == "validation" else (*TEST, *VALIDATION)
    training = [places[name] for name in TRAINING if name in places]
    held = [places[name] for name in wanted if name in places]
    if not training and not any(name in places for name in (*TEST, *VALIDATION)):
        return None
    if not training or not held:
        lacks = "train" if not training else " or ".join(dict.fromkeys(wanted))
        raise ValueError(
            f"{folder} has {', '.join(path.name for path in places.values())}, but no "
            f"{lacks} beside it."
        )
    return training[0], held[0]


def _digest(*parts: Rows) -> str:
    digest = hashlib.sha256()
    for rows in parts:
        for key, label in zip(rows.keys(), rows.labels):
            digest.update(f"{key}\0{label}\n".encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()
