"""Elastic binarization of BiT, a binary BERT: its quantizers and its two layers.

An activation is binary with a learned scale; a linear layer and a table of embeddings
are binary with one scale for the tensor and one for each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import larq as lq
import tensorflow as tf
from larq.layers_base import BaseLayer

from zoo_extensions.registration import register

# Lower values of a learned scale count as this one.
LEAST_SCALE = 1e-5
# Mean magnitude of the normal distribution from which BERT draws its weights, and so
# the scale that latent weights would have at the start.
START_SCALE = 0.02 * math.sqrt(2 / math.pi)

_Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@tf.custom_gradient
def elastic_sign(x: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, _Gradient]:
    """Returns the sign of a tensor times a learned scale.

    y = a sign(x), where a = max(alpha, 1e-5) and sign(0) = +1. With g, the gradient of
    y, and n, the number of elements, the gradients are

    dx = g where |x| <= a, 0 elsewhere; dalpha = sum(g sign(x)) / sqrt(n).

    Args:
        x: Tensor of floats.
        alpha: The scale, a float32 scalar.

    Returns:
        A tensor like `x`.

    Example:
        >>> elastic_sign(tf.constant([-0.2, 0.0, 3.0]), tf.constant(0.5)).numpy()
        array([-0.5,  0.5,  0.5], dtype=float32)

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.2.
    """
    a = tf.cast(tf.maximum(alpha, LEAST_SCALE), x.dtype)
    sign = lq.math.sign(x)

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dx = tf.where(tf.abs(x) <= a, dy, tf.zeros_like(dy))
        return dx, _scaled_sum(dy, sign, alpha)

    return a * sign, gradient


@tf.custom_gradient
def elastic_unit(x: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, _Gradient]:
    """Returns 0 or a learned scale, whichever is nearer.

    y = a/2 (sign(x - a/2) + 1), where a = max(alpha, 1e-5): the unsigned binarization
    a clip(round(x / a), 0, 1), written with a sign so that a binary convolution can
    take it. With g, the gradient of y, and n, the number of elements, the gradients are

    dx = g where 0 <= x <= a, 0 elsewhere;
    dalpha = sum(g (y/a - x/a where 0 <= x <= a, y/a elsewhere)) / sqrt(n).

    Args:
        x: Tensor of floats.
        alpha: The scale, a float32 scalar.

    Returns:
        A tensor like `x`.

    Example:
        >>> elastic_unit(tf.constant([-1.0, 0.2, 0.3, 3.0]), tf.constant(0.5)).numpy()
        array([0. , 0. , 0.5, 0.5], dtype=float32)

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.2.
    """
    a = tf.cast(tf.maximum(alpha, LEAST_SCALE), x.dtype)
    half = a * 0.5
    above = lq.math.sign(x - half) + 1.0

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inside = (x >= 0) & (x <= a)
        dx = tf.where(inside, dy, tf.zeros_like(dy))
        slope = above * 0.5 - tf.where(inside, x / a, tf.zeros_like(x))
        return dx, _scaled_sum(dy, slope, alpha)

    return half * above, gradient


def _scaled_sum(dy: tf.Tensor, slope: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Returns sum(dy slope) / sqrt(n) in the precision of the scale."""
    products = tf.cast(dy, alpha.dtype) * tf.cast(slope, alpha.dtype)
    return tf.reduce_sum(products) * tf.math.rsqrt(tf.cast(tf.size(dy), alpha.dtype))


