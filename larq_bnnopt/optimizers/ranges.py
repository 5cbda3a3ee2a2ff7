"""Ranges of hyperparameters: checked when one is set, and held to in every step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

# What rounding may add to the end of a schedule.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    An open end is one that nobody may ask for, and to which a schedule or a callback
    may still lead: there an average stands still, and no weight is harmed.

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

    def check_start(self, name: str, schedule: Any) -> None:
        """Raises a ValueError for a schedule that starts outside of the closed range.

        Only where values can be read, outside of functions.
        """
        if not tf.executing_eagerly():
            return
        first = float(schedule(tf.constant(0, tf.int64)))
        if not self._holds(first):
            raise ValueError(
                f"{name} must be {self.closed()} at every step. Received: a "
                f"{type(schedule).__name__} that starts at {first:g}"
            )

    def closed(self) -> str:
        """Returns the range with its ends, in words."""
        return dataclasses.replace(self, low_open=False, high_open=False)._text()

    def holds(self, value: tf.Tensor) -> tf.Tensor:
        """Tells whether a value of now lies in the closed range, up to rounding."""
        return (value >= self.low - _ROUNDING) & (value <= self.high + _ROUNDING)

    def clip(self, value: tf.Tensor) -> tf.Tensor:
        """Returns the nearest value of the closed range, the least for no number."""
        low = tf.constant(self.low, value.dtype)
        clipped = tf.clip_by_value(value, low, tf.constant(self.high, value.dtype))
        return tf.where(tf.math.is_nan(value), low, clipped)

    def _holds(self, value: float) -> bool:
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
NEWEST_WEIGHT = Range(high=1.0, low_open=True)
MEMORY = Range(high=1.0, high_open=True)


def hold(
    owner: str,
    values: Mapping[str, tf.Tensor],
    ranges: Mapping[str, Range],
    iteration: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Returns the hyperparameters of one step, each within its closed range.

    A value outside of it, of a schedule or of a variable that a callback has set, ends
    the step with an error that names it, and is held at the end of its range, what is
    no number at the lower one: so no weight is lost, also in a step that XLA compiles
    as a whole, where there are no such errors.

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
    told: list[Any] = [f"{owner}: at step", iteration]
    for name, value in values.items():
        told += [f"{name} must be {ranges[name].closed()} and is", value]
    inside = [ranges[name].holds(value) for name, value in values.items()]
    # Nothing waits for it: what is returned is in range in any case.
    tf.debugging.Assert(tf.reduce_all(tf.stack(inside)), told, summarize=len(told))
    return {name: ranges[name].clip(value) for name, value in values.items()}


def _number(name: str, value: Any) -> float:
    try:
        # A text of digits would do for `float`, a mirrored variable would not.
        if not isinstance(value, (str, bytes, bool, np.bool_)):
            return float(value.numpy() if isinstance(value, tf.Variable) else value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name} must be a number. Received: {value!r}")
