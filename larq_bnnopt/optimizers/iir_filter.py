"""The general gradient filter for `tf.keras.optimizers`."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.flip_optimizer import FlipOptimizerWithoutRate
from larq_bnnopt.optimizers.updates.iir_filter import IIRFilterUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class IIRFilter(IIRFilterUpdate, FlipOptimizerWithoutRate):
    r"""Gradient filter given by its coefficients, as `scipy.signal.lfilter` takes them.

    \[ a_0 y_i = \sum_k b_k\,\mathrm{grad}_{i-k} - \sum_{k>0} a_k y_{i-k}, \quad
    \theta = -\mathrm{sign}(y) \]

    `GradientFilter` is the case of low-pass filters of order 1 and 2. Its alpha and
    gamma take schedules; the coefficients of this filter are constant.

    Args:
        b: Coefficients of the gradients.
        a: Coefficients of the outputs, the first not zero.
        on_zero: Meaning of sign(y) for y = 0: `"keep"` the weight, `"positive"` or
            `"random"`. Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"IIRFilter"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`, `jit_compile`.

    Raises:
        ValueError: For coefficients whose outputs grow without a bound, and for
            `use_ema` and `weight_decay`.

    Notes:
        The last term of eq. 14 has the wrong index in print; this is the standard form.

    Example:
        >>> import scipy.signal
        >>> optimizer = IIRFilter(*scipy.signal.butter(2, 0.01))
        >>> len(optimizer.state_names)
        2

    References:
        Paper 001 (gradient filtering), eq. 14-16.
    """
