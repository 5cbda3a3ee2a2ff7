"""Ranges that let a graph's real-valued layers be computed in 8 bits.

Larq Compute Engine computes in int8 what stands between `FakeQuantWithMinMaxVars`. Here
they are put around convolutions and dense layers with real weights, with the ranges
that values have there for representative inputs. With the weights rounded as the
converter rounds them, such a graph says what the file computes, up to the rounding of
one step.

All else stays float32, though Larq Compute Engine could do more: where signs and sums
read 8 bits, values near zero lose their sign. With ranges everywhere small networks of
the zoo kept less of their predictions (docs/int8.md), were no smaller, and up to three
times slower where int8 kernels are slow (PRELU).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from converters.graph.frozen import FrozenModel
from converters.graph.graph import Graph
from converters.graph.kernels import is_binary
from converters.graph.nodes import canonical, data_inputs, node_name
from converters.graph.sessions import session_of

_FAKE_QUANT = (
    "FakeQuantWithMinMaxVars",
    "FakeQuantWithMinMaxArgs",
    "FakeQuantWithMinMaxVarsPerChannel",
)
# The axes of the weights that share a scale: all but that of the output channels.
# Dense layers have one scale.
_WEIGHTED = {"Conv2D": (0, 1, 2), "DepthwiseConv2dNative": (0, 1), "MatMul": (0, 1)}
_AFFINE = ("AddV2", "Add", "Mul", "BiasAdd")
_NORM = "FusedBatchNormV3"
_ACTIVATIONS = ("Relu", "Relu6")
# Those that TensorFlow Lite writes with the scale of what they read; the first kind
# rounds again.
_AVERAGING = ("AvgPool", "ResizeBilinear")
_SAME_RANGE = (
    *_AVERAGING,
    "BatchToSpaceND",
    "ExpandDims",
    "MaxPool",
    "Pad",
    "Reshape",
    "ResizeNearestNeighbor",
    "Slice",
    "SpaceToBatchND",
    "Split",
    "Squeeze",
    "StridedSlice",
    "TopKV2",
    "Transpose",
)
# What these leave out is in the range, too: the converter gives it to all they read.
_PARTS = ("Slice", "Split", "StridedSlice", "TopKV2")
# TensorFlow Lite's own, always.
_FIXED = {
    "Softmax": (0.0, 255 / 256),
    "Sigmoid": (0.0, 255 / 256),
    "Tanh": (-1.0, 127 / 128),
}
_TINY = 1e-30
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Range:
    """The 8-bit range of one tensor.

    Attributes:
        layer: Name of the layer that computes the tensor.
        before: Name of the tensor of real numbers.
        tensor: Name of the tensor that is rounded to steps.
        scale: What one step is worth.
        zero_point: The number that stands for zero, from -128 to 127.
    """

    layer: str
    before: str
    tensor: str
    scale: float
    zero_point: int


def ranges_of(frozen: FrozenModel) -> tuple[Range, ...]:
    """Returns the ranges of a graph, its weights' aside.

    Args:
        frozen: A graph, after `insert_ranges` or of a model that was trained with
            ranges.

    Returns:
        The ranges; none for a graph of real numbers.
    """
    if not has_ranges(frozen):
        return ()
    editor = Graph(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    found = []
    for node in editor.nodes(*_FAKE_QUANT):
        tensor = f"{node.name}:0"
        if editor.constant(tensor) is not None:
            continue
        ends = _ends(editor, node)
        if ends is None or ends[0] == ends[1]:
            continue
        scale, zero_point = steps(*ends)
        before = canonical(data_inputs(node)[0])
        layer = editor.layer(editor.producer(before))
        found.append(Range(layer, before, tensor, scale, zero_point))
    return tuple(found)


def _ends(editor: Graph, node: Any) -> tuple[float, float] | None:
    """Returns the ends of a range of 8 bits for a whole tensor, `None` of another."""
    if node.attr["num_bits"].i != 8 or node.attr["narrow_range"].b:
        return None
    if node.op == "FakeQuantWithMinMaxArgs":
        return node.attr["min"].f, node.attr["max"].f
    low, high = (editor.constant(tensor) for tensor in data_inputs(node)[1:])
    if low is None or high is None or low.size != 1:
        return None
    return float(low), float(high)


def has_ranges(frozen: FrozenModel) -> bool:
    """Tells whether a graph holds ranges, so that it is to be quantized."""
    return any(node.op in _FAKE_QUANT for node in frozen.graph_def.node)


def steps(low: float, high: float) -> tuple[float, int]:
    """Returns scale and zero point of a range in 8 bits, as TensorFlow nudges it.

    scale = (high - low) / 255, and the zero point is -128 - low / scale, rounded.

    Args:
        low: The least value, 0 or less.
        high: The largest value, 0 or more, and not that of `low`.

    Returns:
        Scale, and zero point between -128 and 127.

    Example:
        >>> steps(0.0, 255.0), steps(-1.0, 1.0)[1]
        ((1.0, -128), 0)
    """
    scale = (high - low) / 255
    zero_point = int(np.floor(-128 - low / scale + 0.5))
    return float(scale), min(max(zero_point, -128), 127)


def nudged(low: float, high: float) -> tuple[float, float]:
    """Returns the range in 8 bits nearest to another one that has zero among its steps.

    Args:
        low: The least value.
        high: The largest value.

    Returns:
        The least and the largest step: -128 and 127 times the scale, off by the zero
        point. Zero twice for nothing but zeros.

    Example:
        >>> nudged(-127.6, 127.4), nudged(2.0, 255.0), nudged(0.0, 0.0)
        ((-128.0, 127.0), (0.0, 255.0), (0.0, 0.0))
    """
    low, high = min(0.0, low), max(0.0, high)
    if low == high:
        return low, high
    scale, zero_point = steps(low, high)
    return scale * (-128 - zero_point), scale * (127 - zero_point)


def insert_ranges(
    frozen: FrozenModel, calibration: Mapping[str, np.ndarray], ends: bool = False
) -> FrozenModel:
    """Puts ranges of 8 bits around the real-valued convolutions and dense layers.

    A range spans the least and the largest value that the calibration inputs have
    there, and zero: leaving out the rarest values kept no more predictions.

    Args:
        frozen: The graph; it stays as it is.
        calibration: Representative inputs by the model's names, (samples, ...).
        ends: Whether inputs and outputs of the model get ranges, too. Defaults to
            `False`.

    Returns:
        The graph to convert.
    """
    import tensorflow as tf

    editor = Graph(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    inputs, outputs = list(frozen.inputs.values()), list(frozen.outputs.values())
    graph_def, graph = editor.graph_def, tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    places = _places(editor, graph, inputs if ends else [], outputs if ends else [])
    if not places:
        return frozen
    watched = [place.range_of for place in places if place.range_of is not None]
    spans = _spans(graph, frozen.inputs, calibration, list(dict.fromkeys(watched)))

    def build(place: _Place, x: Any) -> Any:
        if place.range_of is None:
            # Changes no value, but a sum has no range where none is given.
            return tf.add(x, np.float32(_TINY), name=place.name)
        kind = editor.producer(place.tensor).op
        low, high = nudged(*_FIXED.get(kind, spans[place.range_of]))
        if low == high:  # Nothing but zeros.
            return x
        if _pads_with_zeros(editor, place.tensor):
            x = _cut(x, low, place.name)
        return tf.quantization.fake_quant_with_min_max_vars(
            x, low, high, name=place.name
        )

    graph_def = _spliced(graph_def, places, build)
    return frozen.with_graph(graph_def, frozen.aliases)


def fit_for_conversion(frozen: FrozenModel) -> FrozenModel:
    """Returns the graph of a model that was trained with ranges as it can be converted.

    Args:
        frozen: The graph; it stays as it is.

    Returns:
        The same function.
    """
    editor = Graph(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    lows = {}
    places = []
    for node in editor.nodes(*_FAKE_QUANT):
        tensor = canonical(data_inputs(node)[0])
        ends = _ends(editor, node)
        if ends is not None and _pads_with_zeros(editor, tensor):
            lows[node.name] = ends[0]
            places.append(_Place(node.name, tensor, node.name, None))
    if not places:
        return frozen
    graph_def = _spliced(
        editor.graph_def,
        places,
        lambda place, x: _cut(x, lows[place.name], f"int8/{place.name}"),
    )
    return frozen.with_graph(graph_def, frozen.aliases)


def _cut(x: Any, low: float, name: str) -> Any:
    """Returns values that are cut off where their range begins, as rounding does.

    Binary kernels that pad with zeros write nothing but float32, and the converter
    would have them write int8 if this did not come in between.
    """
    import tensorflow as tf

    return tf.maximum(x, np.float32(low), name=f"{name}/cut")


def _spliced(
    graph_def: Any, places: Sequence[_Place], build: Callable[[_Place, Any], Any]
) -> Any:
    """Returns a graph with what `build` makes of tensors put in at places."""
    import tensorflow as tf

    old, held = list(graph_def.node), {}
    everywhere: dict[str, str] = {}
    scratch = tf.Graph()
    with scratch.as_default():
        for index, place in enumerate(places):
            tensor = everywhere.get(place.tensor, place.tensor)
            x = tf.compat.v1.placeholder(tf.float32, name=f"held_{index}")
            held[x.op.name] = tensor
            result = build(place, x)
            if result is x:
                continue
            for node in old:
                if place.reader in (None, node.name):
                    _redirect(node, {tensor: result.name})
            if place.reader is None:
                everywhere[tensor] = result.name
    for node in scratch.as_graph_def().node:
        if node.name not in held:
            _redirect(node, {f"{name}:0": tensor for name, tensor in held.items()})
            graph_def.node.append(node)
    return graph_def


def _redirect(node: Any, tensors: Mapping[str, str]) -> None:
    """Has a node read other tensors instead."""
    for index, source in enumerate(node.input):
        if not source.startswith("^") and canonical(source) in tensors:
            node.input[index] = tensors[canonical(source)]


def with_rounded_kernels(frozen: FrozenModel) -> FrozenModel:
    """Returns a graph with ranges whose int8 weights are rounded as in its file.

    Args:
        frozen: The graph; it stays as it is.

    Returns:
        The graph that says what the file computes. The file of it would be the same.
    """
    import tensorflow as tf

    editor = Graph(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    kernels = {}
    for node in editor.nodes(*_WEIGHTED):
        name = canonical(data_inputs(node)[1])
        kernel = editor.constant(name)
        if kernel is None or _range_behind(editor, name):
            continue
        users = editor.users(f"{_chain(editor, node)[-1].name}:0")
        if not users or not all(user.op in _FAKE_QUANT for user in users):
            continue
        if _range_behind(editor, data_inputs(node)[0]):
            kernels[name] = on_steps(kernel, _WEIGHTED[node.op])
    if not kernels:
        return frozen

    def build() -> list[Any]:
        return [tf.constant(kernel) for kernel in kernels.values()]

    editor.replace(list(kernels), [], build, "int8_kernels")
    return frozen.with_graph(editor.graph_def, frozen.aliases)


def _range_behind(editor: Graph, tensor: str) -> bool:
    """Tells whether a tensor has a range, or hands on one that has."""
    node = editor.producer(tensor)
    while node.op in _SAME_RANGE:
        node = editor.producer(_value(node))
    return node.op in _FAKE_QUANT


def on_steps(kernel: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Returns weights on the steps that the converter gives them.

    They are symmetric, from -127 to 127 steps of the largest magnitude over `axes`.

    Args:
        kernel: The weights.
        axes: The axes that share a scale.

    Returns:
        The weights, float32.
    """
    largest = np.abs(kernel).max(axis=axes, keepdims=True).astype(np.float64)
    scale = np.where(largest > 0, largest, 1) / 127
    return (np.rint(kernel / scale) * scale).astype(np.float32)


