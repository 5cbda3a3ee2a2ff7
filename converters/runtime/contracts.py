"""What each operator of a .tflite must hold; LiteRT does not look at all of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np

from converters.runtime.custom_options import checked_custom_options

Shape = tuple[int, ...]
_ANY = 1 << 16
_FLOAT, _INT8, _UINT8, _INT16, _INT32, _INT64 = (
    "FLOAT32",
    "INT8",
    "UINT8",
    "INT16",
    "INT32",
    "INT64",
)
_INTEGERS = (_INT32, _INT64)
_BOOL = "BOOL"
_QUANTIZED = (_INT8, _UINT8, _INT16)


@dataclasses.dataclass
class Node:
    """An operator and all that the file says of it.

    Attributes:
        index: Its place in the graph.
        name: Its name.
        inputs: Indices of its inputs, -1 for what is left out.
        shapes: Shapes of its inputs, as they come out in a run where that is known.
        knows_shapes: Whether they do; not where inputs of the file have other sizes
            and an operator before is none whose output is foretold.
        kinds: Names of their types.
        values: Their values where they are constants.
        scales: Their first scale, or `None`.
        output_shapes: Shapes of its outputs, as the file says.
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
    options: Any
    options_type: int
    custom: bytes
    graphs: Sequence[tuple[int, int]]

    def need(self, holds: Any, what: str) -> None:
        """Refuses the operator where something does not hold."""
        if not holds:
            raise ValueError(f"operator {self.index}, {self.name}: {what}")

    def option(self, name: str) -> Any:
        """Returns an option, 0 where the operator has none."""
        return getattr(self.options, name, 0)

    def integers(self, place: int) -> list[int] | None:
        """Returns the integers of a constant input, `None` of a computed one."""
        if place >= len(self.values) or self.inputs[place] < 0:
            return None
        value = self.values[place]
        if value is None:
            return None
        self.need(value.dtype.kind == "i", f"its input {place} holds no integers")
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
        """Refuses an axis that is none."""
        self.need(-rank <= axis < rank, f"it has no axis {axis}")


class Contracts:
    """The contracts of all operators.

    Args:
        operators: Names of the builtin operators by their number.
        options: Names of the types of options by their number.
    """

    def __init__(self, operators: dict[int, str], options: dict[int, str]):
        self._operators, self._options = operators, options

    def name(self, code: Any) -> str:
        """Returns the name of an operator's code."""
        if code.customCode is not None:
            return str(code.customCode.decode())
        # Codes below 127 also stand in a field of an older format.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return self._operators.get(number, f"BUILTIN_{number}")

    def check(self, node: Node) -> None:
        """Refuses an operator that LiteRT may not survive."""
        if node.name not in self._operators.values():
            checked_custom_options(node.name, node.custom)
        arity = _ARITY.get(node.name)
        if arity is not None:
            self._check_arity(node, *arity)
        needed = _NEEDS_OPTIONS.get(node.name)
        node.need(
            needed is None or self._options.get(node.options_type) == needed,
            f"its options are not {needed}",
        )
        optional = _OPTIONAL.get(node.name, ())
        missing = [i for i, tensor in enumerate(node.inputs) if tensor < 0]
        node.need(set(missing) <= set(optional), f"its input {missing[:1]} is left out")
        _check_types(node)
        if node.name in _SHAPELESS:
            _SHAPELESS[node.name](node)
        rule = _RULES.get(node.name)
        if rule is not None and node.knows_shapes:
            rule(node)

    def _check_arity(self, node: Node, least: int, most: int, outputs: int) -> None:
        node.need(
            least <= len(node.inputs) <= most, f"it has {len(node.inputs)} inputs"
        )
        node.need(
            len(node.output_shapes) == outputs
            if outputs < _ANY
            else node.output_shapes or node.name in ("IF", "WHILE"),
            f"it has {len(node.output_shapes)} outputs",
        )


