"""The general gradient filter for `tf.keras.optimizers.legacy`."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.legacy.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.updates.iir_filter import IIRFilterUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class IIRFilter(IIRFilterUpdate, FlipOptimizer):
    """`larq_bnnopt.optimizers.IIRFilter` for the legacy Keras optimizers.

    The rule is the same; see there for the equation and the choices made.

    Args:
        b: Coefficients of the gradients.
        a: Coefficients of the outputs, the first not zero.
        on_zero: `"keep"`, `"positive"` or `"random"`. Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"IIRFilter"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`; `jit_compile`.

    Example:
        >>> IIRFilter([0.1], [1.0, -0.9]).get_config()["a"]
        [1.0, -0.9]

    References:
        Paper 001 (gradient filtering), eq. 14-16.
    """
