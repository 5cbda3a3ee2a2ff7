"""An operator as the checks see it: names, shapes, types, values, options."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

Shape = tuple[int, ...]


class UnsupportedError(ValueError):
    """A valid file with a feature that is not supported."""


@dataclasses.dataclass
class Node:
    """An operator and the facts about its tensors.

    Attributes:
        index: Its place in the graph.
        name: Its name.
        inputs: Indices of its inputs, -1 for one that is left out.
        shapes: Shapes of its inputs, inferred where possible.
        knows_shapes: Whether they are the shapes of a run. They are not if inputs of
            the file are resized and no rule infers the shape of an operator before.
        kinds: Names of their types.
        values: Their values where they are constants, or folded.
        scales: Their first scale, or `None`.
        output_shapes: Shapes of its outputs, as stated by the file.
        output_kinds: Names of their types.
        output_scales: Their first scale, or `None`.
        options: Its options, or `None`.
        options_type: Number of their type.
        custom: The options of a custom operator.
        graphs: Numbers of inputs and outputs of the file's graphs.
    """

    index: int
    name: str
    inputs: Sequence[int]
    shapes: Sequence[Shape]
    knows_shapes: bool
    kinds: Sequence[str]
    values: Sequence[Optional[np.ndarray]]
    scales: Sequence[Optional[float]]
    output_shapes: Sequence[Shape]
    output_kinds: Sequence[str]
    output_scales: Sequence[Optional[float]]
    options: object
    options_type: int
    custom: bytes
    graphs: Sequence[tuple[int, int]]

    def need(self, holds: object, what: str) -> None:
        """Refuses the operator unless a condition holds."""
        if not holds:
            raise ValueError(f"operator {self.index}, {self.name}: {what}")

    def option(self, name: str) -> Any:
        """Returns an option, 0 if the operator has none."""
        return getattr(self.options, name, 0)

    def integers(self, place: int) -> list[int] | None:
        """Returns the integers of a constant input, `None` for a computed one."""
        if place >= len(self.values) or self.inputs[place] < 0:
            return None
        value = self.values[place]
        if value is None:
            return None
        self.need(value.dtype.kind == "i", f"its input {place} contains no integers")
        return [int(number) for number in value.ravel()]

    def rank(self, place: int = 0) -> int:
        """Returns the number of an input's dimensions."""
        return len(self.shapes[place])

    def need_rank(self, *ranks: int, place: int = 0) -> None:
        """Refuses other numbers of dimensions."""
        self.need(
            self.rank(place) in ranks,
            f"its input {place} has {self.rank(place)} dimensions",
        )

    def need_axis(self, axis: int, rank: int) -> None:
        """Refuses an axis out of range."""
        self.need(-rank <= axis < rank, f"it has no axis {axis}")


def are_sizes(sizes: Sequence[int], rank: int) -> bool:
    """Whether these are as many sizes, none negative."""
    return len(sizes) == rank and min(sizes, default=1) >= 0


def broadcasts(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a shape broadcasts to another one."""
    return len(shape) <= len(target) and all(
        one in (1, other) for one, other in zip(reversed(shape), reversed(target))
    )
