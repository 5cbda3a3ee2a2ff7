"""`Arm`: one of the settings that a study compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Arm:
    """One of the settings that a study compares.

    Attributes:
        name: What paragraph, picture and table call it.
        fields: Fields of its recipe, beside those of the study.
        kind: The kind of its recipe.
        x: The number that a sweep turns, for pictures.
        group: The sweep that it belongs to, where a study has several.
        more: What the study's own functions take of it, by name: plain data.
    """

    name: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    kind: str = "one_step"
    x: float | None = None
    group: str = ""
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)
