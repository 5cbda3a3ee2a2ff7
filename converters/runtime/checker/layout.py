"""Shape contracts of operators that move values: slices, joins, padding, reshaping."""

from __future__ import annotations

import math
from collections.abc import Callable

from converters.runtime.checker.node import Node, are_sizes, broadcasts
from converters.runtime.checker.tensor_types import INT32


def _check_concatenation(node: Node) -> None:
    node.need(
        not any(len(s) != node.rank() for s in node.shapes),
        "the ranks of its inputs differ",
    )
    node.need_axis(node.option("axis"), node.rank())
    axis = node.option("axis") % node.rank()
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in node.shapes}
    node.need(len(rest) == 1, f"its inputs {list(node.shapes)} do not match")


def _check_pack(node: Node) -> None:
    count = node.option("valuesCount")
    node.need(count == len(node.inputs), f"its valuesCount is {count}")
    node.need_axis(node.option("axis"), node.rank() + 1)
    node.need(len(set(node.shapes)) == 1, "the shapes of its inputs differ")


def _check_unpack(node: Node) -> None:
    node.need_axis(node.option("axis"), node.rank())
    number = node.shapes[0][node.option("axis")]
    node.need(
        node.option("num") == len(node.output_shapes) == number,
        f"its num is {node.option('num')}",
    )


def _check_split(node: Node) -> None:
    axis = node.integers(0)
    number = node.option("numSplits")
    node.need(0 < number == len(node.output_shapes), f"it has {number} parts")
    if axis is not None:
        node.need(len(axis) == 1, "its axis is not one number")
        node.need_axis(axis[0], node.rank(1))
        node.need(
            node.shapes[1][axis[0]] % number == 0, f"it has no {number} equal parts"
        )


def _check_split_v(node: Node) -> None:
    sizes, axis = node.integers(1), node.integers(2)
    number = node.option("numSplits")
    node.need(0 < number == len(node.output_shapes), f"it has {number} parts")
    node.need(
        math.prod(node.shapes[1]) == number,
        f"it has sizes of {node.shapes[1]} for {number} parts",
    )
    if axis is not None:
        node.need(len(axis) == 1, "its axis is not one number")
        node.need_axis(axis[0], node.rank())
        if sizes is not None:
            whole = node.shapes[0][axis[0]]
            node.need(
                sizes.count(-1) <= 1
                and min(sizes) >= -1
                and (
                    sum(sizes) == whole if -1 not in sizes else sum(sizes) < whole + 1
                ),
                f"its parts are {sizes}",
            )


def _check_reshape(node: Node) -> None:
    sizes = node.integers(1) if len(node.inputs) > 1 else _numbers(node, "newShape")
    if len(node.inputs) > 1:
        node.need(len(node.shapes[1]) == 1, "its shape is not a list")
        node.need(node.kinds[1] == INT32, "its shape is not int32")
    elif node.options is None:
        node.need(False, "it has no shape")
    if sizes is None:
        return
    node.need(
        min(sizes, default=0) >= -1 and sizes.count(-1) <= 1 and len(sizes) <= 8,
        f"its shape is {sizes}",
    )
    whole, part = math.prod(node.shapes[0]), math.prod(s for s in sizes if s != -1)
    if 0 not in sizes:
        fits = whole % part == 0 if -1 in sizes else whole == part
        node.need(fits, f"{node.shapes[0]} does not become {sizes}")


def _numbers(node: Node, option: str) -> list[int]:
    """Returns an option that is a list, empty if the operator has none."""
    values = node.option(option)
    return [] if values is None or isinstance(values, int) else list(map(int, values))


def _check_transpose(node: Node) -> None:
    order = node.integers(1)
    node.need(node.rank() <= 6, f"its input has {node.rank()} dimensions")
    if order is not None:
        node.need(
            sorted(o % max(1, node.rank()) for o in order) == list(range(node.rank()))
            and all(-node.rank() <= o < node.rank() for o in order),
            f"its order is {order}",
        )


