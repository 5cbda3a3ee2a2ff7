"""What the numbers of a recipe may be, known without TensorFlow."""

from __future__ import annotations

import dataclasses
import math

# Of float32, in which optimizers compute.
_LARGEST = 3.4e38
# A batch of larger images fits into no memory that trains.
LARGEST_SIDE = 4096


@dataclasses.dataclass(frozen=True)
class FieldRange:
    """Numbers from `low` to `high`.

    Attributes:
        low: The least.
        high: The greatest.
        low_open: Whether the least is left out.
        high_open: Whether the greatest is.

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
        if self.high >= _LARGEST:
            least = "positive" if self.low_open else f"at least {self.low}"
            return least if self.high == math.inf else f"{least} and finite"
        if self.high > 1:
            return f"an integer from {self.low} to {self.high}"
        ends = "[("[self.low_open], "])"[self.high_open]
        return f"in {ends[0]}{self.low:g}, {self.high:g}{ends[1]}"


_POSITIVE = FieldRange(high=_LARGEST, low_open=True)
_AT_LEAST_0 = FieldRange(high=_LARGEST)
_COUNT = FieldRange(low=1)
_SHARE = FieldRange(high=1.0)
_MEMORY = FieldRange(high=1.0, high_open=True)
_NEWEST_WEIGHT = FieldRange(high=1.0, low_open=True)
RANGES = {
    "epochs": _COUNT,
    "first_epochs": _COUNT,
    "head_epochs": FieldRange(),
    "batch_size": _COUNT,
    "accumulate_steps": _COUNT,
    "image_size": FieldRange(1, LARGEST_SIDE),
    "learning_rate": _POSITIVE,
    "weight_decay": _AT_LEAST_0,
    "warmup_epochs": _AT_LEAST_0,
    "label_smoothing": _MEMORY,
    "alpha": _SHARE,
    "beta": _MEMORY,
    "gamma": _NEWEST_WEIGHT,
    "initial_inertia": _AT_LEAST_0,
    "temperature": _POSITIVE,
    "hard_labels": _SHARE,
    "recalibrate": FieldRange(),
    # What NumPy takes.
    "seed": FieldRange(0, 2**32 - 1),
}
_ALPHAS = {"diode": _MEMORY, "gradient_filter": _NEWEST_WEIGHT}


def range_of(name: str, optimizer: str | None = None) -> FieldRange:
    """Returns what a field may be.

    Args:
        name: The field.
        optimizer: What trains the binary weights, whose alpha it is. Defaults to
            `None`, where that is not known.

    Example:
        >>> print(range_of("alpha", "diode"), range_of("alpha", "gradient_filter"))
        in [0, 1) in (0, 1]
    """
    if name == "alpha" and optimizer in _ALPHAS:
        return _ALPHAS[optimizer]
    return RANGES[name]


def fault(
    name: str, value: float, optimizer: str | None = None, called: str | None = None
) -> str | None:
    """Returns what is wrong with the value of a field, `None` where it is right.

    Args:
        name: The field.
        value: Its value.
        optimizer: As for `range_of`. Defaults to `None`.
        called: What the user calls the field. Defaults to `None`, its name.
    """
    valid = range_of(name, optimizer)
    if value in valid:
        return None
    return f"{called or name} must be {valid}. Received: {value}"


def warmup_fault(
    warmup_epochs: float, fewest_epochs: int, called: str | None = None
) -> str | None:
    """Returns what is wrong with a warm-up, `None` where it is right.

    Args:
        warmup_epochs: Its epochs.
        fewest_epochs: Those of the shortest stage.
        called: As for `fault`. Defaults to `None`.
    """
    if 0 <= warmup_epochs < fewest_epochs:
        return None
    return (
        f"{called or 'warmup_epochs'} must be at least 0 and below the {fewest_epochs} "
        f"epochs. Received: {warmup_epochs}"
    )
