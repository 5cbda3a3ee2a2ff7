"""Base class of the binary optimizers: hyperparameters, initial state, one step.

A subclass ties a rule of `rules.py` to named state and holds the arguments and their
defaults. The shells for the two Keras APIs (`flip_optimizer.py` in the folder above and
in `legacy/`) own the variables and call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias, Union

import tensorflow as tf

from larq_bnnopt.optimizers import sparse_rows, storage, switches
from larq_bnnopt.optimizers.predicates import is_binary_variable
from larq_bnnopt.optimizers.ranges import Range, clipped_to_ranges

schedules = tf.keras.optimizers.schedules
_NO_DECAY = (
    "trains weights in {-1, +1}, which an average or a decay of the weights would take "
    "out of that set"
)
# The argument of a constructor, and the attribute that it becomes.
Hyperparameter: TypeAlias = Union[
    float, tf.keras.optimizers.schedules.LearningRateSchedule
]
ScheduledValue: TypeAlias = Union[
    tf.Variable, tf.keras.optimizers.schedules.LearningRateSchedule
]


class Update:
    """Base of the updates: one subclass per published optimizer.

    Attributes:
        state_names: Names of the averages of each weight, in the rule's order.
        on_zero: Rule for an average of exactly zero, see `rules.opposite_sign`.
        state_dtype: Number format of the averages, see `storage`.
        embedding_updates: What a sparse gradient changes: "dense" all rows, as the
            dense gradient would, "seen_rows" its own rows alone.
        scheduled: Names of the hyperparameters that may change from step to step: each
            an attribute that is a variable or a schedule.
        ranges: The range of each of them, and of eta where there is one.
        fixed: Names of the arguments that are read once, when a step is traced.
    """

    state_names: tuple[str, ...]
    on_zero: str
    state_dtype: str
    embedding_updates: str
    jit_compile: bool
    scheduled: tuple[str, ...] = ()
    ranges: ClassVar[Mapping[str, Range]] = {}
    fixed: tuple[str, ...] = ("on_zero", "state_dtype", "embedding_updates")
    is_binary_variable = staticmethod(is_binary_variable)

    def __init__(
        self,
        name: str,
        state_dtype: str = "float32",
        embedding_updates: str = "dense",
        jit_compile: bool = True,
        **kwargs: Any,
    ):
        # Of the Keras optimizer, which a shell has as its second base.
        super().__init__(name=name, **kwargs)  # type: ignore[call-arg]
        # Set afterwards: Keras would turn it off where there is no GPU.
        self.jit_compile = jit_compile
        self.state_dtype = one_of("state_dtype", state_dtype, storage.STATE_DTYPES)
        self.embedding_updates = one_of(
            "embedding_updates", embedding_updates, sparse_rows.EMBEDDING_UPDATES
        )
        # Variables and names that a warning has named already.
        self._warned: set[str] = set()

    def initial_state(self, name: str, theta: tf.Tensor) -> tf.Tensor:
        """Returns the initial value, float32, of the state called `name`."""
        return tf.zeros(theta.shape, tf.float32)

    def current_hyperparameters(self, iteration: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the hyperparameters at a step: of each schedule its value there."""
        return {name: _value(getattr(self, name), iteration) for name in self.scheduled}

    def step_hyperparameters(self, iteration: tf.Tensor) -> dict[str, Any]:
        """Returns the hyperparameters of one step, each clipped to its range."""
        current = self.current_hyperparameters(iteration)
        return dict(
            clipped_to_ranges(type(self).__name__, current, self.ranges, iteration)
        )

    def step(
        self,
        gradient: tf.Tensor,
        theta: tf.Tensor,
        state: tuple[tf.Tensor, ...],
        hyperparameters: dict[str, tf.Tensor],
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Returns the new weights and the new state, in pure tensors.

        Args:
            gradient: Gradient of the weights, or one number for all of them.
            theta: Current weights, of a variable or of some of its rows.
            state: Averages in the order of `state_names`, float32.
            hyperparameters: The result of `step_hyperparameters`.
            seed: For random numbers, see `noise.random_bits`.
        """
        raise NotImplementedError

    def set_hyperparameter(self, name: str, value: Any) -> None:
        """Sets an attribute: a number becomes a variable that callbacks can assign.

        In float64: 1 - 0.9999 would lose four of its digits in float32.
        """
        value = self.validated(name, value)
        if isinstance(value, float):
            with tf.init_scope():
                value = tf.Variable(value, dtype=tf.float64, trainable=False, name=name)
            self.track_variable(name, value)
        setattr(self, name, value)

    def validated(self, name: str, value: Any) -> Hyperparameter:
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

        Numbers are not validated: a callback may have set one to the open end of its
        range, and the model must load all the same.

        Args:
            config: The result of `get_config`.
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
            ValueError: If a number is not in its range, and for options that would take
                the weights out of {-1, +1}.
        """
        switches.check(type(self).__name__, name, value, _NO_DECAY)
        old = vars(self).get(name)
        if name in ("learning_rate", "lr"):
            value = self.validated_rate(name, value)
        elif name in self.fixed and old is not None and old != value:
            raise AttributeError(
                f"{name} of {type(self).__name__} is fixed when it is made. Make a new "
                f"optimizer. Received: {value!r}"
            )
        if old is None or value is old or name not in self.scheduled:
            super().__setattr__(name, value)
        elif isinstance(old, tf.Variable) and not callable(value):
            old.assign(self.validated(name, value))
        else:
            raise TypeError(
                f"{name} was made as a {type(old).__name__} and cannot become "
                f"{value!r}. Make a new optimizer."
            )

    def validated_rate(self, name: str, value: Any) -> Any:
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

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        raise NotImplementedError

    def shared_arguments(self) -> dict[str, str]:
        """Returns the arguments that every constructor has, beside Keras's own."""
        return {
            "state_dtype": self.state_dtype,
            "embedding_updates": self.embedding_updates,
        }

    # The shells define these four, each as its Keras API needs it.

    def track_variable(self, name: str, variable: tf.Variable) -> None:
        """Adds the variable of a hyperparameter to those that Keras saves."""
        raise NotImplementedError

    def set_learning_rate(self, value: Hyperparameter) -> None:
        """Validates a learning rate and hands it to Keras, in the constructor."""
        raise NotImplementedError

    def current_learning_rate(self) -> tf.Tensor:
        """Returns the learning rate of this step, float32."""
        raise NotImplementedError

    def serialized_learning_rate(self) -> float | dict[str, Any]:
        """Returns the learning rate for `get_config`."""
        raise NotImplementedError


def serialized(hyperparameter: ScheduledValue) -> float | dict[str, Any]:
    """Returns a hyperparameter for `get_config`."""
    if isinstance(hyperparameter, schedules.LearningRateSchedule):
        return schedules.serialize(hyperparameter)
    return float(hyperparameter.numpy())


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Returns a value that is allowed.

    Raises:
        ValueError: If it is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}. Received: {value!r}")
    return value


def check_run_length(total: int) -> None:
    """Raises a ValueError for a number of steps that no run has."""
    if total != int(total) or total < 1:
        raise ValueError(
            f"A run has a whole number of steps, at least 1. Received: {total!r}"
        )


def _value(hyperparameter: ScheduledValue, iteration: tf.Tensor) -> tf.Tensor:
    """Returns a number in float64, or a schedule's value at a step in float32."""
    if isinstance(hyperparameter, schedules.LearningRateSchedule):
        return tf.cast(hyperparameter(iteration), tf.float32)
    return tf.convert_to_tensor(hyperparameter)
