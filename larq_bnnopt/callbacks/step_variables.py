"""Variables that a training step writes and the host reads between steps."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def step_variable(
    shape: tf.TensorShape | tuple[int, ...], dtype: tf.DType, name: str, **options: Any
) -> tf.Variable:
    """Makes a variable of zeros, of which all replicas hold the first one's value.

    Args:
        shape: Its shape.
        dtype: Its type.
        name: Its name.
        **options: Arguments of `tf.Variable`.
    """
    options.setdefault("aggregation", tf.VariableAggregation.ONLY_FIRST_REPLICA)
    return tf.Variable(tf.zeros(shape, dtype), trainable=False, name=name, **options)
