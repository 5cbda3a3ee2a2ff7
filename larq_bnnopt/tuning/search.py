"""`tune`: trials of a search, one after the other, until there are enough."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from larq_bnnopt import recipe_fields
from larq_bnnopt.tuning import journal, scores
from larq_bnnopt.tuning.objective import Report, fit_recipe
from larq_bnnopt.tuning.spaces import (
    Choices,
    Space,
    Span,
    default_space,
    require_space,
    with_values,
)

if TYPE_CHECKING:
    import optuna

Fit = Callable[
    [str, Mapping[str, Any], Report], "tuple[float, float] | tuple[float, float, str]"
]
_FAILED, _TEST, _SECONDS, _DRAW = "failed", "test", "seconds", "draw"
_SCORE = "score"
# What a picture calls 1 minus a field.
_GAP = "1 - "
_DIGITS = 4
# Trials that are drawn at random first. It does not depend on the number of trials, so
# that a search may be given more of them later.
_RANDOM = 5


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: Its number, from 0.
        state: `"complete"`, `"pruned"` or `"failed"`.
        values: What the search chose, by field.
        accuracy: Accuracy (of a regression R2) on the half of the test that the search
            sees: at the end, or where the trial was stopped; `None` if it failed.
        test_accuracy: That on the other half; `None` unless it is complete.
        seconds: Time of the training.
        reason: Why it failed.
        score: What `accuracy` is, such as `"accuracy"` or `"R2"`; empty unless it is
            complete.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    accuracy: float | None = None
    test_accuracy: float | None = None
    seconds: float = 0.0
    reason: str = ""
    score: str = ""


@dataclasses.dataclass(frozen=True)
class Search:
    """The trials of a search.

    Attributes:
        kind: The kind of the recipe.
        fields: Its fields, without those that are tuned.
        space: What is tuned.
        seeds: Seeds of each trial.
        trials: The trials that have ended, in order.
        folder: The folder of the search.
    """

    kind: str
    fields: Mapping[str, Any]
    space: Space
    seeds: int
    trials: Sequence[Trial]
    folder: pathlib.Path

    @property
    def best(self) -> Trial | None:
        """The most accurate complete trial, `None` if there is none."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        if not complete:
            return None
        return max(complete, key=lambda trial: trial.accuracy or 0.0)

    @property
    def score(self) -> str:
        """What the search maximizes: `"accuracy"`, `"R2"`, or a metric of texts."""
        known = [trial.score for trial in self.trials if trial.score]
        return known[-1] if known else scores.ACCURACY

    def fields_of(self, trial: Trial) -> dict[str, Any]:
        """Returns the fields of the recipe of a trial."""
        return with_values(self.fields, trial.values)


def require_optuna() -> None:
    """Raises an ImportError without Optuna."""
    if importlib.util.find_spec("optuna") is None:
        raise ImportError(
            "Tuning needs Optuna. Install it: pip install 'larq-bnnopt[tune]'"
        )


def best_so_far(trials: Sequence[Trial]) -> list[float | None]:
    """Returns the best accuracy up to each trial; `None` before a complete one.

    Example:
        >>> accuracies = [None, -0.5, -0.6, 0.6]
        >>> best_so_far([Trial(n, "complete" if a else "failed", {}, a)
        ...              for n, a in enumerate(accuracies)])
        [None, -0.5, -0.5, 0.6]
    """
    best: float | None = None
    found = []
    for trial in trials:
        if trial.state == "complete" and trial.accuracy is not None:
            best = trial.accuracy if best is None else max(best, trial.accuracy)
        found.append(best)
    return found


