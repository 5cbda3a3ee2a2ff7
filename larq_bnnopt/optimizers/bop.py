"""Bop and second-order Bop for `tf.keras.optimizers`."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.flip_optimizer import FlipOptimizerWithoutRate
from larq_bnnopt.optimizers.updates.bop import Bop2ndOrderUpdate, BopUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class Bop(BopUpdate, FlipOptimizerWithoutRate):
    r"""Bop: a weight flips when the averaged gradient pushes it beyond a threshold.

    \[ m = (1 - \gamma) m + \gamma\,\mathrm{grad}, \quad
    \theta = -\theta \text{ where } \theta m > \tau \]

    `larq.optimizers.Bop` for the optimizers of `tf.keras.optimizers`.

    Args:
        threshold: tau, at least 0, a float or a `LearningRateSchedule`. Defaults to
            `1e-8`.
        gamma: Weight of the newest gradient in m, in (0, 1], likewise. Decaying it
            takes the place of a learning rate decay. Defaults to `1e-4`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"Bop"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`, `jit_compile`.

    Raises:
        ValueError: For a hyperparameter outside its range, and for `use_ema` and
            `weight_decay`, which would take the weights out of {-1, +1}.

    Notes:
        Where theta m equals tau exactly the weight stays; larq's Bop sets it to +1.

    Example:
        >>> optimizer = Bop(threshold=0.1, gamma=0.5)
        >>> theta = tf.Variable([1.0, 1.0, -1.0])
        >>> _ = optimizer.apply_gradients([(tf.constant([0.4, -9.0, -0.1]), theta)])
        >>> theta.numpy().tolist()
        [-1.0, 1.0, -1.0]

    References:
        Helwegen et al., "Latent weights do not exist", NeurIPS 2019, algorithm 1.
    """


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class Bop2ndOrder(Bop2ndOrderUpdate, FlipOptimizerWithoutRate):
    r"""Second-order Bop: the averaged gradient is divided by the gradients' RMS.

    \[ m = (1 - \gamma) m + \gamma\,\mathrm{grad}, \quad
    v = (1 - \sigma) v + \sigma\,\mathrm{grad}^2, \quad
    \theta = -\theta \text{ where } \theta \frac{m}{\sqrt{v} + \epsilon} > \tau \]

    Args:
        threshold: tau, at least 0, a float or a `LearningRateSchedule`. Defaults to
            `1e-6`.
        gamma: Weight of the newest gradient in m, in (0, 1], likewise. Defaults to
            `1e-7`.
        sigma: Weight of the newest square in v, in (0, 1], likewise. Defaults to
            `1e-3`.
        epsilon: Keeps the quotient finite. Defaults to `1e-10`.
        bias_correction: Whether to divide m and v by 1 - (1 - gamma)^t and
            1 - (1 - sigma)^t, the unbiased form, which needs constant gamma and sigma.
            Defaults to `False`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"Bop2ndOrder"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`, `jit_compile`.

    Raises:
        ValueError: For a hyperparameter outside its range, and for `use_ema` and
            `weight_decay`, which would take the weights out of {-1, +1}.

    Example:
        >>> optimizer = Bop2ndOrder(threshold=0.5, gamma=0.5, sigma=0.5)
        >>> theta = tf.Variable([1.0, 1.0, -1.0])
        >>> _ = optimizer.apply_gradients([(tf.constant([0.4, -9.0, -0.1]), theta)])
        >>> theta.numpy().tolist()
        [-1.0, 1.0, 1.0]

    References:
        Suarez-Ramirez et al., "A Bop and beyond: a second order optimizer for
        binarized neural networks", CVPR workshops 2021.
    """
