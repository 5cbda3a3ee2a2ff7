"""Checks the types of a recipe's fields, which come from scripts and edited files."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a text",
    "bool": "a bool",
    "Sequence[float]": "a sequence of numbers",
    "Mapping[str, Any]": "a mapping from names to values",
}


def settle(recipe: Any) -> None:
    """Converts the fields of a recipe to the types that its class states.

    NumPy's numbers become Python's, paths become texts, sequences tuples and mappings
    dictionaries of their own, so that a configuration can be written. Other types are
    refused.

    Args:
        recipe: A frozen dataclass whose fields are numbers, texts, sequences of numbers
            and mappings.

    Raises:
        ValueError: If one has another type, or is a number that is not finite.
    """
    # Late, since the command that uses this shows its help without it.
    import numpy as np

    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, np.ndarray):
            value = value.tolist()
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        kinds = [kind.strip() for kind in str(field.type).split("|")]
        if not any(_is_one(value, kind) for kind in kinds):
            words = " or ".join(_WORDS.get(kind, kind) for kind in kinds)
            raise ValueError(f"{field.name} must be {words}. Received: {value!r:.60}")
        if isinstance(value, Mapping):
            value = dict(value)
        elif isinstance(value, (list, tuple)):
            value = tuple(float(one) for one in value)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(one, float) and not math.isfinite(one) for one in numbers):
            raise ValueError(f"{field.name} must be finite. Received: {value}")
        object.__setattr__(recipe, field.name, value)


def _is_one(value: Any, kind: str) -> bool:
    if kind == "None":
        return value is None
    # True is an integer of Python.
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "Sequence[float]":
        is_one = isinstance(value, (list, tuple))
        return is_one and all(_is_one(one, "float") for one in value)
    if kind == "Mapping[str, Any]":
        return isinstance(value, Mapping)
    types: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "str": (str,),
    }
    return isinstance(value, types.get(kind, ()))
