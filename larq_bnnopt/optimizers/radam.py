"""RAdam for `tf.keras.optimizers`: Adam whose first steps are rectified.

Keras 2 has none, and paper 002 trains its networks by it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers.ranges import DECAY, POSITIVE
from larq_bnnopt.optimizers.updates.base import Hyperparameter


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class RAdam(tf.keras.optimizers.Optimizer):
    r"""RAdam: Adam without its large first steps, so that it needs no warm-up.

    \[ m = \beta_1 m + (1 - \beta_1) g, \quad v = \beta_2 v + (1 - \beta_2) g^2, \quad
    \hat m = \frac{m}{1 - \beta_1^t} \]

    \[ \rho_\infty = \frac{2}{1 - \beta_2} - 1, \quad
    \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t} \]

    \[ w = w - \eta\,\hat m\,r_t \frac{\sqrt{1 - \beta_2^t}}{\sqrt v + \epsilon}
    \text{ where } \rho_t > 4, \quad w = w - \eta\,\hat m \text{ otherwise}, \quad
    r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
    {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}} \]

    In the first steps v is an average of few squares, and the variance of its inverse
    root has no bound: they follow the averaged gradient alone.

    Args:
        learning_rate: Size eta of a step, a float or a `LearningRateSchedule`. Defaults
            to `0.001`.
        beta_1: Decay of the average of gradients, in [0, 1). Defaults to `0.9`.
        beta_2: Decay of the average of squares, in [0, 1). At 0.6 or below no step is
            adaptive. Defaults to `0.999`.
        epsilon: Keeps the quotient finite. Defaults to `1e-7`, Keras's.
        weight_decay: Share of a weight, times eta, that is subtracted from it before a
            step. Defaults to `None`, none.
        name: Name of the optimizer. Defaults to `"RAdam"`.
        **kwargs: Keras's `clipnorm`, `clipvalue`, `global_clipnorm`, `use_ema`,
            `ema_momentum`, `ema_overwrite_frequency`, `jit_compile`.

    Raises:
        ValueError: For a beta or epsilon outside its range.

    Notes:
        PyTorch, and the authors' code, are adaptive from rho_t > 5 on, a step later for
        usual beta_2. rho_t is computed in float64: in float32 the difference of two
        numbers near 2,000 would leave few digits.

    Example:
        >>> optimizer = RAdam(0.5)
        >>> w = tf.Variable([1.0, 1.0])
        >>> _ = optimizer.apply_gradients([(tf.constant([0.5, -1.0]), w)])
        >>> w.numpy().tolist()  # The first step is that of SGD.
        [0.75, 1.5]

    References:
        Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR
        2020, [arXiv 1908.03265](https://arxiv.org/abs/1908.03265), algorithm 2. Paper
        002 (MeliusNet), section 4.1.
    """

    def __init__(
        self,
        learning_rate: Hyperparameter = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        name: str = "RAdam",
        **kwargs: Any,
    ):
        super().__init__(name=name, weight_decay=weight_decay, **kwargs)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1 = DECAY.check("beta_1", beta_1)
        self.beta_2 = DECAY.check("beta_2", beta_2)
        self.epsilon = POSITIVE.check("epsilon", epsilon)

    def build(self, var_list: list[tf.Variable]) -> None:
        """Creates both averages of every variable, once."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._momentums, self._velocities = (
            [self.add_variable_from_reference(one, name) for one in var_list]
            for name in ("m", "v")
        )
        self._built = True

    def update_step(
        self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable
    ) -> None:
        """Updates a variable and its averages."""
        index = self._index_dict[self._var_key(variable)]
        m, v = self._momentums[index], self._velocities[index]
        if isinstance(gradient, tf.IndexedSlices):
            squares = tf.IndexedSlices(tf.square(gradient.values), gradient.indices)
        else:
            squares = tf.square(gradient)
        _average(m, gradient, self.beta_1)
        _average(v, squares, self.beta_2)
        unbias, is_adaptive, rectified = (
            tf.cast(value, variable.dtype if value.dtype.is_floating else tf.bool)
            for value in self._rectification()
        )
        root = tf.where(is_adaptive, tf.sqrt(v) + self.epsilon, tf.ones_like(v))
        rate = tf.cast(self.learning_rate, variable.dtype)
        variable.assign_sub(rate / unbias * rectified * m / root)

    def _rectification(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns 1 - beta_1^t, whether rho_t > 4, and what is multiplied then.

        The latter is r_t * sqrt(1 - beta_2^t), or 1. All are scalars in float64.
        """
        step = tf.cast(self.iterations + 1, tf.float64)
        unbias_1, unbias_2 = (
            tf.constant(1.0, tf.float64) - tf.pow(tf.constant(beta, tf.float64), step)
            for beta in (self.beta_1, self.beta_2)
        )
        last = 2 / (1 - self.beta_2) - 1
        rho = last - 2 * step * (1 - unbias_2) / unbias_2
        is_adaptive = rho > 4
        # Valid also where it is not used; rho never exceeds its limit.
        rho = tf.where(is_adaptive, rho, tf.constant(5.0, tf.float64))
        limit = max(last, 5.0)
        scale = limit / ((limit - 4) * (limit - 2))
        rectified = tf.sqrt((rho - 4) * (rho - 2) / rho * scale * unbias_2)
        one = tf.constant(1.0, tf.float64)
        return unbias_1, is_adaptive, tf.where(is_adaptive, rectified, one)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _average(
    average: tf.Variable, value: tf.Tensor | tf.IndexedSlices, decay: float
) -> None:
    """Moves an average towards a value, which is zero outside of sparse slices."""
    if isinstance(value, tf.IndexedSlices):
        average.assign(average * decay)
        average.scatter_add(tf.IndexedSlices(value.values * (1 - decay), value.indices))
    else:
        average.assign_add((value - average) * (1 - decay))
