"""What one binary optimizer is in both Keras APIs: hyperparameters, start, step.

A subclass of `Update` ties a rule of `rules.py` to named state. The shells for the two
Keras APIs (`flip_optimizer.py` here and in `legacy/`) own the variables and call it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias, Union

import numpy as np
import tensorflow as tf

from larq_bnnopt.optimizers import rules
from larq_bnnopt.optimizers.predicates import is_binary_variable

schedules = tf.keras.optimizers.schedules
Hyperparameter: TypeAlias = Union[
    float, tf.keras.optimizers.schedules.LearningRateSchedule
]


class Update:
    """Base of the updates: one class a published optimizer, shared by both Keras APIs.

    Attributes:
        state_names: Names of the averages kept for each weight, in the rule's order.
        on_zero: Rule for an average of exactly zero, see `rules.oppose`.
    """

    state_names: tuple[str, ...]
    on_zero: str
    is_binary_variable = staticmethod(is_binary_variable)

    def start(self, name: str, theta: tf.Tensor, eta: rules.Scalar) -> tf.Tensor:
        """Returns the initial value, float32, of the state called `name`."""
        return tf.zeros(theta.shape, tf.float32)

    def step(
        self,
        gradient: tf.Tensor,
        theta: tf.Tensor,
        state: tuple[tf.Tensor, ...],
        *,
        eta: rules.Scalar,
        iteration: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Returns the new weights and the new state."""
        raise NotImplementedError

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        raise NotImplementedError


