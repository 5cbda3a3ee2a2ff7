"""BatchNormalization -> Sign   becomes   Add -> Sign.

Only the sign counts, and with s = sqrt(variance + epsilon)

    sign(gamma (x - mu) / s + beta) = sign(gamma) sign(x - mu + beta s / gamma)

Where gamma is negative the sign is flipped, and the convolution after it has the
weights of that input channel negated. A convolution that pads with ones cannot have
that; those with zeros can. The result is the same but for rounding of the sum. A batch
normalization that joins a convolution before it costs nothing and stays.
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
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    ACTIVATIONS,
    BatchNorm,
    batch_norm_of,
    becomes_binary,
    convolve_like,
    output_of,
    why_no_batch_norm,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
# What a sum of float32 still holds, for signs that do not depend on the input.
_FAR = 1e30
_TINY = np.finfo(np.float32).tiny


@dataclasses.dataclass(frozen=True)
class _NormedSign:
    """A sign of a batch normalization.

    Attributes:
        node: The batch normalization.
        sign: Name of the tensor of signs.
        value: Name of the tensor that they are the signs of.
    """

    node: NodeDef
    sign: str
    value: str


def rewrite(graph: Graph) -> list[str]:
    """Replaces batch normalizations that only a sign uses."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        bias, flips = _bias_and_flips(graph, match.node)
        if (flips < 0).any():
            _flip_kernels(graph, match.sign, flips)
        graph.replace(
            [match.value],
            [data_inputs(match.node)[0]],
            functools.partial(_build, bias=bias),
            f"{name}/threshold",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_NormedSign]:
    for node in graph.nodes("Sign"):
        value = graph.pre_sign(output_of(node))
        if value is not None:
            norm = graph.producer(value)
            if norm.op == "FusedBatchNormV3":
                yield _NormedSign(norm, output_of(node), value)


def _check(graph: Graph, match: _NormedSign) -> str | None:
    if reason := why_no_batch_norm(graph, match.node):
        return reason
    if len(graph.users(match.value)) != 1 or match.value != output_of(match.node):
        return "not only a sign uses it"
    if _joins_convolution(graph, data_inputs(match.node)[0]):
        return "it joins the convolution before it, and costs nothing"
    _, flips = _bias_and_flips(graph, match.node)
    return _why_not_flipped(graph, match.sign, flips) if (flips < 0).any() else None


def _bias_and_flips(graph: Graph, node: NodeDef) -> tuple[np.ndarray, np.ndarray]:
    norm = batch_norm_of(graph, node)
    if norm is None:
        raise ValueError(f"{node.name} is no batch normalization of constants.")
    return bias_and_flips(norm)


def bias_and_flips(norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bias and the flips that replace a batch normalization before a sign.

    Args:
        norm: The batch normalization.

    Returns:
        The bias of each channel, float32, and its flip, 1 or -1, by which the sign is
        multiplied.
    """
    gamma = norm.gamma.astype(np.float64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        bias = norm.beta * norm.deviation / gamma - norm.mean
    bias = np.where(gamma == 0, np.where(norm.beta < 0, -_FAR, _FAR), bias)
    bias = np.clip(bias, -_FAR, _FAR).astype(np.float32)
    # The sign of zero is +1: where it is flipped, zero must count as negative.
    below = np.minimum(np.nextafter(bias, -np.inf, dtype=np.float32), bias - _TINY)
    flips = np.where(gamma < 0, -1, 1).astype(np.float32)
    return np.where(flips < 0, below, bias), flips


def _joins_convolution(graph: Graph, tensor: str) -> bool:
    """Tells whether a batch normalization of a tensor joins a convolution."""
    if len(graph.users(graph.source(tensor))) != 1:
        return False
    node = graph.producer(tensor)
    is_activated = node.op in ACTIVATIONS
    if is_activated:
        node = graph.producer(node.input[0])
    if node.op == "BiasAdd":
        node = graph.producer(node.input[0])
    if node.op not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
        return False
    # After an activation it joins a binary convolution that pads with no zeros.
    return not is_activated or node.attr["padding"].s == b"VALID"


def _why_not_flipped(graph: Graph, sign: str, flips: np.ndarray) -> str | None:
    """Returns why signs cannot be flipped by channel, `None` if they can."""
    users = graph.users(sign)
    names = {user.name for user in users}
    for user in users:
        if user.op != "Conv2D" or graph.source(user.input[0]) != sign:
            return f"{graph.layer(user)}, which takes its flipped signs, is no Conv2D"
        if not becomes_binary(graph, user):
            return f"{graph.layer(user)}, which takes its flipped signs, is not binary"
        kernel = graph.known(user.input[1])
        if kernel.shape[2] != len(flips):
            return f"{graph.layer(user)}, which takes its flipped signs, has groups"
        if any(
            other.name not in names
            and graph.layer(other) == graph.layer(user)
            and (value := graph.constant(other.input[1])) is not None
            and np.array_equal(value, kernel)
            for other in graph.nodes("Conv2D")
        ):
            return f"{graph.layer(user)} is called elsewhere, too, and would be two"
    return None


def _flip_kernels(graph: Graph, sign: str, flips: np.ndarray) -> None:
    """Negates the weights of input channels after a sign."""
    for user in graph.users(sign):
        kernel = graph.known(user.input[1]) * flips[:, np.newaxis]
        graph.replace(
            [output_of(user)],
            [sign],
            functools.partial(_convolve, node=user, kernel=kernel),
            f"{graph.layer(user)}/turned",
        )
    graph.record_alias(sign, sign, graph.shape(sign), flips)


def _convolve(x: tf.Tensor, *, node: NodeDef, kernel: np.ndarray) -> tf.Tensor:
    return convolve_like(node, x, kernel)


def _build(x: tf.Tensor, *, bias: np.ndarray) -> tf.Tensor:
    return x + bias