def _check_types(node: Node) -> None:
    """Refuses mixtures of types that a kernel takes for others."""
    if node.name in _SAME_TYPES:
        kinds = {*node.kinds[: _SAME_TYPES[node.name]], *node.output_kinds}
        node.need(len(kinds) == 1, f"its types {sorted(kinds)} differ")
    if node.name in _WEIGHTED:
        given, weights, made = node.kinds[0], node.kinds[1], node.output_kinds[0]
        if node.name == "TRANSPOSE_CONV":
            given = node.kinds[2]
        node.need(
            (given, weights, made) in _WEIGHTED_TYPES,
            f"its types {given}, {weights} and {made} do not go together",
        )
    if node.name == "BATCH_MATMUL":
        three = node.kinds[0], node.kinds[1], node.output_kinds[0]
        node.need(three in _PRODUCT_TYPES, f"its types {three} do not go together")
    if node.name in _SELECTIONS:
        chosen = [*node.kinds[1:], *node.output_kinds]
        node.need(
            node.kinds[0] == _BOOL and len(set(chosen)) == 1, f"its types are {chosen}"
        )
    allowed = _OUTPUT_TYPES.get(node.name)
    node.need(
        allowed is None or allowed.issuperset(node.output_kinds),
        f"its output is {', '.join(node.output_kinds)}",
    )
    for place in _INDEX_INPUTS.get(node.name, ()):
        if place < len(node.kinds) and node.inputs[place] >= 0:
            node.need(
                node.kinds[place] in _INTEGERS, f"its input {place} holds no integers"
            )
    number = _SCALED.get(node.name, 0)
    quantized = {*_QUANTIZED} & {*node.output_kinds, *node.kinds[:number]}
    if quantized and number:
        scales = [
            scale
            for scale, kind in zip(
                (*node.scales[:number], *node.output_scales),
                (*node.kinds[:number], *node.output_kinds),
            )
            if kind in _QUANTIZED
        ]
        node.need(
            all(scale is not None and scale > 0 for scale in scales),
            "its quantized tensors have no scale",
        )


# Rules of single operators.


def _check_convolution(node: Node) -> None:
    node.need_rank(4)
    node.need_rank(4, place=1)
    channels, width = node.shapes[0][-1], node.shapes[1][-1]
    node.need(
        width > 0 and channels % width == 0, f"{channels} channels meet {width} weights"
    )
    _check_bias(node, 2, node.shapes[1][0])


