"""The work list of a study: runs that several processes share and that survive a kill.

A folder holds `results.jsonl`, one line a finished run, and a lock for each run that is
being trained, which the kernel frees when its process ends, however it ends.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from larq_bnnopt.studies import results
from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.study import Study
from larq_bnnopt.studies.training import train_arm

_LOCKS = ".running"
# Adding a line takes milliseconds.
_PATIENCE = 60.0

Train = Callable[[Study, Arm, int, bool], RunResult]


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the work on a study stands.

    Attributes:
        done: Finished runs.
        wanted: All runs.
        trained: Runs that this process has trained.
        elsewhere: Runs that other processes are training.
    """

    done: int
    wanted: int
    trained: int
    elsewhere: int


def work(
    study: Study,
    folder: str | os.PathLike[str],
    minutes: float | None = None,
    quick: bool = False,
    say: Callable[[str], None] = lambda text: None,
    train: Train | None = None,
) -> Progress:
    """Trains the runs of a study that are missing in a folder.

    All settings get a seed before any gets the next, so that what is there can be
    compared at any time.

    Args:
        study: The study.
        folder: The folder, made if it is missing.
        minutes: After how many minutes no further run begins. Defaults to `None`, when
            all are finished.
        quick: Whether the runs take a few steps only. Defaults to `False`.
        say: Takes a line before each run and after it. Defaults to nothing.
        train: Trains a run. Defaults to `None`, the study's own way or `train_arm`.

    Returns:
        Where the work stands.

    Raises:
        ValueError: If a line of the results is damaged, or was trained by other
            settings.
    """
    from larq_bnnopt.recipes.locking import reserved

    train = train or study.train or train_arm
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / results.NAME
    runs, fields = wanted(study), _fields(study)
    began, trained, elsewhere = time.monotonic(), 0, 0
    for arm, seed in runs:
        if (arm.name, seed) in _known(path, fields, quick):
            continue
        if minutes is not None and time.monotonic() - began >= 60 * minutes:
            say(f"The {minutes:g} minutes are used.")
            break
        place = folder / _LOCKS / f"{list(study.arms).index(arm)}-{seed}"
        with reserved(place) as is_ours:
            if not is_ours:
                elsewhere += 1
                continue
            # Another process may have finished it since.
            if (arm.name, seed) in _known(path, fields, quick):
                continue
            say(f"{arm.name}, seed {seed} ...")
            result = train(study, arm, seed, quick)
            _keep(folder, path, result)
            trained += 1
            say(_line(result))
    done = _known(path, fields, quick)
    return Progress(len(done), len(runs), trained, elsewhere)


def wanted(study: Study) -> list[tuple[Arm, int]]:
    """Returns the runs of a study, in the order of the work."""
    return [(arm, seed) for seed in range(study.seeds) for arm in study.arms]


def finished(
    study: Study, folder: str | os.PathLike[str], quick: bool = False
) -> list[RunResult]:
    """Returns the finished runs of a study, each once, in the order of the work.

    Args:
        study: The study.
        folder: The folder.
        quick: Whether they are quick runs. Defaults to `False`.

    Raises:
        ValueError: As for `work`.
    """
    path = pathlib.Path(folder, results.NAME)
    return list(_known(path, _fields(study), quick).values())


def _fields(study: Study) -> dict[tuple[str, int], dict[str, Any]]:
    """Returns the fields of each run, by setting and seed, in the order of the work."""
    first = {arm.name: study.run_fields(arm, 0) for arm in study.arms}
    return {
        (arm.name, seed): {**first[arm.name], "seed": seed}
        for arm, seed in wanted(study)
    }


def _known(
    path: pathlib.Path, fields: dict[tuple[str, int], dict[str, Any]], quick: bool
) -> dict[tuple[str, int], RunResult]:
    """Returns the finished runs of a folder, in the order of the work."""
    by_key: dict[tuple[str, int], RunResult] = {}
    for file in results.files(path):
        found = results.read(file)
        results.require_same_recipe(file, found, fields, quick)
        by_key.update((run.key, run) for run in found)
    return {key: by_key[key] for key in fields if key in by_key}


def _keep(folder: pathlib.Path, path: pathlib.Path, result: RunResult) -> None:
    """Adds a result to the file of the folder, or to one of this process beside it."""
    from larq_bnnopt.recipes.locking import RunInUseError, waited_for

    try:
        with waited_for(folder, _PATIENCE):
            results.add(path, result)
    except RunInUseError:
        results.add(results.beside(path, os.getpid()), result)


def _line(result: RunResult) -> str:
    """Returns a line on a finished run."""
    accuracy = result.series.get("val_accuracy") or [None]
    words = ""
    if result.diverged:
        words = "the loss became NaN, "
    elif accuracy[-1] is not None:
        words = f"test accuracy {accuracy[-1]:.1%}, "
    return f"{result.arm}, seed {result.seed}: {words}{result.seconds:.0f} s"


def require_data(study: Study, arms: Sequence[Arm] = ()) -> None:
    """Raises an error, before any run, if a study's data are not on this machine.

    Args:
        study: The study.
        arms: Settings to look at. Defaults to all.

    Raises:
        FileNotFoundError: It says how to get them.
    """
    from larq_bnnopt import datasets, recipes

    seen = set()
    for arm in arms or study.arms:
        recipe = recipes.RECIPES[arm.kind].of(study.recipe_fields(arm, 0))
        if (recipe.dataset, recipe.data_dir) in seen:
            continue
        seen.add((recipe.dataset, recipe.data_dir))
        # Of texts it is a folder that is here, or a name of GLUE.
        is_of_texts = datasets.kind_of(recipe.dataset) == datasets.TEXTS
        if study.advice and not is_of_texts and not os.path.exists(recipe.dataset):
            raise FileNotFoundError(
                f"{study.name} needs {recipe.dataset}, which is not here. "
                f"{study.advice}; or name another by --dataset."
            )
        try:
            recipe.load_data(download=False)
        except datasets.NotDownloadedError as error:
            raise FileNotFoundError(
                f"{study.name} needs {recipe.dataset}, which is not on this machine. "
                f"Get it by `bnnopt train --dataset {recipe.dataset} --epochs 1`, name "
                "the folder of tensorflow-datasets that holds it by --data-dir, or "
                "take other data by --dataset."
            ) from error
