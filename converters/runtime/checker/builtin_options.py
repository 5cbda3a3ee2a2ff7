"""Ranges of the options of builtin operators: counts and enumerations."""

from __future__ import annotations

from collections.abc import Container

from converters.runtime.checker.node import Node

_COUNT = range(1, 1 << 16)
_RANGES: dict[str, Container[int]] = {
    **dict.fromkeys(("strideD", "strideH", "strideW"), _COUNT),
    **dict.fromkeys(("dilationDFactor", "dilationHFactor", "dilationWFactor"), _COUNT),
    **dict.fromkeys(("filterHeight", "filterWidth", "blockSize"), _COUNT),
    **dict.fromkeys(("padding", "mode", "kernelType"), range(2)),
    "fusedActivationFunction": range(6),
    "combiner": range(3),
    "numBits": range(2, 17),
    "radius": range(1 << 12),
}


def check_options(node: Node) -> None:
    """Refuses an operator with an option out of range.

    Raises:
        ValueError: If so.
    """
    for name, allowed in _RANGES.items():
        number = getattr(node.options, name, None)
        node.need(number is None or number in allowed, f"its {name} is {number}")
