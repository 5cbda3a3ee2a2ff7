"""Ranges that let a graph's real-valued layers be computed in 8 bits.

Larq Compute Engine quantizes what stands between `FakeQuantWithMinMaxVars`: here they
are put behind the tensors that TensorFlow Lite holds in memory, with the ranges that
representative inputs have there. With its weights rounded as the converter rounds them,
the new graph says what the file computes, up to the rounding of one step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.editing import Editor, canonical, data_inputs, node_name
from converters.freezing import FrozenModel
from converters.rewrites.patterns import is_binary, is_nhwc

_FAKE_QUANT = (
    "FakeQuantWithMinMaxVars",
    "FakeQuantWithMinMaxArgs",
    "FakeQuantWithMinMaxVarsPerChannel",
)
_WEIGHTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_ADDING = ("AddV2", "Add", "Sub", "BiasAdd")
_NORMS = ("FusedBatchNormV3",)
_ACTIVATIONS = ("Relu", "Relu6")
# Those that TensorFlow Lite writes with the scale of what they read. Behind the second
# kind is rounded again.
_SAME_RANGE = (
    "ConcatV2",
    "ExpandDims",
    "MaxPool",
    "Pad",
    "PadV2",
    "Reshape",
    "Slice",
    "Squeeze",
    "StridedSlice",
    "Transpose",
)
_SAME_RANGE_ROUNDED = ("AvgPool",)
# TensorFlow Lite's own, always.
_FIXED = {
    "Softmax": (0.0, 255 / 256),
    "Sigmoid": (0.0, 255 / 256),
    "Tanh": (-1.0, 127 / 128),
}
_OTHERS = ("Placeholder", "Mul", "Mean", "LeakyRelu", "Elu", *_ACTIVATIONS)
# Where nothing but signs read a tensor, values beyond the range keep theirs: it is made
# so much narrower, which leaves fewer values at zero.
SIGN_ZOOM = 16
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
    editor = Editor(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    found = []
    for node in editor.nodes(*_FAKE_QUANT):
        tensor = f"{node.name}:0"
        if editor.constant(tensor) is not None or node.op.endswith("PerChannel"):
            continue
        if node.attr["num_bits"].i != 8 or node.attr["narrow_range"].b:
            continue
        if node.op == "FakeQuantWithMinMaxArgs":
            low, high = (node.attr[name].f for name in ("min", "max"))
        else:
            ends = [editor.constant(tensor) for tensor in data_inputs(node)[1:]]
            low, high = (float(end) for end in ends if end is not None)
        scale, zero_point = steps(low, high)
        before = canonical(data_inputs(node)[0])
        layer = editor.layer(editor.producer(before))
        found.append(Range(layer, before, tensor, scale, zero_point))
    return tuple(found)


def has_ranges(frozen: FrozenModel) -> bool:
    """Tells whether a graph holds ranges, so that it is to be quantized."""
    return any(node.op in _FAKE_QUANT for node in frozen.graph_def.node)


def steps(low: float, high: float) -> tuple[float, int]:
    """Returns scale and zero point of a range in 8 bits, as TensorFlow nudges it.

    scale = (high - low) / 255, and the zero point is -128 - low / scale, rounded.

    Args:
        low: The least value, 0 or less.
        high: The largest value, 0 or more.

    Returns:
        Scale, and zero point between -128 and 127.

    Example:
        >>> steps(0.0, 255.0), steps(-1.0, 1.0)[1]
        ((1.0, -128), 0)
    """
    scale = (high - low) / 255
    zero_point = int(np.floor(-128 - low / scale + 0.5))
    return float(scale), min(max(zero_point, -128), 127)


def insert_ranges(
    frozen: FrozenModel, calibration: Mapping[str, np.ndarray]
) -> FrozenModel:
    """Puts ranges of 8 bits behind the tensors that are held in memory.

    A range spans the least and the largest value that the calibration inputs have
    there, and zero. Chains of binary convolutions that hand on bits stay as they are.

    Args:
        frozen: The graph; it stays as it is.
        calibration: Representative inputs by the model's names, (samples, ...).

    Returns:
        The graph to convert.
    """
    editor = Editor(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    _write_out_norms(editor)
    places = _Places(editor)
    spans = _spans(editor.graph_def, frozen.inputs, calibration, places.watched)
    ranges = {tensor: places.range_of(tensor, spans) for tensor in places.ranged}
    ranges = {tensor: span for tensor, span in ranges.items() if span[0] < span[1]}

    def build(*tensors: Any) -> list[Any]:
        import tensorflow as tf

        ranged = []
        for name, tensor in zip(ranges, tensors):
            low, high = ranges[name]
            if name in places.zero_padded:
                # Kernels that pad with zeros write nothing but float32, and the
                # converter would have them write int8: this comes in between, and
                # cuts off what rounding does, too.
                tensor = tf.maximum(
                    tensor, np.float32(low), name=f"{node_name(name)}/cut"
                )
            ranged.append(
                tf.quantization.fake_quant_with_min_max_vars(
                    tensor, low, high, name=node_name(name)
                )
            )
        return ranged

    editor.replace(list(ranges), list(ranges), build, "int8")
    return frozen.with_graph(editor.graph_def, frozen.equivalents)


def with_rounded_kernels(frozen: FrozenModel) -> FrozenModel:
    """Returns a graph with ranges whose int8 weights are rounded as in its file.

    Args:
        frozen: The graph; it stays as it is.

    Returns:
        The graph that says what the file computes. The file of it would be the same.
    """
    import tensorflow as tf

    editor = Editor(frozen.graph_def, list(frozen.outputs.values()), frozen.layers)
    chains, kernels = _chains(editor), {}
    for node in editor.nodes(*_WEIGHTED):
        chain = chains.get(node.name)
        name = canonical(data_inputs(node)[1])
        kernel = editor.constant(name)
        if chain is None or kernel is None or _has_range(editor, name):
            continue
        users = editor.users(f"{chain[-1].name}:0")
        if not all(user.op in _FAKE_QUANT for user in users):
            continue
        if _has_range(editor, data_inputs(node)[0]):
            # One scale for each output channel; dense layers have one in all.
            axes = {"Conv2D": (0, 1, 2), "MatMul": (0, 1)}.get(node.op, (0, 1))
            kernels[name] = rounded(kernel, axes)
    if kernels:

        def build() -> list[Any]:
            return [tf.constant(kernel) for kernel in kernels.values()]

        editor.replace(list(kernels), [], build, "int8_kernels")
    return frozen.with_graph(editor.graph_def, frozen.equivalents)


def _has_range(editor: Editor, tensor: str) -> bool:
    """Tells whether a tensor has a range, or hands on one that has."""
    node = editor.producer(tensor)
    while node.op in _SAME_RANGE:
        node = editor.producer(data_inputs(node)[0])
    return node.op in _FAKE_QUANT


def rounded(kernel: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
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
    graph_def: Any,
    inputs: Mapping[str, str],
    calibration: Mapping[str, np.ndarray],
    tensors: Sequence[str],
) -> dict[str, tuple[float, float]]:
    """Returns the least and the largest value of tensors over all inputs."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
        ends = [
            (tf.reduce_min(tensor), tf.reduce_max(tensor))
            for tensor in map(graph.get_tensor_by_name, tensors)
        ]
    samples = len(next(iter(calibration.values())))
    found = []
    with tf.compat.v1.Session(graph=graph) as session:
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


