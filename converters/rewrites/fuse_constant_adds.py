"""Add of a constant   becomes   part of a bias, a batch normalization or another Add.

ReActNet adds a constant before each sign and before and after each PReLU. With p the
result of a batch normalization or a bias, and a, b, c constants of each channel:

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
import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import (
    ADD,
    BatchNorm,
    batch_norm_of,
    by_channel,
    channels_of,
    ints,
    is_nhwc,
    only_user,
    operand_orders,
    output_of,
    padding_of,
)
from converters.rewrites.matching import log_refusal

_LOG = logging.getLogger(__name__)
_POOLS = ("AvgPool", "MaxPool")
# What a function says that found nothing to fuse.
_NOTHING = ""
_Build = Callable[..., tf.Tensor]


@dataclasses.dataclass(frozen=True)
class _SplitBias:
    """A tensor whose bias is split off: it is `build(*tensors) + bias`."""

    tensors: tuple[str, ...]
    build: _Build
    bias: np.ndarray


def rewrite(graph: Graph) -> list[str]:
    """Moves constants until none can join another one."""
    changed: dict[str, None] = {}
    while True:
        refusals: dict[str, str] = {}
        for node in graph.nodes(*ADD, "FusedBatchNormV3", "MatMul"):
            name = graph.layer(node)
            reason = _fuse(graph, node)
            if reason is None:
                changed[name] = None
                break
            if reason != _NOTHING:
                refusals[name] = reason
        else:
            for layer, reason in refusals.items():
                log_refusal(_LOG, layer, reason)
            return list(changed)


def _fuse(graph: Graph, node: NodeDef) -> str | None:
    """Moves a constant before or after a node.

    Returns:
        `None` if it did, else why not: `_NOTHING` where there is no constant.
    """
    if node.op == "FusedBatchNormV3":
        return _fuse_into_batch_norm(graph, node)
    if node.op == "MatMul":
        return _fuse_into_dense(graph, node)
    output = output_of(node)
    for x, other in operand_orders(node):
        constant = by_channel(graph, other, channels_of(graph, output))
        if constant is not None and _same_channels(graph, x, output):
            if graph.producer(x).op == "Sign":
                # It is part of larq's sign.
                return _NOTHING
            if _fuse_two_constants(graph, node, x, constant) is None:
                return None
            return _fuse_into_sum(graph, node, x, constant)
    for p, x in operand_orders(node):
        if _fuse_into_operand(graph, node, p, x) is None:
            return None
    return _NOTHING


# The formulas of this file, one a function.


def _fuse_two_constants(
    graph: Graph, node: NodeDef, x: str, constant: np.ndarray
) -> str | None:
    """(x + a) + b = x + (a + b)."""
    found = _split_bias(graph, x)
    if found is None:
        return _NOTHING
    build = functools.partial(_plus, build=found.build, bias=found.bias + constant)
    _replace(graph, node, found.tensors, build)
    return None


def _fuse_into_sum(
    graph: Graph, node: NodeDef, x: str, constant: np.ndarray
) -> str | None:
    """(p + x) + a = (p + a) + x, also in each part of a concatenation."""
    x = graph.source(x)
    if len(graph.users(x)) != 1:
        return "what its constant is added to is used elsewhere, too"
    target = graph.producer(x)
    parts, widths = [x], [len(constant)]
    if target.op == "ConcatV2":
        *parts, axis = data_inputs(target)
        rank = len(graph.shape(x))
        if graph.constant(axis) not in (-1, rank - 1):
            return "its constant is added to what is not concatenated by channels"
        widths = [channels_of(graph, part) or 0 for part in parts]
    if 0 in widths or len({graph.source(part) for part in parts}) != len(parts):
        return "its constant is added to a tensor that is concatenated with itself"
    found = [_operand_with_bias(graph, part) for part in parts]
    operands = [operand for operand in found if operand is not None]
    if len(operands) < len(parts):
        return "no bias or batch normalization before it takes its constant"
    pieces = np.split(constant, np.cumsum(widths)[:-1])
    for operand, piece in zip(operands, pieces):
        _add_bias(graph, operand, piece)
    # Its other operand has the constant now.
    first, second = data_inputs(node)
    kept = first if graph.constant(second) is not None else second
    _replace(graph, node, (kept,), tf.identity)
    return None


def _fuse_into_operand(graph: Graph, node: NodeDef, p: str, x: str) -> str | None:
    """`p + (x + a) = (p + a) + x`."""
    channels = channels_of(graph, output_of(node))
    if graph.source(p) == graph.source(x):
        return _NOTHING
    if not _takes_bias(graph, p, channels) or channels_of(graph, x) != channels:
        return _NOTHING
    found = _split_bias(graph, x)
    if found is None:
        return _NOTHING
    _add_bias(graph, graph.source(p), found.bias)
    p = next(i for i in data_inputs(node) if graph.source(i) != graph.source(x))
    build = functools.partial(_sum, build=found.build)
    _replace(graph, node, (p, *found.tensors), build)
    return None


def _fuse_into_batch_norm(graph: Graph, node: NodeDef) -> str | None:
    """norm(x + a) = norm'(x)."""
    norm = batch_norm_of(graph, node)
    found = None if norm is None else _split_bias(graph, data_inputs(node)[0])
    if norm is None or found is None:
        return _NOTHING
    norm = dataclasses.replace(norm, mean=norm.mean - found.bias)
    build = functools.partial(_normed, build=found.build, norm=norm)
    _replace(graph, node, found.tensors, build)
    return None


