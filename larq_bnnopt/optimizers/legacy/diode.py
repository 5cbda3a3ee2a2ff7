"""Diode for `tf.keras.optimizers.legacy` and larq's CaseOptimizer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers.legacy.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.updates import DiodeUpdate, Hyperparameter


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class Diode(DiodeUpdate, FlipOptimizer):
    """`larq_bnnopt.optimizers.Diode` for the legacy Keras optimizers.

    The rule is the same; see there for the equations and the choices made.

    Args:
        learning_rate: Size eta of a vote, a float or a `LearningRateSchedule`. Defaults
            to `1.0`.
        alpha: Memory of the average of gradients, in [0, 1). Defaults to `0.99`.
        beta: Memory of the average of votes, in [0, 1). Defaults to `0.9999`.
        initial_inertia: m starts at -theta * initial_inertia * eta. Defaults to
            `0.0`.
        on_zero: `"keep"`, `"positive"` or `"random"`. Defaults to `"keep"`.
        state_dtype: `"float32"`, or `"bfloat16"` for half the memory, rounded by chance
            without a bias. Defaults to `"float32"`.
        name: Name of the optimizer. Defaults to `"Diode"`.
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

    def __init__(
        self,
        learning_rate: Hyperparameter = 1.0,
        alpha: float = 0.99,
        beta: float = 0.9999,
        initial_inertia: float = 0.0,
        on_zero: str = "keep",
        state_dtype: str = "float32",
        name: str = "Diode",
        **kwargs: Any,
    ):
        super().__init__(name=name, state_dtype=state_dtype, **kwargs)
        rate = self._checked_rate("learning_rate", learning_rate)
        self._set_hyper("learning_rate", rate)
        self.set_hyperparameters(alpha, beta, initial_inertia, on_zero)

    def eta(self) -> tf.Tensor:
        """Returns the size of a vote now, float32."""
        return tf.cast(self._decayed_lr(tf.float32), tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        learning_rate = self._serialize_hyperparameter("learning_rate")
        return {**super().get_config(), "learning_rate": learning_rate}
