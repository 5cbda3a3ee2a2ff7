"""Operations, parameters and memory of one layer, from the calls of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import larq as lq
import tensorflow as tf

from zoo_extensions.attention import (
    AttentionContext,
    AttentionScores,
    PositionEmbedding,
)
from zoo_extensions.dropout import SeededDropout
from zoo_extensions.elastic import BinaryEmbedding, ElasticSign, ElasticUnit
from zoo_extensions.op_count import LayerCount

_layers = tf.keras.layers

FLOAT_BITS = 32
# Of a real number in ACE: PokeBNN counts bfloat16.
_FLOAT_BITS_OF_ACE = 16

_CONVOLUTIONS = (_layers.Conv1D, _layers.Conv2D, _layers.Conv3D)
_TRANSPOSED = (
    _layers.Conv1DTranspose,
    _layers.Conv2DTranspose,
    _layers.Conv3DTranspose,
)
_DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
_SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
_LOCAL = (_layers.LocallyConnected1D, _layers.LocallyConnected2D)
# They multiply each value at most once, whatever the shape of their weights.
_ELEMENTWISE = (
    _layers.BatchNormalization,
    _layers.LayerNormalization,
    _layers.PReLU,
    _layers.Embedding,
    PositionEmbedding,
)
# They multiply two activations, all channels of all pairs of tokens.
PRODUCTS = (AttentionScores, AttentionContext)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer: shapes with the batch, and the bits of its inputs."""

    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    input_bits: int
    bits_of_each: tuple[int, ...]


def count_layer(
    layer: tf.keras.layers.Layer, calls: list[Call]
) -> list[LayerCount] | None:
    """Returns the counts of a layer, `None` if the use of its kernel is not known.

    Args:
        layer: A layer with weights, or one of `PRODUCTS`.
        calls: Its calls, for one input.
    """
    if isinstance(layer, PRODUCTS):
        return [_product(layer, calls)]
    if isinstance(layer, _SEPARABLE):
        return _separable(layer, calls)
    if isinstance(layer, _DEPTHWISE):
        return [_with_kernel(layer, calls, "depthwise", _pixels(layer, "output"))]
    if isinstance(layer, _TRANSPOSED):
        return [_with_kernel(layer, calls, "kernel", _pixels(layer, "input"))]
    if isinstance(layer, _CONVOLUTIONS):
        return [_with_kernel(layer, calls, "kernel", _pixels(layer, "output"))]
    if isinstance(layer, _layers.Dense):
        return [
            _with_kernel(
                layer, calls, "kernel", lambda call: _size(call.output_shape[:-1])
            )
        ]
    if isinstance(layer, _layers.EinsumDense):
        return [_with_kernel(layer, calls, "kernel", _einsum_positions(layer))]
    if isinstance(layer, _LOCAL) and layer.implementation == 1:
        # Every position has weights of its own.
        return [_with_kernel(layer, calls, "kernel", lambda call: 1)]
    if isinstance(layer, _ELEMENTWISE) or all(
        sum(size > 1 for size in weight.shape) < 2 for weight in own_weights(layer)
    ):
        return [without_kernel(layer, calls)]
    return None


def _with_kernel(
    layer: tf.keras.layers.Layer,
    calls: list[Call],
    kind: str,
    positions: Callable[[Call], int],
) -> LayerCount:
    """Counts a layer whose kernel is multiplied once at each position."""
    kernel = getattr(layer, "kernel" if kind == "kernel" else f"{kind}_kernel")
    kernel_bits = _kernel_bits(layer, kernel, kind)
    size = _size(kernel.shape)
    macs = {True: 0, False: 0}
    ace = 0
    for call in calls:
        products = size * positions(call)
        macs[call.input_bits == kernel_bits == 1] += products
        ace += products * _ace_bits(call.input_bits) * _ace_bits(kernel_bits)
    others = sum(_size(w.shape) for w in own_weights(layer)) - size
    return LayerCount(
        name=layer.name,
        kind=type(layer).__name__,
        input_bits=max((call.input_bits for call in calls), default=FLOAT_BITS),
        kernel_bits=kernel_bits,
        kernel_shape=tuple(kernel.shape),
        output_shape=_output(calls),
        binary_macs=macs[True],
        float_macs=macs[False],
        ace=ace,
        parameters=size + others,
        memory_bits=size * _stored(kernel_bits) + others * FLOAT_BITS,
    )


def _product(layer: tf.keras.layers.Layer, calls: list[Call]) -> LayerCount:
    """Counts a product of two activations, their first two inputs."""
    macs = {True: 0, False: 0}
    ace = 0
    for call in calls:
        first, second = call.bits_of_each[:2]
        is_score = isinstance(layer, AttentionScores)
        shape = call.input_shape if is_score else call.output_shape
        products = _size(shape) * _size(shape[1:2])
        macs[first == second == 1] += products
        ace += products * _ace_bits(first) * _ace_bits(second)
    bits = [call.bits_of_each[:2] for call in calls]
    return LayerCount(
        name=layer.name,
        kind=type(layer).__name__,
        input_bits=max((first for first, _ in bits), default=FLOAT_BITS),
        kernel_bits=max((second for _, second in bits), default=FLOAT_BITS),
        kernel_shape=None,
        output_shape=_output(calls),
        binary_macs=macs[True],
        float_macs=macs[False],
        ace=ace,
        parameters=0,
        memory_bits=0,
    )


