"""Sparse gradients (`tf.IndexedSlices`): of some rows of a table, as an embedding's.

A row may stand in them several times; its gradient is the sum. Nothing here has the
size of the table, except for one integer a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, Union

import tensorflow as tf

from larq_bnnopt.optimizers.switches import CLIPS

Gradient: TypeAlias = Union[tf.Tensor, tf.IndexedSlices]
EMBEDDING_UPDATES = ("dense", "seen_rows")


def first_positions(indices: tf.Tensor, rows: int | tf.Tensor) -> tf.Tensor:
    """Returns the first position of each row of a table among some indices.

    Args:
        indices: Numbers of rows, (positions,), repeated or not.
        rows: Number of rows of the table.

    Returns:
        int32 (rows,); the number of positions for a row that is not there.

    Example:
        >>> first_positions(tf.constant([3, 1, 3]), 5).numpy().tolist()
        [3, 1, 3, 0, 3]
    """
    count = tf.shape(indices)[0]
    nowhere = tf.fill([rows], count)
    return tf.tensor_scatter_nd_min(nowhere, indices[:, None], tf.range(count))


def summed(gradient: tf.IndexedSlices, first: tf.Tensor) -> tf.IndexedSlices:
    """Returns an equal gradient with a row's sum where the row stands first.

    Where it stands again the values are 0. So the shapes are those of the gradient,
    which a compiled step needs, and norms and limits mean what they mean for a dense
    gradient. The sum runs in the order of the positions, as TensorFlow's own does.

    Args:
        gradient: Values (positions, ...) and indices (positions,).
        first: The result of `first_positions`.

    Example:
        >>> rows = tf.constant([3, 1, 3])
        >>> slices = tf.IndexedSlices(tf.constant([1.0, 2.0, 4.0]), rows)
        >>> summed(slices, first_positions(rows, 5)).values.numpy().tolist()
        [5.0, 2.0, 0.0]
    """
    total = _sums(gradient, first)[:-1]
    return tf.IndexedSlices(total, gradient.indices, gradient.dense_shape)


def _sums(gradient: tf.IndexedSlices, first: tf.Tensor) -> tf.Tensor:
    """Returns sums at first positions, and a last row of zeros."""
    target = tf.gather(first, gradient.indices)
    rows = tf.shape(gradient.indices)[0] + 1
    return tf.math.unsorted_segment_sum(gradient.values, target, rows)


def expanded(gradient: tf.IndexedSlices, rows: int) -> tf.Tensor:
    """Returns the dense gradient, which is 0 in the rows that are not there.

    For XLA, which looks rows up where it needs them and stores no dense gradient.

    Args:
        gradient: Values (positions, ...) and indices (positions,).
        rows: Number of rows of the table.

    Example:
        >>> slices = tf.IndexedSlices(tf.constant([1.0, 4.0]), tf.constant([2, 2]))
        >>> expanded(slices, 4).numpy().tolist()
        [0.0, 0.0, 5.0, 0.0]
    """
    first = first_positions(gradient.indices, rows)
    return tf.gather(_sums(gradient, first), first)


def padded(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns an equal gradient whose number of positions is a power of two.

    XLA compiles a step for each shape that it meets; this leaves a few shapes where
    each batch has another number of tokens. The positions that are added repeat the
    first row, with values of 0.

    Example:
        >>> slices = tf.IndexedSlices(tf.ones((3, 2)), tf.constant([7, 8, 9]))
        >>> padded(slices).indices.numpy().tolist()
        [7, 8, 9, 7]
    """
    values, indices = gradient.values, gradient.indices
    count = indices.shape[0]
    if count is None:
        count = tf.shape(indices)[0]
        powers = tf.constant([0, *(2**n for n in range(31))])
        size = powers[tf.searchsorted(powers, count[None])[0]]
    else:
        size = 0 if count == 0 else 1 << (count - 1).bit_length()
        if size == count:
            return tf.IndexedSlices(values, indices)
    more = size - count
    shape = tf.concat([[more], tf.shape(values)[1:]], 0)
    return tf.IndexedSlices(
        tf.concat([values, tf.zeros(shape, values.dtype)], 0),
        tf.concat([indices, tf.repeat(indices[:1], more)], 0),
    )


def summed_for_clipping(
    optimizer: Any, gradients: Sequence[Gradient | None]
) -> list[Gradient | None]:
    """Returns equal gradients, of which an optimizer clips sparse ones as dense ones.

    Keras clips the values of a sparse gradient before it adds those of a row.

    Args:
        optimizer: Of either Keras API; without clipping the gradients stay as they are.
        gradients: Gradients.
    """
    if all(getattr(optimizer, name, None) is None for name in CLIPS):
        return list(gradients)
    return [
        summed(gradient, first_positions(gradient.indices, _rows(gradient)))
        if isinstance(gradient, tf.IndexedSlices)
        else gradient
        for gradient in gradients
    ]


def _rows(gradient: tf.IndexedSlices) -> tf.Tensor:
    """Returns a number of rows that the table has, or more than all indices."""
    if gradient.dense_shape is not None:
        return gradient.dense_shape[0]
    return tf.maximum(tf.reduce_max(gradient.indices), -1) + 1