def _fuse_into_dense(graph: Graph, node: NodeDef) -> str | None:
    """(x + a) W + b = x W + (b + a W)."""
    if node.attr["transpose_a"].b or node.attr["transpose_b"].b:
        return _NOTHING
    kernel, bias = graph.constant(node.input[1]), only_user(graph, output_of(node))
    if kernel is None or bias is None or bias.op != "BiasAdd":
        return _NOTHING
    constant = graph.constant(data_inputs(bias)[1])
    found = _split_bias(graph, node.input[0])
    if found is None or constant is None:
        return _NOTHING
    total = (constant + found.bias.astype(np.float64) @ kernel).astype(np.float32)
    build = functools.partial(_dense, build=found.build, kernel=kernel, bias=total)
    _replace(graph, bias, found.tensors, build)
    return None


def _same_channels(graph: Graph, one: str, other: str) -> bool:
    """Tells whether two tensors have the same rank and channels: none is broadcast."""
    shapes = graph.shape(one), graph.shape(other)
    return len(shapes[0]) == len(shapes[1]) and shapes[0][-1:] == shapes[1][-1:]


# Constants that are added to a tensor.


def _split_bias(graph: Graph, tensor: str) -> _SplitBias | None:
    """Splits a constant off a tensor, `None` if none is added to it."""
    source = graph.source(tensor)
    node = graph.producer(source)
    if node.op in ADD:
        return _split_add(graph, node, source)
    if len(graph.users(source)) != 1:
        # It would be computed twice.
        return None
    if node.op in _POOLS and is_nhwc(node):
        return _split_pool(graph, node)
    if node.op == "ConcatV2":
        return _split_concat(graph, node)
    if node.op == "Reshape":
        return _split_flatten(graph, node, source)
    return None


def _split_add(graph: Graph, node: NodeDef, source: str) -> _SplitBias | None:
    channels = channels_of(graph, source)
    for x, other in operand_orders(node):
        constant = by_channel(graph, other, channels)
        if constant is None or graph.producer(x).op == "Sign":
            continue
        if _same_channels(graph, x, source):
            inner = _split_bias(graph, x) or _without_bias(x, len(constant))
            return dataclasses.replace(inner, bias=inner.bias + constant)
    return None


def _split_pool(graph: Graph, node: NodeDef) -> _SplitBias | None:
    inner = _split_bias(graph, node.input[0])
    size, strides = ints(node, "ksize"), ints(node, "strides")
    if inner is None or {size[0], size[3], strides[0], strides[3]} != {1}:
        # Nothing is added, or it joins channels.
        return None
    build = functools.partial(_pooled, build=inner.build, node=node)
    return dataclasses.replace(inner, build=build)


def _split_flatten(graph: Graph, node: NodeDef, source: str) -> _SplitBias | None:
    """Splits the bias of one pixel that becomes a row."""
    channels, before = channels_of(graph, source), graph.shape(node.input[0])
    is_pixel = len(before) == 4 and before[1:] == (1, 1, channels)
    if channels is None or len(graph.shape(source)) != 2 or not is_pixel:
        return None
    inner = _split_bias(graph, node.input[0])
    if inner is None:
        return None
    build = functools.partial(_flat, build=inner.build, channels=channels)
    return dataclasses.replace(inner, build=build)


