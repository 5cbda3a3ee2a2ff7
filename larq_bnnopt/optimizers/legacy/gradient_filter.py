"""The gradient filter for `tf.keras.optimizers.legacy` and larq's CaseOptimizer."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.legacy.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.updates.gradient_filter import GradientFilterUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class GradientFilter(GradientFilterUpdate, FlipOptimizer):
    """`larq_bnnopt.optimizers.GradientFilter` for the legacy Keras optimizers.

    The rule is the same; see there for the equations and the choices made.

    Args:
        alpha: Weight of the newest value in g, in (0, 1], a float or a
            `LearningRateSchedule`. Defaults to `1e-3`.
        gamma: Weight of the newest gradient in m, in (0, 1], likewise. Defaults to
            `0.1`.
        order: `2`, or `1` without m. Defaults to `2`.
        on_zero: `"keep"`, `"positive"` or `"random"`. Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"GradientFilter"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`; `jit_compile`.

    Example:
        >>> import larq as lq
        >>> optimizer = lq.optimizers.CaseOptimizer(
        ...     (GradientFilter.is_binary_variable, GradientFilter(alpha=1e-2)),
        ...     default_optimizer=tf.keras.optimizers.legacy.Adam(0.01),
        ... )

    References:
        Paper 001 (gradient filtering), eq. 10-15.
    """
