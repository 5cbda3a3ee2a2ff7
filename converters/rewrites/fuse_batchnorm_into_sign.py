"""A batch normalization in front of a sign becomes one addition.

Only the sign counts, and with s = sqrt(variance + epsilon)

    sign(gamma (x - mu) / s + beta) = sign(gamma) sign(x - mu + beta s / gamma)

Where gamma is negative the sign is the other one, and the convolution behind it has
the weights of that input channel negated. A convolution that pads with ones cannot
have that; those with zeros can. The result is the same but for rounding of the sum. A
batch normalization that joins a convolution before it costs nothing and stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import ACTIVATIONS, becomes_binary, is_nhwc, like

# What a sum of float32 still holds, for signs that do not depend on the input.
_FAR = 1e30
_TINY = np.finfo(np.float32).tiny


def rewrite(graph: Graph) -> list[str]:
    """Replaces batch normalizations that only a sign uses."""
    changed = []
    for node in graph.nodes("Sign"):
        value = graph.pre_sign(f"{node.name}:0")
        if value is None:
            continue
        norm = graph.producer(value)
        if norm.op != "FusedBatchNormV3" or norm.attr["is_training"].b:
            continue
        if len(graph.users(value)) != 1 or value != f"{norm.name}:0":
            continue
        given = data_inputs(norm)
        if not is_nhwc(norm) or _joins_convolution(graph, given[0]):
            continue
        if any(graph.constant(source) is None for source in given[1:]):
            continue
        gamma, beta, mean, variance = (graph.known(source) for source in given[1:5])
        epsilon = norm.attr["epsilon"].f
        shift, flips = threshold(gamma, beta, mean, variance, epsilon)
        if (flips < 0).any() and not _flip(graph, f"{node.name}:0", flips):
            continue

        def build(x: Any, shift: Any = shift) -> Any:
            return x + shift

        name = graph.layer(norm)
        graph.replace([value], [given[0]], build, f"{name}/threshold")
        changed.append(name)
    return changed


def threshold(
    gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is added in front of the sign, and by what the sign is multiplied.

    Args:
        gamma: Scale of each channel, (channels,).
        beta: Offset of each channel, (channels,).
        mean: Moving mean, (channels,).
        variance: Moving variance, (channels,).
        epsilon: What is added to the variance.

    Returns:
        The summand, float32, and 1 or -1 for each channel.
    """
    gamma, beta, mean, variance = (
        np.asarray(array, np.float64) for array in (gamma, beta, mean, variance)
    )
    scale = np.sqrt(variance + epsilon)
    constant = gamma == 0
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        shift = beta * scale / gamma - mean
    shift = np.where(constant, np.where(beta < 0, -_FAR, _FAR), shift)
    shift = np.clip(shift, -_FAR, _FAR).astype(np.float32)
    # The sign of zero is +1, turned or not: where it is turned, zero must count below.
    below = np.minimum(np.nextafter(shift, -np.inf, dtype=np.float32), shift - _TINY)
    flips = np.where(gamma < 0, -1, 1).astype(np.float32)
    return np.where(flips < 0, below, shift), flips


def _joins_convolution(graph: Graph, tensor: str) -> bool:
    """Whether a batch normalization of a tensor becomes part of a convolution."""
    if len(graph.users(graph.source(tensor))) != 1:
        return False
    node = graph.producer(tensor)
    activated = node.op in ACTIVATIONS
    if activated:
        node = graph.producer(node.input[0])
    if node.op == "BiasAdd":
        node = graph.producer(node.input[0])
    if node.op not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
        return False
    # Behind an activation it joins a binary convolution that pads with no zeros.
    return not activated or node.attr["padding"].s == b"VALID"


def _flip(graph: Graph, sign: str, flips: np.ndarray) -> bool:
    """Negates the weights of input channels behind a sign; tells whether it can."""
    users = graph.users(sign)
    names = {user.name for user in users}
    for user in users:
        if user.op != "Conv2D" or graph.source(user.input[0]) != sign:
            return False
        if not becomes_binary(graph, user):
            return False
        kernel = graph.constant(user.input[1])
        if kernel is None or kernel.shape[2] != len(flips):
            return False
        if any(
            other.name not in names
            and graph.layer(other) == graph.layer(user)
            and (value := graph.constant(other.input[1])) is not None
            and np.array_equal(value, kernel)
            for other in graph.nodes("Conv2D")
        ):
            # A layer that is called elsewhere, too, would be stored twice.
            return False
    for user in users:
        turned = graph.known(user.input[1]) * flips[:, np.newaxis]
        convolution = like(user)

        def build(x: Any, turned: Any = turned, convolution: Any = convolution) -> Any:
            return convolution(x, turned)

        name = f"{graph.layer(user)}/turned"
        graph.replace([f"{user.name}:0"], [sign], build, name)
    graph.record_alias(sign, sign, graph.shape(sign), flips)
    return True
