"""Checks of a model before its conversion: what would come out wrong, by layer."""

from __future__ import annotations

from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from converters.errors import ConversionError
from converters.graph.kernels import (
    BINARIZATION_TOLERANCE,
    ROUNDING,
    deviations,
    has_binary_table,
    quantized_layers,
)
from converters.model_arrays import check_model, input_names, output_names

# Types of inputs that a file cannot have.
_UNKNOWN = ("bfloat16", "uint64")


def check(model: tf.keras.Model) -> None:
    """Raises a ConversionError for a model that would be converted wrongly.

    Args:
        model: A Keras model.

    Raises:
        ConversionError: With all reasons, by the names of inputs and layers.
        TypeError: If it is no Keras model.
    """
    check_model(model)
    if not quantized_layers(model) and not has_binary_table(model):
        raise ConversionError(
            f"{model.name} holds no layer with quantizers, nor one of Larq that could "
            "have them, so there is nothing binary to convert. For a float model use "
            "tf.lite.TFLiteConverter."
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ConversionError(
            f"{model.name} has no symbolic inputs, so its layers cannot be followed. "
            "Build it from tf.keras.Input (functional or Sequential)."
        )
    reasons = [
        *_types(model),
        *_inputs(model),
        *_quantizers(model),
        *_not_finite(model),
        *_kernels(model),
    ]
    if reasons:
        raise ConversionError("\n".join(reasons))


def _types(model: tf.keras.Model) -> list[str]:
    """Reports inputs and outputs that are no arrays of numbers."""
    ends = [
        *(("Input", name, x) for name, x in zip(input_names(model), model.inputs)),
        *(("Output", name, x) for name, x in zip(output_names(model), model.outputs)),
    ]
    reasons = []
    taken = model.input if isinstance(model.input, dict) else {}
    deep = any(tf.nest.is_nested(value) for value in taken.values())
    # Keras then takes each value for an input: it fails whatever it is given.
    if deep and len(taken) == len(model.inputs):
        reasons.append(
            f"{model.name} takes a dictionary of as many structures as inputs, with "
            "which Keras cannot call it. Build it with a dictionary of inputs alone."
        )
    for side, name, tensor in ends:
        spec, dtype = getattr(tensor, "type_spec", None), tensor.dtype
        if spec is not None and not isinstance(spec, tf.TensorSpec):
            kind = type(spec).__name__.removesuffix("Spec")
        elif not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
            kind = f"a tensor of {dtype.name}"
        elif 0 in (tensor.shape.as_list() if tensor.shape.rank else ()):
            kind = "a tensor without elements"
        elif side == "Input" and dtype.name in _UNKNOWN:
            reasons.append(
                f"{side} {name!r} is {dtype.name}, which no interpreter takes. Build "
                "the model with another type."
            )
            continue
        else:
            continue
        reasons.append(
            f"{side} {name!r} is {kind}, and a file has arrays of real numbers, "
            "integers and booleans. Compute this outside of the model."
        )
    return reasons


def _inputs(model: tf.keras.Model) -> list[str]:
    reasons = []
    for tensor in model.inputs:
        if tensor.shape[0] not in (None, 1):
            reasons.append(
                f"Input {tensor.name!r} has the fixed batch size {tensor.shape[0]}. "
                "Build the model without batch_size and load the weights into it."
            )
        if None in tuple(tensor.shape)[1:]:
            reasons.append(
                f"Input {tensor.name!r} has the unknown size {tuple(tensor.shape)}. "
                "Build the model with a fixed input_shape and load the weights into it."
            )
    return reasons


def _quantizers(model: tf.keras.Model) -> list[str]:
    """Reports quantizers of activations whose meaning would be lost."""
    reasons = []
    parts = [m for m in model.submodules if isinstance(m, tf.keras.layers.Layer)]
    held = {id(inner) for part in parts for inner in part.submodules}
    for layer in parts:
        scaled = isinstance(layer, lq.quantizers.MagnitudeAwareSign)
        if scaled and id(layer) not in held:
            reasons.append(
                f"{layer.name} is MagnitudeAwareSign, whose scale is a mean over the "
                "batch: on a device, with one input at a time, it is another one. Use "
                "SteSign."
            )
        for role in ("input_quantizer", "activation"):
            quantizer = getattr(layer, role, None)
            if isinstance(quantizer, lq.quantizers.SteTern):
                reasons.append(
                    f"{layer.name} has the {role} SteTern, which Larq Compute Engine "
                    "takes for a sign: zeros would become +1. Use 'ste_sign', or train "
                    "with another one."
                )
            if isinstance(quantizer, lq.quantizers.MagnitudeAwareSign):
                reasons.append(
                    f"{layer.name} has the {role} MagnitudeAwareSign, whose scale is "
                    "a mean over the batch: on a device, with one input at a time, it "
                    "is another one. Use 'ste_sign'."
                )
    return reasons


def _not_finite(model: tf.keras.Model) -> list[str]:
    """Reports weights that are NaN or infinite, whose signs would hide it."""
    owners = _owners(model)
    reasons = []
    for weight in model.weights:
        values = weight.numpy()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            reasons.append(
                f"{owners.get(id(weight), model.name)} has values that are NaN or "
                f"infinite: {int((~np.isfinite(values)).sum()):,} of {values.size:,} "
                f"in {weight.name}. Its training diverged: go back to an earlier "
                "checkpoint, or train with a lower learning rate."
            )
    return reasons


def _kernels(model: tf.keras.Model) -> list[str]:
    """Reports kernels that the converter would round to signs."""
    return [
        f"{layer.name} has {int((off > ROUNDING).sum())} weights that are not "
        f"+-c of their output channel, but so nearly (to {off.max():.1e}) that "
        "Larq Compute Engine would take them for it. Was it trained by an "
        "optimizer for real weights? Use Diode, or round its kernel to signs."
        for layer, off in deviations(model)
        if ROUNDING < off.max() <= BINARIZATION_TOLERANCE
    ]


def in_float32(model: tf.keras.Model) -> tf.keras.Model:
    """Returns the same model computing in float32, for a device.

    Args:
        model: A Keras model, of mixed precision perhaps.

    Returns:
        The model itself if all of it is float32, or a copy with the same variables'
        values.
    """
    # A layer may have the type of its data, such as integers, so variables count.
    owners = _owners(model)
    wide = [
        owners.get(id(weight), model.name)
        for weight in model.weights
        if weight.dtype.is_floating and weight.dtype != tf.float32
    ]
    if wide:
        raise ConversionError(
            f"The variables of {', '.join(list(dict.fromkeys(wide))[:5])} are not "
            "float32. Build the model with the policy 'float32' or a mixed one."
        )
    layers = [m for m in model.submodules if isinstance(m, tf.keras.layers.Layer)]
    if not any(_computes_in_other_floats(layer) for layer in layers):
        return model

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        return type(layer).from_config(_unmixed(layer.get_config()))

    copy = tf.keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def _computes_in_other_floats(layer: tf.keras.layers.Layer) -> bool:
    """Whether a layer that is no input computes in floats that are not float32."""
    if isinstance(layer, tf.keras.layers.InputLayer):
        return False
    dtype = layer.compute_dtype
    return dtype not in (None, "float32") and tf.as_dtype(dtype).is_floating


def _owners(model: tf.keras.Model) -> dict[int, str]:
    """Returns the name of the innermost layer of each variable, by `id`."""
    layers = [m for m in model.submodules if isinstance(m, tf.keras.layers.Layer)]
    # A layer that holds others has their weights, too: the innermost comes last.
    layers.sort(key=lambda layer: -len(layer.weights))
    return {id(weight): layer.name for layer in layers for weight in layer.weights}


def _unmixed(config: Any) -> Any:
    """Returns a configuration, of quantizers in it too, without mixed precision."""
    if isinstance(config, (list, tuple)):
        return [_unmixed(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {
        key: "float32" if key == "dtype" and _is_other(value) else _unmixed(value)
        for key, value in config.items()
    }


def _is_other(dtype: object) -> bool:
    """Whether a type, or a policy, is of real numbers and not float32."""
    return "mixed" in str(dtype) or dtype in ("float16", "bfloat16", "float64")
