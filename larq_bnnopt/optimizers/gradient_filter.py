"""The gradient filter for `tf.keras.optimizers`."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.flip_optimizer import FlipOptimizerWithoutRate
from larq_bnnopt.optimizers.updates.gradient_filter import GradientFilterUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class GradientFilter(GradientFilterUpdate, FlipOptimizerWithoutRate):
    r"""Gradient filter: binary weights follow the sign of a low-pass filtered gradient.

    \[ m = (1 - \gamma) m + \gamma\,\mathrm{grad}, \quad g = (1 - \alpha) g + \alpha m,
    \quad \theta = -\mathrm{sign}(g) \]

    It equals SGD with momentum and weight decay on latent weights that start at zero,
    without the latent weights.

    Args:
        alpha: Weight of the newest value in g, in (0, 1], a float or a
            `LearningRateSchedule`. Decaying it takes the place of a learning rate
            decay. Defaults to `1e-3`, the paper's value for 400 epochs of CIFAR-10;
            `GradientFilter.for_steps` chooses it for shorter runs.
        gamma: Weight of the newest gradient in m, in (0, 1], a float or a schedule.
            Defaults to `0.1`.
        order: `2` as above, `1` without m. Defaults to `2`.
        on_zero: Meaning of sign(g) for g = 0: `"keep"` the weight (authors' code),
            `"positive"` or `"random"` (eq. 5). Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"GradientFilter"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`, `jit_compile`.

    Raises:
        ValueError: For a hyperparameter outside its range, and for `use_ema` and
            `weight_decay`, which would take the weights out of {-1, +1}.

    Notes:
        This computes the cascade of eq. 11-12 and not the direct form of eq. 17: the
        latter is wrong when alpha changes, and eq. 16 lacks the leading 1 of `a`.

    Example:
        >>> filter = GradientFilter(alpha=0.5, gamma=0.5)
        >>> theta = tf.Variable([1.0, 1.0, -1.0])
        >>> filter.apply_gradients([(tf.constant([2.0, -1.0, 0.0]), theta)])
        ... # doctest: +ELLIPSIS
        <tf.Variable ...>
        >>> theta.numpy().tolist()
        [-1.0, 1.0, -1.0]

    References:
        Paper 001 (gradient filtering), eq. 11-13 for order 2, eq. 15 for order 1;
        section 4.1 for hyperparameters.
    """
