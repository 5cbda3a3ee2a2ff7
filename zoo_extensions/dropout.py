"""Dropout whose masks repeat, so that interrupted trainings can be resumed."""

from __future__ import annotations

import random
from typing import Any

import tensorflow as tf

from zoo_extensions.registration import register

_SEEDS = 2**31 - 1


@register
class SeededDropout(tf.keras.layers.Layer):
    r"""Dropout whose mask is a function of a seed and of the number of the step.

    \[ y = m x / (1 - r), \quad m \in \{0, 1\}, \quad P(m = 0) = r \]

    in a training, and y = x otherwise. Keras's `Dropout` draws its masks from a
    generator that no file stores. This layer counts its calls in a weight, which every
    file does: a training that goes on from a file draws the masks that it would have
    drawn. Replicas have masks of their own.

    Args:
        rate: The share r that is dropped, in [0, 1).
        seed: An integer. Defaults to `None`, drawn when the layer is made, by
            `tf.keras.utils.set_random_seed`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If the rate is out of its range.

    Example:
        >>> layer = SeededDropout(0.5, seed=1)
        >>> one, other = (layer(tf.ones((1, 8)), training=True) for _ in range(2))
        >>> bool(tf.reduce_all(one == other))
        False
        >>> _ = layer.calls.assign(0)
        >>> bool(tf.reduce_all(one == layer(tf.ones((1, 8)), training=True)))
        True

    References:
        [Dropout](https://jmlr.org/papers/v15/srivastava14a.html)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1). Received: {rate}")
        self.rate = float(rate)
        self.seed = random.randint(0, _SEEDS) if seed is None else int(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Creates the number of calls."""
        self.calls = self.add_weight(
            name="calls",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the inputs, in a training with some of them dropped."""
        if not training or not self.rate:
            return inputs
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        number = tf.convert_to_tensor(self.calls)
        self.calls.assign_add(1)
        seeds = tf.stack([tf.cast(self.seed, tf.int64) + _apart(replica), number])
        drawn = tf.random.stateless_uniform(tf.shape(inputs), seeds)
        kept = inputs / tf.cast(1 - self.rate, inputs.dtype)
        return tf.where(drawn >= self.rate, kept, tf.zeros_like(inputs))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _apart(replica: int | tf.Tensor) -> tf.Tensor:
    """Returns what is added to the seed of a replica."""
    # Beyond all seeds, so that no replica has the masks of another layer.
    return tf.cast(replica, tf.int64) * _SEEDS