def _spans(
    graph: Any,
    inputs: Mapping[str, str],
    calibration: Mapping[str, np.ndarray],
    tensors: Sequence[str],
) -> dict[str, tuple[float, float]]:
    """Returns the least and the largest value of tensors over all inputs."""
    import tensorflow as tf

    with graph.as_default():
        ends = [
            (tf.reduce_min(tensor), tf.reduce_max(tensor))
            for tensor in map(graph.get_tensor_by_name, tensors)
        ]
    samples = len(next(iter(calibration.values())))
    found = []
    with session_of(graph) as session:
        for start in range(0, samples, _BATCH):
            part = slice(start, start + _BATCH)
            feeds = {inputs[name]: array[part] for name, array in calibration.items()}
            found.append(session.run(ends, feeds))
    lows, highs = np.moveaxis(
        np.array(found, np.float64).reshape(-1, len(ends), 2), 2, 0
    )
    return {
        tensor: (float(low), float(high))
        for tensor, low, high in zip(tensors, lows.min(axis=0), highs.max(axis=0))
    }


def _chain(editor: Graph, node: Any) -> list[Any]:
    """Returns what is fused with a convolution: affine steps, and an activation."""
    chain = [node]
    while chain[-1].op not in _ACTIVATIONS:
        users = editor.users(f"{chain[-1].name}:0")
        if len(users) != 1:
            break
        if users[0].op not in _ACTIVATIONS and not _is_affine(editor, users[0]):
            break
        chain.append(users[0])
    return chain


