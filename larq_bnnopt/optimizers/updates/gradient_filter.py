"""Gradient filter (paper 001): arguments, step, and constants for short runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from larq_bnnopt.optimizers import rules
from larq_bnnopt.optimizers.ranges import UPDATE_RATE
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
    """Returns alpha, before its decay, and gamma for a run of `total` steps.

    g averages over a tenth of the run at first, and over 100,000 steps at most, the
    paper's for ImageNet; m averages over ten steps.

    Example:
        >>> averages_for_steps(1000)
        {'alpha': 0.01, 'gamma': 0.1}
    """
    check_run_length(total)
    return {"alpha": min(max(10 / total, 1e-5), 1.0), "gamma": 0.1}


class GradientFilterUpdate(Update):
    """Gradient filter without Keras; `GradientFilter` documents it."""

    state_names: tuple[str, ...] = ("m", "g")
    scheduled = ("alpha", "gamma")
    ranges: ClassVar = {"alpha": UPDATE_RATE, "gamma": UPDATE_RATE}
    fixed = (*Update.fixed, "order")
    alpha: ScheduledValue
    gamma: ScheduledValue

    def __init__(
        self,
        alpha: Hyperparameter = 1e-3,
        gamma: Hyperparameter = 0.1,
        order: int = 2,
        on_zero: str = "keep",
        state_dtype: str = "float32",
        name: str = "GradientFilter",
        embedding_updates: str = "dense",
        **kwargs: Any,
    ):
        super().__init__(
            name=name,
            state_dtype=state_dtype,
            embedding_updates=embedding_updates,
            **kwargs,
        )
        self.set_hyperparameter("alpha", alpha)
        self.set_hyperparameter("gamma", gamma)
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2. Received: {order!r}")
        self.order = order
        self.state_names = ("m", "g") if order == 2 else ("g",)
        self.on_zero = one_of("on_zero", on_zero, rules.ON_ZERO)

    @classmethod
    def for_steps(cls, total: int, **options: Any) -> Self:
        """Makes the optimizer whose averages fit a run of `total` steps.

        alpha falls from 10 / total, at least 1e-5, to 0 along a cosine; gamma is 0.1.
        After the last step no sign changes, so count all epochs in.
        `docs/optimizers.md` has the accuracies that this rule reaches, and how it was
        chosen.

        Args:
            total: Number of steps (batches, or with `accumulate_steps` groups of them)
                of the whole run.
            **options: Arguments of the constructor; they replace what the rule chooses.

        Returns:
            The optimizer.

        Raises:
            ValueError: For a total below 1.
        """
        rule: dict[str, Any] = averages_for_steps(total)
        decay = tf.keras.optimizers.schedules.CosineDecay
        rule["alpha"] = decay(rule["alpha"], total)
        return cls(**{**rule, **options})

    def step(self, gradient, theta, state, hyperparameters, seed):
        """Applies `rules.gradient_filter`."""
        return rules.gradient_filter(
            gradient, theta, state, **hyperparameters, on_zero=self.on_zero, seed=seed
        )

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        return {
            "alpha": serialized(self.alpha),
            "gamma": serialized(self.gamma),
            "order": self.order,
            "on_zero": self.on_zero,
        }