def _write_out_norms(editor: Editor) -> None:
    """Makes depthwise convolutions of batch normalizations that nothing fuses.

    Written as a product and a sum, one scale of 8 bits would have to do for the factors
    of all channels; weights of a convolution have one for each channel.
    """
    import tensorflow as tf

    fused = {node.name for chain in _chains(editor).values() for node in chain}
    norms = [
        node
        for node in editor.nodes(*_NORMS)
        if node.name not in fused
        and editor.constant(f"{node.name}:0") is None
        and not node.attr["is_training"].b
        and is_nhwc(node)
    ]
    if not norms:
        return
    affine = []
    for node in norms:
        gamma, beta, mean, variance = (
            np.asarray(editor.constant(i), np.float64) for i in data_inputs(node)[1:]
        )
        factor = gamma / np.sqrt(variance + node.attr["epsilon"].f)
        affine.append((factor, beta - mean * factor))

    def build(*tensors: Any) -> list[Any]:
        results = []
        for node, x, (factor, offset) in zip(norms, tensors, affine):
            with tf.name_scope(editor.layer(node)):
                kernel = tf.constant(factor.reshape(1, 1, -1, 1), tf.float32)
                x = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID")
                results.append(tf.nn.bias_add(x, tf.constant(offset, tf.float32)))
        return results

    editor.replace(
        [f"{node.name}:0" for node in norms],
        [data_inputs(node)[0] for node in norms],
        build,
        "norms",
    )


