"""Labels of texts, from what is written to classes or numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from larq_bnnopt.datasets.dataset import CLASSIFICATION, REGRESSION
from larq_bnnopt.datasets.facts import Facts, named
from larq_bnnopt.datasets.text_files import LABEL, Rows, require_none

_MOST_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Labels:
    """What is to be predicted of texts.

    Attributes:
        task: `"classification"` or `"regression"`.
        class_names: Names of the classes, or of the one number.
        train: Labels of the training: int64 classes (texts,), or of a regression
            float32 (texts, 1).
        test: The same of the test.
    """

    task: str
    class_names: tuple[str, ...]
    train: np.ndarray
    test: np.ndarray


def labels_of(place: object, train: Rows, test: Rows, facts: Facts) -> Labels:
    """Returns the labels of training and test.

    Numbers of which one has decimals are a regression, and so is what `data.json` says
    to be one; everything else names classes.

    Args:
        place: The folder, for errors.
        train: The rows of the training.
        test: Those of the test.
        facts: What `data.json` says: task and names of the classes.

    Raises:
        ValueError: If a label is no number of a regression, or no class of the
            training, or there is one class alone; it names file and line.
    """
    numbers = [_number(label) for label in train.labels]
    if facts.task == REGRESSION or (facts.task is None and _are_decimal(numbers)):
        names = facts.class_names or (LABEL,)
        if len(names) != 1:
            raise ValueError(
                f"{place} names {len(names)} numbers of a label, and a text has one."
            )
        parts = [_regression(place, rows) for rows in (train, test)]
        return Labels(REGRESSION, names, *parts)
    known, names = _classes(place, train, facts.class_names)
    parts = [_classified(place, rows, known) for rows in (train, test)]
    return Labels(CLASSIFICATION, names, *parts)


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _are_decimal(numbers: Sequence[float | None]) -> bool:
    """Whether all are numbers, and not all of them integers."""
    finite = [n for n in numbers if n is not None and math.isfinite(n)]
    none_is_text = all(number is not None for number in numbers)
    return none_is_text and any(n != int(n) for n in finite)


def _regression(place: object, rows: Rows) -> np.ndarray:
    numbers = [_number(label) for label in rows.labels]
    problems = [
        f"{where} has the label {label!r}, which is no finite number"
        for where, label, number in zip(rows.places, rows.labels, numbers)
        # What overflows is not finite in float32 either.
        if number is None or not math.isfinite(number) or abs(number) > 3.4e38
    ]
    require_none(place, problems, len(numbers), "labels")
    return np.array(numbers, np.float32)[:, np.newaxis]


def _classes(
    place: object, train: Rows, given: tuple[str, ...] | None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Returns the class of each label as it is written, and the names."""
    found = set(train.labels)
    are_numbers = all(label.isdecimal() for label in found)
    if given is not None:
        known = {name: number for number, name in enumerate(given)}
        if are_numbers and not found <= known.keys():
            known = {str(number): number for number in range(len(given))}
        return known, given
    if len(found) < 2:
        raise ValueError(
            f"All training texts of {place} have the label {next(iter(found))!r}. Give "
            "two classes or more."
        )
    if len(found) > _MOST_CLASSES:
        raise ValueError(
            f"The training texts of {place} have {len(found):,} labels. If they are "
            'numbers to be predicted, say so in data.json: {"task": "regression"}; '
            "else name the classes there."
        )
    order = sorted(found, key=lambda one: (int(one) if are_numbers else 0, one))
    return {label: number for number, label in enumerate(order)}, named(order, place)


def _classified(place: object, rows: Rows, known: dict[str, int]) -> np.ndarray:
    shown = ", ".join(list(known)[:10])
    problems = [
        f"{where} has the label {label!r}, which is no class of the training ({shown})"
        for where, label in zip(rows.places, rows.labels)
        if label not in known
    ]
    require_none(place, problems, len(rows.labels), "labels")
    return np.array([known[label] for label in rows.labels], np.int64)
