"""Ranges of hyperparameters: checked when one is set, and clipped to in every step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

# Rounding may lead a schedule this far out of its range.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Nobody may ask for an open end, but a schedule or a callback may still lead there:
    at that value an average does not move, and no weight is harmed.

    Attributes:
        low: The least.
        high: The greatest.
        low_open: Whether the least is left out.
        high_open: Whether the greatest is.
    """

    low: float = 0.0
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def check(self, name: str, value: Any) -> float:
        """Returns a number in the range.

        Raises:
            TypeError: If it is no number.
            ValueError: If it is not in the range.
        """
        number = _number(name, value)
        low = number > self.low if self.low_open else number >= self.low
        high = number < self.high if self.high_open else number <= self.high
        if not (low and high):
            raise ValueError(f"{name} must be {self._text()}. Received: {value!r}")
        return number

    def check_start(
        self, name: str, schedule: tf.keras.optimizers.schedules.LearningRateSchedule
    ) -> None:
        """Raises a ValueError for a schedule that starts outside of the closed range.

        Does nothing inside of a `tf.function`, where no value can be read.
        """
        if not tf.executing_eagerly():
            return
        first = float(schedule(tf.constant(0, tf.int64)))
        if not self._contains(first):
            raise ValueError(
                f"{name} must be {self.closed()} at every step. Received: a "
                f"{type(schedule).__name__} that starts at {first:g}"
            )

    def closed(self) -> str:
        """Returns the range with its ends, in words."""
        return dataclasses.replace(self, low_open=False, high_open=False)._text()

    def contains(self, value: tf.Tensor) -> tf.Tensor:
        """Returns whether a tensor's value lies in the closed range, up to rounding."""
        return (value >= self.low - _ROUNDING) & (value <= self.high + _ROUNDING)

    def clip(self, value: tf.Tensor) -> tf.Tensor:
        """Returns the nearest value of the closed range, its lower end for NaN."""
        low = tf.constant(self.low, value.dtype)
        clipped = tf.clip_by_value(value, low, tf.constant(self.high, value.dtype))
        return tf.where(tf.math.is_nan(value), low, clipped)

    def _contains(self, value: float) -> bool:
        return self.low - _ROUNDING <= value <= self.high + _ROUNDING

    def _text(self) -> str:
        if self.high > 1:
            least = "positive" if self.low_open else f"at least {self.low:g}"
            return least if self.high == math.inf else f"{least} and finite"
        ends = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"in {ends[0]}{self.low:g}, {self.high:g}{ends[1]}"


_LARGEST = float(np.finfo(np.float32).max)
AT_LEAST_0 = Range()
FINITE = Range(high=_LARGEST)
POSITIVE = Range(high=_LARGEST, low_open=True)
# Of the newest value in an average, and of the old average.
UPDATE_RATE = Range(high=1.0, low_open=True)
DECAY = Range(high=1.0, high_open=True)


def clipped_to_ranges(
    owner: str,
    values: Mapping[str, tf.Tensor],
    ranges: Mapping[str, Range],
    iteration: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Returns the hyperparameters of one step, each clipped to its closed range.

    A schedule, or a variable that a callback has set, may have a value outside. Then
    the step ends with an error that names it. The clipped value protects the weights
    also in a step that XLA compiles as a whole, where such errors do not exist.

    Args:
        owner: Name of the optimizer.
        values: Scalars, by name.
        ranges: The range of each.
        iteration: The number of the step.

    Returns:
        Scalars of the same types.
    """
    if not values:
        return {}
    message: list[Any] = [f"{owner}: at step", iteration]
    for name, value in values.items():
        message += [f"{name} must be {ranges[name].closed()} and is", value]
    inside = [ranges[name].contains(value) for name, value in values.items()]
    # Nothing waits for it: the results are in range in any case.
    inside_all = tf.reduce_all(tf.stack(inside))
    tf.debugging.Assert(inside_all, message, summarize=len(message))
    return {name: ranges[name].clip(value) for name, value in values.items()}


def _number(name: str, value: Any) -> float:
    try:
        # `float` would accept a string of digits, and no mirrored variable.
        if not isinstance(value, (str, bytes, bool, np.bool_)):
            return float(value.numpy() if isinstance(value, tf.Variable) else value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name} must be a number. Received: {value!r}")
