"""Affine sum -> GlobalAveragePooling   becomes   GlobalAveragePooling -> affine sum.

mean(a x + b y + c) = a mean(x) + b mean(y) + c

with a, b and c constants of each channel. What BNext squeezes is such a sum, which then
is no image any more. The result is the same but for the order of float sums.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    ADD,
    by_channel,
    channels_of,
    operand_orders,
    output_of,
    prelu_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
_Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class _AffineSum:
    """A sum of images times scales, plus a bias.

    Attributes:
        tensors: Names of the images.
        scales: Scale of each of them, (channels,).
        bias: What is added, (channels,).
        num_constant_ops: Number of operations on images that only apply a constant.
    """

    tensors: tuple[str, ...]
    scales: tuple[np.ndarray, ...]
    bias: np.ndarray
    num_constant_ops: int

    def times(self, scale: np.ndarray | float) -> _AffineSum:
        """Returns this times a constant."""
        scales = tuple(own * scale for own in self.scales)
        return dataclasses.replace(self, scales=scales, bias=self.bias * scale)

    def plus_constant(self, bias: np.ndarray) -> _AffineSum:
        """Returns this plus a constant."""
        return dataclasses.replace(self, bias=self.bias + bias)

    def plus(self, other: _AffineSum) -> _AffineSum:
        """Returns the sum of both."""
        return _AffineSum(
            self.tensors + other.tensors,
            self.scales + other.scales,
            self.bias + other.bias,
            self.num_constant_ops + other.num_constant_ops,
        )


@dataclasses.dataclass(frozen=True)
class _PooledSum:
    """A mean over the rows and columns of an image.

    Attributes:
        node: The node that computes the mean.
        image: The image as a sum.
    """

    node: NodeDef
    image: _AffineSum


def rewrite(graph: Graph) -> list[str]:
    """Computes means of images before what is linear in them."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        graph.replace(
            [output_of(match.node)],
            match.image.tensors,
            functools.partial(_build, match=match),
            f"{name}/first",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_PooledSum]:
    for node in graph.nodes("Mean"):
        x, axes = data_inputs(node)
        shape, over = graph.shape(x), graph.constant(axes)
        if len(shape) != 4 or over is None or sorted(np.ravel(over) % 4) != [1, 2]:
            continue
        channels = channels_of(graph, x)
        if channels is not None:
            yield _PooledSum(node, _affine_sum(graph, x, shape, channels))


def _check(graph: Graph, match: _PooledSum) -> str | None:
    if not match.image.num_constant_ops:
        return "no product or sum with a constant precedes it"
    return None


def _affine_sum(graph: Graph, tensor: str, shape: _Shape, channels: int) -> _AffineSum:
    """Returns an image as a sum; what others use, too, stays whole."""
    tensor = graph.source(tensor)
    whole = _AffineSum((tensor,), (np.ones(channels),), np.zeros(channels), 0)
    node = graph.producer(tensor)
    is_linear = node.op in (*ADD, "Sub", "Mul")
    if not is_linear or len(graph.users(tensor)) != 1:
        return whole
    if prelu_of(graph, tensor) is not None:
        # It is one operation.
        return whole
    first, second = data_inputs(node)
    for x, other in operand_orders(node):
        constant = by_channel(graph, other, channels)
        if constant is None or graph.shape(x) != shape:
            continue
        number = constant.astype(np.float64)
        inner = _affine_sum(graph, x, shape, channels)
        inner = dataclasses.replace(inner, num_constant_ops=inner.num_constant_ops + 1)
        if node.op == "Mul":
            return inner.times(number)
        if node.op == "Sub" and x == first:
            return inner.plus_constant(-number)
        if node.op == "Sub":
            return inner.times(-1).plus_constant(number)
        return inner.plus_constant(number)
    if node.op == "Mul" or {graph.shape(first), graph.shape(second)} != {shape}:
        return whole
    one, two = (_affine_sum(graph, x, shape, channels) for x in (first, second))
    if not one.num_constant_ops + two.num_constant_ops:
        return whole
    return one.plus(two.times(-1) if node.op == "Sub" else two)


def _build(*images: tf.Tensor, match: _PooledSum) -> tf.Tensor:
    keep = match.node.attr["keep_dims"].b
    summands = []
    for image, scale in zip(images, match.image.scales):
        mean = tf.reduce_mean(image, (1, 2), keepdims=keep)
        summands.append(mean * _shortest(scale) if (scale != 1).any() else mean)
    if match.image.bias.any():
        summands.append(_shortest(match.image.bias))
    return sum(summands[1:], summands[0])


def _shortest(constant: np.ndarray) -> np.ndarray:
    """Returns one number where all channels have the same."""
    equal = (constant == constant[0]).all()
    short: np.ndarray = (constant[0] if equal else constant).astype(np.float32)
    return short
