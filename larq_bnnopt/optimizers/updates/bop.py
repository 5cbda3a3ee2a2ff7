"""Bop and second-order Bop: arguments and steps."""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow as tf

from larq_bnnopt.optimizers import rules
from larq_bnnopt.optimizers.ranges import AT_LEAST_0, POSITIVE, UPDATE_RATE
from larq_bnnopt.optimizers.updates.base import (
    Hyperparameter,
    ScheduledValue,
    Update,
    serialized,
)


class BopUpdate(Update):
    """Bop without Keras; `larq_bnnopt.optimizers.Bop` documents it."""

    state_names = ("m",)
    scheduled = ("gamma", "threshold")
    ranges: ClassVar = {"gamma": UPDATE_RATE, "threshold": AT_LEAST_0}
    gamma: ScheduledValue
    threshold: ScheduledValue

    def __init__(
        self,
        threshold: Hyperparameter = 1e-8,
        gamma: Hyperparameter = 1e-4,
        state_dtype: str = "float32",
        name: str = "Bop",
        embedding_updates: str = "dense",
        **kwargs: Any,
    ):
        super().__init__(
            name=name,
            state_dtype=state_dtype,
            embedding_updates=embedding_updates,
            **kwargs,
        )
        self.set_hyperparameter("threshold", threshold)
        self.set_hyperparameter("gamma", gamma)

    def step(self, gradient, theta, state, hyperparameters, seed):
        """Applies `rules.bop`."""
        theta, m = rules.bop(gradient, theta, *state, **hyperparameters)
        return theta, (m,)

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        return {
            "threshold": serialized(self.threshold),
            "gamma": serialized(self.gamma),
        }


class Bop2ndOrderUpdate(Update):
    """Second-order Bop without Keras; `Bop2ndOrder` documents it."""

    state_names = ("m", "v")
    scheduled = ("gamma", "sigma", "threshold")
    ranges: ClassVar = {
        "gamma": UPDATE_RATE,
        "sigma": UPDATE_RATE,
        "threshold": AT_LEAST_0,
    }
    fixed = (*Update.fixed, "epsilon", "bias_correction")
    gamma: ScheduledValue
    sigma: ScheduledValue
    threshold: ScheduledValue

    def __init__(
        self,
        threshold: Hyperparameter = 1e-6,
        gamma: Hyperparameter = 1e-7,
        sigma: Hyperparameter = 1e-3,
        epsilon: float = 1e-10,
        bias_correction: bool = False,
        state_dtype: str = "float32",
        name: str = "Bop2ndOrder",
        embedding_updates: str = "dense",
        **kwargs: Any,
    ):
        super().__init__(
            name=name,
            state_dtype=state_dtype,
            embedding_updates=embedding_updates,
            **kwargs,
        )
        self.set_hyperparameter("threshold", threshold)
        self.set_hyperparameter("gamma", gamma)
        self.set_hyperparameter("sigma", sigma)
        self.epsilon = POSITIVE.check("epsilon", epsilon)
        if bias_correction and not all(
            isinstance(rate, tf.Variable) and float(rate.numpy()) < 1
            for rate in (self.gamma, self.sigma)
        ):
            raise ValueError(
                "bias_correction needs a constant gamma and sigma below 1. Received: "
                f"gamma={self.gamma!r}, sigma={self.sigma!r}"
            )
        if bias_correction and embedding_updates == "seen_rows":
            raise ValueError(
                "bias_correction counts the steps of all rows, and with "
                'embedding_updates="seen_rows" each row has its own number of them. '
                "Leave one of the two out."
            )
        self.bias_correction = bool(bias_correction)

    def step_hyperparameters(self, iteration: tf.Tensor) -> dict[str, Any]:
        """Returns the hyperparameters of one step, with the bias to divide out."""
        values = super().step_hyperparameters(iteration)
        if self.bias_correction:
            count = tf.cast(iteration, tf.float64) + 1.0
            # A callback may have set a rate to 0, at which an average never fills.
            values["unbias"] = tuple(
                tf.maximum(rules.bias(values[name], count), 1e-20)
                for name in ("gamma", "sigma")
            )
        return values

    def step(self, gradient, theta, state, hyperparameters, seed):
        """Applies `rules.bop_second_order`."""
        theta, *averages = rules.bop_second_order(
            gradient, theta, *state, **hyperparameters, epsilon=self.epsilon
        )
        return theta, tuple(averages)

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        return {
            "threshold": serialized(self.threshold),
            "gamma": serialized(self.gamma),
            "sigma": serialized(self.sigma),
            "epsilon": self.epsilon,
            "bias_correction": self.bias_correction,
        }
