"""Data sets of arrays of any shape: `train.npz` and `test.npz` in a folder."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from larq_bnnopt.datasets.dataset import ARRAYS, CLASSIFICATION, REGRESSION, Source
from larq_bnnopt.datasets.facts import FACTS, Facts, facts_of, named
from larq_bnnopt.datasets.folders import holds_images
from larq_bnnopt.datasets.pipelines import digest_of, in_memory

TRAIN, TEST = "train.npz", "test.npz"
_INPUTS, _LABELS, _NAMES = "inputs", "labels", "class_names"
# Floats, integers and booleans.
_NUMBERS = "fiub"
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class ArrayFiles:
    """The arrays of a folder.

    Attributes:
        task: `"classification"` or `"regression"`.
        class_names: Names of the classes, or of the numbers of a label.
        train: Training inputs, float32 (inputs, ...), and labels: int64 (inputs,), or
            of a regression float32 (inputs, numbers).
        test: The same of the test.
    """

    task: str
    class_names: tuple[str, ...]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def holds_arrays(folder: pathlib.Path) -> bool:
    """Whether there is a `train.npz` or `test.npz` in a folder that has no images.

    One beside folders of images is a stray one.
    """
    has_file = any((folder / name).exists() for name in (TRAIN, TEST))
    return has_file and not holds_images(folder)


def array_files(folder: pathlib.Path) -> ArrayFiles:
    """Reads the arrays of a folder.

    `train.npz` and `test.npz` each hold `inputs`, (inputs, ...) of any shape, and
    `labels`: integers are classes from 0, floats the numbers of a regression, one or a
    vector for each input. `class_names` may name the classes. A `data.json` beside them
    may say `{"task": "regression"}` of integers, and may hold `class_names`. Python
    objects (pickle) are not read. Inputs become float32 as they are: they are not
    scaled.

    Args:
        folder: The folder.

    Returns:
        The arrays.

    Raises:
        ValueError: If files or arrays are missing or do not fit each other, a number is
            not finite or a label is no class; it names file and place.
    """
    facts = facts_of(folder)
    for name, other in ((TRAIN, TEST), (TEST, TRAIN)):
        if not (folder / name).exists():
            raise ValueError(f"{folder} has {other}, but no {name} beside it.")
    read = [_read(folder / name) for name in (TRAIN, TEST)]
    train, test = ((arrays[_INPUTS], arrays[_LABELS]) for arrays in read)
    if train[0].shape[1:] != test[0].shape[1:]:
        raise ValueError(
            f"The inputs of {folder / TRAIN} have the shape {train[0].shape[1:]}, "
            f"those of {folder / TEST} {test[0].shape[1:]}. They must be equal."
        )
    if facts.shape is not None and facts.shape != train[0].shape[1:]:
        raise ValueError(
            f"{folder / FACTS} says that an input has the shape {facts.shape}. "
            f"{folder / TRAIN} has {train[0].shape[1:]}."
        )
    names = _class_names(folder, read, facts)
    task = _task(folder, train[1], test[1], facts)
    if task == REGRESSION:
        labels = [_numbers(p, a[_LABELS]) for p, a in zip(_paths(folder), read)]
        outputs: int | None = labels[0].shape[1]
        if labels[1].shape[1] != outputs:
            raise ValueError(
                f"The labels of {folder / TRAIN} have {outputs} numbers, those of "
                f"{folder / TEST} {labels[1].shape[1]}. They must be equal."
            )
    else:
        labels = [a[_LABELS].astype(np.int64) for a in read]
        outputs = None if names is None else len(names)
        for path, array in zip(_paths(folder), labels):
            _check_classes(path, array, outputs)
            # Without names, the classes are those of the training.
            outputs = outputs or _number_of_classes(path, array)
    if names is None:
        names = tuple(map(str, range(outputs or 0)))
    if len(names) != outputs:
        raise ValueError(
            f"{folder} names {len(names)} numbers of a label, and a label has "
            f"{outputs}."
        )
    return ArrayFiles(task, names, (train[0], labels[0]), (test[0], labels[1]))


def from_arrays(name: str) -> Source:
    """Returns the source of a folder of arrays.

    Args:
        name: The folder, as for `array_files`.
    """
    files, folder = array_files(pathlib.Path(name)), pathlib.Path(name)
    paths = [*_paths(folder), folder / FACTS]
    known = tuple(os.fspath(path) for path in paths if path.exists())
    return dataclasses.replace(
        in_memory(files.train, files.test, files.class_names, name),
        kind=ARRAYS,
        task=files.task,
        fingerprint=lambda: digest_of(name, known),
    )


def _paths(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    return folder / TRAIN, folder / TEST


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file, with inputs in float32."""
    if not path.is_file():
        raise ValueError(f"{path} is no file. Remove it.")
    found: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = list(arrays.files)
            for key in (_INPUTS, _LABELS, _NAMES):
                if key in stored:
                    found[key] = arrays[key]
    except Exception as error:  # Readers of damaged files raise what they like.
        raise ValueError(
            f"{path} cannot be read as arrays of NumPy ({_line(error)}). Write it by "
            "numpy.savez(path, inputs=..., labels=...), without Python objects."
        ) from error
    for key in (_INPUTS, _LABELS):
        if key not in found:
            raise ValueError(
                f"{path} has no array {key!r}. It has: {', '.join(stored) or 'none'}."
            )
        if found[key].dtype.kind not in _NUMBERS:
            raise ValueError(
                f"{path}: {key} are of the type {found[key].dtype}. Give numbers."
            )
    inputs, labels = found[_INPUTS], found[_LABELS]
    if inputs.ndim < 2 or not inputs.size:
        raise ValueError(
            f"{path}: inputs are (inputs, ...), at least one of one number. Received "
            f"the shape {inputs.shape}"
        )
    if len(labels.shape) == 0 or len(labels) != len(inputs):
        raise ValueError(
            f"{path} has {len(inputs)} inputs and labels of the shape {labels.shape}. "
            "Give one label for each input."
        )
    # Too large a number becomes infinity, which is named below.
    with np.errstate(over="ignore"):
        found[_INPUTS] = inputs.astype(np.float32, copy=False)
    _check_finite(path, _INPUTS, found[_INPUTS])
    return found