def _check_binary_convolution(node: Node) -> None:
    """Holds channels to the words that they are packed into."""
    node.need_rank(4)
    node.need_rank(4, place=1)
    channels = checked_custom_options(node.name, node.custom)["channels_in"]
    words, width = node.shapes[0][-1], node.shapes[1][-1]
    node.need(
        words == -(-channels // 32),
        f"its input has {words} words of 32 channels, and channels_in is {channels}",
    )
    node.need(
        width > 0 and words % width == 0, f"{words} words meet {width} of its filter"
    )


def _check_depthwise(node: Node) -> None:
    node.need_rank(4)
    node.need_rank(4, place=1)
    channels, made = node.shapes[0][-1], node.shapes[1][-1]
    node.need(
        channels > 0 and made % channels == 0 and node.shapes[1][0] == 1,
        f"{channels} channels meet weights of {node.shapes[1]}",
    )
    # Older files leave it 0, as it follows from the shapes.
    node.need(
        node.option("depthMultiplier") in (0, made // channels),
        f"its depthMultiplier is {node.option('depthMultiplier')}",
    )
    _check_bias(node, 2, made)


def _check_volume(node: Node) -> None:
    node.need_rank(5)
    node.need_rank(5, place=1)
    channels, width = node.shapes[0][-1], node.shapes[1][-2]
    node.need(channels == width, f"{channels} channels meet {width} weights")
    _check_bias(node, 2, node.shapes[1][-1])


def _check_transposed_volume(node: Node) -> None:
    node.need_rank(5, place=1)
    node.need_rank(5, place=2)
    sizes = node.integers(0)
    node.need(sizes is None or _are_sizes(sizes, 5), f"its output is {sizes}")
    channels, width = node.shapes[2][-1], node.shapes[1][-1]
    node.need(channels == width, f"{channels} channels meet {width} weights")


def _check_bias(node: Node, place: int, channels: int) -> None:
    if place < len(node.inputs) and node.inputs[place] >= 0:
        node.need(
            math.prod(node.shapes[place]) == channels,
            f"its bias of {node.shapes[place]} does not fit {channels} channels",
        )


def _check_transposed(node: Node) -> None:
    node.need_rank(4, place=1)
    node.need_rank(4, place=2)
    sizes = node.integers(0)
    if sizes is not None:
        node.need(_are_sizes(sizes, 4), f"its output is {sizes}")
        # XNNPACK writes as many images as there are, into room for those of the file.
        node.need(
            sizes[0] == node.shapes[2][0] and _comes_from(node, sizes),
            f"its output {sizes} is not that of {node.shapes[2]}",
        )
    node.need(
        node.shapes[1][-1] == node.shapes[2][-1],
        f"{node.shapes[2][-1]} channels meet {node.shapes[1][-1]} weights",
    )
    _check_bias(node, 3, node.shapes[1][0])


def _comes_from(node: Node, sizes: Sequence[int]) -> bool:
    """Whether a convolution would make the input of a transposed one of its output."""
    strides = node.option("strideH"), node.option("strideW")
    windows = node.shapes[1][1:3] if node.option("padding") else (1, 1)
    return all(
        -(-(size - window + 1) // stride) == given
        for size, window, stride, given in zip(
            sizes[1:3], windows, strides, node.shapes[2][1:3]
        )
    )


def _are_sizes(sizes: Sequence[int], rank: int) -> bool:
    return len(sizes) == rank and min(sizes, default=1) >= 0


def _check_pooling(node: Node) -> None:
    node.need_rank(4)


def _check_dense(node: Node) -> None:
    node.need_rank(2, place=1)
    units, width = node.shapes[1]
    elements = math.prod(node.shapes[0])
    node.need(
        width > 0 and elements % width == 0,
        f"{node.shapes[0]} values meet weights of {node.shapes[1]}",
    )
    node.need(not node.option("weightsFormat"), "its weights are shuffled")
    _check_bias(node, 2, units)


def _check_concatenation(node: Node) -> None:
    node.need(not any(len(s) != node.rank() for s in node.shapes), "its ranks differ")
    node.need_axis(node.option("axis"), node.rank())
    axis = node.option("axis") % node.rank()
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in node.shapes}
    node.need(len(rest) == 1, f"its inputs {list(node.shapes)} do not fit")


def _check_pack(node: Node) -> None:
    node.need(node.option("valuesCount") == len(node.inputs), "it counts otherwise")
    node.need_axis(node.option("axis"), node.rank() + 1)
    node.need(len(set(node.shapes)) == 1, "the shapes of its inputs differ")


def _check_unpack(node: Node) -> None:
    node.need_axis(node.option("axis"), node.rank())
    number = node.shapes[0][node.option("axis")]
    node.need(
        node.option("num") == len(node.output_shapes) == number, "it counts otherwise"
    )


def _check_split(node: Node) -> None:
    axis = node.integers(0)
    number = node.option("numSplits")
    node.need(0 < number == len(node.output_shapes), f"it has {number} parts")
    if axis is not None:
        node.need(len(axis) == 1, "its axis is none")
        node.need_axis(axis[0], node.rank(1))
        node.need(node.shapes[1][axis[0]] % number == 0, "its parts differ")


def _check_split_v(node: Node) -> None:
    sizes, axis = node.integers(1), node.integers(2)
    number = node.option("numSplits")
    node.need(0 < number == len(node.output_shapes), f"it has {number} parts")
    node.need(math.prod(node.shapes[1]) == number, "it counts otherwise")
    if axis is not None:
        node.need(len(axis) == 1, "its axis is none")
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
    sizes = node.integers(1) if len(node.inputs) > 1 else _list(node.option("newShape"))
    if len(node.inputs) > 1:
        node.need(len(node.shapes[1]) == 1, "its shape is no list")
        node.need(node.kinds[1] == _INT32, "its shape is not int32")
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


def _list(values: Any) -> list[int]:
    if values is None or isinstance(values, int):
        return []
    return [int(value) for value in values]


def _check_transpose(node: Node) -> None:
    order = node.integers(1)
    node.need(node.rank() <= 6, f"its input has {node.rank()} dimensions")
    if order is not None:
        node.need(
            sorted(o % max(1, node.rank()) for o in order) == list(range(node.rank()))
            and all(-node.rank() <= o < node.rank() for o in order),
            f"its order is {order}",
        )


def _check_reduction(node: Node) -> None:
    for axis in node.integers(1) or ():
        node.need_axis(axis, max(1, node.rank()))
    node.need(math.prod(node.shapes[1]) <= 8, "it has too many axes")


def _check_arg(node: Node) -> None:
    axis = node.integers(1)
    node.need(math.prod(node.shapes[1]) == 1, "its axis is none")
    if axis is not None:
        node.need_axis(axis[0], node.rank())
        node.need(node.shapes[0][axis[0]] > 0, "it has nothing to choose from")


def _check_axis_input(node: Node) -> None:
    for axis in node.integers(1) or ():
        node.need_axis(axis, node.rank() + (node.name == "EXPAND_DIMS"))
    if node.name != "REVERSE_V2":
        node.need(math.prod(node.shapes[1]) == 1, "its axis is none")


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
    node.need(0 not in (node.integers(3) or ()), "a stride of it is 0")
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
        "its bounds do not fit its input",
    )
    if begin is None or size is None:
        return
    for first, number, whole in zip(begin, size, node.shapes[0]):
        node.need(
            0 <= first <= whole
            and (number == -1 or (number >= 0 and first + number <= whole)),
            f"it takes {number} from {first} on of {whole}",
        )


def _check_padding(node: Node) -> None:
    rank = node.rank()
    node.need(node.shapes[1] == (rank, 2) and rank <= 5, "its margins do not fit")
    margins = node.integers(1) or [0]
    node.need(min(margins) >= 0 and max(margins) < _MOST, f"its margins are {margins}")
    if node.name == "MIRROR_PAD":
        less = 0 if node.option("mode") == 1 else 1
        for place, margin in enumerate(margins if len(margins) > 1 else ()):
            whole = node.shapes[0][place // 2]
            node.need(margin <= whole - less, f"its margins are {margins}")


_MOST = 2**28


def _check_blocks(node: Node) -> None:
    node.need_rank(3, 4)
    axes = node.rank() - 2
    blocks, margins = node.integers(1), node.integers(2)
    node.need(
        node.shapes[1] == (axes,) and node.shapes[2] == (axes, 2),
        "its blocks do not fit its input",
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
        sizes is None or (_are_sizes(sizes, 2) and 0 not in sizes), f"it makes {sizes}"
    )
    node.need(0 not in node.shapes[0], "its input is empty")


def _check_sizes(node: Node) -> None:
    """A list of sizes: TILE, BROADCAST_TO, FILL."""
    place = 0 if node.name == "FILL" else 1
    sizes = node.integers(place)
    node.need(node.rank(place) == 1, "its sizes are no list")
    node.need(
        sizes is None or (min(sizes, default=0) >= 0 and len(sizes) <= 8),
        f"its sizes are {sizes}",
    )
    if node.name == "TILE":
        node.need(node.shapes[1] == (node.rank(),), "its sizes do not fit its input")
    if node.name == "BROADCAST_TO" and sizes is not None:
        node.need(_broadcasts(node.shapes[0], sizes), f"its input does not fit {sizes}")


def _broadcasts(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether values of a shape fill another one."""
    return len(shape) <= len(target) and all(
        one in (1, other) for one, other in zip(reversed(shape), reversed(target))
    )


def _check_one_hot(node: Node) -> None:
    depth = node.integers(1)
    node.need(math.prod(node.shapes[1]) == 1, "its depth is none")
    node.need(depth is None or 0 <= depth[0] < _MOST, f"its depth is {depth}")
    node.need_axis(node.option("axis"), node.rank() + 1)


def _check_top_k(node: Node) -> None:
    number = node.integers(1)
    node.need(node.rank() > 0, "its input has no axis")
    node.need(math.prod(node.shapes[1]) == 1, "its number is none")
    node.need(
        number is None or 0 <= number[0] <= node.shapes[0][-1], f"it takes {number}"
    )


def _check_slope(node: Node) -> None:
    node.need(
        _broadcasts(node.shapes[1], node.shapes[0]),
        f"its slopes of {node.shapes[1]} do not fit {node.shapes[0]}",
    )


def _check_binary(node: Node) -> None:
    """Two operands that broadcast."""
    rank = max(node.rank(), node.rank(1))
    one, other = ((1,) * (rank - len(s)) + tuple(s) for s in node.shapes[:2])
    node.need(
        all(a == b or 1 in (a, b) for a, b in zip(one, other)) and rank <= 6,
        f"{node.shapes[0]} and {node.shapes[1]} do not go together",
    )
    if node.name in _COMPARISONS and node.kinds[0] in _QUANTIZED:
        scales = [scale for scale in node.scales[:2] if scale is not None]
        node.need(max(scales, default=0) < 1, "its scales are not below 1")


def _check_sum(node: Node) -> None:
    if node.output_kinds[0] in _QUANTIZED:
        first, second, made = *node.scales[:2], node.output_scales[0]
        if first and second and made:
            ratio = 2 * max(first, second) / made
            node.need(
                0 < ratio < 2**14 and min(first, second) > 1e-30,
                "its scales are too far apart",
            )


def _check_squeeze(node: Node) -> None:
    for axis in _list(node.option("squeezeDims")):
        node.need_axis(axis, node.rank())
        node.need(node.shapes[0][axis] == 1, f"axis {axis} has several values")


def _check_softmax(node: Node) -> None:
    node.need(node.rank() > 0, "its input has no axis")
    node.need(node.shapes[0][-1] > 0, "its last axis is empty")


def _check_beta(node: Node) -> None:
    beta = float(node.option("beta"))
    node.need(0 < beta < 2**16, f"its beta is {beta}")
    if node.kinds[0] != _FLOAT and node.scales[0]:
        node.need(2.0**-20 < node.scales[0] * beta < 2**20, "its scale is none")


def _check_product(node: Node) -> None:
    node.need(2 <= node.rank() <= 5 and 2 <= node.rank(1) <= 5, "its inputs are none")
    inner = node.shapes[0][-2 if node.option("adjX") else -1]
    other = node.shapes[1][-1 if node.option("adjY") else -2]
    node.need(inner == other, f"{node.shapes[0]} meets {node.shapes[1]}")


def _check_if(node: Node) -> None:
    for field in ("thenSubgraphIndex", "elseSubgraphIndex"):
        _check_call(node, node.option(field), len(node.inputs) - 1)


def _check_while(node: Node) -> None:
    number = len(node.inputs)
    node.need(number == len(node.output_shapes), "its inputs and outputs differ")
    _check_call(node, node.option("bodySubgraphIndex"), number)
    _check_call(node, node.option("condSubgraphIndex"), number, 1)


def _check_call(
    node: Node, graph: int, inputs: int, outputs: int | None = None
) -> None:
    node.need(graph in range(len(node.graphs)), f"it calls graph {graph}")
    expected = inputs, len(node.output_shapes) if outputs is None else outputs
    node.need(node.graphs[graph] == expected, f"graph {graph} does not fit it")


def _check_call_once(node: Node) -> None:
    _check_call(node, node.option("initSubgraphIndex"), 0, 0)


def _check_lookup(node: Node) -> None:
    indices = node.integers(0)
    node.need(node.rank(1) > 0 and node.rank(0) == 1, "its inputs are none")
    if indices:
        limit = node.shapes[1][0]
        node.need(
            min(indices) >= 0 and max(indices) < limit, f"it has no rows {indices[:8]}"
        )


def _check_reverse_sequence(node: Node) -> None:
    axes = node.option("seqDim"), node.option("batchDim")
    for axis in axes:
        node.need(0 <= axis < node.rank(), f"it has no axis {axis}")
    node.need(axes[0] != axes[1], "its axes are one")
    lengths = node.integers(1) or [0]
    whole = node.shapes[0][axes[0]]
    node.need(min(lengths) >= 0 and max(lengths) <= whole, f"its lengths are {lengths}")


# How many inputs, at least and at most, and how many outputs.
_ARITY: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(
        (
            "ABS", "AVERAGE_POOL_2D", "CAST", "CEIL", "COS", "DEPTH_TO_SPACE",
            "DEQUANTIZE", "ELU", "EXP", "FAKE_QUANT", "FLOOR", "GELU", "HARD_SWISH",
            "L2_NORMALIZATION", "L2_POOL_2D", "LEAKY_RELU",
            "LOCAL_RESPONSE_NORMALIZATION", "LOG", "LOGICAL_NOT", "LOGISTIC",
            "LOG_SOFTMAX", "MATRIX_DIAG", "MAX_POOL_2D", "NEG", "QUANTIZE", "RANK",
            "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SHAPE",
            "SIGN", "SIN", "SOFTMAX", "SPACE_TO_DEPTH", "SQRT", "SQUARE", "SQUEEZE",
            "TANH", "WHERE", "ZEROS_LIKE", "BUCKETIZE", "BITCAST",
            "LceQuantize", "LceDequantize", "LceBMaxPool2d",
        ),
        (1, 1, 1),
    ),
    **dict.fromkeys(
        (
            "ADD", "ARG_MAX", "ARG_MIN", "ATAN2", "BATCH_MATMUL", "BITWISE_XOR",
            "BROADCAST_ARGS", "BROADCAST_TO", "CUMSUM", "DIV", "EMBEDDING_LOOKUP",
            "EQUAL", "EXPAND_DIMS", "FILL", "FLOOR_DIV", "FLOOR_MOD", "GATHER",
            "GATHER_ND", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL",
            "LOGICAL_AND", "LOGICAL_OR", "MATRIX_SET_DIAG", "MAXIMUM", "MEAN",
            "MINIMUM", "MIRROR_PAD", "MUL", "NOT_EQUAL", "PAD", "POW", "PRELU",
            "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD",
            "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_SEQUENCE",
            "REVERSE_V2", "RIGHT_SHIFT", "SEGMENT_SUM", "SQUARED_DIFFERENCE", "SUB",
            "SUM", "TILE", "TRANSPOSE", "RFFT2D", "MULTINOMIAL",
        ),
        (2, 2, 1),
    ),
    **dict.fromkeys(
        (
            "BATCH_TO_SPACE_ND", "DYNAMIC_UPDATE_SLICE", "PADV2", "RANGE", "SCATTER_ND",
            "SELECT", "SELECT_V2", "SLICE", "SPACE_TO_BATCH_ND",
            "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_PROD",
            "UNSORTED_SEGMENT_SUM",
        ),
        (3, 3, 1),
    ),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"), (1, 1, 1)),
    **dict.fromkeys(("CONV_2D", "FULLY_CONNECTED", "CONV_3D"), (2, 3, 1)),
    **dict.fromkeys(("ADD_N", "CONCATENATION", "PACK"), (1, _ANY, 1)),
    "CONV_3D_TRANSPOSE": (3, 4, 1),
    # XNNPACK reads a bias, were it one that is left out.
    "DEPTHWISE_CONV_2D": (3, 3, 1),
    "TRANSPOSE_CONV": (3, 4, 1),
    "RESHAPE": (1, 2, 1),
    "STRIDED_SLICE": (4, 4, 1),
    "ONE_HOT": (4, 4, 1),
    "SPARSE_TO_DENSE": (4, 4, 1),
    "SPLIT": (2, 2, _ANY),
    "SPLIT_V": (3, 3, _ANY),
    "UNPACK": (1, 1, _ANY),
    "TOPK_V2": (2, 2, 2),
    "UNIQUE": (1, 1, 2),
    "NON_MAX_SUPPRESSION_V4": (5, 5, 2),
    "NON_MAX_SUPPRESSION_V5": (6, 6, 3),
    "IF": (1, _ANY, _ANY),
    "WHILE": (1, _ANY, _ANY),
    "CALL_ONCE": (0, 0, 0),
    "SVDF": (5, 5, 1),
    "RNN": (5, 5, 1),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (5, 5, 1),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (20, 24, 1),
    "LceBconv2d": (5, 5, 1),
}  # fmt: skip
_PEEPHOLES = (1, 5, 9, 10, 11, 12, 16, 17, 20, 21, 22, 23)
_OPTIONAL: dict[str, Sequence[int]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), (2,)),
    **dict.fromkeys(("CONV_3D",), (2,)),
    **dict.fromkeys(("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"), (3,)),
    "SVDF": (3,),
    "LSTM": _PEEPHOLES,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _PEEPHOLES,
    "BIDIRECTIONAL_SEQUENCE_LSTM": range(1, 48),
    "BIDIRECTIONAL_SEQUENCE_RNN": range(6, 12),
    "LceBconv2d": (2, 3, 4),
}
# Those whose options are no choice: without them LiteRT reads zeros, or nothing.
_NEEDS_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CALL_ONCE": "CallOnceOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "CONV_3D": "Conv3DOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "IF": "IfOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "PACK": "PackOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
    "WHILE": "WhileOptions",
}
# How many inputs have the type of the outputs.
_SAME_TYPES = {
    **dict.fromkeys(
        (
            "ABS", "AVERAGE_POOL_2D", "CEIL", "COS", "DEPTH_TO_SPACE", "ELU", "EXP",
            "FLOOR", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG",
            "LOGISTIC", "LOG_SOFTMAX", "MAX_POOL_2D", "NEG", "PRELU", "RELU", "RELU6",
            "RELU_N1_TO_1", "RELU_0_TO_1", "RESHAPE", "ROUND", "RSQRT", "SIN",
            "SPACE_TO_DEPTH", "SQRT", "SQUARE", "SQUEEZE", "TANH", "TRANSPOSE",
            "EXPAND_DIMS", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "PAD",
            "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "TILE", "GATHER", "REVERSE_V2",
            "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "CUMSUM", "MEAN", "SUM",
            "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "UNPACK", "REVERSE_SEQUENCE",
            "BROADCAST_TO", "ZEROS_LIKE", "GATHER_ND", "MATRIX_DIAG",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            "ADD", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "POW",
            "SQUARED_DIFFERENCE", "SUB", "MATRIX_SET_DIAG", "BITWISE_XOR",
            "RIGHT_SHIFT", "ATAN2", "DYNAMIC_UPDATE_SLICE",
        ),
        2,
    ),
    **dict.fromkeys(("CONCATENATION", "PACK", "ADD_N"), _ANY),
}  # fmt: skip
_INDEX_INPUTS: dict[str, Sequence[int]] = {
    **dict.fromkeys(
        (
            "ARG_MAX", "ARG_MIN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN",
            "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL", "TRANSPOSE", "TILE",
            "BROADCAST_TO", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "PAD",
            "MIRROR_PAD", "PADV2", "REVERSE_V2", "EXPAND_DIMS", "RESHAPE", "CUMSUM",
            "REVERSE_SEQUENCE",
        ),
        (1,),
    ),
    **dict.fromkeys(("SLICE", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"), (1, 2)),
    "STRIDED_SLICE": (1, 2, 3),
    "FILL": (0,),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "TRANSPOSE_CONV": (0,),
    "EMBEDDING_LOOKUP": (0,),
    "ONE_HOT": (0, 1),
}  # fmt: skip
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_WEIGHTED_TYPES = {
    (_FLOAT, _FLOAT, _FLOAT),
    (_FLOAT, _INT8, _FLOAT),
    (_FLOAT, _UINT8, _FLOAT),
    (_INT8, _INT8, _INT8),
    (_INT8, _INT8, _INT16),
    (_UINT8, _UINT8, _UINT8),
    (_UINT8, _UINT8, _INT16),
    (_INT16, _INT8, _INT16),
}
_PRODUCT_TYPES = {
    (_FLOAT, _FLOAT, _FLOAT),
    (_FLOAT, _INT8, _FLOAT),
    (_INT8, _INT8, _INT8),
    (_INT8, _INT8, _INT32),
    (_INT16, _INT16, _INT16),
    (_INT32, _INT32, _INT32),
}
_SELECTIONS = ("SELECT", "SELECT_V2")
_COMPARISONS = (
    "EQUAL",
    "GREATER",
    "GREATER_EQUAL",
    "LESS",
    "LESS_EQUAL",
    "NOT_EQUAL",
)
_OUTPUT_TYPES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (*_COMPARISONS, "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "REDUCE_ANY"),
        frozenset({_BOOL}),
    ),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "SHAPE"), frozenset(_INTEGERS)),
    "RANK": frozenset({_INT32}),
    "WHERE": frozenset({_INT64}),
    "DEQUANTIZE": frozenset({_FLOAT}),
    "QUANTIZE": frozenset({*_QUANTIZED, _INT32}),
}
_SUMS = ("ADD", "SUB", "SQUARED_DIFFERENCE")
# How many inputs need a scale where the output is quantized.
_SCALED = {
    **dict.fromkeys(
        (
            "LOGISTIC", "TANH", "LEAKY_RELU", "HARD_SWISH", "ELU", "MEAN", "SUM",
            "L2_NORMALIZATION", "SOFTMAX", "LOG_SOFTMAX", "QUANTIZE", "DEQUANTIZE",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            "ADD", "SUB", "MUL", "CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "PRELU",
            "DIV", "SQUARED_DIFFERENCE", *_COMPARISONS,
        ),
        2,
    ),
}  # fmt: skip
# Rules that hold whatever the shapes are.
_SHAPELESS: dict[str, Callable[[Node], None]] = {
    **dict.fromkeys(_SUMS, _check_sum),
    "CALL_ONCE": _check_call_once,
    "IF": _check_if,
    "SOFTMAX": _check_beta,
    "WHILE": _check_while,
}
_RULES: dict[str, Callable[[Node], None]] = {
    "LceBconv2d": _check_binary_convolution,
    **dict.fromkeys(_SUMS, _check_binary),
    **dict.fromkeys(
        (
            "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "EQUAL", "NOT_EQUAL", "LESS",
            "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "FLOOR_DIV", "FLOOR_MOD",
            "LOGICAL_AND", "LOGICAL_OR",
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
    **dict.fromkeys(("EXPAND_DIMS", "REVERSE_V2", "CUMSUM"), _check_axis_input),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _check_arg),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _check_pooling),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _check_padding),
    **dict.fromkeys(("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"), _check_blocks),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), _check_depth),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _check_resize),
    **dict.fromkeys(("TILE", "BROADCAST_TO", "FILL"), _check_sizes),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), _check_softmax),
    "CONV_3D": _check_volume,
    "CONV_3D_TRANSPOSE": _check_transposed_volume,
    "BATCH_MATMUL": _check_product,
    "CONCATENATION": _check_concatenation,
    "CONV_2D": _check_convolution,
    "DEPTHWISE_CONV_2D": _check_depthwise,
    "EMBEDDING_LOOKUP": _check_lookup,
    "FULLY_CONNECTED": _check_dense,
    "GATHER": _check_gather,
    "ONE_HOT": _check_one_hot,
    "PACK": _check_pack,
    "PRELU": _check_slope,
    "RESHAPE": _check_reshape,
    "REVERSE_SEQUENCE": _check_reverse_sequence,
    "SLICE": _check_slice,
    "SPLIT": _check_split,
    "SPLIT_V": _check_split_v,
    "SQUEEZE": _check_squeeze,
    "STRIDED_SLICE": _check_strided_slice,
    "TOPK_V2": _check_top_k,
    "TRANSPOSE": _check_transpose,
    "TRANSPOSE_CONV": _check_transposed,
    "UNPACK": _check_unpack,
}  # fmt: skip
