"""The files of a result: a CSV of all runs, a picture, a page with the paragraph."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from larq_bnnopt.studies import pictures, results
from larq_bnnopt.studies.comparing import findings, verdict
from larq_bnnopt.studies.paragraph import claimed, number_of, paragraph
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.statistics import Verdict
from larq_bnnopt.studies.study import Study
from larq_bnnopt.texts import markdown_table
from larq_bnnopt.writing import write_text

PAGE = "result.md"
_VERDICT = re.compile(r"^Verdict: \*\*(.+)\*\*", re.MULTILINE)


def write(
    study: Study,
    found: Sequence[RunResult],
    folder: str | os.PathLike[str],
    command: str,
) -> Verdict:
    """Writes `runs.csv`, `picture.png` and `result.md` of a study.

    Args:
        study: The study.
        found: Its results so far, at least one.
        folder: The folder.
        command: The command that trained them.

    Returns:
        The verdict.
    """
    folder = pathlib.Path(folder)
    results.write_csv(folder / "runs.csv", found)
    title = f"{study.title} (paper {study.paper}, {study.place})"
    picture = folder / "picture.png"
    pictures.draw(title, study.panels, study.arms, found, picture)
    write_text(folder / PAGE, page(study, found, command))
    return _verdict(study, found)


def page(study: Study, found: Sequence[RunResult], command: str) -> str:
    """Returns the page of a result in Markdown."""
    return (
        f"# {study.title}\n\n"
        f"Verdict: **{_words(study, found)}**\n\n"
        f"{paragraph(study, found)}\n\n"
        f"![{study.title}](picture.png)\n\n"
        f"{_table(study, found)}\n"
        f"{_comparisons(study, found)}\n"
        f"Command: `{command}`. All runs: [runs.csv](runs.csv).\n"
    )


def last_verdict(folders: Sequence[str | os.PathLike[str]]) -> str:
    """Returns the verdict in the first folder that holds a result.

    Args:
        folders: Folders that may hold a page.
    """
    for folder in folders:
        path = pathlib.Path(folder, PAGE)
        if path.exists():
            match = _VERDICT.search(path.read_text("utf-8", "replace"))
            return match[1] if match else "damaged page"
    return "not run"


def _verdict(study: Study, found: Sequence[RunResult]) -> Verdict:
    return verdict(findings(study.comparisons, found), study.is_whole(found))


def _words(study: Study, found: Sequence[RunResult]) -> str:
    if any(run.quick for run in found):
        return "quick run, shows nothing"
    return _verdict(study, found).value


def _table(study: Study, found: Sequence[RunResult]) -> str:
    """Returns mean and standard deviation of each measure, a row a setting."""
    rows = []
    for arm in study.arms:
        runs = [run for run in found if run.arm == arm.name]
        row = [arm.name, str(len(runs))]
        for measure in study.measures:
            known = [v for run in runs if (v := measure.value(run)) is not None]
            row.append(_mean(measure.text, known))
        rows.append(row)
    labels = (measure.label for measure in study.measures)
    return markdown_table(["setting", "seeds", *labels], rows)


def _comparisons(study: Study, found: Sequence[RunResult]) -> str:
    """Returns the number of each comparison with its interval, a row each."""
    rows = [
        (one.comparison.words, number_of(one), claimed(one), one.verdict.value)
        for one in findings(study.comparisons, found)
    ]
    return markdown_table(["compared", "found", "claimed", "so it"], rows)


def _mean(text: Callable[[float], str], values: Sequence[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return text(values[0])
    return f"{text(float(np.mean(values)))} ± {text(float(np.std(values, ddof=1)))}"
