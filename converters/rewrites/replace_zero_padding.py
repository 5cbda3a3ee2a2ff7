"""Zeros around an image that is smaller than the kernel become ones.

conv(pad(s, 0), W) = conv(pad(s, 1), W) - sum of the W that lie outside

Larq Compute Engine pads with +1, and takes off what was too much. That is right only
where no window reaches over both sides of the image. Here it is told to pad with +1,
and the difference, a constant at each place of the output, is subtracted behind it. The
result is the same to the bit but for the order of float sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import becomes_binary, like, same_padding


def rewrite(graph: Graph) -> list[str]:
    """Replaces zero padding where Larq Compute Engine would be wrong."""
    import tensorflow as tf

    changed = []
    for node in find(graph):
        kernel = np.asarray(graph.constant(node.input[1]))
        strides = tuple(node.attr["strides"].list.i)
        dilations = tuple(node.attr["dilations"].list.i)
        sizes = graph.inner_shape(node.input[0])[:2]
        amounts = same_padding(sizes, kernel.shape[:2], strides[1:3], dilations[1:3])
        outside = _outside(kernel, sizes, amounts, strides[1:3], dilations[1:3])
        around = ((0, 0), *map(tuple, amounts), (0, 0))
        convolution = like(node, "VALID")

        def build(
            x: Any,
            kernel: Any = kernel,
            outside: Any = outside,
            around: Any = around,
            convolution: Any = convolution,
        ) -> Any:
            padded = tf.pad(x, around, constant_values=1.0)
            return convolution(padded, kernel) - outside

        name = graph.layer(node)
        graph.replace(
            [f"{node.name}:0"], [data_inputs(node)[0]], build, f"{name}/around"
        )
        changed.append(name)
    return changed


def find(graph: Graph) -> list[Any]:
    """Returns the convolutions of signs whose zero padding comes out wrong."""
    found = []
    for node in graph.nodes("Conv2D"):
        if node.attr["padding"].s != b"SAME" or not becomes_binary(graph, node):
            continue
        kernel = np.asarray(graph.constant(node.input[1])).shape
        sizes = graph.inner_shape(node.input[0])[:2]
        dilations = node.attr["dilations"].list.i[1:3]
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel[:2])]
        if any(r > size for r, size in zip(reach, sizes)):
            found.append(node)
    return found


def _outside(
    kernel: np.ndarray, sizes: Any, amounts: np.ndarray, strides: Any, dilations: Any
) -> np.ndarray:
    """Returns the sum of the weights outside of the image.

    It is (rows, columns, out), or (out,) where that is the same everywhere.
    """
    inside = []
    for axis in (0, 1):
        starts = np.arange(0, sizes[axis], strides[axis]) - amounts[axis, 0]
        taps = dilations[axis] * np.arange(kernel.shape[axis])
        places = starts[:, np.newaxis] + taps
        inside.append((places >= 0) & (places < sizes[axis]))
    both = inside[0][:, np.newaxis, :, np.newaxis] & inside[1][:, np.newaxis]
    weights = kernel.sum(axis=2, dtype=np.float64)
    outside = np.einsum("yxhw,hwo->yxo", ~both, weights).astype(np.float32)
    one = outside[0, 0]
    return one if (outside == one).all() else outside
