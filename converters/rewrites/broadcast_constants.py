"""y + c of any shape   becomes   y + c of one number for each channel or each value.

Larq Compute Engine joins sums and products with constants to the binary convolution
before them, whatever the shape of the constant; but for a number or one for each
channel the file does not load. Leading ones of a shape are dropped. A constant that
differs from place to place is broadcast, and applied to an image without its shape,
which is not joined. The result is the same to the bit.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.kernels import is_taken_for_binary
from converters.graph.nodes import data_inputs
from converters.graph.patterns import is_nhwc, output_of
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
_JOINED = {
    "Add": tf.add,
    "AddV2": tf.add,
    "Sub": tf.subtract,
    "Mul": tf.multiply,
    "RealDiv": tf.divide,
}
_BETWEEN = ("BiasAdd", "FusedBatchNormV3", "Relu", "Relu6", *_JOINED)


@dataclasses.dataclass(frozen=True)
class ConstantOperand:
    """A sum or product with a constant after a binary convolution.

    Attributes:
        node: The sum or product.
        constant: The constant.
        is_last: Whether the constant is the second operand.
    """

    node: NodeDef
    constant: np.ndarray
    is_last: bool

    @property
    def value(self) -> str:
        """Name of the other operand, as the graph is now."""
        return data_inputs(self.node)[0 if self.is_last else 1]


def rewrite(graph: Graph) -> list[str]:
    """Changes the shapes of constants that are joined to binary convolutions."""
    changed = []
    for match in find(graph):
        name = graph.layer(match.node)
        shape = graph.inner_shape(match.value)
        graph.replace(
            [output_of(match.node)],
            [match.value],
            functools.partial(_build, match=match, shape=shape),
            f"{name}/constant",
        )
        changed.append(name)
    return changed


def find(graph: Graph) -> list[ConstantOperand]:
    """Returns operations that would be joined and must not."""
    return list(passing(_LOG, graph, _matches(graph), _check))


def _matches(graph: Graph) -> Iterator[ConstantOperand]:
    for node in graph.nodes(*_JOINED):
        constants = [graph.constant(tensor) for tensor in data_inputs(node)]
        known = [constant for constant in constants if constant is not None]
        if len(known) == 1:
            match = ConstantOperand(node, known[0], constants[0] is None)
            if known[0].ndim > 1 and _comes_from_binary(graph, match.value):
                yield match


def _check(graph: Graph, match: ConstantOperand) -> str | None:
    dimensions, rank = match.constant.ndim, len(graph.shape(match.value))
    if dimensions > rank:
        return "its constant has more axes than what it is joined to"
    if dimensions == rank and len(match.constant) > 1:
        return "its constant differs from sample to sample"
    return None


def _comes_from_binary(graph: Graph, tensor: str) -> bool:
    """Tells whether only constants stand between a tensor and a binary convolution."""
    node = graph.producer(tensor)
    while node.op in _BETWEEN:
        varying = [t for t in data_inputs(node) if graph.constant(t) is None]
        if len(varying) != 1:
            return False
        node = graph.producer(varying[0])
    if node.op != "Conv2D" or not is_nhwc(node):
        return False
    kernel = graph.constant(node.input[1])
    return kernel is not None and is_taken_for_binary(kernel)


def _build(
    x: tf.Tensor, *, match: ConstantOperand, shape: tuple[int, ...]
) -> tf.Tensor:
    constant, function = match.constant, _JOINED[match.node.op]
    by_place = constant.size != constant.shape[-1]
    if by_place:
        x = tf.reshape(x, (-1, math.prod(shape)))
        constant = np.broadcast_to(constant, (1, *shape))
    constant = constant.ravel()
    y = function(x, constant) if match.is_last else function(constant, x)
    return tf.reshape(y, (-1, *shape)) if by_place else y