def _chains(editor: Editor) -> dict[str, list[Any]]:
    """Returns what one operator of the file computes, by the name of its first node.

    A convolution or dense layer is fused with the affine steps behind it and then an
    activation, a binary one with an activation and then affine steps, a sum or product
    with an activation.
    """
    chains = {}
    for node in editor.nodes(*_WEIGHTED):
        if editor.constant(f"{node.name}:0") is not None:
            continue
        binary = is_binary_convolution(editor, node)
        chain, activated = [node], False
        while True:
            user = _only_user(editor, f"{chain[-1].name}:0")
            if user is None:
                break
            if user.op in _ACTIVATIONS and not activated:
                # Behind a factor a binary convolution has no activation of its own.
                if binary and len(chain) > 1:
                    break
                activated = True
            elif not _is_affine(editor, user) or (activated and not binary):
                break
            chain.append(user)
        chains[node.name] = chain
    inside = {node.name for chain in chains.values() for node in chain}
    for node in editor.nodes("AddV2", "Add", "Sub", "Mul", "BiasAdd"):
        if node.name in inside or editor.constant(f"{node.name}:0") is not None:
            continue
        user = _only_user(editor, f"{node.name}:0")
        if user is not None and user.op in _ACTIVATIONS:
            chains[node.name] = [node, user]
    return chains


def _only_user(editor: Editor, tensor: str) -> Any:
    users = editor.users(tensor)
    # What hands on an output is its user, too.
    return users[0] if len(users) == 1 and users[0].op != "Identity" else None


def _is_affine(editor: Editor, node: Any) -> bool:
    """Tells whether a node scales or shifts channels by constants."""
    given = data_inputs(node)
    if node.op in _NORMS:
        return True
    if node.op not in (*_ADDING, "Mul"):
        return False
    constants = [editor.constant(tensor) for tensor in given]
    value = next((c for c in constants if c is not None), None)
    if value is None:
        return False
    return value.size in (1, value.shape[-1] if value.ndim else 1)


def is_binary_convolution(editor: Editor, node: Any) -> bool:
    """Tells whether a node is a convolution of signs with +c and -c."""
    return (
        node.op == "Conv2D"
        and _is_sign(editor, data_inputs(node)[0])
        and is_binary(editor.constant(data_inputs(node)[1]))
    )


def _is_sign(editor: Editor, tensor: str) -> bool:
    """Tells whether a tensor holds signs."""
    node = editor.producer(tensor)
    while node.op in _SAME_RANGE:
        given = data_inputs(node)[:1]
        node = editor.producer(given[0])
    return node.op == "Sign"


