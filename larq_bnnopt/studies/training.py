"""One run of a study: a recipe trained in memory, and what is recorded of it."""

from __future__ import annotations

import contextlib
import fnmatch
import pathlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any

from larq_bnnopt.studies import machine
from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.study import KEPT, Study

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
    series, model, diverged = _fitted(study, recipe, data, quick)
    numbers: dict[str, float] = {}
    if study.after is not None:
        for name, value in study.after(model, data).items():
            if isinstance(value, (list, tuple)):
                series[name] = list(value)
            else:
                numbers[name] = float(value)
    return RunResult(
        study=study.name,
        arm=arm.name,
        seed=seed,
        kind=arm.kind,
        fields=study.recipe_fields(arm, seed),
        series={name: [_finite(v) for v in values] for name, values in series.items()},
        numbers={n: v for n, v in numbers.items() if _finite(v) is not None},
        facts={
            "training images": data.train_size,
            "test images": data.test_size,
            "parameters": int(model.count_params()),
        },
        quick=quick,
        diverged=diverged,
        seconds=time.perf_counter() - start,
        commit=machine.commit(),
        processor=machine.processor(),
        versions=recipes.versions(),
    )


def _fitted(
    study: Study, recipe: Any, data: Any, quick: bool
) -> tuple[dict[str, list[Any]], Any, bool]:
    """Trains all stages; returns the series, the model, and whether it diverged."""
    from larq_bnnopt.recipes import TrainingDivergedError

    series: dict[str, list[Any]] = {}
    model, passed, teacher = None, 0, recipe.load_teacher()
    for stage, epochs in enumerate(recipe.stage_epochs()):
        model = recipe.build(stage, data, model)
        recipe.prepare(model, stage)
        end = passed + epochs
        recorder = _recorder([*KEPT, *study.keep])
        with _monitor(study, model, series) as flips:
            more = study.callbacks(model, data) if study.callbacks else []
            try:
                _fit(
                    recipe, model, teacher, data, stage, (passed, end), quick,
                    [*flips, *more, recorder],
                )  # fmt: skip
            except TrainingDivergedError:
                _extend(series, recorder.logs, passed)
                left = sum(recipe.stage_epochs()) - _length(series, "val_accuracy")
                series.setdefault("val_accuracy", []).extend(
                    [1 / data.num_classes] * left
                )
                return series, model, True
        _extend(series, recorder.logs, passed)
        passed = end
    return series, model, False


def _fit(
    recipe: Any,
    model: Any,
    teacher: Any,
    data: Any,
    stage: int,
    span: tuple[int, int],
    quick: bool,
    callbacks: list[Any],
) -> None:
    """Trains the epochs of a stage."""
    from larq_bnnopt.recipes.divergence import StopAtNaN
    from larq_bnnopt.recipes.training import trainer_of

    steps = data.steps_per_epoch
    trainer_of(recipe, model, teacher).fit(
        data.train_from(span[0]),
        steps_per_epoch=min(steps, _QUICK_STEPS) if quick else steps,
        initial_epoch=span[0],
        epochs=span[1],
        validation_data=data.test.take(1) if quick else data.test,
        verbose=0,
        callbacks=[StopAtNaN(), *recipe.annealing(model, stage), *callbacks],
    )


@contextlib.contextmanager
def _monitor(study: Study, model: Any, series: dict[str, list[Any]]) -> Any:
    """Yields the FlipMonitor of a stage; none where no kernel is binary."""
    from larq_bnnopt.callbacks import FlipMonitor, binary_kernels
    from larq_bnnopt.callbacks.summaries import read_columns

    if not binary_kernels(model):
        yield []
        return
    if not study.each_step:
        yield [FlipMonitor(per_weight=study.per_weight)]
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "flips.csv")
        yield [FlipMonitor(path, per_weight=study.per_weight)]
        if path.exists():
            series["step_flips"] = read_columns(path)["flip_ratio"]


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


def _extend(
    series: dict[str, list[Any]], logs: list[dict[str, float]], passed: int
) -> None:
    """Adds the logs of a stage to the series, after so many epochs."""
    for name in dict.fromkeys(name for one in logs for name in one):
        values = series.setdefault(name, [])
        values += [None] * (passed - len(values))
        values += [one.get(name) for one in logs]


def _length(series: Mapping[str, list[Any]], name: str) -> int:
    return len(series.get(name, ()))


def _finite(value: float | None) -> float | None:
    """Returns a number for JSON, which knows no NaN."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(value)
