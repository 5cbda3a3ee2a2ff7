"""`R2`, the coefficient of determination of a regression during its training.

Keras's own sums squares in float32: of labels far from 0 nothing is left of the spread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

_EPSILON = float(np.finfo(np.float64).eps)
# Rounding of a sum grows with the root of its terms.
_ROUNDING = 8


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class R2(tf.keras.metrics.Metric):
    r"""Coefficient of determination, summed in float64.

    \[ R^2 = 1 - \frac{\sum_i w_i (y_i - \hat{y}_i)^2}
    {\sum_i w_i y_i^2 - (\sum_i w_i y_i)^2 / \sum_i w_i} \]

    for each number of a label; of several numbers the mean. As in
    `larq_bnnopt.recipes.Regression`, of equal labels it is 1 if all are hit, else 0.
    Labels whose spread is below what float64 sums can tell count as equal: about 1e-7
    of their size for 100 labels, 1e-6 for a million. The sums add up over batches and
    replicas.

    Args:
        name: Name in logs. Defaults to `"r2"`.
        **kwargs: Arguments of `tf.keras.metrics.Metric`.

    Example:
        >>> metric = R2()
        >>> labels = tf.constant([[1e4 - 1], [1e4], [1e4 + 1]])
        >>> metric.update_state(labels, labels + 0.5)
        >>> round(float(metric.result()), 4)
        0.625
    """

    def __init__(self, name: str = "r2", **kwargs: Any):
        super().__init__(name=name, **{**kwargs, "dtype": tf.float64})
        self._sums: dict[str, tf.Variable] | None = None

    def update_state(
        self,
        y_true: tf.Tensor,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> None:
        """Adds a batch.

        Args:
            y_true: Labels, (inputs, numbers).
            y_pred: Predictions, of the same shape.
            sample_weight: A weight for each input. Defaults to `None`, 1.
        """
        predicted = tf.cast(y_pred, tf.float64)
        true = tf.cast(tf.reshape(y_true, tf.shape(predicted)), tf.float64)
        if sample_weight is None:
            weights = tf.ones([tf.shape(predicted)[0], 1], tf.float64)
        else:
            weights = tf.reshape(tf.cast(sample_weight, tf.float64), [-1, 1])
        sums = self._variables(int(y_pred.shape[-1]))
        for name, terms in (
            ("weights", weights),
            ("labels", weights * true),
            ("squares", weights * tf.square(true)),
            ("errors", weights * tf.square(true - predicted)),
        ):
            sums[name].assign_add(tf.reduce_sum(terms, axis=0))

    def result(self) -> tf.Tensor:
        """Returns R2 of all batches, 0 before the first."""
        if self._sums is None:
            return tf.constant(0.0, tf.float64)
        count, labels = self._sums["weights"], self._sums["labels"]
        squares, errors = self._sums["squares"], self._sums["errors"]
        spread = spread_of(count, labels, squares)
        is_spread = spread > 0
        share = errors / tf.where(is_spread, spread, tf.ones_like(spread))
        hit = tf.where(errors > 0, tf.zeros_like(errors), 1 - errors)
        return tf.reduce_mean(tf.where(is_spread, 1 - share, hit))

    def reset_state(self) -> None:
        """Forgets all batches."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"name": self.name}

    def _variables(self, numbers: int) -> dict[str, tf.Variable]:
        """Returns the sums, made at the first batch, which says their length."""
        if self._sums is None:
            lengths = {"weights": 1, "labels": numbers, "squares": numbers}
            with tf.init_scope():
                self._sums = {
                    name: self.add_weight(
                        name=name, shape=[length], initializer="zeros", dtype=tf.float64
                    )
                    for name, length in {**lengths, "errors": numbers}.items()
                }
        return self._sums


def spread_of(count: tf.Tensor, total: tf.Tensor, squares: tf.Tensor) -> tf.Tensor:
    """Returns the sum of squared distances from the mean, 0 where rounding hides it.

    Args:
        count: Number of values, or the sum of their weights, float64.
        total: Their sum.
        squares: The sum of their squares.

    Example:
        >>> sums = (tf.constant(x, tf.float64) for x in (3.0, 6.0, 14.0))
        >>> float(spread_of(*sums))
        2.0
    """
    spread = squares - tf.math.divide_no_nan(tf.square(total), count)
    is_spread = spread > _ROUNDING * _EPSILON * tf.sqrt(count) * squares
    # NaN stays what it is.
    hidden = tf.math.logical_not(is_spread | tf.math.is_nan(spread))
    return tf.where(hidden, tf.zeros_like(spread), spread)
