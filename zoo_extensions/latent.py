"""From latent kernels to binary ones, without a change of the function."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import warnings
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf

from zoo_extensions.initializers import BernoulliSign
from zoo_extensions.layers import ChannelScale

_layers = tf.keras.layers

# The prefixes of the arguments of a kernel, such as `kernel_quantizer`.
_KINDS = ("kernel", "depthwise", "pointwise")
_TRANSPOSED = (
    _layers.Conv1DTranspose,
    _layers.Conv2DTranspose,
    _layers.Conv3DTranspose,
)
# A factor of their kernels is one of their outputs.
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
    The scale c goes into the batch normalization that follows, so that for all z

    gamma (c z + b - mu) / sqrt(v + eps) + beta
    = gamma' (z + b - mu') / sqrt(v' + eps) + beta

    with mu' = (mu - b) / c + b, v' = v / c^2 and
    gamma' = gamma sqrt((v + eps c^2) / (v + eps)).

    Where none follows directly, or other layers use the same values, a `ChannelScale`
    is inserted behind the layer, which takes over its bias and its activation.

    In inference the outputs are equal up to rounding, and in every bit if all scales
    are 1. A channel with c = 0 is a constant, and stays one: gamma' = 0, mu' = b,
    v' = 1, and beta' is the constant. Channels whose mu' or v' would leave the range of
    numbers get the same mu' and v', and the gamma' and beta' that belong to them.

    Args:
        model: A functional or sequential model, also with models in it, layers that are
            called several times and `Lambda` layers. It is not changed.

    Returns:
        A new model, not compiled, whose layers keep their names; an output behind an
        inserted scale has the name of that layer. The binary kernels have neither
        constraint nor regularizer. A subclass of `tf.keras.Model` is kept if it is made
        of inputs and outputs too, and is a plain model otherwise.

    Raises:
        ValueError: If there is nothing to do, or the graph of the model is not known,
            or a layer cannot be copied.

    Warns:
        UserWarning: Names kernels that stay latent: their quantizer has other values
            than c and -c in a channel, or they lie in a layer of another class.

    Example:
        >>> import zoo_extensions as zx
        >>> free = to_latent_free(zx.TinyResidualBNN())
        >>> kernel = free.get_layer("stage1_1_conv").kernel
        >>> sorted(set(kernel.numpy().ravel().tolist())), kernel.precision
        ([-1.0, 1.0], 1)

    References:
        Paper 003 (Diode), table 2, for training on from pre-trained weights.
    """
    if not _has_graph(model):
        name = getattr(model, "name", "The model")
        raise ValueError(
            f"{name} must be a functional or sequential model whose inputs are "
            "known: of others it is not known what follows a layer. Build it with "
            "tf.keras.Model(inputs, outputs), or begin it with tf.keras.Input. "
            f"Received: {type(model).__name__}"
        )
    graph = _Graph(model)
    survey = _Survey(graph)
    survey.check(model.name)
    copier = _Copier(graph, survey.switches)
    copy = copier.copy(model)
    copier.fill()
    return copy


@dataclasses.dataclass(frozen=True)
class Norm:
    """What a batch normalization computes from z in inference.

    gamma (z - mean) / sqrt(variance + epsilon) + beta

    Attributes:
        gamma: The factor, or `None` for 1.
        beta: The offset, or `None` for 0.
        mean: The moving mean.
        variance: The moving variance.
    """

    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray
    variance: np.ndarray


