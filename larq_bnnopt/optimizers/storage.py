"""Averages in float32, or in bfloat16 with stochastic rounding.

At most steps an average moves by less than half of the last digit that bfloat16 has, so
rounding to the nearest would leave it where it is. Stochastic rounding takes the upper
or the lower neighbour at random, with probabilities in proportion to the distances, so
that the expected value is the exact one.

The values are stored as their bit patterns, in uint16: HDF5 has no bfloat16.
"""

from __future__ import annotations

import tensorflow as tf

STATE_DTYPES = ("float32", "bfloat16")


def storage_dtype(state_dtype: str) -> tf.DType:
    """Returns the type of the variables that hold averages of a `state_dtype`."""
    return tf.uint16 if state_dtype == "bfloat16" else tf.float32


def decode(stored: tf.Tensor) -> tf.Tensor:
    """Returns stored averages as float32.

    Example:
        >>> decode(encode(tf.constant([0.5, -3.0]), tf.uint16)).numpy().tolist()
        [0.5, -3.0]
    """
    if stored.dtype != tf.uint16:
        return stored
    return tf.bitcast(tf.cast(stored, tf.uint32) * 65536, tf.float32)


def encode(
    value: tf.Tensor, dtype: tf.DType, rounding_bits: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns averages as they are stored.

    Args:
        value: Averages, float32.
        dtype: The result of `storage_dtype`.
        rounding_bits: For stochastic rounding: uint32 below 65536, same shape, uniform.
            The probability that a value is rounded away from zero is its distance from
            the neighbour towards zero, as a share of the gap. `None` rounds to the
            nearest.

    Returns:
        Averages of that dtype.
    """
    if dtype != tf.uint16:
        return tf.cast(value, dtype)
    bits = tf.bitcast(value, tf.uint32)
    half = tf.constant(0x8000, tf.uint32)
    rounded = bits + (half if rounding_bits is None else rounding_bits)
    # The carry would turn a NaN into a number, and so would cutting its low bits off.
    nan = tf.bitwise.bitwise_or(bits, tf.constant(0x400000, tf.uint32))
    rounded = tf.where(tf.math.is_nan(value), nan, rounded)
    return tf.cast(rounded // 65536, tf.uint16)