class _Elastic(lq.quantizers.Quantizer):
    """A quantizer of activations with a learned scale, set by the first batch."""

    precision = 1

    def __init__(self, **kwargs: Any):
        # The scale keeps its precision, whatever the global policy is.
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the scale, and the mark that the first batch has set it."""
        common = {"shape": (), "experimental_autocast": False}
        self.alpha = self.add_weight(
            name="alpha",
            initializer="ones",
            # Replicas agree on the mean of what their shares of the batch say.
            aggregation=tf.VariableAggregation.MEAN,
            **common,
        )
        self.is_set = self.add_weight(
            name="is_set",
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.MEAN,
            **common,
        )
        super().build(input_shape)

    def get_build_config(self) -> None:
        """Returns nothing, so that a copy is built when its layer calls it.

        Keras would build it outside of the layer, whose name its weights would lack.
        """

    def first_scale(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the scale that a first batch gives."""
        raise NotImplementedError

    def binarize(self, inputs: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
        """Returns the binary tensor."""
        raise NotImplementedError

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the binary tensor; the first call in training sets the scale."""
        if training:
            # A choice between values instead of a branch, in which replicas cannot
            # meet.
            values = tf.cast(tf.stop_gradient(inputs), self.alpha.dtype)
            first = self.first_scale(values)
            self.alpha.assign(tf.where(self.is_set > 0, self.alpha, first))
            self.is_set.assign(1.0)
        return self.binarize(inputs, tf.convert_to_tensor(self.alpha))


@register
class ElasticSign(_Elastic):
    """Sign of activations times a learned scale.

    y = alpha sign(x), see `elastic_sign`. The first batch in training sets alpha to
    2 mean(|x|); before that it is 1. The scale is one number, trained in float32.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> quantizer = ElasticSign()
        >>> quantizer(tf.constant([-1.0, 0.0, 2.0]), training=True).numpy()
        array([-2.,  2.,  2.], dtype=float32)
        >>> quantizer(tf.constant([-9.0, 9.0]), training=True).numpy()
        array([-2.,  2.], dtype=float32)

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.2.
    """

    def first_scale(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns 2 mean(|x|)."""
        return 2.0 * tf.reduce_mean(tf.abs(inputs))

    def binarize(self, inputs: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
        """Returns alpha sign(x)."""
        return elastic_sign(inputs, alpha)


@register
class ElasticUnit(_Elastic):
    """Zero or a learned scale, for activations that are not negative.

    y = alpha where x > alpha / 2, else 0, see `elastic_unit`. The first batch in
    training sets alpha to 4 mean(|x|); before that it is 1. BiT uses it for
    probabilities of attention and after a ReLU.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> ElasticUnit()(tf.constant([0.0, 0.1, 0.5]), training=True).numpy()
        array([0. , 0. , 0.8], dtype=float32)

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.2.
    """

    def first_scale(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns 4 mean(|x|)."""
        return 4.0 * tf.reduce_mean(tf.abs(inputs))

    def binarize(self, inputs: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
        """Returns 0 or alpha."""
        return elastic_unit(inputs, alpha)


@tf.custom_gradient
def _centered_sign(
    x: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, None, None]]]:
    """Returns scale * sign(x - mean) with the gradient of the identity to x."""
    return scale * lq.math.sign(x - mean), lambda dy: (dy, None, None)


@register
class CenteredSign(lq.quantizers.Quantizer):
    """Quantizer of latent weights: signs about their mean, times a mean magnitude.

    q(W) = mean(|W|) sign(W - mean(W)) with both means over the whole tensor, or with
    mean(|w|) of each row w for a table of embeddings. The gradient is that of the
    identity, so latent weights of any magnitude are trained and none need clipping.

    Args:
        by_row: Whether each index of the first axis has a scale of its own. Defaults
            to `False`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> kernel = tf.constant([[1.0, 2.0], [3.0, 6.0]])
        >>> CenteredSign()(kernel).numpy()
        array([[-3., -3.],
               [ 3.,  3.]], dtype=float32)
        >>> CenteredSign(by_row=True)(kernel).numpy()
        array([[-1.5, -1.5],
               [ 4.5,  4.5]], dtype=float32)

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.1.
    """

    precision = 1

    def __init__(self, by_row: bool = False, **kwargs: Any):
        # A kernel keeps its precision, whatever the global policy is.
        super().__init__(autocast=False, **kwargs)
        self.by_row = by_row

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the quantized weights."""
        return self.quantize(inputs, self.center(inputs))

    def center(self, weights: tf.Tensor) -> tf.Tensor:
        """Returns the value about which the signs of a whole tensor are taken."""
        wide = tf.float64 if weights.dtype == tf.float64 else tf.float32
        return tf.reduce_mean(tf.cast(weights, wide))

    def quantize(self, weights: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """Returns weights quantized about a mean, such as rows of a larger table."""
        axes = list(range(1, weights.shape.rank)) if self.by_row else None
        # Sums of many weights need more than 16 bits.
        wide = tf.float64 if weights.dtype == tf.float64 else tf.float32
        values = tf.cast(weights, wide)
        scale = tf.reduce_mean(tf.abs(values), axis=axes, keepdims=self.by_row)
        signs = _centered_sign(values, tf.cast(mean, wide), scale)
        return tf.cast(signs, weights.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "by_row": self.by_row}


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
        super().__init__(units, 1, input_quantizer=input_quantizer, **kwargs)
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
            kernel = kernel * self.kernel_scale
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
            rows = rows * tf.nn.embedding_lookup(self.row_scale, ids)
        elif self.embeddings_quantizer is not None:
            # The mean takes no part in the gradient, so that only the rows get one.
            mean = tf.stop_gradient(tf.reduce_mean(self.embeddings))
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