class _Places:
    """Where ranges belong in a graph.

    Attributes:
        ranged: The tensors to put a range behind.
        watched: The tensors whose values make the ranges.
        zero_padded: Those of `ranged` that a binary convolution computes which pads
            with zeros.
    """

    def __init__(self, editor: Editor):
        self._editor = editor
        self._chains = _chains(editor)
        inner = {n.name for chain in self._chains.values() for n in chain[:-1]}
        inner |= _parts_of_prelu(editor)
        ends = {chain[-1].name for chain in self._chains.values()}
        self._same: dict[str, str] = {}
        self.ranged: list[str] = []
        self.zero_padded: set[str] = set()
        kinds = (*_OTHERS, *_ADDING, *_WEIGHTED, *_NORMS, *_FIXED, *_SAME_RANGE_ROUNDED)
        for node in editor.nodes(*kinds, *_SAME_RANGE):
            tensor = f"{node.name}:0"
            if node.name in inner and node.name not in ends:
                continue
            if node.op not in _SAME_RANGE and self._can_have_range(node, tensor):
                self.ranged.append(tensor)
        for chain in self._chains.values():
            if is_binary_convolution(editor, chain[0]):
                if chain[0].attr["padding"].s == b"SAME":
                    self.zero_padded.add(f"{chain[-1].name}:0")
        known = set(self.ranged)
        for node in editor.nodes(*_SAME_RANGE, *_SAME_RANGE_ROUNDED):
            tensor = f"{node.name}:0"
            if editor.constant(tensor) is None and not _is_sign(editor, tensor):
                for given in data_inputs(node):
                    if editor.constant(given) is None:
                        self._join(tensor, editor.source(given))
        self.watched = sorted(known)

    def _can_have_range(self, node: Any, tensor: str) -> bool:
        editor = self._editor
        if not _is_float(node) or editor.constant(tensor) is not None:
            return False
        users = editor.users(tensor)
        # Sign(x) + 0.1 is a part of larq's sign.
        if _is_sign(editor, tensor) or _adds_to_sign(editor, node):
            return False
        chain = next((c for c in self._chains.values() if c[-1] is node), None)
        binary = chain is not None and is_binary_convolution(editor, chain[0])
        return not (binary and all(self._reads_signs(user) for user in users))

    def _reads_signs(self, node: Any) -> bool:
        """Tells whether a node takes nothing but the sign of what it reads."""
        if node.op in ("MaxPool",):
            users = self._editor.users(f"{node.name}:0")
            return bool(users) and all(self._reads_signs(user) for user in users)
        return node.op == "Sign"

    def _join(self, one: str, other: str) -> None:
        self._same[self._root(one)] = self._root(other)

    def _root(self, tensor: str) -> str:
        while tensor in self._same and self._same[tensor] != tensor:
            tensor = self._same[tensor]
        return tensor

    def range_of(
        self, tensor: str, spans: Mapping[str, tuple[float, float]]
    ) -> tuple[float, float]:
        """Returns the range of a tensor and all those that must have the same."""
        node = self._editor.producer(tensor)
        if node.op in _FIXED:
            return _FIXED[node.op]
        root = self._root(tensor)
        together = [spans[name] for name in spans if self._root(name) == root]
        low = min(0.0, *(span[0] for span in together))
        high = max(0.0, *(span[1] for span in together))
        users = self._editor.users(tensor)
        signs = bool(users) and all(user.op == "Sign" for user in users)
        # Whoever feeds an input expects its own range.
        if signs and len(together) == 1 and node.op != "Placeholder":
            return low / SIGN_ZOOM, high / SIGN_ZOOM
        return low, high


def _is_float(node: Any) -> bool:
    from tensorflow.core.framework.types_pb2 import DT_FLOAT

    kind = "dtype" if node.op == "Placeholder" else "T"
    return node.attr[kind].type == DT_FLOAT


def _adds_to_sign(editor: Editor, node: Any) -> bool:
    return node.op in ("AddV2", "Add") and any(
        editor.producer(tensor).op == "Sign"
        and any(user.op == "Sign" for user in editor.users(f"{node.name}:0"))
        for tensor in data_inputs(node)
    )


def _parts_of_prelu(editor: Editor) -> set[str]:
    """Returns the nodes inside of relu(x) - alpha * relu(-x), which is one operator."""
    parts = set()
    for node in editor.nodes("AddV2", "Add"):
        for positive, negative in (node.input[:2], node.input[1::-1]):
            relu, product = editor.producer(positive), editor.producer(negative)
            if relu.op != "Relu" or product.op != "Mul":
                continue
            turned = [p for p in map(editor.producer, product.input) if p.op == "Relu"]
            if not turned:
                continue
            minus = editor.producer(turned[0].input[0])
            if minus.op == "Neg" and editor.source(minus.input[0]) == editor.source(
                relu.input[0]
            ):
                parts |= {relu.name, product.name, turned[0].name, minus.name}
    return parts