def _check_axis_input(node: Node) -> None:
    for axis in node.integers(1) or ():
        node.need_axis(axis, node.rank() + (node.name == "EXPAND_DIMS"))
    if node.name != "REVERSE_V2":
        node.need(math.prod(node.shapes[1]) == 1, "its axis is not one number")


def _check_gather(node: Node) -> None:
    node.need_axis(node.option("axis"), node.rank())
    axis = node.option("axis") % node.rank()
    batch = node.option("batchDims")
    batch += node.rank(1) if batch < 0 else 0
    node.need(
        0 <= batch <= min(axis, node.rank(1))
        and node.shapes[0][:batch] == node.shapes[1][:batch],
        f"its batchDims are {node.option('batchDims')}",
    )
    indices = node.integers(1)
    if indices:
        limit = node.shapes[0][axis]
        node.need(
            min(indices) >= 0 and max(indices) < limit, f"it has no rows {indices[:8]}"
        )


def _check_strided_slice(node: Node) -> None:
    node.need(node.rank() <= 5, f"its input has {node.rank()} dimensions")
    lengths = {shape for shape in node.shapes[1:]}
    node.need(
        len(lengths) == 1 and node.rank(1) == 1 and node.shapes[1][0] <= 5,
        "its bounds have different lengths",
    )
    node.need(
        node.shapes[1][0] <= node.rank() + bin(node.option("newAxisMask")).count("1"),
        "it has more bounds than its input has axes",
    )
    node.need(0 not in (node.integers(3) or ()), "it has a stride of 0")
    begin, rest = node.integers(1), node.option("newAxisMask")
    if begin is None or rest or node.option("ellipsisMask"):
        return
    for place, first in enumerate(begin):
        if node.option("shrinkAxisMask") >> place & 1:
            whole = node.shapes[0][place]
            node.need(-whole <= first < whole, f"it takes row {first} of {whole}")


def _check_slice(node: Node) -> None:
    begin, size = node.integers(1), node.integers(2)
    node.need(
        node.shapes[1] == node.shapes[2] == (node.rank(),) and node.rank() <= 5,
        "its bounds do not match its input",
    )
    if begin is None or size is None:
        return
    for first, number, whole in zip(begin, size, node.shapes[0]):
        node.need(
            0 <= first <= whole
            and (number == -1 or (number >= 0 and first + number <= whole)),
            f"it takes {number} from {first} on of {whole}",
        )


_MAX_SIZE = 2**28


