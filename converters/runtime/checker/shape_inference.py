"""Shape inference: the shape of an operator's output, from its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from converters.runtime.checker.node import Node, Shape


def infer_shape(node: Node) -> Shape | None:
    """Returns the shape of an operator's first output, `None` if it is not known.

    LiteRT infers shapes, too, and ignores the ones in the file: without this check, a
    few bytes of a file could request any amount of memory.
    """
    rule = _RULES.get(node.name)
    return None if rule is None else rule(node)


def _elementwise(node: Node) -> Shape:
    return node.shapes[0]


def _broadcast(node: Node) -> Shape:
    rank = max(map(len, node.shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in node.shapes]
    return tuple(0 if 0 in sizes else max(sizes) for sizes in zip(*padded))


def _window(
    node: Node, window: Sequence[int], channels: int, dilations: Sequence[int] = (1, 1)
) -> Shape:
    batch, *sizes, _ = node.shapes[0]
    strides = node.option("strideH"), node.option("strideW")
    same = node.option("padding") == 0
    reach = [0 if same else (w - 1) * d for w, d in zip(window, dilations)]
    places = [max(0, -(-(s - r) // t)) for s, r, t in zip(sizes, reach, strides)]
    return batch, places[0], places[1], channels


def _conv_3d(node: Node) -> Shape:
    batch, *sizes, _ = node.shapes[0]
    places = []
    for axis, size, window in zip("DHW", sizes, node.shapes[1]):
        reach = (window - 1) * node.option(f"dilation{axis}Factor")
        rest = size if node.option("padding") == 0 else size - reach
        places.append(max(0, -(-rest // node.option(f"stride{axis}"))))
    return (batch, *places, node.shapes[1][-1])


def _convolution(node: Node) -> Shape:
    depthwise = node.name == "DEPTHWISE_CONV_2D"
    channels = node.shapes[1][-1 if depthwise else 0]
    dilations = node.option("dilationHFactor"), node.option("dilationWFactor")
    return _window(node, node.shapes[1][1:3], channels, dilations)


def _pooling(node: Node) -> Shape:
    window = node.option("filterHeight"), node.option("filterWidth")
    return _window(node, window, node.shapes[0][-1])


def _fully_connected(node: Node) -> Shape:
    units, width = node.shapes[1]
    if node.option("keepNumDims"):
        return (*node.shapes[0][:-1], units)
    return math.prod(node.shapes[0]) // width, units


def _batch_matmul(node: Node) -> Shape:
    one, other = node.shapes[:2]
    rank = max(len(one), len(other))
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in (one, other)]
    rows = one[-1 if node.option("adjX") else -2]
    columns = other[-2 if node.option("adjY") else -1]
    return (*(max(p) for p in zip(*(s[:-2] for s in padded))), rows, columns)


def _concatenation(node: Node) -> Shape:
    axis = node.option("axis") % len(node.shapes[0])
    total = sum(shape[axis] for shape in node.shapes)
    return (*node.shapes[0][:axis], total, *node.shapes[0][axis + 1 :])


def _pack(node: Node) -> Shape:
    axis = node.option("axis") % (len(node.shapes[0]) + 1)
    return (*node.shapes[0][:axis], len(node.inputs), *node.shapes[0][axis:])


def _reshape(node: Node) -> Shape | None:
    sizes = node.integers(1)
    if sizes is None:
        return None
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1) or 1
        rest = math.prod(node.shapes[0]) // known
        sizes = [rest if size == -1 else size for size in sizes]
    return tuple(sizes)


def _transpose(node: Node) -> Shape | None:
    order = node.integers(1)
    return None if order is None else tuple(node.shapes[0][axis] for axis in order)


def _pad(node: Node) -> Shape | None:
    margins = node.integers(1)
    if margins is None:
        return None
    return tuple(
        size + before + after
        for size, before, after in zip(node.shapes[0], margins[::2], margins[1::2])
    )


def _tile(node: Node) -> Shape | None:
    times = node.integers(1)
    if times is None:
        return None
    return tuple(size * number for size, number in zip(node.shapes[0], times))


def _sizes(place: int) -> Callable[[Node], Shape | None]:
    def rule(node: Node) -> Shape | None:
        sizes = node.integers(place)
        return None if sizes is None else tuple(sizes)

    return rule


def _resize(node: Node) -> Shape | None:
    sizes = node.integers(1)
    if sizes is None:
        return None
    return node.shapes[0][0], sizes[0], sizes[1], node.shapes[0][3]


def _one_hot(node: Node) -> Shape | None:
    depth = node.integers(1)
    if depth is None:
        return None
    axis = node.option("axis") % (len(node.shapes[0]) + 1)
    return (*node.shapes[0][:axis], depth[0], *node.shapes[0][axis:])


def _gather(node: Node) -> Shape:
    axis = node.option("axis") % len(node.shapes[0])
    batch = node.option("batchDims") % (len(node.shapes[1]) + 1)
    return (
        *node.shapes[0][:axis],
        *node.shapes[1][batch:],
        *node.shapes[0][axis + 1 :],
    )


def _embedding_lookup(node: Node) -> Shape:
    return (*node.shapes[0], *node.shapes[1][1:])


def _depth_and_space(node: Node) -> Shape:
    batch, height, width, channels = node.shapes[0]
    block = node.option("blockSize")
    if node.name == "DEPTH_TO_SPACE":
        return batch, height * block, width * block, channels // block**2
    return batch, height // block, width // block, channels * block**2


def _space_to_batch(node: Node) -> Shape | None:
    blocks, margins = node.integers(1), node.integers(2)
    if blocks is None or margins is None:
        return None
    whole = [
        size + margins[2 * place] + margins[2 * place + 1]
        for place, size in enumerate(node.shapes[0][1:-1])
    ]
    sizes = (size // block for size, block in zip(whole, blocks))
    return (node.shapes[0][0] * math.prod(blocks), *sizes, node.shapes[0][-1])


def _gather_nd(node: Node) -> Shape | None:
    if not node.shapes[1] or node.shapes[1][-1] > len(node.shapes[0]):
        return None
    return (*node.shapes[1][:-1], *node.shapes[0][node.shapes[1][-1] :])


def _segments(node: Node) -> Shape | None:
    number = node.integers(2)
    return (number[0], *node.shapes[0][len(node.shapes[1]) :]) if number else None


def _multinomial(node: Node) -> Shape | None:
    number = node.integers(1)
    return (node.shapes[0][0], number[0]) if number else None


def _range(node: Node) -> Shape | None:
    values = [value for value in node.values if value is not None and value.size == 1]
    if len(values) != len(node.inputs):
        return None
    first, last, step = (float(value.item()) for value in values)
    return (max(0, math.ceil((last - first) / step)),) if step else None


def _top_k(node: Node) -> Shape | None:
    number = node.integers(1)
    return (*node.shapes[0][:-1], number[0]) if number else None


def _units(place: int) -> Callable[[Node], Shape | None]:
    """Returns the rule of a recurrent layer; the last axis of its weights is units."""

    def rule(node: Node) -> Shape | None:
        if place >= len(node.shapes) or not node.shapes[place]:
            return None
        return (*node.shapes[0][:-1], node.shapes[place][-1])

    return rule


def _words(node: Node) -> Shape:
    return (*node.shapes[0][:-1], -(-node.shapes[0][-1] // 32))


def _diagonal(node: Node) -> Shape:
    return (*node.shapes[0], *node.shapes[0][-1:])


_RULES: dict[str, Callable[[Node], Shape | None]] = {
    **dict.fromkeys(
        (
            "ABS", "CAST", "CEIL", "COS", "DEQUANTIZE", "ELU", "EXP", "FLOOR", "GELU",
            "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU",
            "LOCAL_RESPONSE_NORMALIZATION", "LOG", "LOGICAL_NOT", "LOGISTIC",
            "LOG_SOFTMAX", "NEG", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1",
            "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SOFTMAX", "SQRT",
            "SQUARE", "TANH", "ZEROS_LIKE", "CUMSUM", "REVERSE_V2", "REVERSE_SEQUENCE",
        ),
        _elementwise,
    ),
    **dict.fromkeys(
        (
            "ADD", "ATAN2", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER",
            "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR",
            "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL", "POW", "SQUARED_DIFFERENCE",
            "SUB", "SELECT_V2", "BITWISE_XOR", "RIGHT_SHIFT",
        ),
        _broadcast,
    ),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pooling),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _convolution),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _pad),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), _depth_and_space),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resize),
    "BATCH_MATMUL": _batch_matmul,
    "BROADCAST_TO": _sizes(1),
    "CONCATENATION": _concatenation,
    "CONV_3D": _conv_3d,
    "CONV_3D_TRANSPOSE": _sizes(0),
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "FILL": _sizes(0),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "LceQuantize": _words,
    "MATRIX_DIAG": _diagonal,
    "MULTINOMIAL": _multinomial,
    "ONE_HOT": _one_hot,
    "PACK": _pack,
    "RANDOM_STANDARD_NORMAL": _sizes(0),
    "RANDOM_UNIFORM": _sizes(0),
    "RANGE": _range,
    "RESHAPE": _reshape,
    "RNN": _units(2),
    "SCATTER_ND": _sizes(2),
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPARSE_TO_DENSE": _sizes(1),
    "TILE": _tile,
    "TOPK_V2": _top_k,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _sizes(0),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _units(8),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _units(2),
    **{f"UNSORTED_SEGMENT_{n}": _segments for n in ("MAX", "MIN", "PROD", "SUM")},
}  # fmt: skip
