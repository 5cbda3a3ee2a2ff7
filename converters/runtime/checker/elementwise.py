"""Contracts of operators that compute element by element, over windows or axes."""

from __future__ import annotations

import math
from collections.abc import Callable

from converters.runtime.checker.node import Node, broadcasts
from converters.runtime.checker.tensor_types import COMPARISONS, FLOAT, QUANTIZED


def _check_pooling(node: Node) -> None:
    node.need_rank(4)


def _check_binary(node: Node) -> None:
    """Checks that two operands broadcast."""
    rank = max(node.rank(), node.rank(1))
    one, other = ((1,) * (rank - len(s)) + tuple(s) for s in node.shapes[:2])
    node.need(
        all(a == b or 1 in (a, b) for a, b in zip(one, other)) and rank <= 6,
        f"{node.shapes[0]} and {node.shapes[1]} do not broadcast",
    )
    if node.name in COMPARISONS and node.kinds[0] in QUANTIZED:
        scales = [scale for scale in node.scales[:2] if scale is not None]
        node.need(max(scales, default=0) < 1, "its scales are not below 1")


def _check_prelu(node: Node) -> None:
    node.need(
        broadcasts(node.shapes[1], node.shapes[0]),
        f"its slopes of {node.shapes[1]} do not fit {node.shapes[0]}",
    )


def _check_sum(node: Node) -> None:
    if node.output_kinds[0] in QUANTIZED:
        first, second, made = *node.scales[:2], node.output_scales[0]
        if first and second and made:
            ratio = 2 * max(first, second) / made
            node.need(
                0 < ratio < 2**14 and min(first, second) > 1e-30,
                "its scales are too far apart",
            )


def _check_reduction(node: Node) -> None:
    for axis in node.integers(1) or ():
        node.need_axis(axis, max(1, node.rank()))
    node.need(math.prod(node.shapes[1]) <= 8, "it has too many axes")


def _check_arg(node: Node) -> None:
    axis = node.integers(1)
    node.need(math.prod(node.shapes[1]) == 1, "its axis is not one number")
    if axis is not None:
        node.need_axis(axis[0], node.rank())
        node.need(node.shapes[0][axis[0]] > 0, "it has nothing to choose from")


def _check_top_k(node: Node) -> None:
    number = node.integers(1)
    node.need(node.rank() > 0, "its input has no axis")
    node.need(math.prod(node.shapes[1]) == 1, "its k is not one number")
    node.need(
        number is None or 0 <= number[0] <= node.shapes[0][-1], f"it takes {number}"
    )


def _check_softmax(node: Node) -> None:
    node.need(node.rank() > 0, "its input has no axis")
    node.need(node.shapes[0][-1] > 0, "its last axis is empty")


def _check_beta(node: Node) -> None:
    beta = float(node.option("beta"))
    node.need(0 < beta < 2**16, f"its beta is {beta}")
    if node.kinds[0] != FLOAT and node.scales[0]:
        node.need(2.0**-20 < node.scales[0] * beta < 2**20, "its scale is out of range")


_SUMS = ("ADD", "SUB", "SQUARED_DIFFERENCE")
# Rules that hold whatever the shapes are.
RULES: dict[str, Callable[[Node], None]] = {
    **dict.fromkeys(_SUMS, _check_sum),
    "SOFTMAX": _check_beta,
}
# Rules that hold where shapes are known.
SHAPE_RULES: dict[str, Callable[[Node], None]] = {
    **dict.fromkeys(
        (
            "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "EQUAL", "NOT_EQUAL", "LESS",
            "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "FLOOR_DIV", "FLOOR_MOD",
            "LOGICAL_AND", "LOGICAL_OR", *_SUMS,
        ),
        _check_binary,
    ),
    **dict.fromkeys(
        (
            "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY",
            "REDUCE_ALL",
        ),
        _check_reduction,
    ),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _check_arg),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _check_pooling),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), _check_softmax),
    "PRELU": _check_prelu,
    "TOPK_V2": _check_top_k,
}  # fmt: skip