def _split_concat(graph: Graph, node: NodeDef) -> _SplitBias | None:
    *parts, axis = data_inputs(node)
    rank = len(graph.shape(parts[0]))
    widths = [channels_of(graph, part) or 0 for part in parts]
    if graph.constant(axis) not in (-1, rank - 1) or 0 in widths:
        return None
    found = [_split_bias(graph, part) for part in parts]
    if all(part is None for part in found):
        return None
    known = [
        entry or _without_bias(part, width)
        for entry, part, width in zip(found, parts, widths)
    ]
    return _SplitBias(
        tuple(tensor for entry in known for tensor in entry.tensors),
        functools.partial(_concat, parts=known),
        np.concatenate([entry.bias for entry in known]),
    )


def _without_bias(tensor: str, channels: int) -> _SplitBias:
    return _SplitBias((tensor,), _same, np.zeros(channels, np.float32))


# Biases and batch normalizations that take a constant.


def _operand_with_bias(graph: Graph, tensor: str) -> str | None:
    """Returns the operand of a sum that takes a constant at no cost."""
    node = graph.producer(tensor)
    if node.op not in ADD or len(graph.users(output_of(node))) != 1:
        return None
    first, second = map(graph.source, data_inputs(node))
    for operand in (first, second) if first != second else ():
        if _takes_bias(graph, operand, channels_of(graph, output_of(node))):
            return graph.source(operand)
    return None


def _takes_bias(graph: Graph, tensor: str, channels: int | None) -> bool:
    """Tells whether a tensor of so many channels is a norm's or bias's, used once."""
    source = graph.source(tensor)
    node = graph.producer(source)
    if len(graph.users(source)) != 1 or channels_of(graph, source) != channels:
        return False
    if node.op == "BiasAdd":
        return is_nhwc(node) and graph.constant(data_inputs(node)[1]) is not None
    return batch_norm_of(graph, node) is not None


def _add_bias(graph: Graph, tensor: str, bias: np.ndarray) -> None:
    """Adds a constant to the result of a batch normalization or a bias."""
    node = graph.producer(tensor)
    norm = batch_norm_of(graph, node)
    x = data_inputs(node)[:1]
    if norm is None:
        total = graph.known(data_inputs(node)[1]) + bias
        _replace(graph, node, x, functools.partial(tf.nn.bias_add, bias=total))
    else:
        norm = dataclasses.replace(norm, beta=norm.beta + bias)
        _replace(graph, node, x, norm.applied)


# What is built.


def _replace(graph: Graph, node: NodeDef, inputs: Sequence[str], build: _Build) -> None:
    graph.replace(
        [output_of(node)],
        [canonical(tensor) for tensor in inputs],
        build,
        f"{graph.layer(node)}/shifted",
    )


def _same(x: tf.Tensor) -> tf.Tensor:
    return x


def _plus(*tensors: tf.Tensor, build: _Build, bias: np.ndarray) -> tf.Tensor:
    return build(*tensors) + bias


def _sum(p: tf.Tensor, *tensors: tf.Tensor, build: _Build) -> tf.Tensor:
    return p + build(*tensors)


def _normed(*tensors: tf.Tensor, build: _Build, norm: BatchNorm) -> tf.Tensor:
    return norm.applied(build(*tensors))


def _dense(
    *tensors: tf.Tensor, build: _Build, kernel: np.ndarray, bias: np.ndarray
) -> tf.Tensor:
    return tf.nn.bias_add(tf.matmul(build(*tensors), kernel), bias)


def _pooled(*tensors: tf.Tensor, build: _Build, node: NodeDef) -> tf.Tensor:
    pool = tf.nn.avg_pool2d if node.op == "AvgPool" else tf.nn.max_pool2d
    size, strides = ints(node, "ksize"), ints(node, "strides")
    return pool(build(*tensors), size, strides, padding_of(node))


def _flat(*tensors: tf.Tensor, build: _Build, channels: int) -> tf.Tensor:
    return tf.reshape(build(*tensors), (-1, channels))


def _concat(*tensors: tf.Tensor, parts: Sequence[_SplitBias]) -> tf.Tensor:
    waiting, joined = list(tensors), []
    for part in parts:
        own = [waiting.pop(0) for _ in part.tensors]
        joined.append(part.build(*own))
    return tf.concat(joined, axis=-1)
