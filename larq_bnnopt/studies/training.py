"""One run of a study: a recipe trained in memory, and what is recorded of it."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import pathlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from larq_bnnopt.studies import machine
from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.study import KEPT, Study

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt.datasets import Dataset
    from larq_bnnopt.recipes import Recipe

_QUICK_STEPS = 2


def train_arm(study: Study, arm: Arm, seed: int, quick: bool = False) -> RunResult:
    """Trains one setting of a study with one seed.

    Args:
        study: The study.
        arm: The setting.
        seed: The seed.
        quick: Whether to take two steps an epoch, and one batch of test images.
            Defaults to `False`.

    Returns:
        The result. If the loss becomes NaN or infinite, the epochs that are left have
        the test accuracy of guessing.
    """
    import tensorflow as tf

    from larq_bnnopt import recipes

    # Kernels and graphs of the runs before would pile up.
    tf.keras.backend.clear_session()
    recipe = recipes.RECIPES[arm.kind].of(study.recipe_fields(arm, seed))
    data = recipe.load_data(download=False)
    start = time.perf_counter()
    outcome = _Outcome()
    model = _fitted(study, arm, recipe, data, quick, outcome)
    if study.after is not None and not outcome.diverged:
        outcome.add(study.after(model, data))
    return RunResult(
        study=study.name,
        arm=arm.name,
        seed=seed,
        kind=arm.kind,
        fields=study.run_fields(arm, seed),
        series={n: [_finite(v) for v in one] for n, one in outcome.series.items()},
        numbers={n: v for n, v in outcome.numbers.items() if _finite(v) is not None},
        facts={
            f"training {data.kind}": data.train_size,
            f"test {data.kind}": data.test_size,
            "parameters": int(model.count_params()),
        },
        quick=quick,
        diverged=outcome.diverged,
        seconds=time.perf_counter() - start,
        commit=machine.commit(),
        processor=machine.processor(),
        versions=recipes.versions(),
    )


@dataclasses.dataclass
class _Outcome:
    """What is recorded while a run is trained."""

    series: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    diverged: bool = False

    def add(self, found: Mapping[str, Any]) -> None:
        """Adds numbers, and lists of numbers, by name."""
        for name, value in found.items():
            if isinstance(value, (list, tuple)):
                self.series[name] = [float(one) for one in value]
            else:
                self.numbers[name] = float(value)

    def add_epochs(self, logs: list[dict[str, float]], passed: int) -> None:
        """Adds the logs of a stage, after so many epochs."""
        for name in dict.fromkeys(name for one in logs for name in one):
            values = self.series.setdefault(name, [])
            values += [None] * (passed - len(values))
            values += [one.get(name) for one in logs]


def _fitted(
    study: Study, arm: Arm, recipe: Recipe, data: Dataset, quick: bool, out: _Outcome
) -> tf.keras.Model:
    """Trains all stages, and returns the model."""
    from larq_bnnopt.recipes import TrainingDivergedError
    from larq_bnnopt.recipes.in_memory import fit_stage

    model, passed, teacher = None, 0, recipe.load_teacher()
    for stage, epochs in enumerate(recipe.stage_epochs()):
        model = recipe.build(stage, data, model)
        recipe.prepare(model, stage)
        if study.adapt is not None:
            study.adapt(model, data, recipe, arm)
        recorder = _recorder([*KEPT, *study.keep])
        try:
            with _monitor(study, model, out) as flips:
                more = study.callbacks(model, data) if study.callbacks else []
                fit_stage(
                    recipe,
                    model,
                    teacher,
                    data,
                    stage,
                    validation=data.test.take(1) if quick else data.test,
                    callbacks=[*flips, *more, recorder],
                    steps=min(data.steps_per_epoch, _QUICK_STEPS) if quick else None,
                )
        except TrainingDivergedError:
            out.diverged = True
            out.add_epochs(recorder.logs, passed)
            accuracies = out.series.setdefault("val_accuracy", [])
            left = sum(recipe.stage_epochs()) - len(accuracies)
            accuracies += [1 / data.num_classes] * left
            return model
        out.add_epochs(recorder.logs, passed)
        passed += epochs
    return model


@contextlib.contextmanager
def _monitor(study: Study, model: tf.keras.Model, out: _Outcome) -> Iterator[list[Any]]:
    """Yields the FlipMonitor of a stage; none where no kernel is binary."""
    from larq_bnnopt.callbacks import FlipMonitor, Probes, binary_kernels
    from larq_bnnopt.callbacks.summaries import read_columns

    if not binary_kernels(model):
        yield []
        return
    if not study.each_step and study.of_flips is None:
        yield [FlipMonitor(per_weight=study.per_weight)]
        return
    probes = None if study.probes is None else Probes(**study.probes)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "flips.csv")
        yield [FlipMonitor(path, per_weight=study.per_weight, probes=probes)]
        if study.each_step:
            out.series["step_flips"] = list(read_columns(path)["flip_ratio"])
        if study.of_flips is not None:
            out.add(study.of_flips(path))


def _recorder(names: Iterable[str]) -> Any:
    """Returns a callback that keeps some of the logs of each epoch."""
    import tensorflow as tf

    class Recorder(tf.keras.callbacks.Callback):
        """Keeps the logs of each epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.logs: list[dict[str, float]] = []

        def on_epoch_end(
            self, epoch: int, logs: Mapping[str, Any] | None = None
        ) -> None:
            """Keeps those of an epoch."""
            found = {
                name: float(value)
                for name, value in (logs or {}).items()
                if any(fnmatch.fnmatchcase(name, known) for known in names)
            }
            self.logs.append(found)

    return Recorder()


def _finite(value: float | None) -> float | None:
    """Returns a number for JSON, which knows no NaN."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(value)
