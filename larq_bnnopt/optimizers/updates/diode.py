"""Diode (paper 003): arguments, initial state, step, and constants for short runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from larq_bnnopt.optimizers import rules
from larq_bnnopt.optimizers.ranges import DECAY, FINITE
from larq_bnnopt.optimizers.updates.base import (
    Hyperparameter,
    ScheduledValue,
    Update,
    check_run_length,
    one_of,
    serialized,
)

if TYPE_CHECKING:
    from typing_extensions import Self


def averages_for_steps(total: int) -> dict[str, float]:
    """Returns alpha and beta for a run of `total` steps.

    The published constants belong to runs of hundreds of thousands of steps; an average
    with a longer horizon than the run keeps its weights where the first gradients put
    them. u averages over total / 200 steps, at most 100; m over total / 3, at most
    10,000. From 30,000 steps on these are the paper's constants.

    Example:
        >>> {name: round(value, 6) for name, value in averages_for_steps(1200).items()}
        {'alpha': 0.833333, 'beta': 0.9975}
        >>> {name: round(v, 6) for name, v in averages_for_steps(100_000).items()}
        {'alpha': 0.99, 'beta': 0.9999}
    """
    check_run_length(total)
    return {
        "alpha": 1 - 1 / min(max(total / 200, 1.0), 100.0),
        "beta": 1 - 1 / min(max(total / 3, 1.0), 10_000.0),
    }


class DiodeUpdate(Update):
    """Diode without Keras; `larq_bnnopt.optimizers.Diode` documents it."""

    state_names = ("u", "m")
    scheduled = ("alpha", "beta")
    ranges: ClassVar = {"alpha": DECAY, "beta": DECAY, "eta": FINITE}
    fixed = (*Update.fixed, "initial_inertia")
    alpha: ScheduledValue
    beta: ScheduledValue

    def __init__(
        self,
        learning_rate: Hyperparameter = 1.0,
        alpha: float = 0.99,
        beta: float = 0.9999,
        initial_inertia: float = 0.0,
        on_zero: str = "keep",
        state_dtype: str = "float32",
        name: str = "Diode",
        embedding_updates: str = "dense",
        **kwargs: Any,
    ):
        super().__init__(
            name=name,
            state_dtype=state_dtype,
            embedding_updates=embedding_updates,
            **kwargs,
        )
        self.set_learning_rate(learning_rate)
        self.set_hyperparameter("alpha", alpha)
        self.set_hyperparameter("beta", beta)
        self.initial_inertia = FINITE.check("initial_inertia", initial_inertia)
        self.on_zero = one_of("on_zero", on_zero, rules.ON_ZERO)

    @classmethod
    def for_steps(cls, total: int, **options: Any) -> Self:
        """Makes the optimizer whose averages fit a run of `total` steps.

        u averages over total / 200 steps, at most 100, and m over total / 3, at most
        10,000; eta falls from 1 to 0 along a cosine. After the last step no sign
        changes, so count all epochs in. From 30,000 steps on alpha and beta are the
        paper's constants. `docs/optimizers.md` has the accuracies that this rule
        reaches, and how it was chosen.

        Args:
            total: Number of steps (batches, or with `accumulate_steps` groups of them)
                of the whole run.
            **options: Arguments of the constructor; they replace what the rule chooses.

        Returns:
            The optimizer.

        Raises:
            ValueError: For a total below 1.
        """
        rate = tf.keras.optimizers.schedules.CosineDecay(1.0, total)
        rule = {"learning_rate": rate, **averages_for_steps(total)}
        return cls(**{**rule, **options})

    def initial_state(self, name: str, theta: tf.Tensor) -> tf.Tensor:
        """Returns zero for u, and -theta * initial_inertia * eta for m."""
        if name == "u" or not self.initial_inertia:
            return super().initial_state(name, theta)
        scale = self.current_learning_rate() * self.initial_inertia
        if tf.executing_eagerly() and float(scale) == 0:
            raise ValueError(
                "initial_inertia is a multiple of the first learning rate, which is 0. "
                "Start the schedule above 0."
            )
        return -rules.binary_sign(tf.cast(theta, tf.float32)) * scale

    def current_hyperparameters(self, iteration: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns alpha, beta and the learning rate, which is eta."""
        # Of a float32 variable, tf.cast returns the variable itself.
        eta = tf.convert_to_tensor(self.current_learning_rate())
        return {**super().current_hyperparameters(iteration), "eta": eta}

    def step(self, gradient, theta, state, hyperparameters, seed):
        """Applies `rules.diode`."""
        theta, u, m = rules.diode(
            gradient, theta, *state, **hyperparameters, on_zero=self.on_zero, seed=seed
        )
        return theta, (u, m)

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        return {
            "learning_rate": self.serialized_learning_rate(),
            "alpha": serialized(self.alpha),
            "beta": serialized(self.beta),
            "initial_inertia": self.initial_inertia,
            "on_zero": self.on_zero,
        }
