"""What one binary optimizer is in both Keras APIs: hyperparameters, start, step.

A subclass of `Update` ties a rule of `rules.py` to named state. The shells for the two
Keras APIs (`flip_optimizer.py` here and in `legacy/`) own the variables and call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import tensorflow as tf

from larq_bnnopt.optimizers import memory, rules, storage
from larq_bnnopt.optimizers.predicates import is_binary_variable

if TYPE_CHECKING:
    from typing_extensions import Self

schedules = tf.keras.optimizers.schedules
Hyperparameter: TypeAlias = Union[
    float, tf.keras.optimizers.schedules.LearningRateSchedule
]


class Update:
    """Base of the updates: one class a published optimizer, shared by both Keras APIs.

    Attributes:
        state_names: Names of the averages kept for each weight, in the rule's order.
        on_zero: Rule for an average of exactly zero, see `rules.oppose`.
        state_dtype: How averages are kept, see `storage`.
        scheduled: Names of the hyperparameters that may change from step to step: each
            an attribute that is a variable or a schedule.
    """

    state_names: tuple[str, ...]
    on_zero: str
    state_dtype = "float32"
    scheduled: tuple[str, ...] = ()
    # Those that must be above 0 and at most 1, or at least 0 and below 1; all others
    # must be at least 0.
    newest_weights: tuple[str, ...] = ()
    memories: tuple[str, ...] = ()
    is_binary_variable = staticmethod(is_binary_variable)

    def set_state_dtype(self, state_dtype: str) -> None:
        """Checks and keeps how averages are kept, see `storage`."""
        self.state_dtype = _one_of("state_dtype", state_dtype, storage.STATE_DTYPES)

    def start(self, name: str, theta: tf.Tensor) -> tf.Tensor:
        """Returns the initial value, float32, of the state called `name`."""
        return tf.zeros(theta.shape, tf.float32)

    def values(self, iteration: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the hyperparameters of one step: of each schedule its value now."""
        return {name: _value(getattr(self, name), iteration) for name in self.scheduled}

    def step(
        self,
        gradient: tf.Tensor,
        theta: tf.Tensor,
        state: tuple[tf.Tensor, ...],
        values: dict[str, tf.Tensor],
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Returns the new weights and the new state, in pure tensors.

        Args:
            gradient: Gradient, dense.
            theta: Current weights.
            state: Averages in the order of `state_names`, float32.
            values: What `values` returned.
            seed: Two int32, the number of the step and of the variable.
        """
        raise NotImplementedError

    def keep(self, name: str, value: Hyperparameter) -> None:
        """Makes a number a variable that callbacks can set, and keeps schedules.

        In float64: 1 - 0.9999 would lose four of its digits in float32.
        """
        if isinstance(value, float):
            with tf.init_scope():
                value = tf.Variable(value, dtype=tf.float64, trainable=False, name=name)
            self.remember(name, value)
        setattr(self, name, value)

    def checked(self, name: str, value: Any) -> Hyperparameter:
        """Returns a hyperparameter that is in its range, or a schedule.

        Raises:
            ValueError: If it is not in its range.
        """
        if name not in (*self.newest_weights, *self.memories):
            return _at_least_0(name, value)
        return _in_range(
            name,
            value,
            low_open=name in self.newest_weights,
            high_open=name in self.memories,
        )

    @classmethod
    def from_config(cls, config: dict[str, Any], *arguments: Any) -> Any:
        """Makes the optimizer of a configuration.

        Numbers are taken as they are: a callback may have led one to the end of its
        range, and no model must be lost by that.
        """
        config = dict(config)
        numbers = {
            name: config.pop(name)
            for name in cls.scheduled
            if isinstance(config.get(name), float)
        }
        optimizer = super().from_config(config, *arguments)  # type: ignore[misc]
        for name, value in numbers.items():
            getattr(optimizer, name).assign(value)
        return optimizer

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets the variable of a hyperparameter, as Keras sets a learning rate.

        Raises:
            TypeError: If a number meets a schedule.
            ValueError: If a number is not in its range.
        """
        old = vars(self).get(name) if name in self.scheduled else None
        if old is None or value is old:
            super().__setattr__(name, value)
        elif isinstance(old, tf.Variable) and not callable(value):
            old.assign(self.checked(name, value))
        else:
            raise TypeError(
                f"{name} was made as a {type(old).__name__} and cannot become "
                f"{value!r}. Make a new optimizer."
            )

    def remember(self, name: str, variable: tf.Variable) -> None:
        """Makes the variable of a hyperparameter part of what Keras saves."""
        raise NotImplementedError

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        raise NotImplementedError


class DiodeUpdate(Update):
    """Diode, paper 003."""

    state_names = ("u", "m")
    scheduled = ("alpha", "beta")
    memories = ("alpha", "beta")
    alpha: Any
    beta: Any

    def set_hyperparameters(
        self, alpha: float, beta: float, initial_inertia: float, on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("alpha", self.checked("alpha", alpha))
        self.keep("beta", self.checked("beta", beta))
        if initial_inertia < 0:
            raise ValueError(
                f"initial_inertia must be at least 0. Received: {initial_inertia}"
            )
        self.initial_inertia = float(initial_inertia)
        self.on_zero = _one_of("on_zero", on_zero, rules.ON_ZERO)

    @classmethod
    def for_steps(cls, total: int, **options: Any) -> Self:
        """Makes the optimizer whose averages fit a run of `total` steps.

        u remembers total / 200 steps, at most 100, and m total / 3, at most 10,000; eta
        falls from 1 to 0 along a cosine, and behind the last step no sign changes:
        count all epochs in. From 30,000 steps on these are the paper's constants.

        Test accuracy in percent, mean of three seeds (tiny_residual_bnn, batch 64), of
        the rule, of fixed 0.9 and 0.999, and of the paper's 0.99 and 0.9999:

        | data, steps | rule | 0.9, 0.999 | paper |
        |---|--:|--:|--:|
        | Fashion-MNIST, 120 | 80.3 | 77.2 | 73.3 |
        | Fashion-MNIST, 480 | 86.6 | 85.3 | 83.6 |
        | Fashion-MNIST, 1,920 | 89.8 | 89.8 | 88.8 |
        | CIFAR-10, 480 | 51.4 | 48.8 | 45.4 |
        | CIFAR-10, 1,920 | 66.1 | 65.6 | 61.7 |

        It was chosen on 5,000 validation images of Fashion-MNIST, where memories of
        T / 3 to 3 T for m are within the noise of 0.5 points, and T / 10 is clearly
        worse. Nothing above 1,920 steps was measured: there it is extrapolated
        (`benchmarks/averages_for_steps.py --bfloat16`).

        Args:
            total: Number of steps (batches, or with `accumulate_steps` groups of them)
                of the whole run.
            **options: Arguments of the constructor, which go before the rule.

        Returns:
            The optimizer.

        Raises:
            ValueError: For a total below 1.
        """
        rate = schedules.CosineDecay(1.0, total)
        rule = {"learning_rate": rate, **memory.diode(total)}
        return cls(**{**rule, **options})

    def eta(self) -> tf.Tensor:
        """Returns the size of a vote now, float32."""
        raise NotImplementedError

    def start(self, name: str, theta: tf.Tensor) -> tf.Tensor:
        """Starts u at zero and m at -theta * initial_inertia * eta."""
        if name == "u" or not self.initial_inertia:
            return super().start(name, theta)
        scale = self.eta() * self.initial_inertia
        if tf.executing_eagerly() and float(scale) == 0:
            raise ValueError(
                "initial_inertia is a multiple of the first learning rate, which is 0. "
                "Start the schedule above 0."
            )
        return -rules.binary_sign(tf.cast(theta, tf.float32)) * scale

    def values(self, iteration):
        """Returns eta beside alpha and beta."""
        return {**super().values(iteration), "eta": self.eta()}

    def step(self, gradient, theta, state, values, seed):
        """Applies `rules.diode`."""
        theta, u, m = rules.diode(
            gradient, theta, *state, **values, on_zero=self.on_zero, seed=seed
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
    scheduled = ("alpha", "gamma")
    newest_weights = ("alpha", "gamma")
    alpha: Any
    gamma: Any

    def set_hyperparameters(
        self, alpha: Hyperparameter, gamma: Hyperparameter, order: int, on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("alpha", self.checked("alpha", alpha))
        self.keep("gamma", self.checked("gamma", gamma))
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2. Received: {order!r}")
        self.order = order
        self.state_names = ("m", "g") if order == 2 else ("g",)
        self.on_zero = _one_of("on_zero", on_zero, rules.ON_ZERO)

    @classmethod
    def for_steps(cls, total: int, **options: Any) -> Self:
        """Makes the optimizer whose averages fit a run of `total` steps.

        alpha falls from 10 / total, at least 1e-5, to 0 along a cosine, and behind the
        last step no sign changes: count all epochs in. gamma is 0.1.

        Test accuracy in percent, mean of three seeds (tiny_residual_bnn, batch 64), of
        the rule, of a fixed first alpha of 1e-2, and of the paper's 1e-3 for CIFAR-10:

        | data, steps | rule | 1e-2 | 1e-3 |
        |---|--:|--:|--:|
        | Fashion-MNIST, 120 | 78.8 | 77.4 | 76.8 |
        | Fashion-MNIST, 480 | 85.9 | 85.3 | 84.8 |
        | Fashion-MNIST, 1,920 | 89.9 | 89.8 | 89.7 |
        | CIFAR-10, 480 | 49.4 | 49.4 | 48.1 |
        | CIFAR-10, 1,920 | 66.6 | 66.7 | 65.1 |

        It was chosen on 5,000 validation images of Fashion-MNIST; 3 / total and gamma
        0.3 are within the noise of 0.5 points. Nothing above 1,920 steps was measured:
        there it is extrapolated, to below the paper's 1e-3 for 400 epochs of CIFAR-10
        (`benchmarks/averages_for_steps.py --bfloat16`).

        Args:
            total: Number of steps (batches, or with `accumulate_steps` groups of them)
                of the whole run.
            **options: Arguments of the constructor, which go before the rule.

        Returns:
            The optimizer.

        Raises:
            ValueError: For a total below 1.
        """
        rule: dict[str, Any] = memory.gradient_filter(total)
        rule["alpha"] = schedules.CosineDecay(rule["alpha"], total)
        return cls(**{**rule, **options})

    def step(self, gradient, theta, state, values, seed):
        """Applies `rules.gradient_filter`."""
        return rules.gradient_filter(
            gradient, theta, state, **values, on_zero=self.on_zero, seed=seed
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

    def step(self, gradient, theta, state, values, seed):
        """Applies `rules.iir_filter`."""
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
    scheduled = ("gamma", "threshold")
    newest_weights = ("gamma",)
    gamma: Any
    threshold: Any

    def set_hyperparameters(
        self, threshold: Hyperparameter, gamma: Hyperparameter
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("threshold", self.checked("threshold", threshold))
        self.keep("gamma", self.checked("gamma", gamma))

    def step(self, gradient, theta, state, values, seed):
        """Applies `rules.bop`."""
        theta, m = rules.bop(gradient, theta, *state, **values)
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
    scheduled = ("gamma", "sigma", "threshold")
    newest_weights = ("gamma", "sigma")
    gamma: Any
    sigma: Any
    threshold: Any

    def set_hyperparameters(
        self,
        threshold: Hyperparameter,
        gamma: Hyperparameter,
        sigma: Hyperparameter,
        epsilon: float,
        bias_correction: bool,
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("threshold", self.checked("threshold", threshold))
        self.keep("gamma", self.checked("gamma", gamma))
        self.keep("sigma", self.checked("sigma", sigma))
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive. Received: {epsilon!r}")
        self.epsilon = float(epsilon)
        if bias_correction and not all(
            isinstance(weight, tf.Variable) and float(weight) < 1
            for weight in (self.gamma, self.sigma)
        ):
            raise ValueError(
                "bias_correction needs a constant gamma and sigma below 1. Received: "
                f"gamma={gamma!r}, sigma={sigma!r}"
            )
        self.bias_correction = bool(bias_correction)

    def values(self, iteration):
        """Returns the share of each average that is filled, beside the rest."""
        values = super().values(iteration)
        if self.bias_correction:
            count = tf.cast(iteration, tf.float64) + 1.0
            values["unbias"] = (
                rules.bias(values["gamma"], count),
                rules.bias(values["sigma"], count),
            )
        return values

    def step(self, gradient, theta, state, values, seed):
        """Applies `rules.bop_second_order`."""
        theta, *averages = rules.bop_second_order(
            gradient, theta, *state, **values, epsilon=self.epsilon
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


def _value(hyperparameter: Any, iteration: tf.Tensor) -> tf.Tensor:
    """Returns a number in float64, or a schedule's value now in float32."""
    if isinstance(hyperparameter, schedules.LearningRateSchedule):
        return tf.cast(hyperparameter(iteration), tf.float32)
    return tf.convert_to_tensor(hyperparameter)


def _serialize(hyperparameter: Any) -> float | dict[str, Any]:
    if isinstance(hyperparameter, schedules.LearningRateSchedule):
        return schedules.serialize(hyperparameter)
    return float(hyperparameter.numpy())


def _in_range(name: str, value: Any, low_open: bool, high_open: bool) -> Hyperparameter:
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
