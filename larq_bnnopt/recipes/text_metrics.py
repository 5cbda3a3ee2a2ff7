"""Metrics of GLUE as Keras metrics: F1, Matthews, Pearson and Spearman.

None of them is a mean over batches, so each is computed from all inputs of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from larq_bnnopt.recipes.r2 import spread_of


class _OfTheEpoch(tf.keras.metrics.Metric):
    """A metric of all inputs of an epoch, in float64.

    Args:
        name: Name in logs.
        **kwargs: Arguments of `tf.keras.metrics.Metric`.
    """

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name=name, **{**kwargs, "dtype": tf.float64})

    def reset_state(self) -> None:
        """Forgets all inputs."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"name": self.name}


class _OfClasses(_OfTheEpoch):
    """A metric of the confusion matrix, (true class, predicted class)."""

    # Number of classes that the metric is defined for, `None` for any.
    classes: int | None = None

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name, **kwargs)
        self._confusion: tf.Variable | None = None

    def update_state(
        self,
        y_true: tf.Tensor,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> None:
        """Adds a batch.

        Args:
            y_true: The true classes, (inputs,) or (inputs, 1), from 0.
            y_pred: A probability or logit for each class, (inputs, classes).
            sample_weight: A weight for each input. Defaults to `None`, 1.
        """
        y_pred = tf.convert_to_tensor(y_pred)
        confusion = self._matrix(int(y_pred.shape[-1]))
        true = tf.reshape(tf.cast(y_true, tf.int64), [-1])
        weights = None
        if sample_weight is not None:
            weights = tf.reshape(tf.cast(sample_weight, tf.float64), [-1])
        confusion.assign_add(
            tf.math.confusion_matrix(
                true,
                tf.argmax(y_pred, axis=-1),
                num_classes=confusion.shape[0],
                weights=weights,
                dtype=tf.float64,
            )
        )

    def _matrix(self, classes: int) -> tf.Variable:
        """Returns the matrix, made at the first batch, which says its size."""
        if self._confusion is None:
            if self.classes not in (None, classes):
                raise ValueError(
                    f"The metric {self.name!r} is one of {self.classes} classes, and "
                    f"the model has {classes}."
                )
            with tf.init_scope():
                self._confusion = self.add_weight(
                    name="confusion",
                    shape=[classes, classes],
                    initializer="zeros",
                    dtype=tf.float64,
                )
        return self._confusion


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class F1(_OfClasses):
    r"""F1 score of class 1, of a model with two classes.

    \[ F_1 = \frac{2 \, TP}{2 \, TP + FP + FN} \]

    of true positives, false positives and false negatives. It is 0 if no input is of
    class 1 and none is predicted to be. A model that always predicts class 1 has the
    score 2 p / (1 + p), where p is the share of that class.

    Args:
        name: Name in logs. Defaults to `"f1"`.
        **kwargs: Arguments of `tf.keras.metrics.Metric`.

    Example:
        >>> metric = F1()
        >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> round(float(metric.result()), 4)
        0.6667
    """

    classes = 2

    def __init__(self, name: str = "f1", **kwargs: Any):
        super().__init__(name, **kwargs)

    def result(self) -> tf.Tensor:
        """Returns F1 of all inputs, 0 before the first."""
        if self._confusion is None:
            return tf.constant(0.0, tf.float64)
        hits = 2 * self._confusion[1, 1]
        wrong = self._confusion[0, 1] + self._confusion[1, 0]
        return tf.math.divide_no_nan(hits, hits + wrong)


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class MatthewsCorrelation(_OfClasses):
    r"""Matthews correlation coefficient, the correlation of true and predicted classes.

    \[ R = \frac{c s - \sum_k p_k t_k}
    {\sqrt{s^2 - \sum_k p_k^2} \sqrt{s^2 - \sum_k t_k^2}} \]

    of s inputs, of which c are predicted correctly, t_k are of class k and p_k are
    predicted to be. Of two classes it is
    (TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN)). It is 0, as good as
    guessing, if all inputs are predicted to be of one class, or are of one class.

    Args:
        name: Name in logs. Defaults to `"matthews"`.
        **kwargs: Arguments of `tf.keras.metrics.Metric`.

    Example:
        >>> metric = MatthewsCorrelation()
        >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> round(float(metric.result()), 4)
        0.5
    """

    def __init__(self, name: str = "matthews", **kwargs: Any):
        super().__init__(name, **kwargs)

    def result(self) -> tf.Tensor:
        """Returns the coefficient of all inputs, 0 before the first."""
        if self._confusion is None:
            return tf.constant(0.0, tf.float64)
        confusion = tf.convert_to_tensor(self._confusion)
        true, predicted = (tf.reduce_sum(confusion, axis=axis) for axis in (1, 0))
        count, hits = tf.reduce_sum(confusion), tf.linalg.trace(confusion)
        spread = [count**2 - tf.reduce_sum(one**2) for one in (true, predicted)]
        # A root each: their product overflows earlier.
        return tf.math.divide_no_nan(
            hits * count - tf.reduce_sum(true * predicted),
            tf.sqrt(spread[0]) * tf.sqrt(spread[1]),
        )


class _OfNumbers(_OfTheEpoch):
    """A metric of labels and predictions of a regression."""

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
            sample_weight: A weight for each input; Spearman's has none. Defaults to
                `None`, 1.

        Raises:
            ValueError: For weights that the metric does not know.
        """
        predicted = tf.cast(y_pred, tf.float64)
        true = tf.cast(tf.reshape(y_true, tf.shape(predicted)), tf.float64)
        true.set_shape(predicted.shape)
        self._add(true, predicted, sample_weight)

    def _add(
        self, true: tf.Tensor, predicted: tf.Tensor, sample_weight: tf.Tensor | None
    ) -> None:
        raise NotImplementedError


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class PearsonCorrelation(_OfNumbers):
    r"""Pearson correlation of labels and predictions, summed in float64.

    \[ r = \frac{\sum_i w_i (y_i - \bar{y}) (\hat{y}_i - \bar{\hat{y}})}
    {\sqrt{\sum_i w_i (y_i - \bar{y})^2 \sum_i w_i (\hat{y}_i - \bar{\hat{y}})^2}} \]

    for each number of a label; of several numbers the mean. It is 0 if all predictions
    are equal, or all labels. Numbers whose spread is below what float64 sums can tell
    count as equal: about 1e-7 of their size for 100 inputs. The sums add up over
    batches and replicas.

    Args:
        name: Name in logs. Defaults to `"pearson"`.
        **kwargs: Arguments of `tf.keras.metrics.Metric`.

    Example:
        >>> metric = PearsonCorrelation()
        >>> metric.update_state([[1.0], [2.0], [3.0]], [[2.0], [2.0], [5.0]])
        >>> round(float(metric.result()), 4)
        0.866
    """

    def __init__(self, name: str = "pearson", **kwargs: Any):
        super().__init__(name, **kwargs)
        self._sums: dict[str, tf.Variable] | None = None

    def _add(
        self, true: tf.Tensor, predicted: tf.Tensor, sample_weight: tf.Tensor | None
    ) -> None:
        if sample_weight is None:
            weights = tf.ones([tf.shape(predicted)[0], 1], tf.float64)
        else:
            weights = tf.reshape(tf.cast(sample_weight, tf.float64), [-1, 1])
        sums = self._variables(int(predicted.shape[-1]))
        for name, terms in (
            ("weights", weights),
            ("labels", weights * true),
            ("label_squares", weights * tf.square(true)),
            ("predictions", weights * predicted),
            ("prediction_squares", weights * tf.square(predicted)),
            ("products", weights * true * predicted),
        ):
            sums[name].assign_add(tf.reduce_sum(terms, axis=0))

    def result(self) -> tf.Tensor:
        """Returns the correlation of all inputs, 0 before the first."""
        if self._sums is None:
            return tf.constant(0.0, tf.float64)
        sums = {name: tf.convert_to_tensor(one) for name, one in self._sums.items()}
        count = sums["weights"]
        labels, predictions = sums["labels"], sums["predictions"]
        spreads = [
            spread_of(count, labels, sums["label_squares"]),
            spread_of(count, predictions, sums["prediction_squares"]),
        ]
        together = sums["products"] - tf.math.divide_no_nan(labels * predictions, count)
        found = tf.math.divide_no_nan(
            together, tf.sqrt(spreads[0]) * tf.sqrt(spreads[1])
        )
        return tf.reduce_mean(found)

    def _variables(self, numbers: int) -> dict[str, tf.Variable]:
        """Returns the sums, made at the first batch, which says their length."""
        if self._sums is None:
            names = ("labels", "label_squares", "predictions", "prediction_squares")
            lengths = {"weights": 1, **dict.fromkeys((*names, "products"), numbers)}
            with tf.init_scope():
                self._sums = {
                    name: self.add_weight(
                        name=name, shape=[length], initializer="zeros", dtype=tf.float64
                    )
                    for name, length in lengths.items()
                }
        return self._sums


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class SpearmanCorrelation(_OfNumbers):
    r"""Spearman correlation: Pearson's of the ranks of labels and predictions.

    Equal numbers share the mean of their ranks. For each number of a label; of several
    numbers the mean. It is 0 if all predictions are equal, or all labels. All labels
    and predictions of an epoch are kept, since ranks are known at its end: 16 bytes an
    input and number. It is measured on one device.

    Args:
        name: Name in logs. Defaults to `"spearman"`.
        **kwargs: Arguments of `tf.keras.metrics.Metric`.

    Example:
        >>> metric = SpearmanCorrelation()
        >>> metric.update_state([[1.0], [2.0], [3.0]], [[0.1], [70.0], [80.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    def __init__(self, name: str = "spearman", **kwargs: Any):
        super().__init__(name, **kwargs)
        # Labels and predictions, one after the other; a variable that grows.
        self._kept: tf.Variable | None = None

    def _add(
        self, true: tf.Tensor, predicted: tf.Tensor, sample_weight: tf.Tensor | None
    ) -> None:
        if sample_weight is not None:
            raise ValueError(f"The metric {self.name!r} knows no weights of inputs.")
        kept = self._variable(int(predicted.shape[-1]))
        both = tf.stack([true, predicted], axis=1)
        kept.assign(tf.concat([kept, both], axis=0))

    def result(self) -> tf.Tensor:
        """Returns the correlation of all inputs, 0 before the first."""
        if self._kept is None:
            return tf.constant(0.0, tf.float64)
        kept = tf.convert_to_tensor(self._kept)
        found = [
            _correlation(ranks(kept[:, 0, number]), ranks(kept[:, 1, number]))
            for number in range(self._kept.shape[2])
        ]
        wrong = tf.reduce_any(tf.math.is_nan(kept))
        mean = tf.reduce_mean(tf.stack(found))
        return tf.where(wrong, tf.constant(float("nan"), tf.float64), mean)

    def reset_state(self) -> None:
        """Forgets all inputs."""
        if self._kept is not None:
            self._kept.assign(tf.zeros([0, 2, self._kept.shape[2]], tf.float64))

    def _variable(self, numbers: int) -> tf.Variable:
        """Returns what is kept, made at the first batch, which says its width."""
        if self._kept is None:
            if tf.distribute.get_strategy().num_replicas_in_sync > 1:
                raise ValueError(
                    f"The metric {self.name!r} needs all predictions on one device. "
                    "Leave out the strategy."
                )
            with tf.init_scope():
                self._kept = tf.Variable(
                    tf.zeros([0, 2, numbers], tf.float64),
                    shape=[None, 2, numbers],
                    trainable=False,
                    name="kept",
                )
        return self._kept


# What a data set calls its metrics -> what Keras measures.
METRICS: dict[str, Callable[[], tf.keras.metrics.Metric]] = {
    "f1": F1,
    "matthews": MatthewsCorrelation,
    "pearson": PearsonCorrelation,
    "spearman": SpearmanCorrelation,
}


def ranks(values: tf.Tensor) -> tf.Tensor:
    """Returns the ranks of numbers from 1; equal ones share the mean of their ranks.

    Args:
        values: The numbers, (inputs,).

    Returns:
        The ranks, float64.

    Example:
        >>> ranks(tf.constant([3.0, 1.0, 3.0])).numpy().tolist()
        [2.5, 1.0, 2.5]
    """
    order = tf.argsort(values)
    _, group, counts = tf.unique_with_counts(tf.gather(values, order))
    last = tf.cast(tf.cumsum(counts), tf.float64)
    mean = last - (tf.cast(counts, tf.float64) - 1) / 2
    in_order = tf.gather(mean, group)
    return tf.scatter_nd(order[:, None], in_order, tf.shape(in_order))


def _correlation(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Returns the Pearson correlation of two vectors, 0 if one is constant."""
    first, second = (one - tf.reduce_mean(one) for one in (first, second))
    spreads = [tf.reduce_sum(tf.square(one)) for one in (first, second)]
    return tf.math.divide_no_nan(
        tf.reduce_sum(first * second), tf.sqrt(spreads[0]) * tf.sqrt(spreads[1])
    )
