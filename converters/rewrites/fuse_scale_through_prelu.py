"""A factor behind a PReLU goes in front of it, into the convolution.

BNext normalizes products of a PReLU, and the factor of a normalization that no
convolution precedes is a multiplication of the whole image. For a factor s of a channel

    s prelu(x, a) = prelu(s x, a)            s > 0
    s prelu(x, a) = prelu(a s x, 1 / a)      s < 0, which needs a > 0

and the normalization in front of the PReLU, which costs nothing, takes it. Where the
PReLU is also multiplied by a constant, that is divided by s. The result is the same but
for the rounding of floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import Norm, by_channel, channels_of, norm_of, prelu_of

# Beyond it or below its inverse, products of a few such factors leave float32.
_ROOM = 2.0**40


def rewrite(graph: Graph) -> list[str]:
    """Moves the factors of normalizations through products to a PReLU."""
    changed = []
    for node in graph.nodes("FusedBatchNormV3"):
        name = graph.layer(node)
        if _move(graph, node):
            changed.append(name)
    return changed


def _move(graph: Graph, node: Any) -> bool:
    norm = norm_of(graph, node)
    if norm is None:
        return False
    factor = norm.factor
    if not _is_moderate(factor):
        return False
    found = _prelu_among_factors(graph, norm.source, f"{node.name}:0", norm.channels)
    if found is None:
        return False
    prelu, user = found
    inner = norm_of(graph, graph.producer(prelu.source))
    if inner is None or len(graph.users(prelu.source)) != 2:
        return False
    others = [u for u in graph.users(prelu.output) if u.name != user]
    constants = [_constant_factor(graph, u, prelu.output) for u in others]
    if any(constant is None for constant in constants):
        return False
    turned = factor < 0
    if (prelu.slope[turned] <= 0).any():
        return False
    slope, scale = prelu.slope.astype(np.float64), factor.copy()
    scale[turned] *= slope[turned]
    slope[turned] = 1 / slope[turned]
    if not _is_moderate(slope[turned]):
        return False
    name = graph.layer(node)
    offset = norm.offset.astype(np.float32)
    graph.replace(
        [f"{node.name}:0"], [norm.source], lambda x: x + offset, f"{name}/offset"
    )
    for other, constant in zip(others, constants):
        left = (np.asarray(constant) / factor).astype(np.float32)
        graph.replace(
            [f"{other.name}:0"],
            [prelu.output],
            lambda y, left=left: y * left,
            f"{graph.layer(other)}/factor",
        )
    _scale(graph, prelu.output, inner, scale, slope.astype(np.float32))
    return True


def _is_moderate(factor: np.ndarray) -> bool:
    """Whether float32 has room for numbers times these, and over these."""
    sizes = np.abs(factor)
    return bool(((sizes > 1 / _ROOM) & (sizes < _ROOM)).all())


def _scale(
    graph: Graph, output: str, inner: Norm, scale: np.ndarray, slope: np.ndarray
) -> None:
    """Computes a PReLU of another slope behind a normalization times a factor."""
    import tensorflow as tf

    gamma = (inner.gamma * scale).astype(np.float32)
    beta = (inner.beta * scale).astype(np.float32)
    mean, variance = (v.astype(np.float32) for v in (inner.mean, inner.variance))

    def build(x: Any) -> Any:
        z = tf.compat.v1.nn.fused_batch_norm(
            x,
            gamma,
            beta,
            mean,
            variance,
            epsilon=inner.epsilon,
            is_training=False,
        )[0]
        # The way of Keras, which Larq Compute Engine knows, of one rank less.
        negative = np.reshape(-slope, (1,) * (len(z.shape) - 2) + (-1,))
        return tf.nn.relu(z) + negative * tf.nn.relu(-z)

    name = graph.layer(graph.producer(output))
    graph.replace([output], [inner.source], build, f"{name}/scaled")


def _prelu_among_factors(
    graph: Graph, tensor: str, user: str, channels: int
) -> Any | None:
    """Returns the PReLU that a product is made of, and the node that takes it."""
    tensor = graph.source(tensor)
    prelu = prelu_of(graph, tensor)
    if prelu is not None:
        return (prelu, user.partition(":")[0]) if len(prelu.slope) == channels else None
    node = graph.producer(tensor)
    if node.op != "Mul" or len(graph.users(tensor)) != 1:
        return None
    factors = [graph.source(factor) for factor in data_inputs(node)]
    for factor in factors if len(set(factors)) == 2 else ():
        if channels_of(graph, factor) == channels:
            found = _prelu_among_factors(graph, factor, tensor, channels)
            if found is not None:
                return found
    return None


def _constant_factor(graph: Graph, node: Any, tensor: str) -> np.ndarray | None:
    """Returns the constant by which a node multiplies a tensor."""
    if node.op != "Mul":
        return None
    first, second = data_inputs(node)
    other = second if graph.source(first) == canonical(tensor) else first
    constant: np.ndarray | None = by_channel(
        graph, other, channels_of(graph, f"{node.name}:0")
    )
    return constant
