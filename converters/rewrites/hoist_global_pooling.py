"""A mean over the image goes in front of products and sums with constants.

mean(a x + b y + c) = a mean(x) + b mean(y) + c

with a, b and c constants of each channel. What BNext squeezes is such a mix, which then
is no image any more. The result is the same but for the order of float sums.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import by_channel, channels_of, prelu_of


def rewrite(graph: Graph) -> list[str]:
    """Computes means of images before what is linear in them."""
    changed = []
    for node in graph.nodes("Mean"):
        name = graph.layer(node)
        if _move(graph, node):
            changed.append(name)
    return changed


@dataclasses.dataclass(frozen=True)
class _Mix:
    """A sum of images with factors, and a constant.

    Attributes:
        tensors: Names of the images.
        factors: Factors of each of them, (channels,).
        shift: What is added, (channels,).
        saved: Number of images that were computed for a constant.
    """

    tensors: tuple[str, ...]
    factors: tuple[np.ndarray, ...]
    shift: np.ndarray
    saved: int

    def times(self, factor: np.ndarray | float) -> _Mix:
        """Returns this times a constant."""
        factors = tuple(f * factor for f in self.factors)
        return dataclasses.replace(self, factors=factors, shift=self.shift * factor)

    def plus(self, shift: np.ndarray) -> _Mix:
        """Returns this plus a constant."""
        return dataclasses.replace(self, shift=self.shift + shift)

    def plus_mix(self, other: _Mix) -> _Mix:
        """Returns the sum of both."""
        return _Mix(
            self.tensors + other.tensors,
            self.factors + other.factors,
            self.shift + other.shift,
            self.saved + other.saved,
        )


def _move(graph: Graph, node: Any) -> bool:
    import tensorflow as tf

    x, axes = data_inputs(node)
    shape, over = graph.shape(x), graph.constant(axes)
    if len(shape) != 4 or over is None or sorted(np.ravel(over) % 4) != [1, 2]:
        return False
    channels = channels_of(graph, x)
    if channels is None:
        return False
    mix = _mix(graph, x, shape, channels)
    if not mix.saved:
        return False
    keep = node.attr["keep_dims"].b

    def build(*images: Any) -> Any:
        summands = []
        for image, factor in zip(images, mix.factors):
            mean = tf.reduce_mean(image, (1, 2), keepdims=keep)
            changes = (factor != 1).any()
            summands.append(mean * _short(factor) if changes else mean)
        if mix.shift.any():
            summands.append(_short(mix.shift))
        return sum(summands[1:], summands[0])

    name = f"{graph.layer(node)}/first"
    graph.replace([f"{node.name}:0"], mix.tensors, build, name)
    return True


def _short(constant: np.ndarray) -> np.ndarray:
    """Returns one number where those of all channels are equal."""
    equal = (constant == constant[0]).all()
    short: np.ndarray = (constant[0] if equal else constant).astype(np.float32)
    return short


def _mix(graph: Graph, tensor: str, shape: Any, channels: int) -> _Mix:
    """Takes a tensor apart; what others use, too, stays whole."""
    tensor = graph.source(tensor)
    whole = _Mix((tensor,), (np.ones(channels),), np.zeros(channels), 0)
    node = graph.producer(tensor)
    known = node.op in ("Add", "AddV2", "Sub", "Mul")
    if not known or len(graph.users(tensor)) != 1:
        return whole
    if prelu_of(graph, tensor) is not None:
        # It is one operation.
        return whole
    first, second = data_inputs(node)
    for x, other in ((first, second), (second, first)):
        constant = by_channel(graph, other, channels)
        if constant is None or graph.shape(x) != shape:
            continue
        number = constant.astype(np.float64)
        inner = _mix(graph, x, shape, channels)
        inner = dataclasses.replace(inner, saved=inner.saved + 1)
        if node.op == "Mul":
            return inner.times(number)
        if node.op == "Sub":
            return inner.plus(-number) if x == first else inner.times(-1).plus(number)
        return inner.plus(number)
    if node.op == "Mul" or {graph.shape(first), graph.shape(second)} != {shape}:
        return whole
    one, two = (_mix(graph, part, shape, channels) for part in (first, second))
    if not one.saved + two.saved:
        return whole
    return one.plus_mix(two.times(-1) if node.op == "Sub" else two)
