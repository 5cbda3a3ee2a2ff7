"""Quantizers of BiT, a binary BERT: elastic ones of activations, and that of weights.

An activation is binary with a learned scale; weights are signs about their mean with
one scale for the tensor or for each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import larq as lq
import tensorflow as tf

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
    a clip(round(x / a), 0, 1), but a at the tie x = a/2. It is written with a sign so
    that a binary convolution can take it. With g, the gradient of y, and n, the number
    of elements, the gradients are

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
            # A batch that overflows 16 bits sets nothing: its step is skipped, too.
            is_finite = tf.math.is_finite(first)
            sets = (self.is_set <= 0) & is_finite
            self.alpha.assign(tf.where(sets, first, self.alpha))
            self.is_set.assign(tf.where(is_finite, 1.0, self.is_set))
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

    y = alpha where x >= alpha / 2, else 0, see `elastic_unit`. The first batch in
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
