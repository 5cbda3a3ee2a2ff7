"""Factors and constants on signs go behind the convolution.

conv(a sign(x) + b, W) = conv(sign(x), a W) + b conv(1, W)

Larq Compute Engine knows a binary convolution by the sign directly in front of it, and
a kernel of +c and -c. Activations of 0 and 1 are such signs, with a = b = 1/2. Zeros
that the convolution pads with count as zeros, so that the constant differs at the edge.
The result is the same but for the order of float sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.kernels import is_binary
from converters.graph.nodes import data_inputs
from converters.graph.patterns import is_nhwc, like


def rewrite(graph: Graph) -> list[str]:
    """Takes numbers off the signs in front of binary convolutions."""
    import tensorflow as tf

    changed = []
    for node in graph.nodes("Conv2D"):
        source, kernel = data_inputs(node)
        if not is_nhwc(node) or graph.pre_sign(source) is not None:
            continue
        found = scaled_sign(graph, source)
        if found is None or not is_binary(graph.constant(kernel)):
            continue
        filters = graph.known(kernel)
        sign, factor, constant = found
        if factor == 0:
            continue
        shape = graph.inner_shape(source)
        convolution, groups = like(node), shape[-1] // filters.shape[2]
        scaled = np.float32(factor) * filters
        edge: np.ndarray | None = None
        if constant:
            ones = np.full((1, *shape), constant, np.float32)
            edge = _by_groups(convolution, ones, filters, groups)
            if (edge == edge[:, :1, :1]).all():
                edge = edge[0, 0, 0]

        def build(
            x: Any,
            scaled: Any = scaled,
            convolution: Any = convolution,
            edge: Any = edge,
        ) -> Any:
            y = convolution(x, scaled)
            return tf.identity(y) if edge is None else y + edge

        name = graph.layer(node)
        graph.replace([f"{node.name}:0"], [sign], build, f"{name}/factor")
        changed.append(name)
    return changed


def _by_groups(
    convolution: Any, ones: np.ndarray, filters: np.ndarray, groups: int
) -> np.ndarray:
    """Convolves a constant image now, by groups, which not every device can at once."""
    parts = [
        np.asarray(convolution(image, kernel))
        for image, kernel in zip(
            np.split(ones, groups, axis=-1), np.split(filters, groups, axis=-1)
        )
    ]
    return np.concatenate(parts, axis=-1)


def scaled_sign(graph: Graph, tensor: str) -> tuple[str, float, float] | None:
    """Returns a sign and the numbers a and b of which a tensor is `a sign + b`."""
    if graph.pre_sign(tensor) is not None:
        return graph.source(tensor), 1.0, 0.0
    node = graph.producer(tensor)
    if node.op == "Neg":
        found = scaled_sign(graph, node.input[0])
        return None if found is None else (found[0], -found[1], -found[2])
    if node.op not in ("Mul", "RealDiv", "Add", "AddV2", "Sub"):
        return None
    first, second = data_inputs(node)
    number = _number(graph, second)
    if number is not None:
        found, reversed_ = scaled_sign(graph, first), False
    else:
        number = _number(graph, first)
        found, reversed_ = scaled_sign(graph, second), True
    if number is None or found is None:
        return None
    sign, a, b = found
    if node.op == "Mul":
        return sign, a * number, b * number
    if node.op == "RealDiv":
        return None if reversed_ or not number else (sign, a / number, b / number)
    if node.op == "Sub":
        return (sign, -a, number - b) if reversed_ else (sign, a, b - number)
    return sign, a, b + number


def _number(graph: Graph, tensor: str) -> float | None:
    constant = graph.constant(tensor)
    if constant is None or constant.size != 1:
        return None
    return float(constant.item())