def fold(
    norm: Norm,
    scale: np.ndarray,
    bias: np.ndarray | None,
    epsilon: float,
    limit: float,
) -> Norm | None:
    """Returns the batch normalization of z + bias that is `norm` of scale * z + bias.

    Args:
        norm: The batch normalization, float64 like all that follows.
        scale: The scale of each channel, at least 0.
        bias: What is added to the sums, or `None`.
        epsilon: Epsilon of both.
        limit: Means and variances above it are not used.

    Returns:
        The other one, with a factor and an offset where `norm` has them, or `None`
        where there is none.
    """
    shift = np.zeros_like(scale) if bias is None else bias
    slope = (1.0 if norm.gamma is None else norm.gamma) / np.sqrt(
        norm.variance + epsilon
    )
    # Without a factor, the variance has to do its work.
    fixed = epsilon if norm.gamma is None else 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (norm.mean - shift) / scale + shift
        variance = (norm.variance + fixed) / scale**2 - fixed
        kept = (np.abs(mean) < limit) & (variance < limit)
    if norm.gamma is None and not np.all(kept & (variance >= 0)):
        return None
    if norm.beta is None and not np.all(kept):
        return None
    mean, variance = np.where(kept, mean, shift), np.where(kept, variance, 1.0)
    gamma = beta = None
    if norm.gamma is not None:
        gamma = slope * scale * np.sqrt(variance + epsilon)
    if norm.beta is not None:
        beta = norm.beta + np.where(kept, 0.0, slope * (shift - norm.mean))
    return Norm(gamma, beta, mean, variance)


@dataclasses.dataclass(frozen=True)
class _Switch:
    """What becomes of a layer: its kernels, and where their scale goes."""

    signs: dict[str, np.ndarray]
    scale: np.ndarray
    norms: dict[int, Norm] = dataclasses.field(default_factory=dict)

    @property
    def inserts(self) -> bool:
        """Whether a layer for the scale is needed."""
        return bool(np.any(self.scale != 1)) and not self.norms


class _Graph:
    """The layers of a model and of the models in it, and who uses whose values."""

    def __init__(self, model: Any) -> None:
        self.layers: dict[int, Any] = {}
        self.calls: dict[int, list[Any]] = {}
        self.makers: dict[int, Any] = {}
        self.users: dict[int, list[Any]] = {}
        self.ends: set[int] = set()
        self._models: dict[int, Any] = {}
        self._add(model)

    def _add(self, model: Any) -> None:
        if id(model) in self._models:
            return
        self._models[id(model)] = model
        self.ends.update(id(tensor) for tensor in tf.nest.flatten(model.output))
        for node in _nodes(model):
            layer = node.layer
            if node in self.calls.get(id(layer), []):
                continue  # Another model holds the same call.
            self.calls.setdefault(id(layer), []).append(node)
            for tensor in tf.nest.flatten(node.outputs):
                self.makers[id(tensor)] = layer
            for tensor in node.keras_inputs:
                self.users.setdefault(id(tensor), []).append(node)
        for layer in model.layers:
            if _has_graph(layer):
                self._add(layer)
            else:
                self.layers[id(layer)] = layer

    def new_name(self, wanted: str) -> str:
        """Returns a name for a layer that no other one has."""
        taken = {part.name for part in (*self.layers.values(), *self._models.values())}
        numbers = itertools.count(1)
        name = wanted
        while name in taken:
            name = f"{wanted}_{next(numbers)}"
        return name

    def norms_behind(self, layer: Any) -> list[Any]:
        """Returns the batch normalizations that alone use all values of a layer.

        Empty where others use them, or the batch normalizations others' values.
        """
        norms: dict[int, Any] = {}
        if layer.activation is not tf.keras.activations.linear:
            return []
        for node in self.calls[id(layer)]:
            for tensor in tf.nest.flatten(node.outputs):
                users = self.users.get(id(tensor), [])
                if id(tensor) in self.ends or len(users) != 1:
                    return []
                if not _normalizes(users[0], _channel_axis(layer)):
                    return []
                norms[id(users[0].layer)] = users[0].layer
        for norm in norms.values():
            for node in self.calls[id(norm)]:
                makers = [self.makers[id(tensor)] for tensor in node.keras_inputs]
                if makers != [layer]:
                    return []
        return list(norms.values())


