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

from converters.graph.editor import Editor
from converters.graph.kernels import is_binary
from converters.graph.nodes import data_inputs
from converters.graph.patterns import is_nhwc, like


def rewrite(editor: Editor) -> list[str]:
    """Takes numbers off the signs in front of binary convolutions."""
    import tensorflow as tf

    changed = []
    for node in editor.nodes("Conv2D"):
        source, kernel = data_inputs(node)
        if not is_nhwc(node) or editor.signed_value(source) is not None:
            continue
        found = scaled_sign(editor, source)
        if found is None or not is_binary(editor.constant(kernel)):
            continue
        filters = editor.known(kernel)
        sign, factor, constant = found
        if factor == 0:
            continue
        shape = editor.inner_shape(source)
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

        name = editor.layer(node)
        editor.replace([f"{node.name}:0"], [sign], build, f"{name}/factor")
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


def scaled_sign(editor: Editor, tensor: str) -> tuple[str, float, float] | None:
    """Returns a sign and the numbers a and b of which a tensor is `a sign + b`."""
    if editor.signed_value(tensor) is not None:
        return editor.source(tensor), 1.0, 0.0
    node = editor.producer(tensor)
    if node.op == "Neg":
        found = scaled_sign(editor, node.input[0])
        return None if found is None else (found[0], -found[1], -found[2])
    if node.op not in ("Mul", "RealDiv", "Add", "AddV2", "Sub"):
        return None
    first, second = data_inputs(node)
    number = _number(editor, second)
    if number is not None:
        found, reversed_ = scaled_sign(editor, first), False
    else:
        number = _number(editor, first)
        found, reversed_ = scaled_sign(editor, second), True
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


def _number(editor: Editor, tensor: str) -> float | None:
    constant = editor.constant(tensor)
    if constant is None or constant.size != 1:
        return None
    return float(constant.item())
