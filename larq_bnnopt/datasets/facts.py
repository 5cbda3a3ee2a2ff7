"""What `data.json` says of a folder: task, names of the classes, how it is stored."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from larq_bnnopt.datasets.dataset import CLASSIFICATION, REGRESSION
from larq_bnnopt.texts import printable, require_known

FACTS = "data.json"
_TASKS = (CLASSIFICATION, REGRESSION)
ARRAY_ENTRIES = ("shape", "dtype", "task", "class_names")
TEXT_ENTRIES = ("task", "class_names", "metrics", "encoding")
# Texts that have one byte for an end of a line, and no mark at the start.
ENCODINGS = ("utf-8", "latin-1", "cp1252")
DTYPES = ("float32", "float64", "float16", "int32", "int16", "int8", "uint16", "uint8")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of the arrays or texts of a folder beside their files.

    Attributes:
        shape: Shape of an input, `None` if it is not stated.
        dtype: Type of the stored numbers, `None` if it is not stated.
        task: `"classification"`, `"regression"` or `None`, not stated.
        class_names: Names of the classes, or of the numbers of a label; `None` if they
            are not stated.
        metrics: Names of what measures texts, `None` if they are not stated.
        encoding: How texts are written. Defaults to `"utf-8"`.
    """

    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    task: str | None = None
    class_names: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None
    encoding: str = ENCODINGS[0]


def read_json(path: pathlib.Path, known: Iterable[str]) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Args:
        path: The file.
        known: The names that it may have.

    Raises:
        ValueError: If it is damaged, or has another name.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object. Received: {content!r:.60}")
    for name in content:
        require_known(f"entry of {path}", name, known)
    return content


def facts_of(folder: pathlib.Path, known: Iterable[str] = ARRAY_ENTRIES) -> Facts:
    """Returns what `data.json` says of a folder, nothing if there is none.

    Args:
        folder: The folder.
        known: The entries that it may have. Defaults to those of arrays.

    Raises:
        ValueError: If it is damaged, or says what cannot be.
    """
    path = folder / FACTS
    if not path.exists():
        return Facts()
    content = read_json(path, known)
    task, dtype = content.get("task"), content.get("dtype")
    encoding = content.get("encoding", ENCODINGS[0])
    for what, value, valid in (
        ("task", task, _TASKS),
        ("dtype", dtype, DTYPES),
        ("encoding", encoding, ENCODINGS),
    ):
        if value is not None:
            if not isinstance(value, str):
                raise ValueError(f"{path}: {what} must be a text. Received: {value!r}")
            require_known(f"{what} in {path}", value, valid)
    return Facts(
        shape=_shape(path, content),
        dtype=dtype,
        task=task,
        class_names=_names(path, content),
        metrics=_metrics(path, content),
        encoding=encoding,
    )


def states_shape(folder: pathlib.Path) -> bool:
    """Whether a folder has a `data.json` that is an object with `shape`."""
    path = folder / FACTS
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "shape" in content


def named(names: Iterable[object], place: object) -> tuple[str, ...]:
    """Returns names of classes as texts that can be printed.

    Args:
        names: The names.
        place: Where they are from, for errors.

    Raises:
        ValueError: If two are equal, or one is empty or has a line break.
    """
    shown = tuple(printable(str(name)) for name in names)
    for name in shown:
        if not name.strip() or "\n" in name or "\r" in name:
            raise ValueError(
                f"{place}: each of class_names needs a name without line breaks. "
                f"Received: {name!r}"
            )
    if len(set(shown)) < len(shown):
        raise ValueError(f"{place}: class_names holds a name twice.")
    return shown


def _shape(path: pathlib.Path, content: Mapping[str, Any]) -> tuple[int, ...] | None:
    shape = content.get("shape")
    if shape is None:
        return None
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not whole or not shape:
        raise ValueError(
            f"{path}: shape must be a list of positive integers, such as [1024]. "
            f"Received: {shape!r}"
        )
    return tuple(shape)


def _names(path: pathlib.Path, content: Mapping[str, Any]) -> tuple[str, ...] | None:
    names = content.get("class_names")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{path}: class_names must be a list of texts.")
    return named(names, path)


def _metrics(path: pathlib.Path, content: Mapping[str, Any]) -> tuple[str, ...] | None:
    names = content.get("metrics")
    if names is None:
        return None
    are_texts = isinstance(names, list) and all(isinstance(n, str) for n in names)
    if not are_texts or not names or len(set(names)) < len(names):
        raise ValueError(
            f"{path}: metrics must be a list of names, each once. Received: {names!r}"
        )
    return tuple(names)
