"""Counting of operations, parameters and memory, by the rule of the papers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from zoo_extensions.elastic import ElasticLinear
from zoo_extensions.layer_counts import (
    FLOAT_BITS,
    PRODUCTS,
    Call,
    bits_of,
    count_layer,
    own_weights,
    without_kernel,
)
from zoo_extensions.op_count import LayerCount, OpCount

_layers = tf.keras.layers

# They run the layers in them several times, but tracing sees one run.
_REPEATING = (_layers.RNN, _layers.TimeDistributed, _layers.Bidirectional)
# They multiply their inputs with each other.
_ATTENTIONS = (
    _layers.MultiHeadAttention,
    _layers.Attention,
    _layers.AdditiveAttention,
)
# All values of their outputs are values of their inputs.
_KEEP_BITS = (
    _layers.MaxPooling1D,
    _layers.MaxPooling2D,
    _layers.MaxPooling3D,
    _layers.Flatten,
    _layers.Reshape,
    _layers.Permute,
    _layers.Concatenate,
)


def count_ops(
    model: tf.keras.Model, input_shape: Sequence[int] | None = None
) -> OpCount:
    """Counts operations, parameters and memory of a Keras model, layer by layer.

    The model is traced once with one input, so nested models, layers that hold layers
    and layers that are called several times are counted as they are used.

    - One multiplication and addition is one operation. Convolutions and dense layers
      count; biases, normalizations, activations, pooling and additions do not, as in
      papers 002 and 003.
    - A multiplication is binary only if both its input and its kernel have 1 bit. The
      input has 1 bit if the layer's `input_quantizer` says so, or if the tensor is the
      output of a 1-bit quantizer with only pooling, reshaping or concatenation after
      it. The kernel has 1 bit if its quantizer says so, as `NoOp(precision=1)` of a
      latent-free kernel does. Values of 0 and 1, such as those of `SteHeaviside` and of
      `DoReFa(1)` for activations, count as float, and so does a binary kernel on float
      inputs. The second kernel of a separable convolution multiplies sums, so it counts
      as float.
    - A 1-bit weight takes 1 bit, each other value 32. A batch normalization stores two
      values a channel, its scale and its offset; what only training needs, such as the
      calls that `SeededDropout` counts, is not stored.
    - A layer of an unknown class counts no multiplications. If its weights are scalars
      and vectors, it counts as elementwise. Otherwise it is in `uncounted`, and a
      warning names it.
    - `AttentionScores` and `AttentionContext` multiply two activations, which are
      binary if both have 1 bit, as BiT counts them; the values of `ElasticUnit`, 0 and
      a scale, have 1 bit, since they are signs but for a constant. In an attention
      layer of Keras the dense layers are counted, but not the products of its inputs:
      a warning names it.
    - A transposed convolution multiplies its kernel at each of its input positions.
    - ACE, the unit of PokeBNN, multiplies each multiplication by the bits of both its
      factors, of which a real number has 16 there.

    BOPs, FLOPs and OPs are the units of papers 002 and 003, and ACE is that of PokeBNN;
    "CPU64" of PokeBNN is OPs, with an 8-bit multiplication as an eighth.

    Args:
        model: A Keras model with layers of Keras, larq or your own.
        input_shape: Shape of one input without the batch, for a model that does not
            know it. Defaults to `None`, the model's own.

    Returns:
        The count.

    Raises:
        ValueError: If the size of the input is not known, or `input_shape` does not fit
            the model.

    Example:
        >>> import zoo_extensions as zx
        >>> count = zx.count_ops(zx.TinyResidualBNN())
        >>> count.bops, count.flops, count.ace, count.parameters
        (9861120, 289152, 83884032, 309418)
        >>> count.layers[2].name, count.layers[2].bits
        ('stage1_1_conv', '1/1')

    References:
        - Paper 002 (MeliusNet), table 1, for OPs = BOPs / 64 + FLOPs.
        - [PokeBNN](https://arxiv.org/abs/2112.00133), section 3, for ACE.
    """
    signature = _signature(model, input_shape)
    if not model.built:
        # Building calls layers too, and may make them.
        _trace(model, signature)
    recorder, paths = _Recorder(), _paths(model)
    with recorder.watching(model):
        _trace(model, signature)
    entries: list[LayerCount] = []
    uncounted: list[str] = []
    for layer in recorder.called_first(_multiplying(model)):
        counts = count_layer(layer, recorder.calls.get(id(layer), []))
        if counts is None:
            uncounted.append(paths.get(id(layer), layer.name))
            counts = [without_kernel(layer, recorder.calls.get(id(layer), []))]
        outer = paths.get(id(layer), layer.name).removesuffix(layer.name)
        entries += [
            dataclasses.replace(count, name=outer + count.name) for count in counts
        ]
    uncounted += [
        layer.name
        for layer in recorder.called_first(_all_layers(model))
        if isinstance(layer, (*_REPEATING, *_ATTENTIONS))
        and layer.name not in uncounted
    ]
    if uncounted:
        warnings.warn(
            f"The multiplications of {', '.join(uncounted)} are not counted: it is not "
            "known how these layers use their weights, or they multiply their inputs "
            "with each other.",
            stacklevel=2,
        )
    return OpCount(model.name, tuple(entries), tuple(uncounted))


class _Recorder:
    """Records every call of the layers of a model."""

    def __init__(self) -> None:
        self.calls: dict[int, list[Call]] = {}
        self._order: dict[int, int] = {}
        # It holds the tensors too: the id of a deleted one may be used again.
        self._binary: dict[int, tf.Tensor] = {}

    @contextlib.contextmanager
    def watching(self, model: tf.keras.Model) -> Iterator[None]:
        """Replaces the `call` of every layer, and restores it."""
        watched = _all_layers(model)
        own = {id(layer): vars(layer).get("call") for layer in watched}
        try:
            for layer in watched:
                layer.call = self._recording(layer, layer.call)
            yield
        finally:
            for layer in watched:
                if own[id(layer)] is not None:
                    layer.call = own[id(layer)]
                elif "call" in vars(layer):
                    del layer.call

    def called_first(
        self, layers: list[tf.keras.layers.Layer]
    ) -> list[tf.keras.layers.Layer]:
        """Returns layers in the order of their first call, uncalled ones last."""
        last = len(self._order)
        return sorted(layers, key=lambda layer: self._order.get(id(layer), last))

    def _recording(
        self, layer: tf.keras.layers.Layer, call: Callable[..., Any]
    ) -> Callable[..., Any]:
        @functools.wraps(call)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            inputs = tf.nest.flatten(args[0] if args else kwargs.get("inputs"))
            self._order.setdefault(id(layer), len(self._order))
            outputs = call(*args, **kwargs)
            self._record(layer, inputs, tf.nest.flatten(outputs))
            return outputs

        return recorded

    def _record(
        self,
        layer: tf.keras.layers.Layer,
        inputs: list[tf.Tensor],
        outputs: list[tf.Tensor],
    ) -> None:
        if not inputs or not outputs:
            return
        binary = all(id(tensor) in self._binary for tensor in inputs)
        if _makes_bits(layer) or (binary and isinstance(layer, _KEEP_BITS)):
            self._binary.update((id(tensor), tensor) for tensor in outputs)
        quantizer = getattr(layer, "input_quantizer", None)
        if quantizer is not None:
            bits = bits_of(quantizer) or FLOAT_BITS
        else:
            bits = 1 if binary else FLOAT_BITS
        if hasattr(inputs[0], "shape") and hasattr(outputs[0], "shape"):
            of_each = tuple(
                1 if id(tensor) in self._binary else FLOAT_BITS for tensor in inputs
            )
            self.calls.setdefault(id(layer), []).append(
                Call(tuple(inputs[0].shape), tuple(outputs[0].shape), bits, of_each)
            )


def _makes_bits(layer: tf.keras.layers.Layer) -> bool:
    """Tells whether the values that a layer returns have 1 bit."""
    return bits_of(getattr(layer, "activation", None)) == 1 or bits_of(layer) == 1


def _signature(model: tf.keras.Model, input_shape: Sequence[int] | None) -> Any:
    """Returns the specification of one input, in the structure of the model's."""
    inputs = getattr(model, "input", None) if model.inputs else None
    if input_shape is not None:
        if inputs is not None and len(tf.nest.flatten(inputs)) > 1:
            raise ValueError(
                f"input_shape is for models of one input; {model.name} has "
                f"{len(tf.nest.flatten(inputs))}."
            )
        own = (None, *input_shape) if inputs is None else inputs.shape
        shape = (1, *input_shape)
        if not tf.TensorShape((None, *own[1:])).is_compatible_with(shape):
            raise ValueError(
                f"input_shape does not fit {model.name}, whose inputs are "
                f"{tuple(own[1:])}. Received: {tuple(input_shape)}"
            )
        return tf.TensorSpec(shape, "float32" if inputs is None else inputs.dtype)
    if inputs is None:
        raise ValueError(
            f"{model.name} does not know the shape of its inputs; give input_shape."
        )
    for tensor in tf.nest.flatten(inputs):
        if not tensor.shape[1:].is_fully_defined():
            raise ValueError(
                f"The inputs of {model.name} are {tuple(tensor.shape[1:])}; give the "
                "size to count for as input_shape."
            )
    return tf.nest.map_structure(
        lambda tensor: tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype), inputs
    )


