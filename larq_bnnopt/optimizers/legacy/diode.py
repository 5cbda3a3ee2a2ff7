"""Diode for `tf.keras.optimizers.legacy` and larq's CaseOptimizer."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.legacy.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.updates.diode import DiodeUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class Diode(DiodeUpdate, FlipOptimizer):
    """`larq_bnnopt.optimizers.Diode` for the legacy Keras optimizers.

    The rule is the same; see there for the equations and the choices made.

    Args:
        learning_rate: Size eta of a vote, a float or a `LearningRateSchedule`. Defaults
            to `1.0`.
        alpha: Decay of the average of gradients, in [0, 1). Defaults to `0.99`.
        beta: Decay of the average of votes, in [0, 1). Defaults to `0.9999`.
        initial_inertia: m starts at -theta * initial_inertia * eta. Defaults to
            `0.0`.
        on_zero: `"keep"`, `"positive"` or `"random"`. Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"Diode"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`; `jit_compile`.

    Example:
        >>> import larq as lq
        >>> optimizer = lq.optimizers.CaseOptimizer(
        ...     (Diode.is_binary_variable, Diode(alpha=0.9, beta=0.999)),
        ...     default_optimizer=tf.keras.optimizers.legacy.Adam(0.01),
        ... )

    References:
        Paper 003 (Diode), eq. 10-13.
    """
