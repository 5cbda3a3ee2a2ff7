"""Diode for `tf.keras.optimizers`; its step is in updates/diode.py and rules.py."""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.optimizers.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.updates.diode import DiodeUpdate


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class Diode(DiodeUpdate, FlipOptimizer):
    r"""Diode: binary weights follow the sign of an averaged vote of gradient signs.

    \[ u = \alpha u + (1 - \alpha) g, \quad
    m = \beta m + (1 - \beta) \eta\,\mathrm{sign}(u), \quad
    \theta = -\mathrm{sign}(m) \]

    The weights are {-1, +1} themselves; there is no latent copy. In float32 the two
    averages take the same memory as Adam's moments: the paper's saving of nearly one
    half needs `state_dtype="bfloat16"`, and gradients and weights in fewer bits.

    The paper's alpha and beta average over about 100 and 10,000 steps.
    `Diode.for_steps` makes averages that fit a run of a few thousand steps.

    Args:
        learning_rate: Size eta of a vote, a float or a `LearningRateSchedule`. A
            constant has no effect on the signs; a schedule that decays to zero freezes
            them. Defaults to `1.0`.
        alpha: Decay of the average of gradients, in [0, 1). Defaults to `0.99`.
        beta: Decay of the average of votes, in [0, 1). Defaults to `0.9999`.
        initial_inertia: Starts m at -theta * initial_inertia * eta, so that trained
            weights survive the first steps; with `0.0`, as in the paper, the first
            gradient decides every sign. Defaults to `0.0`.
        on_zero: Meaning of sign(m) for m = 0: `"keep"` the weight, `"positive"` or
            `"random"`. Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` with stochastic rounding for half the
            memory. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"Diode"`.
        embedding_updates: What a sparse gradient changes (`tf.IndexedSlices`, of an
            embedding): `"dense"` all rows, as the equal dense gradient would, so that
            averages of rows without a gradient decay; `"seen_rows"` the rows in it
            alone. Defaults to `"dense"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`, `jit_compile`.

    Raises:
        ValueError: For a hyperparameter outside its range, also if a schedule starts
            there, and for `use_ema` and `weight_decay`, which would take the weights
            out of {-1, +1}.

    Notes:
        The paper leaves sign(0), u_0 and m_0 open. Here u_0 = m_0 = 0, the vote
        sign(0) is 0, and a weight whose m is 0 keeps its sign. The authors' code
        (DiodeMix) starts m at random, which makes the result depend on the size of
        eta, unlike the paper's figure 2.

        With `embedding_updates="dense"`, u of a row that is not seen keeps its sign
        while it decays, so that the row goes on voting as it last did; with
        `"seen_rows"`, (theta, u, m) of the row stay as they are. The paper has no rule
        for embeddings. The authors' code updates the rows of a batch alone, without u:
        that is `alpha=0` and `"seen_rows"`. Of gradients in fewer bits, section 3 says
        that they are possible and not how, so no gradient is quantized.

    Example:
        >>> import larq as lq
        >>> from larq_bnnopt.optimizers import CaseOptimizer
        >>> model = tf.keras.Sequential([
        ...     lq.layers.QuantDense(1, kernel_quantizer=lq.quantizers.NoOp(1),
        ...                          kernel_initializer="ones", input_shape=(2,))])
        >>> adam = tf.keras.optimizers.Adam(0.01)
        >>> diode = (Diode.is_binary_variable, Diode(alpha=0.9, beta=0.999))
        >>> model.compile(CaseOptimizer(diode, default_optimizer=adam), "mse")
        >>> x, y = tf.constant([[1.0, 1.0]]), tf.constant([[0.0]])
        >>> history = model.fit(x, y, verbose=0)
        >>> model.layers[0].get_weights()[0].tolist()
        [[-1.0], [-1.0]]

    References:
        Paper 003 (Diode), eq. 10-13; tables 1 and 2 for results.
    """