class _Survey:
    """What each layer with quantized kernels becomes, or why it stays."""

    def __init__(self, graph: _Graph) -> None:
        self.switches: dict[int, _Switch] = {}
        self.left: list[str] = []
        self.free: list[str] = []
        for layer in graph.layers.values():
            self._look_at(layer, graph)
            for part in layer.submodules:
                if any(_is_latent(part, kind) for kind in _KINDS):
                    self.left.append(
                        f"{part.name} (it lies in {layer.name}, a "
                        f"{type(layer).__name__}, which is copied as a whole)"
                    )
                elif any(_is_free(part, kind) for kind in _KINDS):
                    self.free.append(f"{part.name} in {layer.name}")

    def _look_at(self, layer: Any, graph: _Graph) -> None:
        signs, scale = {}, np.ones(())
        for kind in _KINDS:
            if _is_free(layer, kind):
                self.free.append(layer.name)
            if not _is_latent(layer, kind):
                continue
            try:
                signs[kind], own = _signs_and_scale(layer, kind)
            except _Stays as reason:
                self.left.append(f"{layer.name} ({reason})")
                continue
            scale = scale * own
        if not signs:
            return
        if np.all(scale == 1):
            self.switches[id(layer)] = _Switch(signs, scale)
            return
        if layer.use_bias and layer.bias.shape.rank != 1:
            self.left.append(
                f"{layer.name} (its bias differs between positions, the scale of its "
                "kernel between channels; set use_bias=False)"
            )
            return
        switch = _Switch(signs, scale, _folded(graph.norms_behind(layer), layer, scale))
        obstacles = ["activity_regularizer"]
        if switch.inserts:
            obstacles += ["bias_regularizer", "bias_constraint"]
        for obstacle in obstacles:
            if getattr(layer, obstacle, None) is not None:
                self.left.append(
                    f"{layer.name} (its {obstacle} would see values before the scale "
                    "of the kernel; remove it)"
                )
                return
        self.switches[id(layer)] = switch

    def check(self, name: str) -> None:
        """Raises if there is nothing to do, and warns of what is not done."""
        left = "; ".join(self.left)
        if self.switches:
            if left:
                warnings.warn(f"In {name} these stay latent: {left}.", stacklevel=3)
            return
        if left:
            raise ValueError(f"No kernel of {name} can become binary: {left}.")
        if self.free:
            raise ValueError(
                f"{name} is latent-free already: the kernels of "
                f"{', '.join(dict.fromkeys(self.free))} have NoOp(precision=1)."
            )
        raise ValueError(
            f"{name} has no binary kernel: no layer of it has a kernel_quantizer, "
            "depthwise_quantizer or pointwise_quantizer."
        )


class _Stays(Exception):
    """Why a kernel cannot become binary."""


