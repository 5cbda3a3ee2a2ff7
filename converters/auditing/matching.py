"""The binary operator that holds the kernel of a layer, found by its bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from converters.auditing.reasons import NO_PATTERN, why_float
from converters.graph.kernels import quantized_layers
from converters.runtime import TfliteFile
from converters.runtime.bits import BINARY_CONVOLUTION, WORD, filter_is_negative


@dataclasses.dataclass
class Match:
    """A layer with quantizers and its operator.

    Attributes:
        layer: The layer.
        kernel: Its quantized kernel, (height, width, in, out), or `None`.
        operator: Index of the operator that holds the kernel, or `None`.
        is_foreign: Whether none does, though a filter that belongs to no layer has the
            shape of the kernel.
    """

    layer: tf.keras.layers.Layer
    kernel: np.ndarray | None
    operator: int | None = None
    is_foreign: bool = False


def match_layers(model: tf.keras.Model, file: TfliteFile) -> list[Match]:
    """Finds the operators of the layers with quantizers, in the order of the model.

    Args:
        model: The Keras model.
        file: The file.
    """
    # Pieces of filters that belong to no layer yet, (operator, filter).
    free = [
        (index, filter_is_negative(file, operator.inputs[1]))
        for index, operator in enumerate(file.operators)
        if operator.name == BINARY_CONVOLUTION
    ]
    matches = [Match(layer, _kernel(layer)) for layer in quantized_layers(model)]
    # Layers that are equal but for flipped outputs come first: they are certain. Then
    # those that nothing kept float: of a small kernel a flipped one tells little.
    _search(matches, free, inputs_too=False)
    missing = [match for match in matches if match.operator is None]
    pure = [match for match in missing if why_float(match.layer)[0] == NO_PATTERN]
    _search(pure, free, inputs_too=True)
    _search([m for m in missing if _is_telling(m.kernel)], free, inputs_too=True)
    for match in matches:
        match.is_foreign = match.operator is None and any(
            _has_shape_of(match.kernel, rows) for _, rows in free
        )
    return matches


def _search(
    matches: Iterable[Match], free: list[tuple[int, np.ndarray]], inputs_too: bool
) -> None:
    """Takes the kernels of layers that have no operator yet out of the filters."""
    for match in matches:
        if match.kernel is not None and match.operator is None:
            filters = np.moveaxis(match.kernel < 0, -1, 0)
            match.operator = _take(filters, free, inputs_too)


def _kernel(layer: tf.keras.layers.Layer) -> np.ndarray | None:
    """Returns the kernel that a layer computes with, (height, width, in, out).

    `None` where it has none of the kind. Dense layers and convolutions over time are
    written as convolutions of images of height 1.
    """
    kernel = getattr(layer, "kernel", None)
    if kernel is None or not 2 <= len(kernel.shape) <= 4:
        return None
    # A quantizer may take the signs about another number than zero.
    quantizer = getattr(layer, "kernel_quantizer", None)
    values = kernel.numpy()
    if quantizer is not None:
        values = np.asarray(quantizer(values))
    return values.reshape((1,) * (4 - values.ndim) + values.shape)


def _has_shape_of(kernel: np.ndarray | None, rows: np.ndarray) -> bool:
    """Whether a filter (out, height, width, in) could be a kernel."""
    if kernel is None:
        return False
    *size, channels, filters = kernel.shape
    padded = -(-channels // WORD) * WORD
    return rows.shape[1:] == (*size, padded) and len(rows) >= filters


def _is_telling(kernel: np.ndarray | None) -> bool:
    """Whether a kernel has far more bits than signs that may be flipped."""
    return kernel is not None and kernel.size >= 4 * sum(kernel.shape[-2:])


def _take(
    kernel: np.ndarray, free: list[tuple[int, np.ndarray]], inputs_too: bool
) -> int | None:
    """Takes a kernel (out, height, width, in) out of the filters it is a part of.

    Layers that were merged lie in one filter, one after the other.
    """
    size = len(kernel)
    for place, (index, rows) in enumerate(free):
        if kernel.shape[1:3] != rows.shape[1:3]:
            continue
        for start in range(len(rows) - size + 1):
            part = rows[start : start + size]
            if _equal_up_to_signs(kernel, part, inputs_too):
                rest = [rows[:start], rows[start + size :]]
                free[place : place + 1] = [(index, r) for r in rest if len(r)]
                return index
    return None


def _equal_up_to_signs(
    kernel: np.ndarray, negative: np.ndarray, inputs_too: bool
) -> bool:
    """Whether two filters differ by a sign for each output, and perhaps each input."""
    channels = kernel.shape[-1]
    if kernel.shape[:-1] != negative.shape[:-1]:
        return False
    if -(-channels // WORD) * WORD != negative.shape[-1]:
        return False
    # The first outputs tell most filters apart.
    few = kernel[:2] != negative[:2, ..., :channels]
    if not _differs_by_signs(few, inputs_too):
        return False
    return _differs_by_signs(kernel != negative[..., :channels], inputs_too)


def _differs_by_signs(difference: np.ndarray, inputs_too: bool) -> bool:
    if inputs_too:
        difference = difference ^ difference[:1, :1, :1]
    rows = difference.reshape(len(difference), -1)
    return bool((rows.all(axis=1) | ~rows.any(axis=1)).all())