def _separable(layer: tf.keras.layers.Layer, calls: list[Call]) -> list[LayerCount]:
    """Counts the two kernels of a separable convolution; the second has the bias."""
    first = _with_kernel(layer, calls, "depthwise", _pixels(layer, "output"))
    sums = [dataclasses.replace(call, input_bits=FLOAT_BITS) for call in calls]
    second = _with_kernel(layer, sums, "pointwise", _pixels(layer, "output"))
    size = _size(layer.depthwise_kernel.shape)
    own = size * _stored(first.kernel_bits)
    return [
        dataclasses.replace(
            first,
            name=f"{layer.name} (depthwise)",
            output_shape=None,
            parameters=size,
            memory_bits=own,
        ),
        dataclasses.replace(
            second,
            name=f"{layer.name} (pointwise)",
            parameters=second.parameters - size,
            memory_bits=second.memory_bits - size * FLOAT_BITS,
        ),
    ]


def without_kernel(layer: tf.keras.layers.Layer, calls: list[Call]) -> LayerCount:
    """Counts the weights of a layer as if it multiplied nothing."""
    weights = own_weights(layer)
    parameters = sum(_size(weight.shape) for weight in weights)
    memory = sum(
        _size(weight.shape) * _stored(_weight_bits(weight)) for weight in weights
    )
    if isinstance(layer, _layers.BatchNormalization):
        memory = 2 * FLOAT_BITS * _size(layer.moving_mean.shape)
    elif isinstance(layer, SeededDropout):
        memory = 0
    elif isinstance(layer, (ElasticSign, ElasticUnit)):
        memory = FLOAT_BITS  # The scale, not the mark that it is set.
    table = layer.embeddings if isinstance(layer, BinaryEmbedding) else None
    return LayerCount(
        name=layer.name,
        kind=type(layer).__name__,
        input_bits=None,
        kernel_bits=None if table is None else _weight_bits(table) or FLOAT_BITS,
        kernel_shape=None if table is None else tuple(table.shape),
        output_shape=_output(calls),
        binary_macs=0,
        float_macs=0,
        ace=0,
        parameters=parameters,
        memory_bits=memory,
    )


def _kernel_bits(layer: tf.keras.layers.Layer, kernel: tf.Variable, kind: str) -> int:
    quantizer = getattr(layer, f"{kind}_quantizer", None)
    if isinstance(layer, lq.layers.QuantDepthwiseConv2D):
        quantizer = layer.depthwise_quantizer
    return bits_of(quantizer) or _weight_bits(kernel) or FLOAT_BITS


def _weight_bits(weight: tf.Variable) -> int | None:
    """Returns the bits of a weight of larq, by its quantizer if it has one."""
    bits = getattr(weight, "precision", None)
    return bits_of(getattr(weight, "quantizer", None)) if bits == 1 else bits


def _stored(bits: int | None) -> int:
    """Returns the stored bits of a weight: only 1-bit weights are packed."""
    return 1 if bits == 1 else FLOAT_BITS


def _ace_bits(bits: int) -> int:
    """Returns the bits of a value in ACE."""
    return _FLOAT_BITS_OF_ACE if bits == FLOAT_BITS else bits


def _pixels(layer: tf.keras.layers.Layer, side: str) -> Callable[[Call], int]:
    """Returns a function that counts the positions of an image, batch included."""
    first = layer.data_format == "channels_first"

    def count(call: Call) -> int:
        shape = call.output_shape if side == "output" else call.input_shape
        return _size((shape[0], *shape[2:]) if first else shape[:-1])

    return count


def _einsum_positions(layer: tf.keras.layers.EinsumDense) -> Callable[[Call], int]:
    """Returns a function that counts the multiplications of each EinsumDense weight."""
    inputs, kernel = layer.equation.split("->")[0].split(",")
    sizes = dict(zip(kernel, layer.kernel.shape))
    shared = _size(size for label, size in sizes.items() if label in inputs)
    return lambda call: _size(call.input_shape) // shared


def _output(calls: list[Call]) -> tuple[int | None, ...] | None:
    return calls[0].output_shape[1:] if calls else None


def _size(shape: Iterable[Any]) -> int:
    return math.prod(shape)


def own_weights(layer: tf.keras.layers.Layer) -> list[tf.Variable]:
    """Returns the weights of a layer, without the weights of the layers in it."""
    theirs = {
        id(weight)
        for part in layer.submodules
        if isinstance(part, _layers.Layer)
        for weight in part.weights
    }
    return [weight for weight in layer.weights if id(weight) not in theirs]


def bits_of(quantizer: object) -> int | None:
    """Returns the bits of the outputs of a quantizer, `None` if they are not known.

    Outputs of 0 and 1 count as float: no binary operator computes with them.
    """
    zero_or_one = isinstance(quantizer, lq.quantizers.SteHeaviside) or (
        isinstance(quantizer, lq.quantizers.DoReFa) and quantizer.mode == "activations"
    )
    bits = getattr(quantizer, "precision", None)
    return FLOAT_BITS if bits == 1 and zero_or_one else bits
