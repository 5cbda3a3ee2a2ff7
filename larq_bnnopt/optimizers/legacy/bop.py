"""Second-order Bop for `tf.keras.optimizers.legacy`; larq itself has Bop."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.legacy.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.updates.bop import Bop2ndOrderUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class Bop2ndOrder(Bop2ndOrderUpdate, FlipOptimizer):
    """`larq_bnnopt.optimizers.Bop2ndOrder` for the legacy Keras optimizers.

    The rule is the same; see there for the equations.

    Args:
        threshold: tau, at least 0, a float or a `LearningRateSchedule`. Defaults to
            `1e-6`.
        gamma: Weight of the newest gradient, likewise. Defaults to `1e-7`.
        sigma: Weight of the newest square, likewise. Defaults to `1e-3`.
        epsilon: Keeps the quotient finite. Defaults to `1e-10`.
        bias_correction: Whether the averages are unbiased. Defaults to `False`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"Bop2ndOrder"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`; `jit_compile`.

    Example:
        >>> import larq as lq
        >>> optimizer = lq.optimizers.CaseOptimizer(
        ...     (Bop2ndOrder.is_binary_variable, Bop2ndOrder(gamma=1e-4)),
        ...     default_optimizer=tf.keras.optimizers.legacy.Adam(0.01),
        ... )

    References:
        Suarez-Ramirez et al., CVPR workshops 2021.
    """