def _trace(model: tf.keras.Model, signature: Any) -> None:
    """Runs the model once on tensors without values."""
    options = {}
    if "training" in inspect.signature(model.call).parameters:
        options["training"] = False

    def run(inputs: Any) -> Any:
        return model(inputs, **options)

    try:
        # Rewriting Python's control flow more than doubles the time, and few need it.
        tf.function(run, autograph=False).get_concrete_function(signature)
    except tf.errors.OperatorNotAllowedInGraphError:
        tf.function(run).get_concrete_function(signature)


def _all_layers(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """Returns the model and all layers in it, each once."""
    inner = [part for part in model.submodules if isinstance(part, _layers.Layer)]
    return list({id(layer): layer for layer in (model, *inner)}.values())


def _paths(model: tf.keras.Model) -> dict[int, str]:
    """Returns names of layers in layers that name them alike, as "outer/inner"."""
    paths: dict[int, str] = {}
    for layer in _all_layers(model):
        if isinstance(layer, (*_ATTENTIONS, *_REPEATING, ElasticLinear)):
            for part in layer.submodules:
                if isinstance(part, _layers.Layer):
                    paths[id(part)] = f"{layer.name}/{part.name}"
    return paths


def _multiplying(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """Returns the layers that have weights or multiply their inputs."""
    return [
        layer
        for layer in _all_layers(model)
        if isinstance(layer, PRODUCTS) or own_weights(layer)
    ]
