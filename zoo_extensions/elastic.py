"""Layers of BiT, a binary BERT: a linear layer and a table of word embeddings.

They are binary with one scale for the tensor and one for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import larq as lq
import tensorflow as tf
from larq.layers_base import BaseLayer

from zoo_extensions.elastic_quantizers import (
    START_SCALE,
    CenteredSign,
    ElasticSign,
    ElasticUnit,
    elastic_sign,
    elastic_unit,
)
from zoo_extensions.registration import register

__all__ = [
    "BinaryEmbedding",
    "CenteredSign",
    "ElasticLinear",
    "ElasticSign",
    "ElasticUnit",
    "elastic_sign",
    "elastic_unit",
]

# Arguments of a convolution that a linear layer does not have.
_OF_A_CONVOLUTION = (
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "data_format",
    "dilation_rate",
    "groups",
    "pad_values",
)


@register
class ElasticLinear(lq.layers.QuantConv2D):
    """Binary linear layer of BiT, computed as a 1x1 convolution.

    y = activation(q(x + shift) c W + bias), over the last axis. The shift, one number a
    channel that starts at 0, exists only with an input quantizer. Under
    `kernel_quantizer=NoOp(precision=1)` the kernel W is in {-1, +1}, and c is a learned
    scale, one number; otherwise c is 1. The kernel's shape is
    (1, 1, channels, `units`): Larq Compute Engine has binary convolutions and no binary
    dense layers.

    Args:
        units: Channels of the output.
        input_quantizer: `ElasticSign()`, `ElasticUnit()`, or `None` for real inputs.
            Defaults to `None`.
        kernel_quantizer: `CenteredSign()` for latent kernels, `NoOp(precision=1)` for
            kernels in {-1, +1}, `None` for real ones. Defaults to `None`.
        **kwargs: Arguments of `tf.keras.layers.Dense`.

    Raises:
        TypeError: For an argument of a convolution that a linear layer has not.
        ValueError: If `units` is not a positive integer, or an input has another number
            of axes than 2 or 3.

    Example:
        >>> layer = ElasticLinear(2, ElasticSign(), lq.quantizers.NoOp(precision=1))
        >>> layer(tf.ones((1, 5, 3))).shape
        TensorShape([1, 5, 2])
        >>> [weight.name for weight in layer.trainable_weights][:2]
        ['elastic_linear/kernel:0', 'elastic_linear/bias:0']

    References:
        [BiT](https://arxiv.org/abs/2205.13016), sections 3.1 and 3.2.
    """

    def __init__(
        self,
        units: int,
        input_quantizer: Any = None,
        kernel_quantizer: Any = None,
        **kwargs: Any,
    ):
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"units={units!r} must be an integer of at least 1.")
        wrong = [name for name in _OF_A_CONVOLUTION if name in kwargs]
        if wrong:
            raise TypeError(f"A linear layer has no {', '.join(wrong)}; leave it out.")
        super().__init__(
            units,
            1,
            input_quantizer=input_quantizer,
            data_format="channels_last",
            **kwargs,
        )
        # Larq warns of latent kernels without a constraint, which the clipped gradient
        # of a sign needs; that of the identity does not.
        self.kernel_quantizer = lq.quantizers.get_kernel_quantizer(kernel_quantizer)
        self.units = units
        self.input_spec = None

    @property
    def has_scale(self) -> bool:
        """Whether the kernel is in {-1, +1} under a learned scale."""
        return _is_latent_free(self.kernel_quantizer)

    @property
    def learned_scale(self) -> tf.Variable | None:
        """The scale of a kernel in {-1, +1}, a scalar; `None` for other kernels."""
        return self.kernel_scale if self.has_scale else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates kernel, bias, shift and scale."""
        shape = tuple(input_shape)
        if len(shape) not in (2, 3):
            raise ValueError(
                f"{self.name} takes inputs of (batch, channels) or (batch, tokens, "
                f"channels). Received: {shape}"
            )
        super().build((shape[0], 1, 1 if len(shape) == 2 else shape[1], shape[-1]))
        self.input_spec = tf.keras.layers.InputSpec(
            ndim=len(shape), axes={-1: shape[-1]}
        )
        if self.input_quantizer is not None:
            self.shift = self.add_weight(
                name="shift", shape=(shape[-1],), initializer="zeros"
            )
        if self.has_scale:
            self.kernel_scale = self.add_weight(
                name="kernel_scale",
                shape=(),
                initializer=tf.keras.initializers.Constant(START_SCALE),
                experimental_autocast=False,
            )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the outputs."""
        x = inputs
        if self.input_quantizer is not None:
            x = x + self.shift
        axes = [1] * (4 - inputs.shape.rank)
        for axis in axes:
            x = tf.expand_dims(x, axis)
        # The quantizer inside learns from Keras whether this is a training step.
        x = super().call(x)
        return tf.squeeze(x, list(range(1, 1 + len(axes))))

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Returns the convolution with the scaled kernel."""
        if self.has_scale:
            # The gradient of the scale is a sum over the whole kernel, too large for 16
            # bits.
            wide = tf.cast(kernel, self.kernel_scale.dtype) * self.kernel_scale
            kernel = tf.cast(wide, inputs.dtype)
        return super().convolution_op(inputs, kernel)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tf.TensorShape:
        """Returns the shape of the outputs."""
        return tf.TensorShape([*tuple(input_shape)[:-1], self.units])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = super().get_config()
        for name in _OF_A_CONVOLUTION:
            config.pop(name, None)
        return {**config, "units": self.units}


@register
class BinaryEmbedding(BaseLayer, tf.keras.layers.Embedding):
    """Table of embeddings whose rows are binary.

    With latent weights a row w is mean(|w|) sign(w - mean(W)), where mean(W) is that of
    the whole table, and gradients reach the rows that were looked up. Under
    `embeddings_quantizer=NoOp(precision=1)` the table is in {-1, +1}, and each row has
    a learned scale.

    Args:
        input_dim: Number of rows.
        output_dim: Channels of a row.
        embeddings_quantizer: `CenteredSign(by_row=True)` for latent rows,
            `NoOp(precision=1)` for rows in {-1, +1}, `None` for real ones. Defaults to
            `None`.
        **kwargs: Arguments of `tf.keras.layers.Embedding`.

    Raises:
        ValueError: For another quantizer.

    Example:
        >>> layer = BinaryEmbedding(
        ...     4, 3, lq.quantizers.NoOp(precision=1), embeddings_initializer="ones"
        ... )
        >>> layer(tf.constant([[0, 3]])).shape
        TensorShape([1, 2, 3])
        >>> layer.embeddings.precision, layer.row_scale.shape
        (1, TensorShape([4, 1]))

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.1.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_quantizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(input_dim, output_dim, **kwargs)
        self.embeddings_quantizer = lq.quantizers.get_kernel_quantizer(
            embeddings_quantizer
        )
        by_row = getattr(self.embeddings_quantizer, "by_row", False)
        if not (self.embeddings_quantizer is None or self.has_scale or by_row):
            raise ValueError(
                "embeddings_quantizer must be CenteredSign(by_row=True), "
                f"NoOp(precision=1) or None. Received: {embeddings_quantizer!r}"
            )

    @property
    def has_scale(self) -> bool:
        """Whether the rows are in {-1, +1} under learned scales."""
        return _is_latent_free(self.embeddings_quantizer)

    @property
    def learned_scale(self) -> tf.Variable | None:
        """The scales of rows in {-1, +1}, (rows, 1); `None` for other rows."""
        return self.row_scale if self.has_scale else None

    def _get_quantizer(self, name: str) -> Any:
        # Larq makes the variable one that optimizers and counts recognize as binary.
        return self.embeddings_quantizer if name == "embeddings" else None

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Creates the table and its scales."""
        super().build(input_shape)
        if self.has_scale:
            self.row_scale = self.add_weight(
                name="row_scale",
                shape=(self.input_dim, 1),
                initializer=tf.keras.initializers.Constant(START_SCALE),
                experimental_autocast=False,
            )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the rows."""
        ids = tf.cast(inputs, tf.int32)
        rows = tf.nn.embedding_lookup(self.embeddings, ids)
        if self.has_scale:
            scales = tf.nn.embedding_lookup(self.row_scale, ids)
            rows = tf.cast(rows, scales.dtype) * scales
        elif self.embeddings_quantizer is not None:
            # The mean takes no part in the gradient, so that only the rows get one.
            mean = tf.stop_gradient(self.embeddings_quantizer.center(self.embeddings))
            flat = tf.reshape(rows, (-1, self.output_dim))
            flat = self.embeddings_quantizer.quantize(flat, mean)
            rows = tf.reshape(flat, tf.shape(rows))
        rows = tf.ensure_shape(rows, (*inputs.shape, self.output_dim))
        return tf.cast(rows, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = super().get_config()
        config.pop("input_quantizer")
        quantizer = lq.quantizers.serialize(self.embeddings_quantizer)
        return {**config, "embeddings_quantizer": quantizer}


def _is_latent_free(quantizer: object) -> bool:
    return isinstance(quantizer, lq.quantizers.NoOp) and quantizer.precision == 1
