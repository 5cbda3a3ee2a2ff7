"""MatMul of signs   becomes   Reshape -> 1x1 Conv2D -> Reshape.

Larq Compute Engine has no binary matrix product: a `QuantDense` stays float, and its
weights take 32 times the room. As a convolution of an image of one pixel it is binary.
The result is the same but for the order of float sums.
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
from converters.graph.kernels import is_binary
from converters.graph.patterns import output_of
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _DenseOfSigns:
    """A matrix product of signs.

    Attributes:
        node: The product.
    """

    node: NodeDef


def rewrite(graph: Graph) -> list[str]:
    """Replaces products of signs with constant binary matrices."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        graph.replace(
            [output_of(match.node)],
            [match.node.input[0]],
            functools.partial(_build, kernel=graph.known(match.node.input[1])),
            f"{name}/as_conv",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_DenseOfSigns]:
    for node in graph.nodes("MatMul"):
        if _comes_from_signs(graph, node.input[0]):
            yield _DenseOfSigns(node)


def _check(graph: Graph, match: _DenseOfSigns) -> str | None:
    if match.node.attr["transpose_a"].b or match.node.attr["transpose_b"].b:
        return "it multiplies a transposed matrix"
    if not is_binary(graph.constant(match.node.input[1])):
        return "its matrix is not +c and -c in each column"
    return None


def _comes_from_signs(graph: Graph, tensor: str) -> bool:
    """Tells whether a tensor holds signs, moved at most."""
    node = graph.producer(tensor)
    if node.op in ("Reshape", "ExpandDims", "Squeeze", "Transpose"):
        return _comes_from_signs(graph, node.input[0])
    return graph.pre_sign(tensor) is not None


def _build(x: tf.Tensor, *, kernel: np.ndarray) -> tf.Tensor:
    channels, units = kernel.shape
    image = tf.reshape(x, (-1, 1, 1, channels))
    filters = kernel.reshape(1, 1, channels, units)
    y = tf.nn.conv2d(image, filters, 1, "VALID")
    return tf.reshape(y, (-1, units))