def tune(
    fields: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    kind: str = "one_step",
    space: Space | None = None,
    trials: int = 25,
    minutes: float | None = None,
    seeds: int = 1,
    prune: bool = True,
    fit: Fit | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Search:
    """Searches for good values of a recipe's fields.

    Values are drawn by a tree-structured Parzen estimator (TPE) after five random ones.
    A trial that is less accurate than the median of the others at the same epoch is
    stopped. A training whose loss becomes NaN is a failed trial.

    Trials are kept in the folder. The same call continues with them; a trial that was
    interrupted is not counted, and its values are drawn again. Several processes may
    share the folder, on a disk of several machines too, which then search together.

    Args:
        fields: Fields of the recipe; the others have their defaults.
        folder: Folder of the search, made if it is missing.
        kind: The kind of the recipe. Defaults to `"one_step"`.
        space: What is tuned. Defaults to `None`, the space of the optimizer without
            what `fields` holds.
        trials: Number of trials in the folder, those of earlier calls and of other
            processes counted. Defaults to 25.
        minutes: After how many minutes no further trial begins. Defaults to `None`.
        seeds: Number of seeds of each trial, whose mean accuracy counts. Defaults to 1.
        prune: Whether to stop bad trials, by the accuracy of the first seed. Defaults
            to `True`.
        fit: Trains a recipe, as `fit_recipe` does; the name of the score may be left
            out, accuracy. Defaults to `None`, `fit_recipe`.
        say: Takes a line after each trial. Defaults to nothing.

    Returns:
        The search with all its trials.

    Raises:
        ImportError: Without Optuna.
        ValueError: If a recipe of the space is not valid, or the file in the folder is
            damaged or belongs to another search.

    Example:
        >>> import tempfile
        >>> def fit(kind, fields, report):
        ...     return -(fields["alpha"] - 0.9) ** 2, 0.0
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = tune({}, folder, space={"alpha": Span(0.5, 0.99)}, fit=fit)
        >>> len(found.trials), abs(found.best.values["alpha"] - 0.9) < 0.1
        (25, True)

    References:
        Bergstra et al., "Algorithms for hyper-parameter optimization", 2011. Paper 001,
        section 4.2 and figure 8, tunes by Bayesian optimization too.
    """
    require_optuna()
    whole = {**recipe_fields.defaults_of(kind), **fields}
    if space is None:
        known = default_space(str(whole["optimizer"]))
        space = {name: span for name, span in known.items() if name not in fields}
    require_space(space, kind, whole)
    fixed = {name: value for name, value in whole.items() if name not in space}
    search = Search(kind, fixed, dict(space), seeds, (), pathlib.Path(folder))
    search.folder.mkdir(parents=True, exist_ok=True)
    with journal.quiet():
        return _searched(search, trials, minutes, prune, fit or fit_recipe, say)


def _searched(
    search: Search,
    trials: int,
    minutes: float | None,
    prune: bool,
    fit: Fit,
    say: Callable[[str], None],
) -> Search:
    """Runs trials until there are enough, or the time is used."""
    began = time.monotonic()
    with journal.locked(search.folder):
        study = journal.opened(search.folder, _content(search), prune)
    while True:
        if minutes is not None and time.monotonic() - began >= 60 * minutes:
            say(f"The {minutes:g} minutes are used.")
            break
        with contextlib.ExitStack() as stack:
            with journal.locked(search.folder):
                elsewhere = _free_stopped(study, search.folder)
                if len(_ended(study, search.space)) + elsewhere >= trials:
                    if elsewhere:
                        say(f"Other processes train the last trials: {elsewhere}.")
                    break
                draw = _free_draw(study)
                study.sampler = _sampler(search, draw)
                trial = study.ask()
                trial.set_user_attr(_DRAW, draw)
                stack.enter_context(journal.running(search.folder, trial.number))
            _run(study, trial, search, fit)
        found = dataclasses.replace(search, trials=_ended(study, search.space))
        if found.trials and any(t.number == trial.number for t in found.trials):
            say(_line(found, trial.number))
    return dataclasses.replace(search, trials=_ended(study, search.space))


def _content(search: Search) -> dict[str, Any]:
    """Returns what is searched as plain data."""
    return {
        "recipe": search.kind,
        "seeds": search.seeds,
        "fields": dict(search.fields),
        "space": {name: str(span) for name, span in search.space.items()},
    }


def _free_draw(study: optuna.study.Study) -> int:
    """Returns the least number of a draw that no trial has, interrupted ones aside.

    Of one process it is the number of the trials that count, so that the draw of an
    interrupted trial is repeated.
    """
    taken = {
        one.user_attrs.get(_DRAW, one.number)
        for one in study.get_trials(deepcopy=False)
        if not _is_interrupted(one)
    }
    return next(draw for draw in itertools.count() if draw not in taken)


def _is_interrupted(one: optuna.trial.FrozenTrial) -> bool:
    """Returns whether a trial was stopped from outside, which leaves no reason."""
    return one.state.name == "FAIL" and _FAILED not in one.user_attrs


def _sampler(search: Search, draw: int) -> optuna.samplers.BaseSampler:
    """Returns the sampler of a draw, which a resumed search draws from alike."""
    import optuna

    return optuna.samplers.TPESampler(
        n_startup_trials=_RANDOM,
        multivariate=True,
        seed=(int(search.fields["seed"]) * 1_000_003 + draw) % 2**32,
    )


def _run(
    study: optuna.study.Study, trial: optuna.trial.Trial, search: Search, fit: Fit
) -> None:
    """Trains a trial and writes how it ended."""
    import optuna

    from larq_bnnopt.recipes.divergence import TrainingDivergedError

    start = time.perf_counter()
    state, value = optuna.trial.TrialState.FAIL, None
    try:
        values = {name: _drawn(trial, name, s) for name, s in search.space.items()}
        accuracy, test, score = _fitted(trial, search, values, fit)
        if math.isfinite(accuracy):
            trial.set_user_attr(_TEST, test)
            trial.set_user_attr(_SCORE, score)
            state, value = optuna.trial.TrialState.COMPLETE, accuracy
        else:
            trial.set_user_attr(_FAILED, f"the {score} is {accuracy}")
    except optuna.TrialPruned:
        state = optuna.trial.TrialState.PRUNED
    except (TrainingDivergedError, MemoryError) as error:
        trial.set_user_attr(_FAILED, str(error) or type(error).__name__)
    except BaseException:
        study.tell(trial, state=state)
        raise
    trial.set_user_attr(_SECONDS, time.perf_counter() - start)
    study.tell(trial, value, state)


def _fitted(
    trial: optuna.trial.Trial, search: Search, values: Mapping[str, Any], fit: Fit
) -> tuple[float, float, str]:
    """Trains a trial with each of its seeds; returns mean scores, and their name."""
    import optuna

    def report(epoch: int, accuracy: float) -> None:
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    fields, found = with_values(search.fields, values), []
    for repetition in range(search.seeds):
        seeded = {**fields, "seed": fields["seed"] + repetition}
        say = report if repetition == 0 else _say_nothing
        found.append(fit(search.kind, seeded, say))
    ours, others = [one[0] for one in found], [one[1] for one in found]
    score = found[0][2] if len(found[0]) == 3 else scores.ACCURACY
    return sum(ours) / len(ours), sum(others) / len(others), score


def _say_nothing(epoch: int, accuracy: float) -> None:
    pass


def _drawn(trial: optuna.trial.Trial, name: str, span: Span | Choices) -> Any:
    """Draws a value."""
    if isinstance(span, Choices):
        return trial.suggest_categorical(name, span.values)
    is_log = span.scale == "log"
    if span.is_integer:
        return trial.suggest_int(name, int(span.low), int(span.high), log=is_log)
    if span.scale == "log1m":
        low, high = 1 - span.high, 1 - span.low
        drawn = trial.suggest_float(_GAP + name, low, high, log=True)
        return _value(_GAP + name, drawn, span)
    drawn = trial.suggest_float(name, span.low, span.high, log=is_log)
    return _value(name, drawn, span)


def _value(parameter: str, drawn: Any, span: Span | Choices) -> Any:
    """Returns the value of a field: few digits, which a command writes without loss.

    Example:
        >>> _value("beta", 0.98764, Span(0.9, 0.99999))
        0.9876
        >>> _value("beta", 0.99996, Span(0.9, 0.99999))
        0.99999
    """
    if isinstance(span, Choices) or span.is_integer:
        return drawn
    value = float(f"{drawn:.{_DIGITS}g}")
    if parameter.startswith(_GAP):
        value = round(1 - value, 12)
    # Rounding may leave the range at its ends.
    return float(min(max(value, span.low), span.high))


def _free_stopped(study: optuna.study.Study, folder: pathlib.Path) -> int:
    """Ends the trials of processes that were stopped; returns how many others run."""
    from optuna.trial import TrialState

    others = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with journal.running(folder, trial.number) as is_free:
            if is_free:
                study.tell(trial.number, state=TrialState.FAIL)
            else:
                others += 1
    return others


def _ended(study: optuna.study.Study, space: Space) -> list[Trial]:
    """Returns the trials that have ended by themselves, in order."""
    from optuna.trial import TrialState

    names = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
    }
    found = []
    for one in study.get_trials(deepcopy=False, states=tuple(names)):
        if _is_interrupted(one):
            continue
        accuracy = one.value
        if one.state is TrialState.PRUNED and one.intermediate_values:
            accuracy = one.intermediate_values[max(one.intermediate_values)]
        found.append(
            Trial(
                one.number,
                names[one.state],
                _values(one.params, space),
                accuracy,
                one.user_attrs.get(_TEST),
                one.user_attrs.get(_SECONDS, 0.0),
                one.user_attrs.get(_FAILED, ""),
                one.user_attrs.get(_SCORE, ""),
            )
        )
    return found


def _values(parameters: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Returns the values of the fields that a trial has drawn."""
    fields = {name: name.removeprefix(_GAP) for name in parameters}
    return {
        field: _value(name, parameters[name], space[field])
        for name, field in fields.items()
    }


def _line(search: Search, number: int) -> str:
    """Returns a line on a trial that has just ended."""
    trial = next(one for one in search.trials if one.number == number)
    words = {"complete": "", "pruned": "stopped early, ", "failed": "failed: "}
    result = words[trial.state] + trial.reason
    if trial.accuracy is not None:
        value = scores.in_words(search.score, trial.accuracy)
        result += f"{search.score} {value}"
    if search.best is not None and search.best.accuracy is not None:
        result += f" (best {scores.in_words(search.score, search.best.accuracy)})"
    values = ", ".join(f"{name}={value}" for name, value in trial.values.items())
    return f"trial {number}: {result}; {values}; {trial.seconds:.0f} s"
