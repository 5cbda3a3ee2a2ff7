"""Export of the binary weights of a model as arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from converters.graph.kernels import quantized_layers
from converters.model_arrays import check_model

_KINDS = ("kernel", "depthwise", "pointwise")


@dataclasses.dataclass(frozen=True)
class BinaryWeights:
    """The kernel of one layer: `signs * scales`.

    Attributes:
        signs: -1 and +1, int8, in the shape of the Keras kernel.
        scales: The magnitude in each output channel, float32, in a shape that
            multiplies `signs`: all ones for a plain sign.
    """

    signs: np.ndarray
    scales: np.ndarray


def export_binary_weights(model: tf.keras.Model) -> dict[str, BinaryWeights]:
    """Returns the binary kernels of a model by the names of their layers.

    Latent kernels are exported as their quantizers binarize them. Kernels that are not
    c and -c in each output channel are left out.

    Args:
        model: A built Keras model with layers of Larq.

    Returns:
        The weights, in the order of the model. The kernels of a separable layer have
        the name of the layer followed by `"/depthwise"` and `"/pointwise"`.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If the model is not built, or holds no binary kernel.

    Example:
        >>> import zoo_extensions as zx
        >>> weights = export_binary_weights(zx.TinyResidualBNN())
        >>> weights["stage1_1_conv"].signs.shape, weights["stage1_1_conv"].signs.dtype
        ((3, 3, 32, 32), dtype('int8'))
        >>> weights["stage1_1_conv"].scales.ravel()[:3]
        array([1., 1., 1.], dtype=float32)
    """
    check_model(model)
    if not model.built:
        raise ValueError(f"{model.name} has no weights yet: build it, or call it once.")
    found = {}
    for layer in quantized_layers(model):
        for kind in _KINDS:
            weights = _weights(layer, kind)
            if weights is not None:
                name = layer.name if kind == "kernel" else f"{layer.name}/{kind}"
                found[name] = weights
    if not found:
        raise ValueError(
            f"{model.name} holds no kernel that is c and -c in each output channel."
        )
    return found


def _weights(layer: tf.keras.layers.Layer, kind: str) -> BinaryWeights | None:
    variable = "kernel" if kind == "kernel" else f"{kind}_kernel"
    kernel = getattr(layer, variable, None)
    quantizer = getattr(layer, f"{kind}_quantizer", None)
    if kernel is None or quantizer is None:
        return None
    values = np.asarray(quantizer(kernel.numpy()), np.float32)
    # A depthwise kernel has its outputs in the last two axes.
    axes = tuple(range(values.ndim - (2 if kind == "depthwise" else 1)))
    magnitude = np.abs(values)
    scales = magnitude.max(axis=axes, keepdims=True)
    if not (magnitude == scales).all() or not (scales > 0).all():
        return None
    return BinaryWeights(np.where(values < 0, -1, 1).astype(np.int8), scales)
