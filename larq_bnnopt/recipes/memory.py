"""Errors of TensorFlow that say that the memory is full."""

from __future__ import annotations

import tensorflow as tf


def is_out_of_memory(error: tf.errors.OpError) -> bool:
    """Returns whether an error of TensorFlow says that the memory is full.

    It raises the same error for a full disk.

    Example:
        >>> is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
        True
        >>> is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "No space"))
        False
    """
    is_exhausted = isinstance(error, tf.errors.ResourceExhaustedError)
    return is_exhausted and "No space" not in str(error)
