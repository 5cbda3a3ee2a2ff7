"""How averages are kept between steps: in float32, or in bfloat16 without a bias.

In bfloat16 an average moves by less than half of its last digit at most steps, and
rounding to the nearest would keep it where it is. It is rounded up or down by chance
instead, in proportion, so that it moves by the right amount on average.

Such values are kept as their bit patterns, in uint16: HDF5 knows no bfloat16.
"""

from __future__ import annotations

import tensorflow as tf

STATE_DTYPES = ("float32", "bfloat16")


def kept_as(state_dtype: str) -> tf.DType:
    """Returns the type of the variables that keep averages of a `state_dtype`."""
    return tf.uint16 if state_dtype == "bfloat16" else tf.float32


def read(kept: tf.Tensor) -> tf.Tensor:
    """Returns kept averages as float32.

    Example:
        >>> read(write(tf.constant([0.5, -3.0]), tf.uint16)).numpy().tolist()
        [0.5, -3.0]
    """
    if kept.dtype != tf.uint16:
        return kept
    return tf.bitcast(tf.cast(kept, tf.uint32) * 65536, tf.float32)


def write(
    value: tf.Tensor, dtype: tf.DType, chance: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns averages as they are kept.

    Args:
        value: Averages, float32.
        dtype: What `kept_as` returned.
        chance: uint32 below 65536, same shape, uniform: a value is rounded away from
            zero in the share of them that it lies above the next number towards zero.
            `None` rounds to the nearest.

    Returns:
        Averages of that dtype.
    """
    if dtype != tf.uint16:
        return tf.cast(value, dtype)
    bits = tf.bitcast(value, tf.uint32)
    rounded = bits + (tf.constant(0x8000, tf.uint32) if chance is None else chance)
    # The carry would turn a nan into something else, and so would cutting it off.
    nan = tf.bitwise.bitwise_or(bits, tf.constant(0x400000, tf.uint32))
    rounded = tf.where(tf.math.is_nan(value), nan, rounded)
    return tf.cast(rounded // 65536, tf.uint16)


def chances(shape: tf.TensorShape, seed: tf.Tensor, salt: int) -> tf.Tensor:
    """Returns 16 random bits for each weight, a function of the seed and the salt.

    A hash of the weight's number (the finalizer of MurmurHash3), which costs a few
    integer operations where a random generator would cost more than the update.

    Args:
        shape: Shape of the weights.
        seed: Two int32, the number of the step and of the variable.
        salt: Tells the averages of one weight apart.

    Returns:
        uint32 below 65536.

    Example:
        >>> bits = chances(tf.TensorShape([10_000]), tf.constant([3, 1]), 0)
        >>> 0.48 < float(tf.reduce_mean(tf.cast(bits < 32768, tf.float32))) < 0.52
        True
    """
    step, variable = tf.unstack(tf.cast(seed, tf.uint32))
    start = _mix(_mix(_mix(step) + variable) + tf.constant(salt, tf.uint32))
    numbers = tf.reshape(tf.range(shape.num_elements(), dtype=tf.int32), shape)
    return _mix(tf.cast(numbers, tf.uint32) + start) // 65536


def _mix(h: tf.Tensor) -> tf.Tensor:
    """Spreads every bit of a uint32 over all bits."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = tf.bitwise.bitwise_xor(h, h // 2**shift) * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(h, h // 65536)
