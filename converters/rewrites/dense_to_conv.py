"""A binary dense layer becomes a 1x1 convolution on an image of one pixel.

Larq Compute Engine has no binary matrix product: a `QuantDense` stays float, and its
weights take 32 times the room. The same for the convolutions over time that Keras
writes as convolutions of images of height 1, which need no change here but that of the
order. The result is the same but for the order of float sums.
"""

from __future__ import annotations

from typing import Any

from converters.graph.graph import Graph
from converters.graph.kernels import is_binary


def rewrite(graph: Graph) -> list[str]:
    """Replaces products of signs with constant binary matrices."""
    import tensorflow as tf

    changed = []
    for node in graph.nodes("MatMul"):
        kernel = graph.constant(node.input[1])
        turned = node.attr["transpose_a"].b or node.attr["transpose_b"].b
        if turned or not is_binary(kernel):
            continue
        if not _comes_from_signs(graph, node.input[0]):
            continue

        def build(x: Any, kernel: Any = kernel) -> Any:
            channels, units = kernel.shape
            image = tf.reshape(x, (-1, 1, 1, channels))
            filters = kernel.reshape(1, 1, channels, units)
            y = tf.nn.conv2d(image, filters, 1, "VALID")
            return tf.reshape(y, (-1, units))

        name = graph.layer(node)
        graph.replace([f"{node.name}:0"], [node.input[0]], build, f"{name}/as_conv")
        changed.append(name)
    return changed


def _comes_from_signs(graph: Graph, tensor: str) -> bool:
    """Whether a tensor holds signs, moved at most."""
    node = graph.producer(tensor)
    if node.op in ("Reshape", "ExpandDims", "Squeeze", "Transpose"):
        return _comes_from_signs(graph, node.input[0])
    return graph.pre_sign(tensor) is not None
