"""Layers of a transformer that Keras has not as layers of their own.

Each is one step, so that a converter and a distillation can name it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from zoo_extensions.registration import register

# What BERT adds to the scores of masked tokens: exp(-10000) is 0, and float16 holds it.
MASKED = -10000.0


@register
class PositionEmbedding(tf.keras.layers.Layer):
    """Adds a learned vector to each position.

    y[:, t] = x[:, t] + P[t].

    Args:
        rows: Number of positions in the table, at least the tokens of an input.
        embeddings_initializer: Initializer of the table. Defaults to `"uniform"`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If an input has more tokens than the table has rows.

    Example:
        >>> PositionEmbedding(8)(tf.zeros((1, 5, 2))).shape
        TensorShape([1, 5, 2])

    References:
        [BERT](https://arxiv.org/abs/1810.04805)
    """

    def __init__(
        self, rows: int, embeddings_initializer: Any = "uniform", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.rows = rows
        self.embeddings_initializer = tf.keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the table."""
        tokens, channels = tuple(input_shape)[1:]
        if tokens is None or tokens > self.rows:
            raise ValueError(
                f"{self.name} has {self.rows} rows, but its input has {tokens} tokens."
            )
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.rows, channels),
            initializer=self.embeddings_initializer,
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the sum."""
        return inputs + self.embeddings[: inputs.shape[1]]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        initializer = tf.keras.initializers.serialize(self.embeddings_initializer)
        config = {"rows": self.rows, "embeddings_initializer": initializer}
        return {**super().get_config(), **config}


@register
class MaskBias(tf.keras.layers.Layer):
    """Numbers to add to scores of attention: 0 for tokens, -10000 for padding.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> MaskBias()(tf.constant([[1, 0]])).numpy().ravel()
        array([    -0., -10000.], dtype=float32)

    References:
        [BERT](https://arxiv.org/abs/1810.04805)
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns a tensor of (batch, 1, 1, tokens)."""
        mask = tf.cast(inputs, self.compute_dtype)[:, tf.newaxis, tf.newaxis, :]
        return (1.0 - mask) * MASKED


class _Heads(tf.keras.layers.Layer):
    """A product of activations, head by head."""

    def __init__(self, num_heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def split(self, x: tf.Tensor, order: tuple[int, ...]) -> tf.Tensor:
        """Returns (batch, tokens, channels) as heads, with its axes in an order."""
        tokens, channels = x.shape[1:]
        heads = (-1, tokens, self.num_heads, channels // self.num_heads)
        return tf.transpose(tf.reshape(x, heads), order)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "num_heads": self.num_heads}


@register
class AttentionScores(_Heads):
    """Scores of attention: queries times keys, scaled, and the mask added.

    scores[b, h, i, j] = q[b, h, i] . k[b, h, j] / sqrt(c) + bias[b, j], with c channels
    a head.

    Its inputs are the list of queries and keys, (batch, tokens, channels) each, and a
    bias of (batch, 1, 1, tokens), as `MaskBias` makes it.

    Args:
        num_heads: Number of heads, a divisor of the channels.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> x, bias = tf.ones((1, 3, 4)), tf.zeros((1, 1, 1, 3))
        >>> AttentionScores(2)([x, x, bias]).shape
        TensorShape([1, 2, 3, 3])

    References:
        [BERT](https://arxiv.org/abs/1810.04805)
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the scores, (batch, heads, tokens, tokens)."""
        queries, keys, bias = inputs
        scale = 1.0 / math.sqrt(queries.shape[-1] // self.num_heads)
        products = tf.matmul(
            self.split(queries, (0, 2, 1, 3)), self.split(keys, (0, 2, 3, 1))
        )
        return products * scale + bias


@register
class AttentionContext(_Heads):
    """The values that attention picks: probabilities times values, heads joined.

    Its inputs are the list of probabilities, (batch, heads, tokens, tokens), and
    values, (batch, tokens, channels).

    Args:
        num_heads: Number of heads, a divisor of the channels.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> p, v = tf.ones((1, 2, 3, 3)), tf.ones((1, 3, 4))
        >>> AttentionContext(2)([p, v]).shape
        TensorShape([1, 3, 4])

    References:
        [BERT](https://arxiv.org/abs/1810.04805)
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the context, (batch, tokens, channels)."""
        probabilities, values = inputs
        context = tf.matmul(probabilities, self.split(values, (0, 2, 1, 3)))
        context = tf.transpose(context, (0, 2, 1, 3))
        return tf.reshape(context, (-1, *values.shape[1:]))


@register
class FirstToken(tf.keras.layers.Layer):
    """The vector of the first token, which stands for the sentence in BERT.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> FirstToken()(tf.ones((1, 3, 4))).shape
        TensorShape([1, 4])

    References:
        [BERT](https://arxiv.org/abs/1810.04805)
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns a tensor of (batch, channels)."""
        return inputs[:, 0]