def _is_affine(editor: Graph, node: Any) -> bool:
    """Tells whether a node scales or shifts channels by constants."""
    if node.op == _NORM:
        return True
    if node.op not in _AFFINE:
        return False
    constants = map(editor.constant, data_inputs(node))
    value = next((constant for constant in constants if constant is not None), None)
    return value is not None and value.size in (1, (1, *value.shape)[-1])


def _is_sign(editor: Graph, tensor: str) -> bool:
    """Tells whether a tensor holds signs."""
    node = editor.producer(tensor)
    while node.op in (*_SAME_RANGE, "PadV2"):
        node = editor.producer(_value(node))
    return node.op == "Sign"


def _pads_with_zeros(editor: Graph, tensor: str) -> bool:
    """Tells whether a tensor is the result of a binary convolution that does."""
    node = editor.producer(tensor)
    while node.op == _NORM or _is_affine(editor, node):
        given = [i for i in data_inputs(node) if editor.constant(i) is None]
        node = editor.producer(given[0])
    return (
        node.op == "Conv2D"
        and node.attr["padding"].s == b"SAME"
        and _is_sign(editor, data_inputs(node)[0])
        and is_binary(editor.constant(data_inputs(node)[1]))
    )


@dataclasses.dataclass(frozen=True)
class _Place:
    """A range that is to be put in.

    Attributes:
        name: Name of the new node.
        tensor: The tensor that it rounds.
        reader: The one node that reads the rounded tensor, `None` for all.
        range_of: The tensor whose values make the range; `None` where there is to be
            none, in spite of ranges before.
    """

    name: str
    tensor: str
    reader: str | None
    range_of: str | None


