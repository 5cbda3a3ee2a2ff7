"""Explicit padding in front of a stride loses the part that no window reads.

Larq Compute Engine takes balanced explicit padding for TensorFlow's "same" whenever the
size of the output fits, although "same" puts it elsewhere if the stride is larger than
1: a 3x3 convolution of stride 2 on an even image, padded by one on each side as in
PyTorch, comes out wrong. The last row and column of that padding are never read; with
these gone the padding is not balanced, and stays what it is. The result is the same to
the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import is_nhwc, like, paddings


def rewrite(graph: Graph) -> list[str]:
    """Cuts unread padding off in front of convolutions with strides."""
    import tensorflow as tf

    changed = []
    for node, pad, cut, constant in find(graph):
        value, kernel = data_inputs(pad)[0], data_inputs(node)[1]
        convolution = like(node)

        def build(
            x: Any,
            filters: Any,
            cut: Any = cut,
            constant: float = constant,
            convolution: Any = convolution,
        ) -> Any:
            return convolution(tf.pad(x, cut, constant_values=constant), filters)

        name = graph.layer(node)
        graph.replace([f"{node.name}:0"], [value, kernel], build, f"{name}/cut")
        changed.append(name)
    return changed


def find(graph: Graph) -> list[tuple[Any, Any, np.ndarray, float]]:
    """Returns convolutions whose padding is partly unread.

    Each with what pads, the padding that is read, and its value.
    """
    found = []
    for node in graph.nodes("Conv2D", "DepthwiseConv2dNative"):
        strides = list(node.attr["strides"].list.i)
        if node.attr["padding"].s != b"VALID" or max(strides) == 1 or not is_nhwc(node):
            continue
        pad = graph.producer(node.input[0])
        if pad.op not in ("Pad", "PadV2"):
            continue
        given = paddings(graph, pad)
        if given is None:
            continue
        dilations = list(node.attr["dilations"].list.i)
        amounts, constant = given
        sizes = graph.inner_shape(data_inputs(pad)[0])[:2]
        kernel = graph.shape(data_inputs(node)[1])
        cut = _cut(amounts, sizes, kernel, strides, dilations)
        if (cut != amounts).any():
            found.append((node, pad, cut, constant))
    return found


def _cut(
    amounts: np.ndarray,
    sizes: Any,
    kernel: Any,
    strides: list[int],
    dilations: list[int],
) -> np.ndarray:
    """Returns the padding that windows read."""
    cut = amounts.copy()
    for axis in (1, 2):
        before, after = amounts[axis]
        size = sizes[axis - 1]
        extent = dilations[axis] * (kernel[axis - 1] - 1) + 1
        whole = before + size + after
        read = (whole - extent) // strides[axis] * strides[axis] + extent
        cut[axis, 1] = max(0, read - before - size)
    return cut
