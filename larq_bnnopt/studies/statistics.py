"""Paired intervals by Student's t, and the verdicts that follow from them.

Two settings are compared seed by seed, since runs with the same seed share the order of
the data: the spread among seeds drops out of the difference.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Sequence

FEWEST_SEEDS = 5
CONFIDENCE = 0.95


class Verdict(enum.Enum):
    """What numbers say about a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "cannot be told here"


@dataclasses.dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean.

    Attributes:
        mean: The mean.
        low: Its lower end.
        high: Its upper end.
        count: Number of values.
        confidence: Its confidence. Defaults to 0.95.
    """

    mean: float
    low: float
    high: float
    count: int
    confidence: float = CONFIDENCE


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    r"""Returns the confidence interval of the mean of independent values.

    \[ \bar d \pm t_{(1+c)/2,\,n-1} \, s / \sqrt n \]

    Args:
        values: For example the difference of two settings for each seed. A single value
            has an interval without ends.
        confidence: The confidence \(c\). Defaults to 0.95.

    Raises:
        ValueError: If there is no value, or one is not finite.
        ImportError: Without SciPy.

    Example:
        >>> found = interval([1.0, 2.0, 3.0])
        >>> found.mean, round(found.low, 3), round(found.high, 3)
        (2.0, -0.484, 4.484)
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"An interval needs finite values. Received: {list(values)}")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, -math.inf, math.inf, count, confidence)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = student_t((1 + confidence) / 2, count - 1) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half, count, confidence)


def student_t(probability: float, freedom: int) -> float:
    """Returns a quantile of Student's t distribution.

    Args:
        probability: Share of the distribution below it.
        freedom: Degrees of freedom.
    """
    from scipy import stats

    return float(stats.t.ppf(probability, freedom))


def deciding(
    differences: Sequence[float], margin: float | None = None, claims: int = 1
) -> Interval:
    """Returns the interval that decides in `judge`.

    It is that of 95 %; where that contradicts the claim, the wider one that must
    contradict as well.

    Args:
        differences: As for `judge`, at least one.
        margin: As for `judge`.
        claims: As for `judge`.
    """
    found = interval(differences)
    if not _contradicts(found, margin):
        return found
    return interval(differences, 1 - (1 - CONFIDENCE) / claims)


def _contradicts(found: Interval, margin: float | None) -> bool:
    if margin is None:
        return found.high < 0
    return found.low > margin or found.high < -margin


def judge(
    differences: Sequence[float], margin: float | None = None, claims: int = 1
) -> Verdict:
    """Returns what paired differences say about a claim.

    Without a margin the claim is that the mean is above zero: it holds if the 95 %
    interval lies above zero, and does not hold if it lies below. With a margin the
    claim is that the mean is zero up to the margin (equivalence): it holds if the
    interval lies within, and does not hold if it lies outside.

    Args:
        differences: The difference for each seed, at least 5.
        margin: The margin of an equivalence. Defaults to `None`.
        claims: Number of claims that must hold together. If all do, each interval may
            have 95 %. One of many may fail by chance, so the interval that contradicts
            has a confidence of 1 - 0.05 / claims (Bonferroni). Defaults to 1.

    Example:
        >>> judge([1, 2, 3, 2, 1]).value, judge([0.1, -0.1, 0, 0, 0.1], 1).value
        ('holds', 'holds')
        >>> judge([1, -2, 3, -2, 1]).value
        'cannot be told here'
    """
    if len(differences) < FEWEST_SEEDS:
        return Verdict.OPEN
    found = deciding(differences, margin, claims)
    if _contradicts(found, margin):
        return Verdict.FAILS
    if margin is None:
        holds = found.low > 0
    else:
        holds = -margin < found.low and found.high < margin
    return Verdict.HOLDS if holds else Verdict.OPEN


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Returns the verdict on a claim that has several parts.

    Example:
        >>> together([Verdict.HOLDS, Verdict.OPEN]).value
        'cannot be told here'
    """
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    if verdicts and all(one is Verdict.HOLDS for one in verdicts):
        return Verdict.HOLDS
    return Verdict.OPEN