def _places(
    editor: Graph, graph: Any, inputs: Sequence[str], outputs: Sequence[str]
) -> list[_Place]:
    """Returns where ranges belong: around real-valued layers, and at given ends."""
    layers = [
        (node, _chain(editor, node)[-1])
        for node in editor.nodes(*_WEIGHTED)
        if editor.constant(f"{node.name}:0") is None
        and editor.constant(data_inputs(node)[1]) is not None
        and not _is_sign(editor, data_inputs(node)[0])
    ]
    behind = [*(f"{last.name}:0" for _, last in layers), *inputs]

    def is_float(tensor: str) -> bool:
        return graph.get_tensor_by_name(tensor).dtype.name == "float32"

    known = {tensor for tensor in behind if is_float(tensor)}

    def is_ranged(tensor: str) -> bool:
        return editor.source(_path(editor, tensor)[-1][1]) in known

    for node in editor.nodes(*_FIXED):
        if is_ranged(data_inputs(node)[0]):
            known.add(f"{node.name}:0")
    for tensor in map(editor.source, outputs):
        if is_float(tensor) and not (is_ranged(tensor) or _is_sign(editor, tensor)):
            known.add(_whole(editor, tensor))
    places = {t: _Place(f"int8/{node_name(t)}", t, None, t) for t in sorted(known)}
    handing_on: set[str] = set()
    for first, _ in layers:
        path = _path(editor, canonical(data_inputs(first)[0]), first.name)
        reader, tensor = path[-1]
        begin = editor.source(tensor)
        if begin not in known:
            name = f"int8/{reader}/input"
            places[f"{tensor} {reader}"] = _Place(name, tensor, reader, tensor)
            handing_on |= {name for name, _ in path[1:]}
    # A mean is rounded, to the steps of what it is taken of.
    for node in editor.nodes(*_AVERAGING):
        mean, begin = f"{node.name}:0", _path(editor, f"{node.name}:0")[-1][1]
        if node.name in handing_on or editor.source(begin) in known:
            places[mean] = _Place(f"int8/{node.name}", mean, None, begin)
    # One range for all that is joined would be that of its first part, which cuts off
    # the others.
    for node in editor.nodes("ConcatV2"):
        for tensor in map(canonical, data_inputs(node)[:-1]):
            if is_ranged(tensor):
                name = f"int8/{node.name}/{node_name(tensor)}"
                places[f"{tensor} {node.name}"] = _Place(name, tensor, node.name, None)
    return list(places.values())


def _path(editor: Graph, tensor: str, reader: str = "") -> list[tuple[str, str]]:
    """Returns the way back through nodes that keep a range: readers, what they read."""
    path = [(reader, tensor)]
    while True:
        node = editor.producer(tensor)
        if node.op not in _SAME_RANGE:
            return path
        tensor = canonical(_value(node))
        path.append((node.name, tensor))


def _whole(editor: Graph, tensor: str) -> str:
    """Returns what a tensor is a part of, or the tensor itself."""
    read = [tensor for _, tensor in _path(editor, tensor)]
    parts = [i for i, part in enumerate(read) if editor.producer(part).op in _PARTS]
    return editor.source(read[parts[-1] + 1]) if parts else tensor


def _value(node: Any) -> str:
    """Returns the input whose values a node hands on."""
    return data_inputs(node)[1 if node.op == "Split" else 0]
