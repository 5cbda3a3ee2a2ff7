"""Shape contracts of operators with weights: convolutions, dense layers, products."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from converters.runtime.checker.custom_options import checked_custom_options
from converters.runtime.checker.node import Node, are_sizes


def _check_convolution(node: Node) -> None:
    node.need_rank(4)
    node.need_rank(4, place=1)
    channels, width = node.shapes[0][-1], node.shapes[1][-1]
    node.need(
        width > 0 and channels % width == 0,
        f"its input has {channels} channels and its filter {width}",
    )
    _check_bias(node, 2, node.shapes[1][0])


def _check_binary_convolution(node: Node) -> None:
    """Compares the channels with the words that they are packed into."""
    node.need_rank(4)
    node.need_rank(4, place=1)
    channels = checked_custom_options(node.name, node.custom)["channels_in"]
    words, width = node.shapes[0][-1], node.shapes[1][-1]
    node.need(
        words == -(-channels // 32),
        f"its input has {words} words of 32 channels, and channels_in is {channels}",
    )
    node.need(
        width > 0 and words % width == 0,
        f"its input has {words} words and its filter {width}",
    )


def _check_depthwise(node: Node) -> None:
    node.need_rank(4)
    node.need_rank(4, place=1)
    channels, made = node.shapes[0][-1], node.shapes[1][-1]
    node.need(
        channels > 0 and made % channels == 0 and node.shapes[1][0] == 1,
        f"its input has {channels} channels and its weights are {node.shapes[1]}",
    )
    # Older files leave it 0, as it follows from the shapes.
    node.need(
        node.option("depthMultiplier") in (0, made // channels),
        f"its depthMultiplier is {node.option('depthMultiplier')}",
    )
    _check_bias(node, 2, made)


def _check_conv_3d(node: Node) -> None:
    node.need_rank(5)
    node.need_rank(5, place=1)
    channels, width = node.shapes[0][-1], node.shapes[1][-2]
    node.need(
        channels == width, f"its input has {channels} channels and its filter {width}"
    )
    _check_bias(node, 2, node.shapes[1][-1])


def _check_conv_3d_transpose(node: Node) -> None:
    node.need_rank(5, place=1)
    node.need_rank(5, place=2)
    sizes = node.integers(0)
    node.need(sizes is None or are_sizes(sizes, 5), f"its output is {sizes}")
    channels, width = node.shapes[2][-1], node.shapes[1][-1]
    node.need(
        channels == width, f"its input has {channels} channels and its filter {width}"
    )


def _check_transpose_conv(node: Node) -> None:
    node.need_rank(4, place=1)
    node.need_rank(4, place=2)
    sizes = node.integers(0)
    if sizes is not None:
        node.need(are_sizes(sizes, 4), f"its output is {sizes}")
        # XNNPACK writes all images of the input into a buffer for the file's number.
        node.need(
            sizes[0] == node.shapes[2][0] and _inverts(node, sizes),
            f"its output {sizes} does not follow from {node.shapes[2]}",
        )
    channels, width = node.shapes[2][-1], node.shapes[1][-1]
    node.need(
        channels == width, f"its input has {channels} channels and its filter {width}"
    )
    _check_bias(node, 3, node.shapes[1][0])


def _inverts(node: Node, sizes: Sequence[int]) -> bool:
    """Whether a convolution of the output would have the shape of the input."""
    strides = node.option("strideH"), node.option("strideW")
    windows = node.shapes[1][1:3] if node.option("padding") else (1, 1)
    return all(
        -(-(size - window + 1) // stride) == given
        for size, window, stride, given in zip(
            sizes[1:3], windows, strides, node.shapes[2][1:3]
        )
    )


def _check_bias(node: Node, place: int, channels: int) -> None:
    if place < len(node.inputs) and node.inputs[place] >= 0:
        node.need(
            math.prod(node.shapes[place]) == channels,
            f"its bias of {node.shapes[place]} does not match {channels} channels",
        )


def _check_fully_connected(node: Node) -> None:
    node.need_rank(2, place=1)
    units, width = node.shapes[1]
    elements = math.prod(node.shapes[0])
    node.need(
        width > 0 and elements % width == 0,
        f"its input is {node.shapes[0]} and its weights {node.shapes[1]}",
    )
    node.need(
        not node.option("weightsFormat"), "its weights are in the shuffled format"
    )
    _check_bias(node, 2, units)


def _check_batch_matmul(node: Node) -> None:
    ranks = node.rank(), node.rank(1)
    node.need(
        2 <= min(ranks) and max(ranks) <= 5, f"its inputs have {ranks} dimensions"
    )
    inner = node.shapes[0][-2 if node.option("adjX") else -1]
    other = node.shapes[1][-1 if node.option("adjY") else -2]
    node.need(inner == other, f"its inputs are {node.shapes[0]} and {node.shapes[1]}")


def _check_embedding_lookup(node: Node) -> None:
    indices = node.integers(0)
    ranks = node.rank(), node.rank(1)
    node.need(ranks[0] == 1 and ranks[1] > 0, f"its inputs have {ranks} dimensions")
    if indices:
        limit = node.shapes[1][0]
        node.need(
            min(indices) >= 0 and max(indices) < limit, f"it has no rows {indices[:8]}"
        )


# Rules that hold where shapes are known.
SHAPE_RULES: dict[str, Callable[[Node], None]] = {
    "BATCH_MATMUL": _check_batch_matmul,
    "CONV_2D": _check_convolution,
    "CONV_3D": _check_conv_3d,
    "CONV_3D_TRANSPOSE": _check_conv_3d_transpose,
    "DEPTHWISE_CONV_2D": _check_depthwise,
    "EMBEDDING_LOOKUP": _check_embedding_lookup,
    "FULLY_CONNECTED": _check_fully_connected,
    "LceBconv2d": _check_binary_convolution,
    "TRANSPOSE_CONV": _check_transpose_conv,
}
