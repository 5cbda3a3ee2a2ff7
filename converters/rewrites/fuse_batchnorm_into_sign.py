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

from converters.graph.editor import Editor
from converters.graph.nodes import data_inputs
from converters.graph.patterns import ACTIVATIONS, becomes_binary, is_nhwc, like

# What a sum of float32 still holds, for signs that do not depend on the input.
_FAR = 1e30
_TINY = np.finfo(np.float32).tiny


def rewrite(editor: Editor) -> list[str]:
    """Replaces batch normalizations that only a sign uses."""
    changed = []
    for node in editor.nodes("Sign"):
        value = editor.signed_value(f"{node.name}:0")
        if value is None:
            continue
        norm = editor.producer(value)
        if norm.op != "FusedBatchNormV3" or norm.attr["is_training"].b:
            continue
        if len(editor.users(value)) != 1 or value != f"{norm.name}:0":
            continue
        given = data_inputs(norm)
        if not is_nhwc(norm) or _joins_convolution(editor, given[0]):
            continue
        if any(editor.constant(source) is None for source in given[1:]):
            continue
        gamma, beta, mean, variance = (editor.known(source) for source in given[1:5])
        epsilon = norm.attr["epsilon"].f
        shift, flips = threshold(gamma, beta, mean, variance, epsilon)
        if (flips < 0).any() and not _flip(editor, f"{node.name}:0", flips):
            continue

        def build(x: Any, shift: Any = shift) -> Any:
            return x + shift

        name = editor.layer(norm)
        editor.replace([value], [given[0]], build, f"{name}/threshold")
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


def _joins_convolution(editor: Editor, tensor: str) -> bool:
    """Whether a batch normalization of a tensor becomes part of a convolution."""
    if len(editor.users(editor.source(tensor))) != 1:
        return False
    node = editor.producer(tensor)
    activated = node.op in ACTIVATIONS
    if activated:
        node = editor.producer(node.input[0])
    if node.op == "BiasAdd":
        node = editor.producer(node.input[0])
    if node.op not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
        return False
    # Behind an activation it joins a binary convolution that pads with no zeros.
    return not activated or node.attr["padding"].s == b"VALID"


def _flip(editor: Editor, sign: str, flips: np.ndarray) -> bool:
    """Negates the weights of input channels behind a sign; tells whether it can."""
    users = editor.users(sign)
    names = {user.name for user in users}
    for user in users:
        if user.op != "Conv2D" or editor.source(user.input[0]) != sign:
            return False
        if not becomes_binary(editor, user):
            return False
        kernel = editor.constant(user.input[1])
        if kernel is None or kernel.shape[2] != len(flips):
            return False
        if any(
            other.name not in names
            and editor.layer(other) == editor.layer(user)
            and (value := editor.constant(other.input[1])) is not None
            and np.array_equal(value, kernel)
            for other in editor.nodes("Conv2D")
        ):
            # A layer that is called elsewhere, too, would be stored twice.
            return False
    for user in users:
        turned = editor.known(user.input[1]) * flips[:, np.newaxis]
        convolution = like(user)

        def build(x: Any, turned: Any = turned, convolution: Any = convolution) -> Any:
            return convolution(x, turned)

        name = f"{editor.layer(user)}/turned"
        editor.replace([f"{user.name}:0"], [sign], build, name)
    editor.note_equal(sign, sign, editor.shape(sign), flips)
    return True
