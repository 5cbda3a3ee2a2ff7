"""conv(a sign(x) + b, W)   becomes   conv(sign(x), a W) + b conv(1, W).

Larq Compute Engine recognizes a binary convolution by the sign directly before it, and
a kernel of +c and -c. Activations of 0 and 1 are such signs, with a = b = 1/2. Zeros
that the convolution pads with count as zeros, so that the constant differs at the edge.
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
from converters.graph.nodes import data_inputs
from converters.graph.patterns import ADD, convolve_like, is_nhwc, output_of
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
# Larq Compute Engine takes +-c for signs if c is more than 1e-7.
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True)
class _ScaledSign:
    """A tensor that is `scale * sign + bias`.

    Attributes:
        sign: Name of the tensor of signs.
        scale: What they are multiplied by.
        bias: What is added then.
    """

    sign: str
    scale: float
    bias: float

    def times(self, number: float) -> _ScaledSign:
        """Returns this times a number."""
        return _ScaledSign(self.sign, self.scale * number, self.bias * number)

    def over(self, number: float) -> _ScaledSign:
        """Returns this over a number."""
        return _ScaledSign(self.sign, self.scale / number, self.bias / number)

    def plus(self, number: float) -> _ScaledSign:
        """Returns this plus a number."""
        return dataclasses.replace(self, bias=self.bias + number)


@dataclasses.dataclass(frozen=True)
class _Match:
    """A convolution of scaled signs.

    Attributes:
        node: The convolution.
        input: Its input.
    """

    node: NodeDef
    input: _ScaledSign


def rewrite(graph: Graph) -> list[str]:
    """Moves the numbers on signs into binary convolutions and after them."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        kernel, scale = _kernel_and_scale(graph, match)
        graph.replace(
            [output_of(match.node)],
            [match.input.sign],
            functools.partial(
                _build,
                node=match.node,
                kernel=kernel,
                scale=scale,
                bias=_bias(graph, match) if match.input.bias else None,
            ),
            f"{name}/factor",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_Match]:
    for node in graph.nodes("Conv2D"):
        source = data_inputs(node)[0]
        if is_nhwc(node) and graph.pre_sign(source) is None:
            found = _scaled_sign(graph, source)
            if found is not None:
                yield _Match(node, found)


def _check(graph: Graph, match: _Match) -> str | None:
    if not is_binary(graph.constant(match.node.input[1])):
        return "its kernel is not +c and -c in each output channel"
    if not np.float32(match.input.scale):
        return "its signs are multiplied by zero"
    return None


def _scaled_sign(graph: Graph, tensor: str) -> _ScaledSign | None:
    """Returns a tensor as a sign times a number plus a number, or `None`."""
    if graph.pre_sign(tensor) is not None:
        return _ScaledSign(graph.source(tensor), 1.0, 0.0)
    node = graph.producer(tensor)
    if node.op == "Neg":
        found = _scaled_sign(graph, node.input[0])
        return None if found is None else found.times(-1)
    if node.op not in ("Mul", "RealDiv", "Sub", *ADD):
        return None
    first, second = data_inputs(node)
    number, is_first = _number(graph, second), True
    if number is None:
        number, is_first = _number(graph, first), False
    found = _scaled_sign(graph, first if is_first else second)
    if number is None or found is None:
        return None
    if node.op == "Mul":
        return found.times(number)
    if node.op == "RealDiv":
        return found.over(number) if is_first and number else None
    if node.op == "Sub":
        return found.plus(-number) if is_first else found.times(-1).plus(number)
    return found.plus(number)


def _number(graph: Graph, tensor: str) -> float | None:
    constant = graph.constant(tensor)
    if constant is None or constant.size != 1:
        return None
    return float(constant.item())


def _kernel_and_scale(
    graph: Graph, match: _Match
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the new kernel, and what each channel is multiplied by after it."""
    filters, number = graph.known(match.node.input[1]), np.float32(match.input.scale)
    kernel = number * filters
    scale: np.ndarray = np.abs(kernel).max(axis=(0, 1, 2))
    if scale.min() >= _LEAST:
        return kernel, None
    return np.sign(number) * np.sign(filters), scale


def _bias(graph: Graph, match: _Match) -> np.ndarray:
    """Returns the share of the constant in the result, an image or a vector."""
    filters = graph.known(match.node.input[1])
    shape = graph.inner_shape(match.node.input[0])
    groups = shape[-1] // filters.shape[2]
    image = np.full((1, *shape), match.input.bias, np.float32)
    # By groups, which not every device computes at once.
    parts = [
        np.asarray(convolve_like(match.node, part, kernel))
        for part, kernel in zip(
            np.split(image, groups, axis=-1), np.split(filters, groups, axis=-1)
        )
    ]
    bias: np.ndarray = np.concatenate(parts, axis=-1)
    return bias[0, 0, 0] if (bias == bias[:, :1, :1]).all() else bias


def _build(
    x: tf.Tensor,
    *,
    node: NodeDef,
    kernel: np.ndarray,
    scale: np.ndarray | None,
    bias: np.ndarray | None,
) -> tf.Tensor:
    y = convolve_like(node, x, kernel)
    y = y if scale is None else y * scale
    return tf.identity(y) if bias is None else y + bias
