"""Constants that are added to channels join a convolution or one another.

ReActNet adds a constant in front of each sign and before and behind each PReLU. With
p the result of a batch normalization or a bias, and a, b, c constants of each channel:

    (x + a) + b           = x + (a + b)
    p + (x + a)           = (p + a) + x            where p + a costs nothing
    (p + x) + a           = (p + a) + x
    norm(x + a)           = norm'(x)               with the mean mu - a
    (x + a) W + b         = x W + (b + a W)

A constant also goes through a concatenation, a pooling and a flattening of one pixel.
The result is the same but for the order of float sums.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import (
    by_channel,
    channels_of,
    is_nhwc,
    only_user,
    padding_of,
)

_ADD = ("Add", "AddV2")
_POOLS = ("AvgPool", "MaxPool")


def rewrite(graph: Graph) -> list[str]:
    """Moves constants until none can join another one."""
    changed: dict[str, None] = {}
    while True:
        for node in graph.nodes(*_ADD, "FusedBatchNormV3", "MatMul"):
            name = graph.layer(node)
            if _join(graph, node):
                changed[name] = None
                break
        else:
            return list(changed)


@dataclasses.dataclass(frozen=True)
class _Peeled:
    """A tensor that is `build(*tensors) + shift`."""

    tensors: tuple[str, ...]
    build: Callable[..., Any]
    shift: np.ndarray


def _join(graph: Graph, node: Any) -> bool:
    """Moves a constant in front of or behind a node; tells whether there was one."""
    if node.op == "FusedBatchNormV3":
        return _into_norm(graph, node)
    if node.op == "MatMul":
        return _into_bias(graph, node)
    channels = channels_of(graph, f"{node.name}:0")
    first, second = data_inputs(node)
    for x, other in ((first, second), (second, first)):
        constant = by_channel(graph, other, channels)
        if constant is not None and _alike(graph, x, f"{node.name}:0"):
            return _into_constant(graph, node, x, constant) or _into_sum(
                graph, node, x, constant
            )
    return any(
        _beside(graph, node, p, x) for p, x in ((first, second), (second, first))
    )


def _alike(graph: Graph, one: str, other: str) -> bool:
    """Whether two tensors have the same rank and channels: nothing is stretched."""
    shapes = graph.shape(one), graph.shape(other)
    return len(shapes[0]) == len(shapes[1]) and shapes[0][-1:] == shapes[1][-1:]


def _peel(graph: Graph, tensor: str) -> _Peeled | None:
    """Takes a constant off a tensor, `None` if none is added to it."""
    import tensorflow as tf

    source = graph.source(tensor)
    node, channels = graph.producer(source), channels_of(graph, source)
    if node.op in _ADD:
        first, second = data_inputs(node)
        for x, other in ((first, second), (second, first)):
            constant = by_channel(graph, other, channels)
            if constant is None or graph.producer(x).op == "Sign":
                continue
            if _alike(graph, x, source):
                peeled = _peel(graph, x) or _untouched(x, constant.shape[0])
                return dataclasses.replace(peeled, shift=peeled.shift + constant)
        return None
    if len(graph.users(source)) != 1:
        # It would be computed twice.
        return None
    if node.op in _POOLS and is_nhwc(node):
        inner = _peel(graph, node.input[0])
        if inner is None:
            return None
        function = tf.nn.avg_pool2d if node.op == "AvgPool" else tf.nn.max_pool2d
        size, strides = (list(node.attr[a].list.i) for a in ("ksize", "strides"))
        if {size[0], size[3], strides[0], strides[3]} != {1}:
            # It joins channels.
            return None
        padding, image = padding_of(node), inner.build
        return dataclasses.replace(
            inner, build=lambda *x: function(image(*x), size, strides, padding)
        )
    if node.op == "ConcatV2":
        return _peel_concat(graph, node)
    if node.op == "Reshape" and len(graph.shape(source)) == 2:
        before = graph.shape(node.input[0])
        inner = _peel(graph, node.input[0])
        if inner is None or len(before) != 4 or before[1:] != (1, 1, channels):
            return None
        pixel = inner.build
        return dataclasses.replace(
            inner, build=lambda *x: tf.reshape(pixel(*x), (-1, channels))
        )
    return None


def _untouched(tensor: str, channels: int) -> _Peeled:
    return _Peeled((tensor,), lambda x: x, np.zeros(channels, np.float32))


def _peel_concat(graph: Graph, node: Any) -> _Peeled | None:
    import tensorflow as tf

    *parts, axis = data_inputs(node)
    rank = len(graph.shape(parts[0]))
    widths = [channels_of(graph, part) or 0 for part in parts]
    if graph.constant(axis) not in (-1, rank - 1) or 0 in widths:
        return None
    peeled = [_peel(graph, part) for part in parts]
    if all(part is None for part in peeled):
        return None
    known = [
        entry or _untouched(part, width)
        for entry, part, width in zip(peeled, parts, widths)
    ]

    def build(*tensors: Any) -> Any:
        given, joined = list(tensors), []
        for entry in known:
            taken = [given.pop(0) for _ in entry.tensors]
            joined.append(entry.build(*taken))
        return tf.concat(joined, axis=-1)

    return _Peeled(
        tuple(tensor for entry in known for tensor in entry.tensors),
        build,
        np.concatenate([entry.shift for entry in known]),
    )


def _into_constant(graph: Graph, node: Any, x: str, constant: np.ndarray) -> bool:
    """(x + a) + b = x + (a + b)."""
    peeled = _peel(graph, x)
    if peeled is None or graph.producer(x).op == "Sign":
        return False
    _replace(graph, node, peeled.tensors, lambda *t: _sum(peeled, t, constant))
    return True


def _sum(peeled: _Peeled, tensors: Any, constant: np.ndarray) -> Any:
    return peeled.build(*tensors) + (peeled.shift + constant)


def _into_sum(graph: Graph, node: Any, x: str, constant: np.ndarray) -> bool:
    """(p + x) + a = (p + a) + x, also in each part of a concatenation."""
    import tensorflow as tf

    x = graph.source(x)
    if len(graph.users(x)) != 1:
        return False
    target = graph.producer(x)
    parts, widths = [x], [len(constant)]
    if target.op == "ConcatV2":
        *parts, axis = data_inputs(target)
        rank = len(graph.shape(x))
        if graph.constant(axis) not in (-1, rank - 1):
            return False
        widths = [channels_of(graph, part) or 0 for part in parts]
    if 0 in widths or len({graph.source(part) for part in parts}) != len(parts):
        return False
    free = [_free_operand(graph, part) for part in parts]
    if any(operand is None for operand in free):
        return False
    pieces = np.split(constant, np.cumsum(widths)[:-1])
    for operand, piece in zip(free, pieces):
        _add_to(graph, str(operand), piece)
    # What it took has the constant now.
    first, second = data_inputs(node)
    kept = first if graph.constant(second) is not None else second
    _replace(graph, node, (kept,), tf.identity)
    return True


def _free_operand(graph: Graph, tensor: str) -> str | None:
    """Returns the operand of a sum that takes a constant at no cost."""
    node = graph.producer(tensor)
    if node.op not in _ADD or len(graph.users(f"{node.name}:0")) != 1:
        return None
    first, second = map(graph.source, data_inputs(node))
    for operand in (first, second) if first != second else ():
        if _takes_constant(graph, operand, channels_of(graph, f"{node.name}:0")):
            return graph.source(operand)
    return None


def _beside(graph: Graph, node: Any, p: str, x: str) -> bool:
    """P + (x + a) = (p + a) + x."""
    channels = channels_of(graph, f"{node.name}:0")
    if graph.source(p) == graph.source(x):
        return False
    if not _takes_constant(graph, p, channels) or channels_of(graph, x) != channels:
        return False
    peeled = _peel(graph, x)
    if peeled is None:
        return False
    _add_to(graph, graph.source(p), peeled.shift)
    p = next(i for i in data_inputs(node) if graph.source(i) != graph.source(x))
    _replace(graph, node, (p, *peeled.tensors), lambda p, *t: p + peeled.build(*t))
    return True


def _takes_constant(graph: Graph, tensor: str, channels: int | None) -> bool:
    """Whether a tensor of so many channels is a norm's or bias's, and used once."""
    source = graph.source(tensor)
    node = graph.producer(source)
    if len(graph.users(source)) != 1 or channels_of(graph, source) != channels:
        return False
    if node.op == "FusedBatchNormV3":
        norm = not node.attr["is_training"].b and is_nhwc(node)
        return norm and graph.constant(data_inputs(node)[2]) is not None
    return (
        node.op == "BiasAdd"
        and is_nhwc(node)
        and graph.constant(data_inputs(node)[1]) is not None
    )


def _add_to(graph: Graph, tensor: str, constant: np.ndarray) -> None:
    """Adds a constant to the result of a norm or bias."""
    node = graph.producer(tensor)
    inputs = data_inputs(node)
    at = 2 if node.op == "FusedBatchNormV3" else 1
    x = _untouched(inputs[0], len(constant))
    _with_constant(graph, node, x, at, graph.known(inputs[at]) + constant)


def _with_constant(
    graph: Graph, node: Any, x: _Peeled, at: int, value: np.ndarray
) -> None:
    """Computes a norm or bias with another constant at one of its inputs."""
    import tensorflow as tf

    constants = [graph.constant(source) for source in data_inputs(node)[1:]]
    constants[at - 1] = value
    epsilon = node.attr["epsilon"].f

    def build(*tensors: Any) -> Any:
        y = x.build(*tensors)
        if node.op == "BiasAdd":
            return tf.nn.bias_add(y, constants[0])
        return tf.compat.v1.nn.fused_batch_norm(
            y, *constants, epsilon=epsilon, is_training=False
        )[0]

    _replace(graph, node, x.tensors, build)


def _into_norm(graph: Graph, node: Any) -> bool:
    """norm(x + a) = norm'(x)."""
    inputs = data_inputs(node)
    if node.attr["is_training"].b or not is_nhwc(node):
        return False
    if any(graph.constant(source) is None for source in inputs[1:]):
        return False
    peeled = _peel(graph, inputs[0])
    if peeled is None:
        return False
    mean = graph.known(inputs[3]) - peeled.shift
    _with_constant(graph, node, peeled, 3, mean)
    return True


def _into_bias(graph: Graph, node: Any) -> bool:
    """(x + a) W + b = x W + (b + a W)."""
    import tensorflow as tf

    if node.attr["transpose_a"].b or node.attr["transpose_b"].b:
        return False
    kernel, bias = graph.constant(node.input[1]), only_user(graph, f"{node.name}:0")
    if kernel is None or bias is None or bias.op != "BiasAdd":
        return False
    constant = graph.constant(data_inputs(bias)[1])
    peeled = _peel(graph, node.input[0])
    if peeled is None or constant is None:
        return False
    shift = peeled.shift.astype(np.float64)
    total = (constant + shift @ kernel).astype(np.float32)

    def build(*tensors: Any) -> Any:
        return tf.nn.bias_add(tf.matmul(peeled.build(*tensors), kernel), total)

    _replace(graph, bias, peeled.tensors, build)
    return True


def _replace(graph: Graph, node: Any, inputs: Any, build: Callable[..., Any]) -> None:
    graph.replace(
        [f"{node.name}:0"],
        [canonical(tensor) for tensor in inputs],
        build,
        f"{graph.layer(node)}/shifted",
    )
