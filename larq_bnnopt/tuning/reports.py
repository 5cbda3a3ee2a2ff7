"""The report of a search: its trials as a table, the best one's command, pictures."""

from __future__ import annotations

import csv
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

from larq_bnnopt.texts import markdown_table
from larq_bnnopt.tuning import journal, scores
from larq_bnnopt.tuning.commands import train_command
from larq_bnnopt.tuning.search import Search, Trial
from larq_bnnopt.writing import replacing, write_text

TABLE = "trials.csv"
PAGE = "report.md"
# Name of a picture -> the function of optuna.visualization.matplotlib.
_PICTURES = {
    "history.png": "plot_optimization_history",
    "slices.png": "plot_slice",
    "epochs.png": "plot_intermediate_values",
}
_SHOWN = 10

_PAGE = """\
# Search

{summary}

{best}

{space}
{table}
The search sees the {score} on one half of the test. The best of many trials is lucky
there; it never sees the other half, "test".
"""


def summary(search: Search) -> str:
    """Returns how many trials there are, by state.

    Example:
        >>> summary(Search("one_step", {}, {}, 1, [Trial(0, "failed", {})], "."))
        '1 trial: 1 failed'
    """
    states = [trial.state for trial in search.trials]
    words = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    number = f"{len(states)} trial{'s' * (len(states) != 1)}"
    return f"{number}: {', '.join(words)}" if words else number


def best_in_words(search: Search) -> str:
    """Returns the best trial and the command that trains it."""
    best = search.best
    if best is None:
        return "No trial is complete, so none is the best."
    command = train_command(search.kind, search.fields_of(best))
    seen, unseen = _scores(search, best)
    return (
        f"Best: trial {best.number}, {search.score} {seen}, on the other half of the "
        f"test {unseen}. Train it:\n\n    {command}"
    )


def rows(search: Search, most: int | None = _SHOWN) -> list[tuple[str, ...]]:
    """Returns a heading and a row for each trial, the most accurate first.

    Args:
        search: The search.
        most: Number of trials. Defaults to 10; `None` for all.
    """
    heading = ("trial", "state", search.score, "test", *search.space, "seconds")
    order = sorted(search.trials, key=_rank)
    return [heading, *(_row(search, trial) for trial in order[:most])]


def page(search: Search) -> str:
    """Returns the report in Markdown."""
    heading, *body = rows(search, None)
    space = [(name, str(span)) for name, span in search.space.items()]
    return _PAGE.format(
        summary=f"{summary(search)}.",
        best=best_in_words(search),
        space=markdown_table(("field", "range"), space),
        table=markdown_table(heading, body),
        score=search.score,
    )


def write(search: Search) -> list[pathlib.Path]:
    """Writes table, report and pictures into the folder of a search.

    Returns:
        The files.
    """
    files = [search.folder / TABLE, search.folder / PAGE]
    heading, *body = rows(search, None)
    with (
        replacing(files[0]) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows([heading, *body])
    write_text(files[1], page(search))
    return [*files, *draw(search)]


def draw(search: Search) -> list[pathlib.Path]:
    """Draws Optuna's own pictures of a search, if a trial is complete.

    Returns:
        The files.
    """
    if search.best is None:
        return []
    with journal.quiet():
        study = journal.opened(search.folder, None, prune=False)
    drawn = []
    for name, function in _PICTURES.items():
        path = search.folder / name
        try:
            _draw(study, function, path)
        except Exception as error:  # A search does not fail for a picture.
            warnings.warn(f"{path} could not be drawn ({error}).", stacklevel=2)
        else:
            drawn.append(path)
    return drawn


def _draw(study: Any, function: str, path: pathlib.Path) -> None:
    import matplotlib.figure
    import matplotlib.pyplot
    import optuna.visualization.matplotlib as pictures

    with warnings.catch_warnings(), matplotlib.pyplot.style.context("default"):
        warnings.simplefilter("ignore")  # Optuna calls its pictures experimental.
        before = set(matplotlib.pyplot.get_fignums())
        axes = getattr(pictures, function)(study)
        try:
            figure = _figure_of(axes)
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=120, bbox_inches="tight")
        finally:
            for number in set(matplotlib.pyplot.get_fignums()) - before:
                matplotlib.pyplot.close(number)


def _figure_of(axes: Any) -> Any:
    """Returns the figure of axes, or of several of them."""
    while isinstance(axes, Sequence) or hasattr(axes, "ravel"):
        axes = axes[0]
    return axes.figure


def _rank(trial: Trial) -> tuple[bool, bool, float]:
    accuracy = trial.accuracy
    return trial.state != "complete", accuracy is None, -(accuracy or 0.0)


def _scores(search: Search, trial: Trial) -> tuple[str, str]:
    """Returns the scores of a trial on both halves, empty where it has none."""
    seen, unseen = (
        "" if value is None else scores.in_words(search.score, value)
        for value in (trial.accuracy, trial.test_accuracy)
    )
    return seen, unseen


def _row(search: Search, trial: Trial) -> tuple[str, ...]:
    return (
        str(trial.number),
        trial.state,
        *_scores(search, trial),
        *(str(trial.values.get(name, "")) for name in search.space),
        f"{trial.seconds:.0f}",
    )
