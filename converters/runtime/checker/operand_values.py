"""Contracts on the values of operands: sizes, indices and divisors.

No kernel checks a size, index or divisor that an input of the file supplies. So these
operands must be constants, or follow from shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.runtime.checker.node import Node

_MAX_BOXES = 2**20
_SIZES: dict[str, Sequence[int]] = {
    **dict.fromkeys(("FILL", "TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"), (0,)),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"), (0,)),
    **dict.fromkeys(("BROADCAST_TO", "MULTINOMIAL", "ONE_HOT", "TILE"), (1,)),
    **dict.fromkeys(("MIRROR_PAD", "PAD", "PADV2"), (1,)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), (1,)),
    **dict.fromkeys(("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"), (1, 2)),
    **dict.fromkeys(("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"), (2,)),
    **dict.fromkeys(
        (
            "SCATTER_ND", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN",
            "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_SUM",
        ),
        (2,),
    ),
    "BROADCAST_ARGS": (0, 1),
    "RANGE": (0, 1, 2),
    # It writes at its indices without a check.
    "SPARSE_TO_DENSE": (0, 1),
    "EMBEDDING_LOOKUP_SPARSE": (1, 2),
    # With an axis twice, its kernel writes out of bounds.
    "TRANSPOSE": (1,),
}  # fmt: skip
# Operators whose output is never larger than their input.
_SHRINKING: dict[str, Sequence[int]] = {
    **dict.fromkeys(
        (
            "ARG_MAX", "ARG_MIN", "EXPAND_DIMS", "MEAN", "REDUCE_ALL", "REDUCE_ANY",
            "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "RESHAPE", "SEGMENT_SUM", "SUM",
            "TOPK_V2",
        ),
        (1,),
    ),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "UNIQUE": (0,),
    "WHERE": (0,),
}  # fmt: skip
# Operators that may compute their operands in a called graph: loops slice by a counter.
_ALLOWED_IN_LOOPS = (
    "ARG_MAX", "ARG_MIN", "EXPAND_DIMS", "MEAN", "REDUCE_ALL", "REDUCE_ANY",
    "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SLICE", "SPLIT", "SPLIT_V",
    "SUM",
)  # fmt: skip
_INTEGERS = ("INT8", "UINT8", "INT16", "INT32", "INT64")


def check_operands(
    node: Node, are_bounded: Sequence[bool], is_called: bool = False
) -> None:
    """Refuses sizes, indices and divisors that end the process of LiteRT.

    Args:
        node: The operator.
        are_bounded: For each input, whether it is a constant or follows from shapes.
        is_called: Whether it is in a graph that another one calls, where loops slice
            by their counter. Defaults to `False`.

    Raises:
        NotImplementedError: If they are known in a run only.
        ValueError: If a constant is out of range.
    """
    places = _SIZES.get(node.name, ())
    if node.name in _ALLOWED_IN_LOOPS and not is_called:
        places = _SHRINKING[node.name]
        node.need(
            node.name != "SLICE" or node.knows_shapes or -1 in (node.integers(2) or ()),
            "it slices a tensor whose shape only a run knows",
        )
    for place in places:
        if place < len(node.inputs) and not are_bounded[place]:
            raise NotImplementedError(
                f"takes sizes of operator {node.index}, {node.name}, from an input of "
                "the file, or computes them from one"
            )
    if node.name in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        _check_divisor(node)
    if node.name in _COUNTS:
        number = node.integers(_COUNTS[node.name])
        node.need(
            number is None or (len(number) == 1 and number[0] >= 0),
            f"it makes {number}",
        )
    if node.name.startswith("NON_MAX_SUPPRESSION"):
        number = node.integers(2) or [0]
        node.need(number[0] <= _MAX_BOXES, f"it makes {number[0]:,} boxes")
    if node.name == "SPARSE_TO_DENSE":
        _check_indices(node)
    if node.name == "TRANSPOSE":
        order = node.integers(1) or []
        node.need(len(set(order)) == len(order), f"its order is {order}")


_COUNTS = {
    "MULTINOMIAL": 1,
    **dict.fromkeys(("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"), 2),
    **{f"UNSORTED_SEGMENT_{name}": 2 for name in ("MAX", "MIN", "PROD", "SUM")},
}


def is_shaped_by_a_run(node: Node, are_constants: Sequence[bool]) -> bool:
    """Whether the shape of an operator's output depends on computed values.

    Args:
        node: The operator.
        are_constants: For each input, whether its values are in the file.
    """
    places = (*_SIZES.get(node.name, ()), *_SHRINKING.get(node.name, ()))
    return not all(are_constants[p] for p in places if p < len(node.inputs))


def _check_divisor(node: Node) -> None:
    """Checks the divisors of integers.

    A division by 0, or of the least integer by -1, ends the process; only the kernel of
    FLOOR_DIV checks for 0.
    """
    if node.kinds[0] not in _INTEGERS or any(s is not None for s in node.scales[:2]):
        return
    divisors = node.integers(1)
    if divisors is None and node.name != "FLOOR_DIV":
        raise NotImplementedError(
            f"contains integer divisors that only a run knows, operator {node.index}, "
            f"{node.name}"
        )
    if divisors is not None:
        node.need(0 not in divisors, "it divides by 0")
        node.need(
            -1 not in divisors or node.name == "FLOOR_DIV", "it divides integers by -1"
        )


def _check_indices(node: Node) -> None:
    places, sizes = node.integers(0), node.integers(1)
    if not places or not sizes or node.rank(1) != 1:
        return
    node.need(len(places) % len(sizes) == 0, f"it has no indices {places[:8]}")
    node.need(
        all(0 <= p < sizes[i % len(sizes)] for i, p in enumerate(places)),
        f"it has no indices {places[:8]}",
    )
