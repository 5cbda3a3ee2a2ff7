"""What one binary optimizer is in both Keras APIs: hyperparameters, start, step.

A subclass of `Update` ties a rule of `rules.py` to named state. The shells for the two
Keras APIs (`flip_optimizer.py` here and in `legacy/`) own the variables and call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, Union

import numpy as np
import tensorflow as tf

from larq_bnnopt.optimizers import memory, rules, storage, switches
from larq_bnnopt.optimizers.predicates import is_binary_variable
from larq_bnnopt.optimizers.ranges import (
    AT_LEAST_0,
    FINITE,
    MEMORY,
    NEWEST_WEIGHT,
    POSITIVE,
    Range,
    hold,
)

if TYPE_CHECKING:
    from typing_extensions import Self

schedules = tf.keras.optimizers.schedules
_NO_DECAY = (
    "trains weights in {-1, +1}, which an average or a decay of the weights would take "
    "out of that set"
)
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
        ranges: The range of each of them, and of eta where there is one.
        fixed: Names of the arguments that are read once, when a step is traced.
    """

    state_names: tuple[str, ...]
    on_zero: str
    state_dtype: str
    scheduled: tuple[str, ...] = ()
    ranges: ClassVar[Mapping[str, Range]] = {}
    fixed: tuple[str, ...] = ("on_zero", "state_dtype")
    is_binary_variable = staticmethod(is_binary_variable)

    def set_state_dtype(self, state_dtype: str) -> None:
        """Checks and keeps how averages are kept, see `storage`."""
        self.state_dtype = _one_of("state_dtype", state_dtype, storage.STATE_DTYPES)

    def start(self, name: str, theta: tf.Tensor) -> tf.Tensor:
        """Returns the initial value, float32, of the state called `name`."""
        return tf.zeros(theta.shape, tf.float32)

    def now(self, iteration: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the hyperparameters as they are now: of each schedule its value."""
        return {name: _value(getattr(self, name), iteration) for name in self.scheduled}

    def values(self, iteration: tf.Tensor) -> dict[str, Any]:
        """Returns the hyperparameters of one step, each in its range."""
        return dict(
            hold(type(self).__name__, self.now(iteration), self.ranges, iteration)
        )

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

    def keep(self, name: str, value: Any) -> None:
        """Makes a number a variable that callbacks can set, and keeps schedules.

        In float64: 1 - 0.9999 would lose four of its digits in float32.
        """
        value = self.checked(name, value)
        if isinstance(value, float):
            with tf.init_scope():
                value = tf.Variable(value, dtype=tf.float64, trainable=False, name=name)
            self.remember(name, value)
        setattr(self, name, value)

    def checked(self, name: str, value: Any) -> Hyperparameter:
        """Returns a hyperparameter that is in its range, or a schedule.

        Args:
            name: Its name.
            value: A number, a schedule, or the configuration of one.

        Raises:
            TypeError: If it is no number.
            ValueError: If it is not in its range, or a schedule starts outside of it.
        """
        if isinstance(value, dict):
            value = schedules.deserialize(value)
        if isinstance(value, schedules.LearningRateSchedule):
            self.ranges[name].check_start(name, value)
            return value
        return self.ranges[name].check(name, value)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """Makes the optimizer of a configuration.

        Numbers are taken as they are: a callback may have led one to the end of its
        range, and no model must be lost by that.

        Args:
            config: What `get_config` returned.
            custom_objects: Classes of schedules by name, as Keras takes them.
        """
        config = dict(config)
        numbers = {
            name: config.pop(name)
            for name in cls.scheduled
            if isinstance(config.get(name), float)
        }
        with tf.keras.saving.custom_object_scope(custom_objects or {}):
            optimizer = super().from_config(config)  # type: ignore[misc]
        for name, value in numbers.items():
            getattr(optimizer, name).assign(value)
        return optimizer

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets the variable of a hyperparameter, as Keras sets a learning rate.

        Raises:
            AttributeError: If nothing would read the value.
            TypeError: If a number meets a schedule, or a hyperparameter no number.
            ValueError: If a number is not in its range, and for what would take the
                weights out of {-1, +1}.
        """
        switches.check(type(self).__name__, name, value, _NO_DECAY)
        old = vars(self).get(name)
        if name in ("learning_rate", "lr"):
            value = self._checked_rate(name, value)
        elif name in self.fixed and old is not None and old != value:
            raise AttributeError(
                f"{name} of {type(self).__name__} is fixed when it is made. Make a new "
                f"optimizer. Received: {value!r}"
            )
        if old is None or value is old or name not in self.scheduled:
            super().__setattr__(name, value)
        elif isinstance(old, tf.Variable) and not callable(value):
            old.assign(self.checked(name, value))
        else:
            raise TypeError(
                f"{name} was made as a {type(old).__name__} and cannot become "
                f"{value!r}. Make a new optimizer."
            )

    def _checked_rate(self, name: str, value: Any) -> Any:
        """Returns a learning rate, if there is one here and it is in its range."""
        if "eta" not in self.ranges:
            raise AttributeError(self._no_rate())
        if isinstance(value, schedules.LearningRateSchedule):
            self.ranges["eta"].check_start(name, value)
        elif not callable(value) and (
            tf.executing_eagerly() or not tf.is_tensor(value)
        ):
            self.ranges["eta"].check(name, value)
        return value

    def _no_rate(self) -> str:
        names = ", ".join(
            name for name in ("alpha", "gamma", "threshold") if name in self.scheduled
        )
        hint = f" Give a LearningRateSchedule as one of: {names}." if names else ""
        return f"{type(self).__name__} has no learning rate.{hint}"

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
    ranges: ClassVar = {"alpha": MEMORY, "beta": MEMORY, "eta": FINITE}
    fixed = (*Update.fixed, "initial_inertia")
    alpha: Any
    beta: Any

    def set_hyperparameters(
        self, alpha: float, beta: float, initial_inertia: float, on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("alpha", alpha)
        self.keep("beta", beta)
        self.initial_inertia = FINITE.check("initial_inertia", initial_inertia)
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

    def now(self, iteration):
        """Returns eta beside alpha and beta."""
        # tf.cast leaves a variable of the right type what it is.
        return {**super().now(iteration), "eta": tf.convert_to_tensor(self.eta())}

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
    ranges: ClassVar = {"alpha": NEWEST_WEIGHT, "gamma": NEWEST_WEIGHT}
    fixed = (*Update.fixed, "order")
    alpha: Any
    gamma: Any

    def set_hyperparameters(
        self, alpha: Hyperparameter, gamma: Hyperparameter, order: int, on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("alpha", alpha)
        self.keep("gamma", gamma)
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

    fixed = (*Update.fixed, "b", "a")

    def set_hyperparameters(
        self, b: Sequence[float], a: Sequence[float], on_zero: str
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        if not len(b) or not len(a) or a[0] == 0 or not np.isfinite([*b, *a]).all():
            raise ValueError(
                "b and a need a finite coefficient each, and a[0] must not be 0. "
                f"Received: b={b!r}, a={a!r}"
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
    ranges: ClassVar = {"gamma": NEWEST_WEIGHT, "threshold": AT_LEAST_0}
    gamma: Any
    threshold: Any

    def set_hyperparameters(
        self, threshold: Hyperparameter, gamma: Hyperparameter
    ) -> None:
        """Checks and keeps the arguments of the constructor."""
        self.keep("threshold", threshold)
        self.keep("gamma", gamma)

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
    ranges: ClassVar = {
        "gamma": NEWEST_WEIGHT,
        "sigma": NEWEST_WEIGHT,
        "threshold": AT_LEAST_0,
    }
    fixed = (*Update.fixed, "epsilon", "bias_correction")
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
        self.keep("threshold", threshold)
        self.keep("gamma", gamma)
        self.keep("sigma", sigma)
        self.epsilon = POSITIVE.check("epsilon", epsilon)
        if bias_correction and not all(
            isinstance(weight, tf.Variable) and float(weight.numpy()) < 1
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
            # A callback may have led one to 0, of which nothing is filled.
            values["unbias"] = tuple(
                tf.maximum(rules.bias(values[name], count), 1e-20)
                for name in ("gamma", "sigma")
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


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}. Received: {value!r}")
    return value
