"""Cross entropy of integer labels with label smoothing."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class Crossentropy(tf.keras.losses.Loss):
    r"""Cross entropy of integer labels with probabilities, with label smoothing.

    \[ L = -\sum_k y_k \log p_k, \quad
    y_k = (1 - s) \cdot [k = \text{label}] + s / K \]

    for K classes, equal to `tf.keras.losses.CategoricalCrossentropy(label_smoothing=s)`
    of one-hot labels.

    Args:
        label_smoothing: The share s that is spread over all classes, in [0, 1).
            Defaults to `0.0`.
        **kwargs: Arguments of `tf.keras.losses.Loss`.

    Example:
        >>> loss = Crossentropy(label_smoothing=0.1)
        >>> round(float(loss(tf.constant([0]), tf.constant([[0.8, 0.2]]))), 4)
        0.2925
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs: Any):
        super().__init__(**{"name": "crossentropy", **kwargs})
        self.label_smoothing = float(label_smoothing)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each sample."""
        y_true = tf.reshape(y_true, tf.shape(y_pred)[:-1])
        hard = tf.keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        if not self.label_smoothing:
            return hard
        uniform = tf.ones_like(y_pred) / tf.cast(tf.shape(y_pred)[-1], y_pred.dtype)
        even = tf.keras.losses.categorical_crossentropy(uniform, y_pred)
        return (1 - self.label_smoothing) * hard + self.label_smoothing * even

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
