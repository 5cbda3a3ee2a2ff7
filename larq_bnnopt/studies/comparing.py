"""Comparisons of settings: a number for each seed, and where it must lie.

Each function here returns a comparison as data; `Comparison` itself takes any function
of the runs of a seed, for claims about an order, a trend or a spread.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

from larq_bnnopt.studies.measures import OF_DIVERGED, Measure
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.statistics import (
    Interval,
    Verdict,
    deciding,
    judge,
    together,
)

# The runs of one seed by setting -> a number, `None` if one is missing.
Contrast = Callable[[Mapping[str, RunResult]], "float | None"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A number for each seed that must be above zero, or zero up to a margin.

    Attributes:
        words: What the number is, a noun phrase.
        measure: The measure that it is made of, for its unit.
        arms: The settings that it needs.
        contrast: Takes the runs of a seed by setting; returns the number.
        margin: The margin within which it must lie. `None`: it must be above zero.
    """

    words: str
    measure: Measure
    arms: tuple[str, ...]
    contrast: Contrast
    margin: float | None = None

    def differences(self, results: Sequence[RunResult]) -> dict[int, float]:
        """Returns the number of each seed for which all settings were run."""
        numbers = {
            seed: None if self._lost(runs) else self.contrast(runs)
            for seed, runs in self._whole(results).items()
        }
        return {seed: v for seed, v in numbers.items() if v is not None}

    def diverged(self, results: Sequence[RunResult]) -> list[tuple[str, int]]:
        """Returns setting and seed of the runs that diverged and have no number."""
        return [
            key for runs in self._whole(results).values() for key in self._lost(runs)
        ]

    def _whole(self, results: Sequence[RunResult]) -> dict[int, dict[str, RunResult]]:
        """Returns the runs of each seed for which all settings were run."""
        found: dict[int, dict[str, RunResult]] = {}
        for run in results:
            if run.arm in self.arms:
                found.setdefault(run.seed, {})[run.arm] = run
        return {
            seed: runs
            for seed, runs in sorted(found.items())
            if len(runs) == len(set(self.arms))
        }

    def _lost(self, runs: Mapping[str, RunResult]) -> list[tuple[str, int]]:
        if self.measure.name in OF_DIVERGED:
            return []
        return [run.key for run in runs.values() if run.diverged]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found in a comparison.

    Attributes:
        comparison: The comparison.
        interval: The interval of its number that decides; `None` without a run.
        verdict: The verdict.
        diverged: Setting and seed of the runs that have no number, since they diverged:
            what is left is no fair sample, so the verdict is open.
    """

    comparison: Comparison
    interval: Interval | None
    verdict: Verdict
    diverged: Sequence[tuple[str, int]] = ()

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return 0 if self.interval is None else self.interval.count


def findings(
    comparisons: Sequence[Comparison], results: Sequence[RunResult]
) -> list[Finding]:
    """Returns what results say about each comparison of a claim."""
    found = []
    for one in comparisons:
        values = list(one.differences(results).values())
        how = values, one.margin, len(comparisons)
        lost = one.diverged(results)
        found.append(
            Finding(
                one,
                deciding(*how) if values else None,
                Verdict.OPEN if lost else judge(*how),
                lost,
            )
        )
    return found


def verdict(found: Sequence[Finding], whole: bool = True) -> Verdict:
    """Returns the verdict on the claim.

    Args:
        found: What was found in each comparison.
        whole: Whether all planned runs are there, and none is quick. Otherwise the
            verdict is open, whatever they show: who may stop at any seed finds by
            chance what is not there. Defaults to `True`.
    """
    return together([one.verdict for one in found]) if whole else Verdict.OPEN


def higher(measure: Measure, arm: str, than: str) -> Comparison:
    """One setting has more of a measure than another."""
    words = f"{measure.label} of '{arm}' minus that of '{than}'"
    return Comparison(words, measure, (arm, than), _difference(measure, arm, than))


def more(measure: Measure, than: Measure, arm: str) -> Comparison:
    """In the runs of one setting one measure is larger than another."""

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        one, two = measure.value(runs[arm]), than.value(runs[arm])
        return None if one is None or two is None else one - two

    words = f"{measure.label} minus {than.label} of '{arm}'"
    return Comparison(words, measure, (arm,), contrast)


def equal(measure: Measure, arm: str, other: str, margin: float) -> Comparison:
    """Two settings have as much of a measure, up to a margin."""
    words = f"{measure.label} of '{arm}' minus that of '{other}'"
    contrast = _difference(measure, arm, other)
    return Comparison(words, measure, (arm, other), contrast, margin)


def rising(measure: Measure, arms: Sequence[str]) -> list[Comparison]:
    """Each setting has more of a measure than the one before it."""
    return [higher(measure, more, less) for less, more in itertools.pairwise(arms)]


def not_higher(measure: Measure, arm: str, than: str, margin: float) -> Comparison:
    """One setting has no more of a measure than another, up to a margin."""
    lead = _difference(measure, arm, than)

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        found = lead(runs)
        return None if found is None else margin - found

    words = (
        f"margin of {measure.difference_text(margin)[1:]}{measure.unit} minus the lead "
        f"in {measure.label} of '{arm}' over '{than}'"
    )
    return Comparison(words, measure, (arm, than), contrast)


def same_series(measure: Measure, arm: str, other: str, margin: float) -> Comparison:
    """Two settings have the same series, number by number, up to rounding.

    The largest distance has no sign, so noise alone makes it large: this is for series
    that are equal in exact arithmetic. `same_curve` is for others.
    """

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        one, two = (runs[name].series.get(measure.name, ()) for name in (arm, other))
        pairs = [(a, b) for a, b in zip(one, two) if None not in (a, b)]
        if len(one) != len(two) or not pairs:
            return None
        return max(abs(a - b) for a, b in pairs if a is not None and b is not None)

    words = f"largest distance of the {measure.label} curves of '{arm}' and '{other}'"
    return Comparison(words, measure, (arm, other), contrast, margin)


def wider(
    measure: Measure, wide: Sequence[str], narrow: Sequence[str], of: tuple[str, str]
) -> Comparison:
    """A measure varies more among some settings than among others.

    Args:
        measure: The measure.
        wide: The settings among which it varies more.
        narrow: The settings among which it varies less.
        of: What the two groups are called.
    """

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        spreads = [spread(measure, names, runs) for names in (wide, narrow)]
        if spreads[0] is None or spreads[1] is None:
            return None
        return spreads[0] - spreads[1]

    words = f"range of the {measure.label} among {of[0]} minus that among {of[1]}"
    return Comparison(words, measure, (*wide, *narrow), contrast)


def narrow(measure: Measure, arms: Sequence[str], margin: float) -> list[Comparison]:
    """A measure hardly varies among settings: each pair is equal up to a margin.

    A range would be above zero by the noise of its runs alone.
    """
    pairs = itertools.combinations(arms, 2)
    return [equal(measure, arm, other, margin) for arm, other in pairs]


def same_curve(
    measure: Measure, arm: str, other: str, margin: float, parts: int
) -> list[Comparison]:
    """Two settings have the same curve: each part of it has the same mean.

    Args:
        measure: A measure whose series is the curve.
        arm: A setting.
        other: Another one.
        margin: The margin within which each mean difference lies.
        parts: Number of parts of equal length.
    """
    return [
        _same_part(measure, arm, other, margin, (part, parts)) for part in range(parts)
    ]


def _same_part(
    measure: Measure, arm: str, other: str, margin: float, part: tuple[int, int]
) -> Comparison:
    number, parts = part

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        one, two = (runs[name].series.get(measure.name, ()) for name in (arm, other))
        if len(one) != len(two):
            return None
        ends = [len(one) * edge // parts for edge in (number, number + 1)]
        steps = [
            a - b
            for a, b in zip(one[slice(*ends)], two[slice(*ends)])
            if a is not None and b is not None
        ]
        return sum(steps) / len(steps) if steps else None

    words = (
        f"{measure.label} of '{arm}' minus that of '{other}', mean of part "
        f"{number + 1} of {parts} of the epochs"
    )
    return Comparison(words, measure, (arm, other), contrast, margin)


def spread(
    measure: Measure, arms: Sequence[str], runs: Mapping[str, RunResult]
) -> float | None:
    """Returns the range of a measure among the runs of a seed."""
    values = [measure.value(runs[name]) for name in arms]
    known = [value for value in values if value is not None]
    return max(known) - min(known) if len(known) == len(values) else None


def _difference(measure: Measure, arm: str, other: str) -> Contrast:
    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        one, two = measure.value(runs[arm]), measure.value(runs[other])
        return None if one is None or two is None else one - two

    return contrast


def higher_mean(
    measure: Measure, arms: Sequence[str], than: Sequence[str], of: tuple[str, str]
) -> Comparison:
    """Some settings have more of a measure than others, in the mean.

    Args:
        measure: The measure.
        arms: The settings that have more.
        than: The settings that have less.
        of: What the two groups are called.
    """

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        means = [_mean(measure, names, runs) for names in (arms, than)]
        if means[0] is None or means[1] is None:
            return None
        return means[0] - means[1]

    words = f"mean {measure.label} of {of[0]} minus that of {of[1]}"
    return Comparison(words, measure, (*arms, *than), contrast)


def higher_best(
    measure: Measure, arms: Sequence[str], than: Sequence[str], of: tuple[str, str]
) -> Comparison:
    """The best of some settings has more of a measure than the best of others.

    Args:
        measure: The measure.
        arms: The settings whose best has more.
        than: As many other settings, so that both have the same search.
        of: What the two groups are called.
    """

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        best = [_best(measure, names, runs) for names in (arms, than)]
        if best[0] is None or best[1] is None:
            return None
        return best[0] - best[1]

    words = f"best {measure.label} of {of[0]} minus that of {of[1]}"
    return Comparison(words, measure, (*arms, *than), contrast)


def _best(
    measure: Measure, arms: Sequence[str], runs: Mapping[str, RunResult]
) -> float | None:
    values = [measure.value(runs[name]) for name in arms]
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def larger_gap(
    measure: Measure, large: tuple[str, str], small: tuple[str, str]
) -> Comparison:
    """A setting leads another by more of a measure than in a second pair.

    Args:
        measure: The measure.
        large: The setting that leads, and the other one.
        small: The same of the second pair.
    """
    lead, second = _difference(measure, *large), _difference(measure, *small)

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        one, two = lead(runs), second(runs)
        return None if one is None or two is None else one - two

    words = (
        f"lead in {measure.label} of '{large[0]}' over '{large[1]}' minus that of "
        f"'{small[0]}' over '{small[1]}'"
    )
    return Comparison(words, measure, (*large, *small), contrast)


def _mean(
    measure: Measure, arms: Sequence[str], runs: Mapping[str, RunResult]
) -> float | None:
    values = [measure.value(runs[name]) for name in arms]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
