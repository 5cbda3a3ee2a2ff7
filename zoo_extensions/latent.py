"""Conversion of models with latent kernels to latent-free ones of the same function.

Pre-trained latent models can then be trained on by Diode, the gradient filter and Bop.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from zoo_extensions.elastic import BinaryEmbedding, ElasticLinear
from zoo_extensions.folding import BatchNormParameters, fold
from zoo_extensions.initializers import BernoulliSign
from zoo_extensions.layers import ChannelScale
from zoo_extensions.model_graph import (
    ModelGraph,
    calls_of,
    channel_axis,
    copied_lambda,
    has_graph,
    input_layer,
    is_made_of_tensors,
)

_layers = tf.keras.layers

# The prefixes of the arguments of a kernel, such as `kernel_quantizer`.
_KINDS = ("kernel", "depthwise", "pointwise", "embeddings")
_TRANSPOSED = (
    _layers.Conv1DTranspose,
    _layers.Conv2DTranspose,
    _layers.Conv3DTranspose,
)
# They learn the scale of a binary kernel themselves.
_WITH_SCALE = (ElasticLinear, BinaryEmbedding)
# A scale of their kernels scales their outputs.
_LINEAR = (
    _layers.Dense,
    _layers.Conv1D,
    _layers.Conv2D,
    _layers.Conv3D,
    _layers.DepthwiseConv1D,
    _layers.DepthwiseConv2D,
    _layers.SeparableConv1D,
    _layers.SeparableConv2D,
    _layers.LocallyConnected1D,
    _layers.LocallyConnected2D,
    *_TRANSPOSED,
)


def to_latent_free(model: tf.keras.Model) -> tf.keras.Model:
    """Makes the same model with kernels in {-1, +1} instead of latent ones.

    A kernel whose quantizer returns q(w) = c * theta, with theta in {-1, +1} and one
    c >= 0 for each output channel, becomes theta itself, under `NoOp(precision=1)`.
    The scale c is folded into the batch normalization that follows, so that for all z

    gamma (c z + b - mu) / sqrt(v + eps) + beta
    = gamma' (z + b - mu') / sqrt(v' + eps) + beta

    with mu' = (mu - b) / c + b, v' = v / c^2 and
    gamma' = gamma sqrt((v + eps c^2) / (v + eps)).

    Where none follows directly, or other layers use the same values, a `ChannelScale`
    is inserted after the layer, which takes over its bias and its activation.
    `ElasticLinear` and `BinaryEmbedding` hold the scale themselves, a learned one.

    In inference the outputs are equal up to rounding, and in every bit if all scales
    are 1. A channel with c = 0 is constant and stays constant: gamma' = 0, mu' = b,
    v' = 1, and beta' is the constant. Channels whose mu' or v' would overflow get the
    same mu' and v', with gamma' and beta' to match.

    Args:
        model: A functional or sequential model; nested models, layers that are called
            several times and `Lambda` layers are supported. It is not changed.

    Returns:
        A new model, not compiled, whose layers keep their names; an output after an
        inserted scale has the name of that layer. The binary kernels have neither
        constraint nor regularizer. A subclass of `tf.keras.Model` is kept if it is
        constructed from inputs and outputs too, and becomes a plain model otherwise.

    Raises:
        ValueError: If there is nothing to do, or the graph of the model is not known,
            or a layer cannot be copied.

    Warns:
        UserWarning: Names kernels that stay latent: their quantizer has other values
            than c and -c in a channel, or they are in a layer of another class.

    Example:
        >>> import zoo_extensions as zx
        >>> free = to_latent_free(zx.TinyResidualBNN())
        >>> kernel = free.get_layer("stage1_1_conv").kernel
        >>> sorted(set(kernel.numpy().ravel().tolist())), kernel.precision
        ([-1.0, 1.0], 1)

    References:
        Paper 003 (Diode), table 2, for fine-tuning pre-trained weights.
    """
    if not has_graph(model):
        name = getattr(model, "name", "The model")
        raise ValueError(
            f"{name} must be a functional or sequential model whose inputs are "
            "known: of others it is not known what follows a layer. Build it with "
            "tf.keras.Model(inputs, outputs), or begin it with tf.keras.Input. "
            f"Received: {type(model).__name__}"
        )
    graph = ModelGraph(model)
    plan = _Plan(graph)
    plan.check(model.name)
    copier = _Copier(graph, plan.conversions)
    copy = copier.copy(model)
    copier.set_weights()
    return copy


@dataclasses.dataclass(frozen=True)
class _LayerConversion:
    """The new kernels of a layer, and where their scale goes.

    Attributes:
        signs: The binary kernel for each kind of kernel.
        scale: The scale of each output channel, or one for all.
        norms: The folded batch normalizations, by the ids of the original layers.
        own_scale: Whether the new layer holds the scale.
    """

    signs: dict[str, np.ndarray]
    scale: np.ndarray
    norms: dict[int, BatchNormParameters] = dataclasses.field(default_factory=dict)
    own_scale: bool = False

    @property
    def inserts_scale(self) -> bool:
        """Whether the scale needs a layer of its own."""
        return bool(np.any(self.scale != 1)) and not (self.norms or self.own_scale)


class _CannotConvert(Exception):
    """The reason why a kernel stays latent."""


class _Plan:
    """The conversion of each layer with latent kernels, or why it is skipped.

    Attributes:
        conversions: Conversions by ids of layers.
        skipped: Names of layers that stay latent, each with the reason.
        latent_free: Names of layers that are latent-free already.
    """

    def __init__(self, graph: ModelGraph) -> None:
        self.conversions: dict[int, _LayerConversion] = {}
        self.skipped: list[str] = []
        self.latent_free: list[str] = []
        for layer in graph.layers.values():
            self._add(layer, graph)
            for part in layer.submodules:
                if any(_is_latent(part, kind) for kind in _KINDS):
                    self.skipped.append(
                        f"{part.name} (it is part of {layer.name}, a "
                        f"{type(layer).__name__}, which is copied as a whole)"
                    )
                elif any(_is_latent_free(part, kind) for kind in _KINDS):
                    self.latent_free.append(f"{part.name} in {layer.name}")

    def _add(self, layer: tf.keras.layers.Layer, graph: ModelGraph) -> None:
        signs, scale = {}, np.ones(())
        for kind in _KINDS:
            if _is_latent_free(layer, kind):
                self.latent_free.append(layer.name)
            if not _is_latent(layer, kind):
                continue
            try:
                signs[kind], own = _signs_and_scale(layer, kind)
            except _CannotConvert as reason:
                self.skipped.append(f"{layer.name} ({reason})")
                continue
            scale = scale * own
        if not signs:
            return
        try:
            self.conversions[id(layer)] = _conversion(layer, graph, signs, scale)
        except _CannotConvert as reason:
            self.skipped.append(f"{layer.name} ({reason})")

    def check(self, name: str) -> None:
        """Raises if there is nothing to do, and warns of what is skipped."""
        skipped = "; ".join(self.skipped)
        if self.conversions:
            if skipped:
                warnings.warn(f"In {name} these stay latent: {skipped}.", stacklevel=3)
            return
        if skipped:
            raise ValueError(f"No kernel of {name} can become binary: {skipped}.")
        if self.latent_free:
            raise ValueError(
                f"{name} is latent-free already: the kernels of "
                f"{', '.join(dict.fromkeys(self.latent_free))} have NoOp(precision=1)."
            )
        raise ValueError(
            f"{name} has no binary kernel: no layer of it has a kernel_quantizer, "
            "depthwise_quantizer or pointwise_quantizer."
        )


def _conversion(
    layer: tf.keras.layers.Layer,
    graph: ModelGraph,
    signs: dict[str, np.ndarray],
    scale: np.ndarray,
) -> _LayerConversion:
    """Returns the conversion of a layer, once its signs and scale are known.

    Raises:
        _CannotConvert: If the scale can go nowhere.
    """
    if isinstance(layer, _WITH_SCALE):
        return _LayerConversion(signs, scale, own_scale=True)
    if np.all(scale == 1):
        return _LayerConversion(signs, scale)
    if layer.use_bias and layer.bias.shape.rank != 1:
        raise _CannotConvert(
            "its bias differs between positions, the scale of its kernel between "
            "channels; set use_bias=False"
        )
    norms = _folded(graph.norms_after(layer), layer, scale)
    conversion = _LayerConversion(signs, scale, norms)
    obstacles = ["activity_regularizer"]
    if conversion.inserts_scale:
        obstacles += ["bias_regularizer", "bias_constraint"]
    for obstacle in obstacles:
        if getattr(layer, obstacle, None) is not None:
            raise _CannotConvert(
                f"its {obstacle} would see values before the scale of the kernel; "
                "remove it"
            )
    return conversion


def _signs_and_scale(
    layer: tf.keras.layers.Layer, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns theta, and c for each output channel of the layer, both float64.

    Raises:
        _CannotConvert: If the quantized kernel is not c * theta.
    """
    quantizer = getattr(layer, f"{kind}_quantizer")
    name = getattr(quantizer, "__name__", type(quantizer).__name__)
    bits = getattr(quantizer, "precision", None)
    if bits not in (None, 1):
        raise _CannotConvert(f"{name} has {bits} bits")
    if isinstance(quantizer, lq.quantizers.SteHeaviside):
        raise _CannotConvert(f"{name} returns 0 and 1")
    kernel = _kernel(layer, kind)
    # A table is quantized as it is stored, in which 16 bits would move signs.
    dtype = kernel.dtype if kind == "embeddings" else layer.compute_dtype
    values = _quantized(quantizer, kernel, dtype)
    magnitudes = np.abs(values)
    if isinstance(layer, _TRANSPOSED):
        magnitudes = np.swapaxes(magnitudes, -1, -2)
    if kind == "embeddings":
        magnitudes = np.swapaxes(magnitudes, 0, 1)  # A row has one scale.
    channels = magnitudes.shape[-1]
    if kind == "depthwise":
        channels *= magnitudes.shape[-2]
    # In other layouts only one scale for all weights has a meaning.
    by_channel = magnitudes.reshape(-1, channels)
    scale = by_channel[0]
    if not (np.isfinite(scale).all() and (by_channel == scale).all()):
        fix = ""
        if hasattr(quantizer, "temperature"):
            fix = "; call zx.force_sign(model) first"
        raise _CannotConvert(
            f"{name} returns more than c and -c in an output channel{fix}"
        )
    if bits is None and not scale.any():
        raise _CannotConvert(
            f"the kernel is all zero, which does not show whether {name} is a sign"
        )
    first = scale[0]
    uniform = bool((scale == first).all())
    if (first != 1 or not uniform) and not isinstance(layer, _WITH_SCALE):
        _check_scale(layer, kind, uniform)
    return np.where(values < 0, -1.0, 1.0), np.full((), first) if uniform else scale


def _check_scale(layer: tf.keras.layers.Layer, kind: str, uniform: bool) -> None:
    """Raises unless a scale of the kernel scales the channels of the outputs."""
    if not isinstance(layer, _LINEAR):
        raise _CannotConvert(
            f"it is not known what a scale of the kernels of a {type(layer).__name__} "
            "does"
        )
    if kind == "depthwise" and hasattr(layer, "pointwise_kernel") and not uniform:
        raise _CannotConvert(
            "its channels have different scales, and the pointwise kernel adds them"
        )


def _quantized(
    quantizer: Callable[[tf.Tensor], tf.Tensor], kernel: tf.Variable, dtype: str
) -> np.ndarray:
    """Returns the quantized kernel, and leaves larq's flip metric unchanged."""
    metric = getattr(quantizer, "flip_ratio", None)
    before = None if metric is None else metric.get_weights()
    values = quantizer(tf.cast(kernel.numpy(), dtype))
    if metric is not None:
        metric.set_weights(before)
    return np.asarray(tf.cast(values, tf.float64))


def _folded(
    norms: list[tf.keras.layers.BatchNormalization],
    layer: tf.keras.layers.Layer,
    scale: np.ndarray,
) -> dict[int, BatchNormParameters]:
    """Returns the batch normalizations with the scale folded in, all or none."""
    folded = {}
    bias = _values(layer.bias) if layer.use_bias else None
    for norm in norms:
        mean = _values(norm.moving_mean)
        new = fold(
            BatchNormParameters(
                None if norm.gamma is None else _values(norm.gamma),
                None if norm.beta is None else _values(norm.beta),
                mean,
                _values(norm.moving_variance),
            ),
            np.broadcast_to(scale, mean.shape),
            bias,
            norm.epsilon,
            float(np.finfo(norm.moving_mean.dtype.as_numpy_dtype).max) ** 0.5,
        )
        if new is None:
            return {}
        folded[id(norm)] = new
    return folded


def _values(weight: tf.Variable) -> np.ndarray:
    return weight.numpy().astype(np.float64)


@dataclasses.dataclass(frozen=True)
class _InsertedScale:
    """A scale that is inserted after the copy of a layer."""

    original: tf.keras.layers.Layer
    scale: ChannelScale


class _Copier:
    """Copies models with their layers, each layer once."""

    def __init__(
        self, graph: ModelGraph, conversions: dict[int, _LayerConversion]
    ) -> None:
        self._graph = graph
        self._conversions = conversions
        self._norms = {
            key: norm
            for conversion in conversions.values()
            for key, norm in conversion.norms.items()
        }
        # Models before their layers, an order that `set_weights` relies on.
        self._originals: list[tf.keras.layers.Layer] = []
        self._copies: dict[int, tf.keras.layers.Layer] = {}
        self._scales: dict[int, _InsertedScale] = {}

    def copy(self, old: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        """Returns the copy of a model or layer, with random weights."""
        if id(old) not in self._copies:
            self._originals.append(old)
            new = self._model(old) if has_graph(old) else self._layer(old)
            self._copies[id(old)] = new
        return self._copies[id(old)]

    def _model(self, old: tf.keras.Model) -> tf.keras.Model:
        if isinstance(old, tf.keras.Sequential):
            new = tf.keras.Sequential([self.copy(input_layer(old))], name=old.name)
            for layer in old.layers:
                new.add(self.copy(layer))
                if id(layer) in self._scales:
                    new.add(self._scales[id(layer)].scale)
            return new
        tensors: dict[int, tf.Tensor] = {}
        for call in calls_of(old):
            copy = self.copy(call.layer)
            if isinstance(call.layer, _layers.InputLayer):
                outputs = copy.output
            else:
                args, kwargs = tf.nest.map_structure(
                    lambda value: tensors.get(id(value), value),
                    (call.call_args, call.call_kwargs),
                )
                outputs = copy(*args, **kwargs)
                if id(call.layer) in self._scales:
                    outputs = self._scales[id(call.layer)].scale(outputs)
            for before, after in zip(
                tf.nest.flatten(call.outputs), tf.nest.flatten(outputs), strict=True
            ):
                tensors[id(before)] = after
        kind = type(old) if is_made_of_tensors(type(old)) else tf.keras.Model
        inputs, outputs = tf.nest.map_structure(
            lambda tensor: tensors[id(tensor)], (old.input, old.output)
        )
        return kind(inputs, outputs, name=old.name)

    def set_weights(self) -> None:
        """Sets the weights of all copies, and `trainable` as in the originals."""
        # Setting `trainable` of a model sets it for its layers, so models come first.
        for old in self._originals:
            self._copies[id(old)].trainable = old.trainable
        for old in self._originals:
            new = self._copies[id(old)]
            if has_graph(old):
                continue
            if id(old) not in self._conversions:
                for before, after in zip(old.submodules, new.submodules):
                    if isinstance(before, _layers.Layer):
                        after.trainable = before.trainable
            new.set_weights(self._weights(old, new))
        for inserted in self._scales.values():
            layer, scale = inserted.original, inserted.scale
            values = self._conversions[id(layer)].scale
            weights = [np.broadcast_to(values, scale.scale.shape)]
            if scale.use_bias:
                weights.append(layer.bias.numpy())
            scale.trainable = layer.trainable
            scale.set_weights(weights)

    def _layer(self, old: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        conversion = self._conversions.get(id(old))
        try:
            if isinstance(old, _layers.Lambda):
                return copied_lambda(old)
            config = old.get_config()
            if conversion is not None:
                self._convert(config, old, conversion)
            return type(old).from_config(config)
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise ValueError(
                f"The layer {old.name} ({type(old).__name__}) cannot be copied from "
                "its get_config(). What is in it may need "
                f"tf.keras.saving.register_keras_serializable. {error}"
            ) from error

    def _convert(
        self,
        config: dict[str, Any],
        old: tf.keras.layers.Layer,
        conversion: _LayerConversion,
    ) -> None:
        """Changes the configuration of a layer, and makes its scale if it needs one."""
        for kind in conversion.signs:
            config[f"{kind}_quantizer"] = lq.quantizers.NoOp(
                precision=1, dtype=old.dtype_policy
            )
            config[f"{kind}_initializer"] = BernoulliSign()
            config[f"{kind}_regularizer"] = config[f"{kind}_constraint"] = None
        if not conversion.inserts_scale:
            return
        scale = ChannelScale(
            axis=channel_axis(old),
            use_bias=old.use_bias,
            activation=config["activation"],
            dtype=old.dtype_policy,
            name=self._graph.new_name(f"{old.name}_scale"),
        )
        self._scales[id(old)] = _InsertedScale(old, scale)
        config.update(use_bias=False, activation="linear")

    def _weights(
        self, old: tf.keras.layers.Layer, new: tf.keras.layers.Layer
    ) -> list[np.ndarray]:
        """Returns the weights of the copy of a layer."""
        values = {
            id(weight): value for weight, value in zip(old.weights, old.get_weights())
        }
        conversion = self._conversions.get(id(old))
        if conversion is not None:
            for kind, signs in conversion.signs.items():
                values[id(_kernel(old, kind))] = signs
                quantizer = getattr(old, f"{kind}_quantizer")
                for weight in getattr(quantizer, "weights", []):
                    values.pop(id(weight), None)
            if conversion.inserts_scale and old.use_bias:
                del values[id(old.bias)]
            if conversion.own_scale:
                return _with_scale(list(values.values()), new, conversion.scale)
        norm = self._norms.get(id(old))
        if norm is not None:
            for weight, value in (
                (old.gamma, norm.gamma),
                (old.beta, norm.beta),
                (old.moving_mean, norm.mean),
                (old.moving_variance, norm.variance),
            ):
                if weight is not None:
                    values[id(weight)] = value
        return list(values.values())


def _with_scale(
    weights: list[np.ndarray], layer: tf.keras.layers.Layer, scale: np.ndarray
) -> list[np.ndarray]:
    """Returns the weights of a layer that holds the scale, from those without it."""
    variable = layer.learned_scale
    place = next(i for i, weight in enumerate(layer.weights) if weight is variable)
    value = np.broadcast_to(
        scale.reshape(-1, 1) if scale.ndim else scale, variable.shape
    )
    return [*weights[:place], value, *weights[place:]]


def _kernel(layer: tf.keras.layers.Layer, kind: str) -> tf.Variable:
    is_whole_name = kind in ("kernel", "embeddings")
    return getattr(layer, kind if is_whole_name else f"{kind}_kernel")


def _is_latent_free(layer: tf.Module, kind: str) -> bool:
    quantizer = getattr(layer, f"{kind}_quantizer", None)
    return isinstance(quantizer, lq.quantizers.NoOp) and quantizer.precision == 1


def _is_latent(layer: tf.Module, kind: str) -> bool:
    quantizer = getattr(layer, f"{kind}_quantizer", None)
    return quantizer is not None and not isinstance(quantizer, lq.quantizers.NoOp)
