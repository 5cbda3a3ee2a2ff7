"""Which weights had a gradient in an epoch, and which rows of an embedding it used."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.callbacks.step_variables import step_variable


class HadGradient:
    """Marks the weights of a kernel that have a gradient, in the training step.

    A sparse gradient, as an embedding has, marks its own rows: a row that no batch used
    is not dead, and counts apart.

    Args:
        kernel: The kernel.
    """

    def __init__(self, kernel: tf.Variable):
        # Each replica sees its own gradients.
        self._weights, self._rows = (
            step_variable(
                shape,
                tf.float32,
                name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for shape, name in (
                (kernel.shape, "had_gradient"),
                (kernel.shape[:1], "used_rows"),
            )
        )
        # What tracing a step shows.
        self._sparse = False

    def mark(self, gradient: tf.Tensor | tf.IndexedSlices) -> None:
        """Marks what has this gradient, in a replica's step."""
        if not isinstance(gradient, tf.IndexedSlices):
            marks = tf.cast(gradient != 0, tf.float32)
            self._weights.assign(tf.maximum(self._weights, marks))
            return
        self._sparse = True
        rows, positions = tf.unique(gradient.indices)
        total = tf.math.unsorted_segment_sum(
            gradient.values, positions, tf.size(rows, positions.dtype)
        )
        marks = tf.cast(total != 0, tf.float32)
        for target, values in (
            (self._weights, marks),
            (self._rows, tf.ones_like(rows, tf.float32)),
        ):
            old = tf.convert_to_tensor(target)
            target.assign(tf.tensor_scatter_nd_max(old, rows[:, None], values))

    def reset(self) -> None:
        """Forgets all marks, in the scope of the strategy."""
        for variable in (self._weights, self._rows):
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def dead(self) -> float | None:
        """Returns the share of weights without a gradient, in the strategy's scope.

        Returns:
            Of an embedding the share among the rows that were used, `None` without any.
        """
        if self._sparse:
            used = _count(self._rows) * self._weights.shape[1:].num_elements()
        else:
            used = self._weights.shape.num_elements()
        return 1.0 - _count(self._weights) / used if used else None

    def unused(self) -> float | None:
        """Returns the share of rows that no batch used, `None` if this is no embedding.

        In the scope of the strategy.
        """
        return 1.0 - _count(self._rows) / self._rows.shape[0] if self._sparse else None


def _count(marks: tf.Variable) -> int:
    """Returns the number of marks in any replica."""
    return int(tf.math.count_nonzero(tf.convert_to_tensor(marks)))