class DiodeUpdate(Update):
    """Diode, paper 003."""

    state_names = ("u", "m")

    def set_hyperparameters(
        self, alpha: float, beta: float, initial_inertia: float, on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.alpha = _in_range("alpha", alpha, low_open=False, high_open=True)
        self.beta = _in_range("beta", beta, low_open=False, high_open=True)
        if initial_inertia < 0:
            raise ValueError(
                f"initial_inertia must be at least 0. Received: {initial_inertia}"
            )
        self.initial_inertia = float(initial_inertia)
        self.on_zero = _one_of("on_zero", on_zero, rules.ON_ZERO)

    def start(self, name: str, theta: tf.Tensor, eta: rules.Scalar) -> tf.Tensor:
        """Starts u at zero and m at -theta * initial_inertia * eta."""
        if name == "u" or not self.initial_inertia:
            return super().start(name, theta, eta)
        scale = tf.cast(eta, tf.float32) * self.initial_inertia
        if tf.executing_eagerly() and float(scale) == 0:
            raise ValueError(
                "initial_inertia is a multiple of the first learning rate, which is 0. "
                "Start the schedule above 0."
            )
        return -rules.binary_sign(tf.cast(theta, tf.float32)) * scale

    def step(self, gradient, theta, state, *, eta, iteration, seed):
        """Applies `rules.diode`."""
        alpha, beta = _value(self.alpha, iteration), _value(self.beta, iteration)
        theta, u, m = rules.diode(
            gradient,
            theta,
            *state,
            eta=eta,
            alpha=alpha,
            beta=beta,
            on_zero=self.on_zero,
            seed=seed,
        )
        return theta, (u, m)

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the constructor's arguments for `get_config`."""
        return {
            "alpha": _serialize(self.alpha),
            "beta": _serialize(self.beta),
            "initial_inertia": self.initial_inertia,
            "on_zero": self.on_zero,
        }


class GradientFilterUpdate(Update):
    """Gradient filter, paper 001."""

    state_names: tuple[str, ...] = ("m", "g")

    def set_hyperparameters(
        self, alpha: Hyperparameter, gamma: Hyperparameter, order: int, on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.alpha = _in_range("alpha", alpha, low_open=True, high_open=False)
        self.gamma = _in_range("gamma", gamma, low_open=True, high_open=False)
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2. Received: {order!r}")
        self.order = order
        self.state_names = ("m", "g") if order == 2 else ("g",)
        self.on_zero = _one_of("on_zero", on_zero, rules.ON_ZERO)

    def step(self, gradient, theta, state, *, eta, iteration, seed):
        """Applies `rules.gradient_filter`; eta has no part in it."""
        return rules.gradient_filter(
            gradient,
            theta,
            state,
            alpha=_value(self.alpha, iteration),
            gamma=_value(self.gamma, iteration),
            on_zero=self.on_zero,
            seed=seed,
        )

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the constructor's arguments for `get_config`."""
        return {
            "alpha": _serialize(self.alpha),
            "gamma": _serialize(self.gamma),
            "order": self.order,
            "on_zero": self.on_zero,
        }


class IIRFilterUpdate(Update):
    """The general gradient filter, paper 001, eq. 14."""

    def set_hyperparameters(
        self, b: Sequence[float], a: Sequence[float], on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        if not len(b) or not len(a) or a[0] == 0:
            raise ValueError(
                "b and a need a coefficient each, and a[0] must not be 0. Received: "
                f"b={b!r}, a={a!r}"
            )
        poles = np.roots(np.asarray(a, float))
        if np.abs(poles).max(initial=0.0) >= 1:
            raise ValueError(
                "The filter is not stable: the roots of a must lie inside the unit "
                f"circle. Received: a={a!r} with roots {poles.tolist()}"
            )
        self.given = ([float(value) for value in b], [float(value) for value in a])
        length = max(len(b), len(a))
        self.b, self.a = (
            tuple(value / float(a[0]) for value in [*c, *[0.0] * (length - len(c))])
            for c in self.given
        )
        self.state_names = tuple(f"z{k}" for k in range(1, length))
        self.on_zero = _one_of("on_zero", on_zero, rules.ON_ZERO)

    def step(self, gradient, theta, state, *, eta, iteration, seed):
        """Applies `rules.iir_filter`; eta has no part in it."""
        return rules.iir_filter(
            gradient, theta, state, b=self.b, a=self.a, on_zero=self.on_zero, seed=seed
        )

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the constructor's arguments for `get_config`."""
        b, a = self.given
        return {"b": b, "a": a, "on_zero": self.on_zero}


class BopUpdate(Update):
    """Bop, Helwegen et al., 2019."""

    state_names = ("m",)

    def set_hyperparameters(
        self, threshold: Hyperparameter, gamma: Hyperparameter
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.threshold = _at_least_0("threshold", threshold)
        self.gamma = _in_range("gamma", gamma, low_open=True, high_open=False)

    def step(self, gradient, theta, state, *, eta, iteration, seed):
        """Applies `rules.bop`; eta has no part in it."""
        theta, m = rules.bop(
            gradient,
            theta,
            *state,
            gamma=_value(self.gamma, iteration),
            threshold=_value(self.threshold, iteration),
        )
        return theta, (m,)

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the constructor's arguments for `get_config`."""
        return {
            "threshold": _serialize(self.threshold),
            "gamma": _serialize(self.gamma),
        }


class Bop2ndOrderUpdate(Update):
    """Second-order Bop, Suarez-Ramirez et al., 2021."""

    state_names = ("m", "v")

    def set_hyperparameters(
        self,
        threshold: Hyperparameter,
        gamma: Hyperparameter,
        sigma: Hyperparameter,
        epsilon: float,
        bias_correction: bool,
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.threshold = _at_least_0("threshold", threshold)
        self.gamma = _in_range("gamma", gamma, low_open=True, high_open=False)
        self.sigma = _in_range("sigma", sigma, low_open=True, high_open=False)
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive. Received: {epsilon!r}")
        self.epsilon = float(epsilon)
        if bias_correction and not all(
            isinstance(weight, float) and weight < 1 for weight in (gamma, sigma)
        ):
            raise ValueError(
                "bias_correction needs a constant gamma and sigma below 1. Received: "
                f"gamma={gamma!r}, sigma={sigma!r}"
            )
        self.bias_correction = bool(bias_correction)

    def step(self, gradient, theta, state, *, eta, iteration, seed):
        """Applies `rules.bop_second_order`; eta has no part in it."""
        unbias: tuple[rules.Scalar, rules.Scalar] = (1.0, 1.0)
        if self.bias_correction:
            count = tf.cast(iteration, tf.float32) + 1.0
            unbias = (rules.bias(self.gamma, count), rules.bias(self.sigma, count))
        theta, *averages = rules.bop_second_order(
            gradient,
            theta,
            *state,
            gamma=_value(self.gamma, iteration),
            sigma=_value(self.sigma, iteration),
            threshold=_value(self.threshold, iteration),
            epsilon=self.epsilon,
            unbias=unbias,
        )
        return theta, tuple(averages)

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the constructor's arguments for `get_config`."""
        return {
            "threshold": _serialize(self.threshold),
            "gamma": _serialize(self.gamma),
            "sigma": _serialize(self.sigma),
            "epsilon": self.epsilon,
            "bias_correction": self.bias_correction,
        }


def warn_if_not_binary(variable: tf.Variable, optimizer: str) -> None:
    """Warns, by name, of weights outside {-1, +1}, where their values can be read."""
    if not tf.executing_eagerly():
        return
    values = variable.numpy()
    if not np.all(np.abs(values) == 1.0):
        warnings.warn(
            f"{optimizer} trains weights in {{-1, +1}}, but {variable.name} holds "
            "other values; it goes on from their signs. Start such a kernel with "
            "zoo_extensions.initializers.BernoulliSign(). What is no binary kernel "
            "belongs to the default_optimizer of a CaseOptimizer.",
            stacklevel=2,
        )


def _value(hyperparameter: Hyperparameter, iteration: tf.Tensor) -> rules.Scalar:
    """Returns a float as it is, so that 1 - x is exact, or a schedule's value now."""
    if callable(hyperparameter):
        return tf.cast(hyperparameter(iteration), tf.float32)
    return hyperparameter


def _serialize(hyperparameter: Hyperparameter) -> float | dict[str, Any]:
    if isinstance(hyperparameter, schedules.LearningRateSchedule):
        return schedules.serialize(hyperparameter)
    return hyperparameter


def _in_range(
    name: str, value: Any, *, low_open: bool, high_open: bool
) -> Hyperparameter:
    """Returns a float in the unit interval, or a schedule, also a serialised one."""
    if isinstance(value, dict):
        return schedules.deserialize(value)
    if isinstance(value, schedules.LearningRateSchedule):
        return value
    low = value > 0 if low_open else value >= 0
    high = value < 1 if high_open else value <= 1
    if not (low and high):
        interval = f"{'(' if low_open else '['}0, 1{')' if high_open else ']'}"
        raise ValueError(f"{name} must be in {interval}. Received: {value!r}")
    return float(value)


def _at_least_0(name: str, value: Any) -> Hyperparameter:
    """Returns a float of at least 0, or a schedule, also a serialised one."""
    if isinstance(value, dict):
        return tf.keras.optimizers.schedules.deserialize(value)
    if isinstance(value, tf.keras.optimizers.schedules.LearningRateSchedule):
        return value
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0. Received: {value!r}")
    return float(value)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}. Received: {value!r}")
    return value
