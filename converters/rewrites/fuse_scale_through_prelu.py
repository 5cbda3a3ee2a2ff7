"""BatchNormalization -> PReLU -> scale s   becomes   BatchNormalization' -> PReLU'.

BNext normalizes products of a PReLU, and the scale of a normalization that no
convolution precedes is a multiplication of the whole image. For a scale s of a channel

    s prelu(x, a) = prelu(s x, a)            s > 0
    s prelu(x, a) = prelu(a s x, 1 / a)      s < 0, which needs a > 0

and the normalization before the PReLU, which costs nothing, takes it. Where the PReLU
is also multiplied by a constant, that is divided by s. The result is the same but for
the rounding of floats.
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
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import (
    BatchNorm,
    PRelu,
    batch_norm_of,
    by_channel,
    channels_of,
    output_of,
    prelu,
    prelu_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
# Beyond it or below its inverse, products of a few such scales leave float32.
_ROOM = 2.0**40


@dataclasses.dataclass(frozen=True)
class _NormedProduct:
    """A batch normalization of a product with a PReLU.

    Attributes:
        node: The node of the batch normalization.
        norm: What it is.
        prelu: The PReLU.
        user: Name of the node on the way to `node` that takes the PReLU.
    """

    node: NodeDef
    norm: BatchNorm
    prelu: PRelu
    user: str


def rewrite(graph: Graph) -> list[str]:
    """Moves the scales of normalizations through products and a PReLU."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        _fuse(graph, match)
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_NormedProduct]:
    for node in graph.nodes("FusedBatchNormV3"):
        norm = batch_norm_of(graph, node)
        if norm is not None:
            output, channels = output_of(node), norm.channels
            found = _prelu_in_product(graph, norm.source, output, channels)
            if found is not None:
                yield _NormedProduct(node, norm, *found)


def _check(graph: Graph, match: _NormedProduct) -> str | None:
    scale, slope = match.norm.scale, match.prelu.slope
    if not _is_moderate(scale):
        return "float32 has no room for products with its scale"
    if _inner_norm(graph, match) is None or len(graph.users(match.prelu.source)) != 2:
        return "no batch normalization belongs to its PReLU alone"
    if any(_constant_scale(graph, o, match) is None for o in _others(graph, match)):
        return "its PReLU is used by what is no product with a constant"
    flipped = scale < 0
    if (slope[flipped] <= 0).any():
        return "its PReLU has a slope that is not positive where its scale is negative"
    if not _is_moderate(1 / slope[flipped].astype(np.float64)):
        return "float32 has no room for the inverse of a slope of its PReLU"
    return None


def _prelu_in_product(
    graph: Graph, tensor: str, user: str, channels: int
) -> tuple[PRelu, str] | None:
    """Returns the PReLU that a product is made of, and the node that takes it."""
    tensor = graph.source(tensor)
    found = prelu_of(graph, tensor)
    if found is not None:
        return (found, user.partition(":")[0]) if len(found.slope) == channels else None
    node = graph.producer(tensor)
    if node.op != "Mul" or len(graph.users(tensor)) != 1:
        return None
    operands = [graph.source(operand) for operand in data_inputs(node)]
    for operand in operands if len(set(operands)) == 2 else ():
        if channels_of(graph, operand) == channels:
            inner = _prelu_in_product(graph, operand, tensor, channels)
            if inner is not None:
                return inner
    return None


def _is_moderate(scale: np.ndarray) -> bool:
    """Tells whether float32 has room for numbers times these, and over these."""
    sizes = np.abs(scale)
    return bool(((sizes > 1 / _ROOM) & (sizes < _ROOM)).all())


def _inner_norm(graph: Graph, match: _NormedProduct) -> BatchNorm | None:
    """Returns the batch normalization before the PReLU."""
    return batch_norm_of(graph, graph.producer(match.prelu.source))


def _others(graph: Graph, match: _NormedProduct) -> list[NodeDef]:
    """Returns the other nodes that take the PReLU."""
    users = graph.users(match.prelu.output)
    return [user for user in users if user.name != match.user]


def _constant_scale(
    graph: Graph, node: NodeDef, match: _NormedProduct
) -> np.ndarray | None:
    """Returns the constant by which a node multiplies the PReLU."""
    if node.op != "Mul":
        return None
    first, second = data_inputs(node)
    is_first = graph.source(first) == canonical(match.prelu.output)
    channels = channels_of(graph, output_of(node))
    return by_channel(graph, second if is_first else first, channels)


def _fuse(graph: Graph, match: _NormedProduct) -> None:
    inner = _inner_norm(graph, match)
    if inner is None:
        raise ValueError("No batch normalization precedes the PReLU.")
    others = _others(graph, match)
    constants = [_constant_scale(graph, other, match) for other in others]
    scale, slope = match.norm.scale, match.prelu.slope.astype(np.float64)
    flipped = scale < 0
    inner_scale = np.where(flipped, scale * slope, scale)
    slope[flipped] = 1 / slope[flipped]
    graph.replace(
        [output_of(match.node)],
        [match.norm.source],
        functools.partial(_biased, bias=match.norm.bias.astype(np.float32)),
        f"{graph.layer(match.node)}/offset",
    )
    for other, constant in zip(others, constants):
        rest = (np.asarray(constant) / scale).astype(np.float32)
        graph.replace(
            [output_of(other)],
            [match.prelu.output],
            functools.partial(_scaled, scale=rest),
            f"{graph.layer(other)}/factor",
        )
    graph.replace(
        [match.prelu.output],
        [inner.source],
        functools.partial(
            _normed_prelu,
            norm=inner.scaled(inner_scale),
            slope=slope.astype(np.float32),
        ),
        f"{graph.layer(graph.producer(match.prelu.output))}/scaled",
    )


def _biased(x: tf.Tensor, *, bias: np.ndarray) -> tf.Tensor:
    return x + bias


def _scaled(x: tf.Tensor, *, scale: np.ndarray) -> tf.Tensor:
    return x * scale


def _normed_prelu(x: tf.Tensor, *, norm: BatchNorm, slope: np.ndarray) -> tf.Tensor:
    return prelu(norm.applied(x), slope)
