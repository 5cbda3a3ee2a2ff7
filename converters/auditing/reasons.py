"""Why a layer with quantizers has no binary operator, and what to change."""

from __future__ import annotations

import larq as lq
import numpy as np
import tensorflow as tf

from converters.graph.kernels import (
    BINARIZATION_TOLERANCE,
    deviation,
    sign_quantizers,
)
from converters.runtime.bits import WORD

FOREIGN = (
    "no operator of the file holds its kernel, though one has the shape of it",
    "give the model that this file was made of; if it was trained since, convert it "
    "once more",
)
NO_PATTERN = "no pattern of Larq Compute Engine matched it"


def why_float(layer: tf.keras.layers.Layer) -> tuple[str, str]:
    """Returns why a layer has no binary operator, and what to change."""
    dense = isinstance(layer, lq.layers.QuantDense)
    over_time = isinstance(layer, lq.layers.QuantConv1D)
    if not (dense or over_time or isinstance(layer, lq.layers.QuantConv2D)):
        return (
            f"Larq Compute Engine has no binary operator for {type(layer).__name__}",
            "use QuantConv2D",
        )
    found = _why_unlike(layer) if not dense else None
    found = found or _why_inputs(layer) or _why_kernel(layer)
    if found is not None:
        return found
    if _scales_signs(layer.input_quantizer):
        return (
            f"its inputs are signs times a scale ({_name_of(layer.input_quantizer)})",
            "convert it with the rewrite 'fuse_sign_scale'",
        )
    if dense:
        return (
            "Larq Compute Engine has no binary dense operator",
            "convert it with the rewrite 'dense_to_conv'",
        )
    if over_time and (layer.groups > 1 or max(layer.dilation_rate) > 1):
        kind = "grouped" if layer.groups > 1 else "dilated"
        return (
            f"{kind} convolutions over time match no pattern of Larq Compute Engine",
            f"use QuantConv2D with kernel_size=(1, {layer.kernel_size[0]}) on images "
            "of height 1",
        )
    if over_time:
        return (
            "Larq Compute Engine looks for binary convolutions of images",
            "use the rewrites 'pad_conv1d_as_conv2d' and 'sink_sign'",
        )
    return (
        NO_PATTERN,
        "compare it with a plain QuantConv2D whose inputs and kernel are signs",
    )


def _why_unlike(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    """Returns how a convolution is unlike those that there are kernels for."""
    if layer.data_format == "channels_first":
        return (
            "its channels come first, and binary kernels read them last",
            "use data_format='channels_last', with inputs of that order",
        )
    if layer.padding == "same" and layer.pad_values not in (0.0, 1.0):
        return (
            f"it pads with {layer.pad_values}",
            "use pad_values=1.0, or for -1 the rewrite 'replace_negative_padding'",
        )
    if layer.padding == "causal":
        return (
            "its causal padding puts zeros among the signs",
            "use padding='valid' or 'same'",
        )
    channels = layer.kernel.shape[-2]
    if layer.groups > 1 and channels % WORD:
        return (
            f"its groups have {channels} channels",
            f"use groups of a multiple of {WORD} channels",
        )
    return None


def _why_inputs(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    """Returns why the inputs of a layer are not signs, or `None` if they are."""
    quantizer = layer.input_quantizer
    passes = quantizer is None or isinstance(quantizer, lq.quantizers.NoOp)
    if isinstance(quantizer, sign_quantizers()) or (passes and _reads_signs(layer)):
        return None
    if _scales_signs(quantizer):
        return None
    return (
        f"its inputs are not binary (input_quantizer is {_name_of(quantizer)})",
        "use input_quantizer='ste_sign'",
    )


def _scales_signs(quantizer: object) -> bool:
    """Whether a quantizer with weights, such as a learned scale, has two values."""
    if not getattr(quantizer, "weights", None) or not callable(quantizer):
        return False
    # From below any threshold to above it.
    probe = np.array([-1e6, -1.0, 0.0, 1.0, 1e6], np.float32)
    values = np.asarray(quantizer(probe))
    return bool(values[0] != values[-1] and set(values) == {values[0], values[-1]})


def _reads_signs(layer: tf.keras.layers.Layer) -> bool:
    """Whether the input of a layer is a layer of signs, perhaps reshaped or pooled."""
    moving = (
        tf.keras.layers.Dropout,
        tf.keras.layers.Flatten,
        tf.keras.layers.MaxPooling1D,
        tf.keras.layers.MaxPooling2D,
        tf.keras.layers.Permute,
        tf.keras.layers.Reshape,
    )
    tensor = _input_of(layer)
    while tensor is not None:
        maker = tensor.node.layer
        if isinstance(maker, sign_quantizers()):
            return True
        if isinstance(getattr(maker, "activation", None), sign_quantizers()):
            return True
        if not isinstance(maker, moving):
            return False
        tensor = _input_of(maker)
    return False


def _input_of(layer: tf.keras.layers.Layer) -> tf.Tensor | None:
    """Returns the one tensor of Keras that a layer reads, or `None`."""
    try:
        tensor = layer.input
    except AttributeError:  # It is called several times, or inside of another layer.
        return None
    return tensor if hasattr(tensor, "node") else None


def _why_kernel(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    """Returns why the kernel of a layer is not signs, or `None` if it is."""
    quantizer = layer.kernel_quantizer
    if quantizer is None or getattr(quantizer, "precision", 1) != 1:
        return (
            f"its kernel is not binary ({_name_of(quantizer)})",
            "use kernel_quantizer='ste_sign', or NoOp(precision=1) with Diode",
        )
    scale = getattr(layer, "learned_scale", None)
    if scale is not None and not np.any(scale):
        return (
            "the learned scale of its kernel is 0, so its outputs are its bias",
            "train it on, or start again with a lower learning rate",
        )
    kernel = np.asarray(quantizer(layer.kernel.numpy()))
    off = int((deviation(kernel) > BINARIZATION_TOLERANCE).sum())
    if not off:
        return None
    if isinstance(quantizer, lq.quantizers.NoOp):
        return (
            f"{off} weights of its kernel are not +-c of their output channel",
            "train it with Diode, GradientFilter or Bop from BernoulliSign()",
        )
    return (
        f"{off} values of {_name_of(quantizer)} of its kernel are not +-c of their "
        "output channel",
        "make them signs before the conversion; for TemperatureSign, convert "
        "zoo_extensions.force_sign(model)",
    )


def _name_of(quantizer: object) -> str:
    """Returns the name of a quantizer, which may be a function."""
    if quantizer is None:
        return "None"
    return getattr(quantizer, "__name__", type(quantizer).__name__)
