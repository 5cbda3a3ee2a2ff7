"""Ranges of numbers, with the words that errors and help texts use for them."""

from __future__ import annotations

import dataclasses
import math

# The largest float32, in which optimizers compute.
_LARGEST = 3.4e38


@dataclasses.dataclass(frozen=True)
class FieldRange:
    """Numbers from `low` to `high`.

    Attributes:
        low: The least.
        high: The greatest.
        low_open: Whether the least is excluded.
        high_open: Whether the greatest is excluded.

    Example:
        >>> float("nan") in FieldRange(high=1.0), 10**400 in FieldRange()
        (False, True)
        >>> print(FieldRange(high=1.0, high_open=True))
        in [0, 1)
    """

    low: float = 0
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def __str__(self) -> str:
        if self.low <= -_LARGEST:
            return "finite"
        if self.high >= _LARGEST:
            least = "positive" if self.low_open else f"at least {self.low}"
            return least if self.high == math.inf else f"{least} and finite"
        if self.high > 1:
            return f"an integer from {self.low} to {self.high}"
        ends = "[("[self.low_open], "])"[self.high_open]
        return f"in {ends[0]}{self.low:g}, {self.high:g}{ends[1]}"


POSITIVE = FieldRange(high=_LARGEST, low_open=True)
AT_LEAST_0 = FieldRange(high=_LARGEST)
COUNT = FieldRange(low=1)
COUNT_OR_0 = FieldRange()
SHARE = FieldRange(high=1.0)
BELOW_1 = FieldRange(high=1.0, high_open=True)
ABOVE_0 = FieldRange(high=1.0, low_open=True)
INSIDE_0_1 = FieldRange(high=1.0, low_open=True, high_open=True)
FINITE = FieldRange(low=-_LARGEST, high=_LARGEST)
