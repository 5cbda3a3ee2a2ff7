"""The paragraph of a result, written from its numbers in plain English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from larq_bnnopt.studies.comparing import Finding, findings, verdict
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.statistics import FEWEST_SEEDS, Verdict
from larq_bnnopt.studies.study import Study

_QUICK = (
    "This quick run shows nothing about the claim: it trains for a few steps, and "
    "proves only that the study runs."
)
_CONCLUSIONS = {
    Verdict.HOLDS: "It holds here.",
    Verdict.FAILS: "It does not hold here.",
    Verdict.OPEN: "Whether it holds cannot be told here.",
}
# The most comparisons of which each gets a sentence.
_MOST = 3


def paragraph(study: Study, results: Sequence[RunResult]) -> str:
    """Returns what the results of a study say about its claim, in sentences.

    Args:
        study: The study.
        results: Its results so far.
    """
    quick = any(run.quick for run in results)
    found = findings(study.comparisons, results)
    sentences = [
        f"Paper {study.paper}, {study.place}: {study.claim}",
        _QUICK if quick else _conclusion(study, found, results),
        _setting(results),
        *([] if quick else _comparisons(found)),
        _missing(study, results),
        _added(study, results),
        _diverged(results),
        f"The paper trained {study.paper_setup}.",
        study.note,
        _origin(results),
    ]
    return " ".join(one for one in sentences if one)


def _conclusion(
    study: Study, found: Sequence[Finding], results: Sequence[RunResult]
) -> str:
    """Returns the verdict as a sentence."""
    whole = study.is_whole(results)
    early = "" if whole else "This is preliminary. "
    return early + _CONCLUSIONS[verdict(found, whole)]


def _setting(results: Sequence[RunResult]) -> str:
    """Returns what was trained."""
    if not results:
        return "Nothing has been trained yet."
    fields = [run.fields for run in results]
    networks = _listed(_network(one) for one in fields)
    sizes = {
        f"{size:,} {what}": None
        for one in results
        for what, size in one.facts.items()
        if what.startswith("training ")
    }
    epochs = _listed(str(one["epochs"]) for one in fields)
    seeds = {run.seed for run in results}
    arms = {run.arm for run in results}
    trained = f"{networks} on {_listed(one['dataset'] for one in fields)}"
    if sizes:
        trained += f" ({_listed(sizes)})"
    return (
        f"Trained here: {trained}, {epochs} {'epoch' if epochs == '1' else 'epochs'}, "
        f"batches of {_listed(str(one['batch_size']) for one in fields)}, "
        f"{_count(len(arms), 'setting')}, {_count(len(seeds), 'seed')}."
    )


def _network(fields: Mapping[str, Any]) -> str:
    """Returns the name of a network with its options."""
    name = fields["model"] or fields.get("start", "")
    options = fields.get("model_options") or {}
    words = ", ".join(f"{option}={value}" for option, value in options.items())
    return f"{name}({words})" if words else name


def _comparisons(found: Sequence[Finding]) -> list[str]:
    """Returns sentences on comparisons; of many, on those that are not as claimed."""
    if len(found) <= _MOST:
        return [_sentence(one) for one in found]
    others = [one for one in found if one.verdict is not Verdict.HOLDS]
    as_claimed = len(found) - len(others)
    summary = f"{as_claimed} of {_count(len(found), 'comparison')} are as claimed."
    return [summary, *map(_sentence, others)]


def _sentence(one: Finding) -> str:
    """Returns a sentence on a comparison."""
    words = one.comparison.words[0].upper() + one.comparison.words[1:]
    if one.diverged:
        names = _listed(f"'{arm}' with seed {seed}" for arm, seed in one.diverged)
        end = f"claimed {claimed(one)}, which is open since {names} diverged"
    elif one.verdict is Verdict.HOLDS:
        end = f"it is {claimed(one)}, as claimed"
    elif one.verdict is Verdict.FAILS:
        end = f"it is not {claimed(one)}, against the claim"
    elif one.seeds < FEWEST_SEEDS:
        end = f"claimed {claimed(one)}, which needs at least {FEWEST_SEEDS} seeds"
    else:
        end = f"claimed {claimed(one)}, which these seeds do not decide"
    return f"{words}: {number_of(one)}; {end}."


def number_of(one: Finding) -> str:
    """Returns the number of a comparison with the interval that decides, as text."""
    measure = one.comparison.measure
    text = measure.difference_text
    if one.interval is None:
        return "not known yet"
    number = f"{text(one.interval.mean)}{measure.unit}"
    if one.interval.count == 1:
        return f"{number} for one seed"
    percent = f"{100 * one.interval.confidence:.4g} %"
    return (
        f"{number} ({percent} interval {text(one.interval.low)} to "
        f"{text(one.interval.high)}, {one.interval.count} seeds)"
    )


def claimed(one: Finding) -> str:
    """Returns where the number of a comparison must lie, as text."""
    margin, measure = one.comparison.margin, one.comparison.measure
    if margin is None:
        return "above zero"
    return f"within {measure.difference_text(margin)[1:]}{measure.unit} of zero"


def _missing(study: Study, results: Sequence[RunResult]) -> str:
    """Returns how many of the planned runs are missing."""
    seeds = range(study.planned_seeds)
    wanted = {(arm.name, seed) for arm in study.arms for seed in seeds}
    missing = len(wanted - {run.key for run in results})
    if not missing:
        return ""
    return f"{missing} of its {len(wanted)} runs are missing."


def _added(study: Study, results: Sequence[RunResult]) -> str:
    """Returns how many seeds are there that were not planned."""
    more = {run.seed for run in results if run.seed >= study.planned_seeds}
    if not more:
        return ""
    return (
        f"{_count(len(more), 'seed')} added after a look: the study was planned with "
        f"{study.planned_seeds}."
    )


def _diverged(results: Sequence[RunResult]) -> str:
    """Returns which runs ended in NaN."""
    names = [run.arm for run in results if run.diverged]
    if not names:
        return ""
    counted = {name: names.count(name) for name in names}
    listed = ", ".join(f"{count} of '{name}'" for name, count in counted.items())
    return (
        "The loss became NaN or infinite, and the test accuracy counts as that of "
        f"guessing, in these runs: {listed}."
    )


def _origin(results: Sequence[RunResult]) -> str:
    """Returns where the numbers come from."""
    if not results:
        return ""
    minutes = sum(run.seconds for run in results) / 60
    return (
        f"Code: {_listed(run.commit for run in results)}; "
        f"{_listed(run.processor for run in results)}; "
        f"{_count(len(results), 'run')}, {minutes:.1f} minutes of training."
    )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
