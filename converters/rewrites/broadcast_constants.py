"""Constants behind a binary convolution are vectors.

Larq Compute Engine joins sums and products with constants to the convolution before
them, whatever the shape of the constant; but for a number or one for each channel the
file does not load. Ones in front of a shape are dropped. What differs from place to
place is applied to an image without its shape, which is not joined. The result is the
same to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.kernels import is_taken_for_binary
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import is_nhwc

_JOINED = ("Add", "AddV2", "Sub", "Mul", "RealDiv")
_BETWEEN = ("BiasAdd", "FusedBatchNormV3", "Relu", "Relu6", *_JOINED)


def rewrite(graph: Graph) -> list[str]:
    """Changes the shapes of constants that are joined to binary convolutions."""
    import tensorflow as tf

    changed = []
    for node, constant, first in find(graph):
        # One rewritten before may have changed what this one takes.
        value = data_inputs(node)[0 if first else 1]
        shape = graph.inner_shape(value)
        function = {
            "Sub": tf.subtract,
            "Mul": tf.multiply,
            "RealDiv": tf.divide,
        }.get(node.op, tf.add)

        def build(
            x: Any,
            constant: Any = constant,
            shape: Any = shape,
            first: bool = first,
            function: Any = function,
        ) -> Any:
            by_place = constant.size != constant.shape[-1]
            if by_place:
                x = tf.reshape(x, (-1, int(np.prod(shape))))
                constant = np.broadcast_to(constant, (1, *shape))
            constant = constant.ravel()
            y = function(x, constant) if first else function(constant, x)
            return tf.reshape(y, (-1, *shape)) if by_place else y

        name = graph.layer(node)
        graph.replace([f"{node.name}:0"], [value], build, f"{name}/constant")
        changed.append(name)
    return changed


def find(graph: Graph) -> list[tuple[Any, np.ndarray, bool]]:
    """Returns operations that would be joined and must not.

    Each with the constant, and whether that comes last.
    """
    found = []
    for node in graph.nodes(*_JOINED):
        pair = list(map(canonical, data_inputs(node)))
        constants = [graph.constant(tensor) for tensor in pair]
        if (constants[0] is None) == (constants[1] is None):
            continue
        first = constants[0] is None
        constant = np.asarray(constants[1] if first else constants[0])
        value = pair[0] if first else pair[1]
        shape = graph.shape(value)
        if constant.ndim < 2 or constant.ndim > len(shape):
            continue
        if constant.ndim == len(shape) and len(constant) > 1:
            # One for each sample of a batch.
            continue
        if _comes_from_binary(graph, value):
            found.append((node, constant, first))
    return found


def _comes_from_binary(graph: Graph, tensor: str) -> bool:
    """Whether only constants stand between a tensor and a binary convolution."""
    node = graph.producer(tensor)
    while node.op in _BETWEEN:
        open_ends = [t for t in data_inputs(node) if graph.constant(t) is None]
        if len(open_ends) != 1:
            return False
        node = graph.producer(open_ends[0])
    if node.op != "Conv2D" or not is_nhwc(node):
        return False
    kernel = graph.constant(node.input[1])
    return kernel is not None and is_taken_for_binary(kernel)
