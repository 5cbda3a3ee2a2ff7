"""Kernels that are signs, or nearly so, and the layers of a model that hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# Larq Compute Engine takes a weight for +-c that is off by so much at most.
BINARIZATION_TOLERANCE = 0.005
# Of a float32 kernel that was scaled and scaled back.
ROUNDING = 1e-6
_QUANTIZERS = (
    "input_quantizer",
    "kernel_quantizer",
    "depthwise_quantizer",
    "pointwise_quantizer",
)


@dataclasses.dataclass(frozen=True)
class RoundedKernel:
    """A kernel that is +-c of each output channel but for the rounding of floats.

    Attributes:
        layer: Name of its layer.
        weights: How many of its weights are not exactly that.
        farthest: How far they are off at most, relative to c.
    """

    layer: str
    weights: int
    farthest: float


def quantized_layers(model: tf.keras.Model | None) -> list[tf.keras.layers.Layer]:
    """Returns the layers of a Keras model that have a quantizer, nested ones too.

    In a full-precision model of Larq's layers, where none has one, they are the layers
    that could have one. There are none in `None`.
    """
    able: dict[int, tf.keras.layers.Layer] = {}

    def visit(module: tf.Module) -> None:
        # The table of an embedding is looked up in; it computes nothing.
        is_table = hasattr(module, "embeddings")
        if any(hasattr(module, name) for name in _QUANTIZERS) and not is_table:
            able.setdefault(id(module), module)
        # A model knows the order of its layers, a wrapper layer only what it holds.
        for inner in getattr(module, "layers", None) or module.submodules:
            visit(inner)

    if model is not None:
        visit(model)
    quantized = [
        layer
        for layer in able.values()
        if any(getattr(layer, name, None) is not None for name in _QUANTIZERS)
    ]
    return quantized or list(able.values())


def has_binary_table(model: tf.keras.Model) -> bool:
    """Whether a model holds a table of embeddings with a quantizer."""
    return any(
        getattr(module, "embeddings_quantizer", None) is not None
        for module in model.submodules
    )


def layer_names(model: tf.keras.Model) -> frozenset[str]:
    """Returns the names of all layers that are no models themselves."""
    import tensorflow as tf

    return frozenset(
        module.name
        for module in model.submodules
        if isinstance(module, tf.keras.layers.Layer)
        and not isinstance(module, tf.keras.Model)
    )


def sign_quantizers() -> tuple[type, ...]:
    """Returns larq's quantizers whose values are the signs of their inputs."""
    import larq as lq

    return (lq.quantizers.SteSign, lq.quantizers.ApproxSign, lq.quantizers.SwishSign)


def is_binary(kernel: np.ndarray | None) -> bool:
    """Whether a kernel is +c and -c in each output channel, its last axis."""
    if kernel is None or not kernel.size or not kernel.ndim:
        return False
    magnitude = np.abs(kernel.reshape(-1, kernel.shape[-1]))
    return bool((magnitude == magnitude[:1]).all() and (magnitude[0] > 0).all())


def is_taken_for_binary(kernel: np.ndarray) -> bool:
    """Whether Larq Compute Engine rounds a kernel to signs."""
    return bool(kernel.size and deviation(kernel).max() <= BINARIZATION_TOLERANCE)


def deviation(kernel: np.ndarray) -> np.ndarray:
    """Returns how far each weight is from +-c of its output channel, the last axis.

    Relative to c, the median magnitude of the channel; infinite where that is zero.
    """
    magnitude = np.abs(kernel)
    axes = tuple(range(kernel.ndim - 1))
    scale = np.median(magnitude, axis=axes, keepdims=True)
    return np.where(
        scale > 0, np.abs(magnitude - scale) / (scale + (scale == 0)), np.inf
    )


def rounded_kernels(model: tf.keras.Model) -> tuple[RoundedKernel, ...]:
    """Returns the kernels that become signs by a change within float rounding.

    Args:
        model: A Keras model.

    Returns:
        Those that are off by at most 1e-6 of their magnitude, and not exact.
    """
    return tuple(
        RoundedKernel(layer.name, int((off > 0).sum()), float(off.max()))
        for layer, off in deviations(model)
        if 0 < off.max() <= ROUNDING
    )


def deviations(
    model: tf.keras.Model,
) -> Iterator[tuple[tf.keras.layers.Layer, np.ndarray]]:
    """Yields the layers whose kernels are not exactly +-c, and by how much each is."""
    for layer in quantized_layers(model):
        kernel = getattr(layer, "kernel", None)
        quantizer = getattr(layer, "kernel_quantizer", None)
        if kernel is None or quantizer is None:
            continue
        kernel = np.asarray(quantizer(kernel.numpy()))
        if not is_binary(kernel):
            yield layer, deviation(kernel.astype(np.float64))