def _check_finite(path: pathlib.Path, key: str, array: np.ndarray) -> None:
    finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{path}: {_places(key, ~finite)} NaN, infinity or more than float32 "
            "holds. Replace or remove them."
        )


def _places(key: str, bad: np.ndarray) -> str:
    """Returns the first bad entries of an array in words."""
    places = np.flatnonzero(bad)
    shown = ", ".join(f"{key}[{index}]" for index in places[:_SHOWN])
    more = len(places) - _SHOWN
    verb = "holds" if len(places) == 1 else "hold"
    return f"{shown}{f' and {more:,} more' if more > 0 else ''} {verb}"


def _task(
    folder: pathlib.Path, train: np.ndarray, test: np.ndarray, facts: Facts
) -> str:
    are_floats = [array.dtype.kind == "f" for array in (train, test)]
    if facts.task == REGRESSION:
        return REGRESSION
    if facts.task == CLASSIFICATION and any(are_floats):
        raise ValueError(
            f"{folder / FACTS} says classification, and the labels of "
            f"{folder / (TRAIN if are_floats[0] else TEST)} are floats. Classes are "
            "integers from 0."
        )
    if are_floats[0] != are_floats[1]:
        raise ValueError(
            f"The labels of {folder / TRAIN} are {train.dtype}, those of "
            f"{folder / TEST} {test.dtype}. Give integers (classes) or floats "
            "(regression) in both."
        )
    return REGRESSION if are_floats[0] else CLASSIFICATION


def _numbers(path: pathlib.Path, labels: np.ndarray) -> np.ndarray:
    """Returns the labels of a regression, (inputs, numbers)."""
    if labels.ndim > 2 or not labels.size:
        raise ValueError(
            f"{path}: a label of a regression is a number or a vector. Received the "
            f"shape {labels.shape}"
        )
    with np.errstate(over="ignore"):
        labels = labels.reshape(len(labels), -1).astype(np.float32)
    _check_finite(path, _LABELS, labels)
    return labels


def _check_classes(path: pathlib.Path, labels: np.ndarray, classes: int | None) -> None:
    if labels.ndim != 1:
        raise ValueError(
            f"{path}: labels are classes, (inputs,). Received the shape {labels.shape}"
        )
    bad = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        valid = "from 0" if classes is None else f"from 0 to {classes - 1}"
        raise ValueError(
            f"{path}: labels[{place}] is {labels[place]}, and classes are {valid} "
            f"({int(bad.sum()):,} such labels)."
        )


def _number_of_classes(path: pathlib.Path, labels: np.ndarray) -> int:
    """Returns the number of classes of training labels, each of which must occur."""
    found = np.unique(labels)
    if len(found) < 2:
        raise ValueError(
            f"{path}: all labels are {found[0]}. Give two classes or more."
        )
    if found[-1] != len(found) - 1:
        missing = int(np.flatnonzero(found != np.arange(len(found)))[0])
        raise ValueError(
            f"{path}: a label is {found[-1]}, and no label is {missing}. Number the "
            f"classes from 0 without gaps, or give their {_NAMES}."
        )
    return len(found)


def _class_names(
    folder: pathlib.Path, read: list[dict[str, np.ndarray]], facts: Facts
) -> tuple[str, ...] | None:
    """Returns the stated names of the classes, which must not contradict each other."""
    found: dict[Any, tuple[str, ...]] = {}
    if facts.class_names is not None:
        found[folder / FACTS] = facts.class_names
    for path, arrays in zip(_paths(folder), read):
        if _NAMES in arrays:
            names = arrays[_NAMES]
            if names.dtype.kind != "U" or names.ndim != 1:
                raise ValueError(f"{path}: class_names must be texts, (classes,).")
            found[path] = named(names.tolist(), path)
    if len(set(found.values())) > 1:
        raise ValueError(f"{' and '.join(map(str, found))} have other class_names.")
    return next(iter(found.values()), None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