def _check_padding(node: Node) -> None:
    rank = node.rank()
    node.need(
        node.shapes[1] == (rank, 2) and rank <= 5, "its margins do not match its input"
    )
    margins = node.integers(1) or [0]
    node.need(
        min(margins) >= 0 and max(margins) < _MAX_SIZE, f"its margins are {margins}"
    )
    if node.name == "MIRROR_PAD":
        less = 0 if node.option("mode") == 1 else 1
        for place, margin in enumerate(margins if len(margins) > 1 else ()):
            whole = node.shapes[0][place // 2]
            node.need(margin <= whole - less, f"its margins are {margins}")


def _check_blocks(node: Node) -> None:
    node.need_rank(3, 4)
    axes = node.rank() - 2
    blocks, margins = node.integers(1), node.integers(2)
    node.need(
        node.shapes[1] == (axes,) and node.shapes[2] == (axes, 2),
        "its blocks do not match its input",
    )
    node.need(blocks is None or 0 < min(blocks), f"its blocks are {blocks}")
    node.need(margins is None or min(margins) >= 0, f"its margins are {margins}")
    if blocks and node.name == "BATCH_TO_SPACE_ND":
        node.need(
            node.shapes[0][0] % math.prod(blocks) == 0, f"its blocks are {blocks}"
        )
        for place, block in enumerate(blocks):
            cut = sum(margins[2 * place : 2 * place + 2]) if margins else 0
            node.need(
                node.shapes[0][1 + place] * block >= cut, f"its margins are {margins}"
            )
    if blocks and margins and node.name == "SPACE_TO_BATCH_ND":
        for place, block in enumerate(blocks):
            whole = node.shapes[0][1 + place] + sum(margins[2 * place : 2 * place + 2])
            node.need(whole % block == 0, f"its blocks are {blocks}")


def _check_depth(node: Node) -> None:
    node.need_rank(4)
    block = node.option("blockSize")
    _, height, width, channels = node.shapes[0]
    fits = (
        channels % (block * block) == 0
        if node.name == "DEPTH_TO_SPACE"
        else height % block == width % block == 0
    )
    node.need(fits, f"its blockSize {block} does not divide {node.shapes[0]}")


def _check_resize(node: Node) -> None:
    node.need_rank(4)
    sizes = node.integers(1)
    node.need(
        sizes is None or (are_sizes(sizes, 2) and 0 not in sizes), f"it makes {sizes}"
    )
    node.need(0 not in node.shapes[0], "its input is empty")


def _check_sizes(node: Node) -> None:
    """Checks the sizes of TILE, BROADCAST_TO and FILL."""
    place = 0 if node.name == "FILL" else 1
    sizes = node.integers(place)
    node.need(node.rank(place) == 1, "its sizes are not a list")
    node.need(
        sizes is None or (min(sizes, default=0) >= 0 and len(sizes) <= 8),
        f"its sizes are {sizes}",
    )
    if node.name == "TILE":
        node.need(node.shapes[1] == (node.rank(),), "its sizes do not match its input")
    if node.name == "BROADCAST_TO" and sizes is not None:
        node.need(
            broadcasts(node.shapes[0], sizes),
            f"its input does not broadcast to {sizes}",
        )


def _check_one_hot(node: Node) -> None:
    depth = node.integers(1)
    node.need(math.prod(node.shapes[1]) == 1, "its depth is not one number")
    node.need(depth is None or 0 <= depth[0] < _MAX_SIZE, f"its depth is {depth}")
    node.need_axis(node.option("axis"), node.rank() + 1)


def _check_squeeze(node: Node) -> None:
    for axis in _numbers(node, "squeezeDims"):
        node.need_axis(axis, node.rank())
        node.need(node.shapes[0][axis] == 1, f"axis {axis} has several values")


def _check_reverse_sequence(node: Node) -> None:
    axes = node.option("seqDim"), node.option("batchDim")
    for axis in axes:
        node.need(0 <= axis < node.rank(), f"it has no axis {axis}")
    node.need(axes[0] != axes[1], "its axes are one")
    lengths = node.integers(1) or [0]
    whole = node.shapes[0][axes[0]]
    node.need(min(lengths) >= 0 and max(lengths) <= whole, f"its lengths are {lengths}")


# Rules that hold where shapes are known.
SHAPE_RULES: dict[str, Callable[[Node], None]] = {
    **dict.fromkeys(("EXPAND_DIMS", "REVERSE_V2", "CUMSUM"), _check_axis_input),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _check_padding),
    **dict.fromkeys(("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"), _check_blocks),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), _check_depth),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _check_resize),
    **dict.fromkeys(("TILE", "BROADCAST_TO", "FILL"), _check_sizes),
    "CONCATENATION": _check_concatenation,
    "GATHER": _check_gather,
    "ONE_HOT": _check_one_hot,
    "PACK": _check_pack,
    "RESHAPE": _check_reshape,
    "REVERSE_SEQUENCE": _check_reverse_sequence,
    "SLICE": _check_slice,
    "SPLIT": _check_split,
    "SPLIT_V": _check_split_v,
    "SQUEEZE": _check_squeeze,
    "STRIDED_SLICE": _check_strided_slice,
    "TRANSPOSE": _check_transpose,
    "UNPACK": _check_unpack,
}
