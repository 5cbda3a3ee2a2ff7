"""Initializers of binary kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from zoo_extensions.registration import register


@register
class BernoulliSign(tf.keras.initializers.Initializer):
    """Draws each weight from {-1, +1} with equal probability.

    For kernels without latent weights, which Diode, the gradient filter and Bop train.

    Args:
        seed: Integer for the same values in every call, or `None` to follow
            `tf.keras.utils.set_random_seed`. Defaults to `None`.
        magnitude: Draws from {-magnitude, +magnitude} instead. A tiny one starts latent
            weights at zero with a random sign, as paper 001 proposes below equation 7.
            Defaults to `1.0`.

    Raises:
        ValueError: If `magnitude` is not above zero.

    Example:
        >>> values = BernoulliSign(seed=0)((3, 3, 64, 64)).numpy()
        >>> sorted(set(values.ravel().tolist()))
        [-1.0, 1.0]
        >>> bool(abs(values.mean()) < 0.02)
        True

    References:
        Paper 003 (Diode), section 3: theta_0 ~ Bernoulli{-1, +1} with P = 0.5.
    """

    def __init__(self, seed: int | None = None, magnitude: float = 1.0):
        if not magnitude > 0:
            raise ValueError(f"magnitude={magnitude!r} must be above 0.")
        self.seed = seed
        self.magnitude = magnitude

    def __call__(
        self,
        shape: Sequence[int],
        dtype: tf.DType | str | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Returns a tensor of the shape with values in {-1, +1}."""
        dtype = tf.as_dtype(dtype or tf.keras.backend.floatx())
        # Keras's own initializer handles seeds, the global one included. It is made
        # again in each call: without a seed one object would repeat its first draw.
        uniform = tf.keras.initializers.RandomUniform(-1.0, 1.0, seed=self.seed)
        draw = uniform(shape, dtype=tf.float32, **kwargs)
        magnitude = tf.constant(self.magnitude, dtype)
        return tf.where(draw < 0, -magnitude, magnitude)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"seed": self.seed, "magnitude": self.magnitude}