def _signs_and_scale(layer: Any, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns theta, and c for each output channel of the layer, float64."""
    quantizer = getattr(layer, f"{kind}_quantizer")
    called = getattr(quantizer, "__name__", type(quantizer).__name__)
    bits = getattr(quantizer, "precision", None)
    if bits not in (None, 1):
        raise _Stays(f"{called} has {bits} bits")
    if isinstance(quantizer, lq.quantizers.SteHeaviside):
        raise _Stays(f"{called} returns 0 and 1")
    values = _quantized(quantizer, _kernel(layer, kind), layer.compute_dtype)
    sizes = np.abs(values)
    if isinstance(layer, _TRANSPOSED):
        sizes = np.swapaxes(sizes, -1, -2)
    channels = sizes.shape[-1]
    if kind == "depthwise":
        channels *= sizes.shape[-2]
    # Of other layouts only one scale for all weights has a meaning.
    by_channel = sizes.reshape(-1, channels)
    scale = by_channel[0]
    if not (np.isfinite(scale).all() and (by_channel == scale).all()):
        fix = ""
        if hasattr(quantizer, "temperature"):
            fix = "; call zx.force_sign(model) first"
        raise _Stays(f"{called} returns more than c and -c in an output channel{fix}")
    if bits is None and not scale.any():
        raise _Stays(f"of {called} it cannot be told whether it is a sign: all is zero")
    one = scale[0]
    uniform = bool((scale == one).all())
    if one != 1 or not uniform:
        if not isinstance(layer, _LINEAR):
            raise _Stays(
                "it is not known what a scale of the kernels of a "
                f"{type(layer).__name__} does"
            )
        if kind == "depthwise" and hasattr(layer, "pointwise_kernel") and not uniform:
            raise _Stays(
                "its channels have different scales, and the pointwise kernel adds them"
            )
    return np.where(values < 0, -1.0, 1.0), np.full((), one) if uniform else scale


def _quantized(quantizer: Any, kernel: tf.Variable, dtype: str) -> np.ndarray:
    """Returns the quantized kernel; larq's metric of flips does not see the call."""
    metric = getattr(quantizer, "flip_ratio", None)
    before = None if metric is None else metric.get_weights()
    values = quantizer(tf.cast(kernel.numpy(), dtype))
    if metric is not None:
        metric.set_weights(before)
    return np.asarray(tf.cast(values, tf.float64))


def _folded(norms: list[Any], layer: Any, scale: np.ndarray) -> dict[int, Norm]:
    """Returns the batch normalizations with the scale in them, or nothing."""
    folded = {}
    bias = _values(layer.bias) if layer.use_bias else None
    for norm in norms:
        mean = _values(norm.moving_mean)
        new = fold(
            Norm(
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


class _Copier:
    """Copies models with their layers, each layer once."""

    def __init__(self, graph: _Graph, switches: dict[int, _Switch]) -> None:
        self._graph = graph
        self._switches = switches
        self._norms = {
            key: norm
            for switch in switches.values()
            for key, norm in switch.norms.items()
        }
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._scales: dict[int, tuple[Any, ChannelScale]] = {}

    def _model(self, old: Any) -> Any:
        if isinstance(old, tf.keras.Sequential):
            (start,) = old.inputs
            new = tf.keras.Sequential(
                [self.copy(start._keras_history.layer)], name=old.name
            )
            for layer in old.layers:
                new.add(self.copy(layer))
                if id(layer) in self._scales:
                    new.add(self._scales[id(layer)][1])
            return new
        made: dict[int, Any] = {}
        for node in _nodes(old):
            copy = self.copy(node.layer)
            if isinstance(node.layer, _layers.InputLayer):
                outputs = copy.output
            else:
                args, kwargs = tf.nest.map_structure(
                    lambda value: made.get(id(value), value),
                    (node.call_args, node.call_kwargs),
                )
                outputs = copy(*args, **kwargs)
                if id(node.layer) in self._scales:
                    outputs = self._scales[id(node.layer)][1](outputs)
            for before, after in zip(
                tf.nest.flatten(node.outputs), tf.nest.flatten(outputs), strict=True
            ):
                made[id(before)] = after
        kind = type(old) if _is_made_of_tensors(type(old)) else tf.keras.Model
        inputs, outputs = tf.nest.map_structure(
            lambda tensor: made[id(tensor)], (old.input, old.output)
        )
        return kind(inputs, outputs, name=old.name)

    def fill(self) -> None:
        """Gives the copies their weights, and the originals' choice what is trained."""
        # Outer layers set those in them, and so come first.
        for old, new in self._copies.values():
            new.trainable = old.trainable
        for old, new in self._copies.values():
            if _has_graph(old):
                continue
            if id(old) not in self._switches:
                for before, after in zip(old.submodules, new.submodules):
                    if isinstance(before, _layers.Layer):
                        after.trainable = before.trainable
            new.set_weights(self._weights(old))
        for layer, scale in self._scales.values():
            weights = [
                np.broadcast_to(self._switches[id(layer)].scale, scale.scale.shape)
            ]
            if scale.use_bias:
                weights.append(layer.bias.numpy())
            scale.trainable = layer.trainable
            scale.set_weights(weights)

    def copy(self, old: Any) -> Any:
        """Returns the copy of a model or layer, which has random weights."""
        if id(old) not in self._copies:
            # A model before what is in it, so that `fill` can follow this order.
            self._copies[id(old)] = (old, None)
            new = self._model(old) if _has_graph(old) else self._layer(old)
            self._copies[id(old)] = (old, new)
        return self._copies[id(old)][1]

    def _layer(self, old: Any) -> Any:
        switch = self._switches.get(id(old))
        try:
            if isinstance(old, _layers.Lambda):
                return _copied_lambda(old)
            config = old.get_config()
            if switch is None:
                return type(old).from_config(config)
            for kind in switch.signs:
                config[f"{kind}_quantizer"] = lq.quantizers.NoOp(
                    precision=1, dtype=old.dtype_policy
                )
                config[f"{kind}_initializer"] = BernoulliSign()
                config[f"{kind}_regularizer"] = config[f"{kind}_constraint"] = None
            if switch.inserts:
                self._scales[id(old)] = (
                    old,
                    ChannelScale(
                        axis=_channel_axis(old),
                        use_bias=old.use_bias,
                        activation=config["activation"],
                        dtype=old.dtype_policy,
                        name=self._graph.new_name(f"{old.name}_scale"),
                    ),
                )
                config.update(use_bias=False, activation="linear")
            return type(old).from_config(config)
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise ValueError(
                f"The layer {old.name} ({type(old).__name__}) cannot be copied from "
                "its get_config(). What is in it may need "
                f"tf.keras.saving.register_keras_serializable. {error}"
            ) from error

    def _weights(self, old: Any) -> list[np.ndarray]:
        """Returns the weights of the copy of a layer."""
        values = {
            id(weight): value for weight, value in zip(old.weights, old.get_weights())
        }
        switch = self._switches.get(id(old))
        if switch is not None:
            for kind, signs in switch.signs.items():
                values[id(_kernel(old, kind))] = signs
                quantizer = getattr(old, f"{kind}_quantizer")
                for weight in getattr(quantizer, "weights", []):
                    values.pop(id(weight), None)
            if switch.inserts and old.use_bias:
                del values[id(old.bias)]
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


def _copied_lambda(old: Any) -> Any:
    """Returns a layer of the same function, which a configuration may not know."""
    return type(old)(
        old.function,
        output_shape=old._output_shape,
        mask=old.mask,
        arguments=old.arguments,
        **_layers.Layer.get_config(old),
    )


def _has_graph(layer: Any) -> bool:
    """Tells whether it is a model that calls its layers as its graph says."""
    if not getattr(layer, "_is_graph_network", False):
        return False
    owner = next(kind for kind in type(layer).__mro__ if "call" in vars(kind))
    return owner.__name__ in ("Functional", "Sequential")


def _is_made_of_tensors(kind: type) -> bool:
    """Tells whether a class is made as `tf.keras.Model(inputs, outputs)`."""
    parameters = list(inspect.signature(kind.__init__).parameters)  # type: ignore[misc]
    return parameters[1:3] == ["inputs", "outputs"]


def _nodes(model: Any) -> list[Any]:
    """Returns the calls in a model, each behind those whose values it takes."""
    by_depth = model._nodes_by_depth
    nodes = [
        node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]
    ]
    reached = {id(node) for depth in by_depth if depth >= 0 for node in by_depth[depth]}
    beside = [node.layer.name for node in nodes if id(node) not in reached]
    if beside:
        raise ValueError(
            f"{model.name} holds {', '.join(beside)}, made by add_loss or add_metric. "
            "Their copies could not be tied to it: add them to the result instead."
        )
    return nodes


def _normalizes(node: Any, axis: int) -> bool:
    """Tells whether a call normalizes the channels on an axis, as in inference."""
    return (
        type(node.layer) is _layers.BatchNormalization
        and len(node.call_args) == 1
        and all(value is None or value is False for value in node.call_kwargs.values())
        and list(node.layer.axis) == [axis % node.call_args[0].shape.rank]
    )


def _channel_axis(layer: Any) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _kernel(layer: Any, kind: str) -> Any:
    return getattr(layer, "kernel" if kind == "kernel" else f"{kind}_kernel")


def _is_free(layer: Any, kind: str) -> bool:
    quantizer = getattr(layer, f"{kind}_quantizer", None)
    return isinstance(quantizer, lq.quantizers.NoOp) and quantizer.precision == 1


def _is_latent(layer: Any, kind: str) -> bool:
    quantizer = getattr(layer, f"{kind}_quantizer", None)
    return quantizer is not None and not isinstance(quantizer, lq.quantizers.NoOp)
