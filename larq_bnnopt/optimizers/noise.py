"""Random bits for each weight, a hash of the step, the variable and the weight.

A resumed run draws what the uninterrupted one draws, and the rows of a table draw the
same alone as in the whole table.
"""

from __future__ import annotations

import tensorflow as tf


def random_bits(weights: tf.Tensor, seed: tf.Tensor, salt: int) -> tf.Tensor:
    """Returns 16 random bits for each weight, a function of the seed and the salt.

    A hash of the weight's index (the finalizer of MurmurHash3), which costs a few
    integer operations where a random generator would cost more than the update.

    Args:
        weights: The weights, of which only the shape counts.
        seed: Two int32, the number of the step and of the variable. Or, if `weights`
            are rows of a table, three for each of them, see `seed_of_rows`.
        salt: Below 2^32, so that each purpose gets bits of its own.

    Returns:
        uint32 below 65536, in the shape of the weights.

    Example:
        >>> bits = random_bits(tf.zeros(10_000), tf.constant([3, 1]), 0)
        >>> 0.48 < float(tf.reduce_mean(tf.cast(bits < 32768, tf.float32))) < 0.52
        True
    """
    step, variable, *row = tf.unstack(tf.cast(seed, tf.uint32), axis=-1)
    start = _mix(_mix(_mix(step) + variable) + tf.constant(salt, tf.uint32))
    if row:
        size = weights.shape[1:].num_elements()
        columns = tf.cast(tf.range(size, dtype=tf.int32), tf.uint32)
        indices = row[0][:, None] * tf.constant(size, tf.uint32) + columns
        start = start[:, None]
    else:
        indices = tf.cast(tf.range(tf.size(weights)), tf.uint32)
    return tf.reshape(_mix(indices + start) // 65536, tf.shape(weights))


def seed_of_rows(seed: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the seed with which rows draw what they draw in their table.

    Args:
        seed: Two int32, the seed of the table.
        rows: The numbers of the rows, (rows,), integers.

    Returns:
        int32 (rows, 3).

    Example:
        >>> table, seed = tf.zeros((5, 3)), tf.constant([3, 1])
        >>> whole = random_bits(table, seed, 0)
        >>> rows = random_bits(table[1:3], seed_of_rows(seed, tf.constant([1, 2])), 0)
        >>> bool(tf.reduce_all(whole[1:3] == rows))
        True
    """
    rows = tf.cast(rows, tf.int32)[:, None]
    return tf.concat([tf.ones_like(rows) * seed, rows], axis=1)


def _mix(h: tf.Tensor) -> tf.Tensor:
    """Spreads every bit of a uint32 over all bits."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = tf.bitwise.bitwise_xor(h, h // 2**shift) * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(h, h // 65536)
