"""`train` and `resume`: a recipe becomes a run, stage by stage."""

from __future__ import annotations

import csv
import dataclasses
import errno
import itertools
import json
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.callbacks import FlipMonitor, binary_kernels, plot_flips
from larq_bnnopt.callbacks.summaries import drop_epochs
from larq_bnnopt.recipes.code_in_models import UntrustedModelError
from larq_bnnopt.recipes.distillation import Distiller
from larq_bnnopt.recipes.divergence import (
    StopAtNaN,
    TrainingDivergedError,
    first_not_finite,
)
from larq_bnnopt.recipes.fine_tune import FineTune
from larq_bnnopt.recipes.fitting import require_classes
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.one_step import OneStep
from larq_bnnopt.recipes.pages import Page, try_to_write_page
from larq_bnnopt.recipes.recalibration import Recalibration, recalibrate
from larq_bnnopt.recipes.recipe import Recipe, one_of
from larq_bnnopt.recipes.runs import Run, digest_of_file
from larq_bnnopt.recipes.strategies import (
    check_batch_size,
    own_folder,
    shared_out,
    strategy_of,
    writes,
)
from larq_bnnopt.recipes.two_step import TwoStep
from larq_bnnopt.writing import replacing

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

RECIPES: dict[str, type[Recipe]] = {
    recipe.kind: recipe for recipe in (OneStep, TwoStep, FineTune)
}


def field_names() -> list[str]:
    """Returns the names of the fields of all recipes.

    Example:
        >>> {"epochs", "first_epochs"} <= set(field_names())
        True
    """
    fields = itertools.chain(*map(dataclasses.fields, RECIPES.values()))
    return list(dict.fromkeys(field.name for field in fields))


def train(
    recipe: Recipe,
    folder: str | os.PathLike[str],
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    strategy: tf.distribute.Strategy | None = None,
    progress: Callable[[int, int], None] | None = None,
    begin: Callable[[datasets.Dataset], None] | None = None,
) -> tf.keras.Model:
    """Trains a model and leaves the files of the run in a new folder.

    After every epoch the folder holds `model.keras`, with the optimizer, beside
    `history.csv`, `flips.csv` and `report.html`; `flips.png` at the end. Of a recipe of
    several stages it keeps the model of each, as `step1.keras`.

    Args:
        recipe: What to train.
        folder: Folder to make.
        callbacks: Further Keras callbacks. Defaults to none.
        strategy: How several devices or machines train it together, see
            `strategy_of`; the batch size is that of all. Only the chief writes to the
            folder. Defaults to `None`, one device.
        progress: Told, while images are looked at before the training, how many were
            and how many there are. Defaults to `None`.
        begin: Told the data set when all is checked and the training begins, by the
            process that writes to the folder. Defaults to `None`.

    Returns:
        The trained model.

    Raises:
        FileExistsError: If the folder exists.
        FileNotFoundError: If the recipe's teacher does not exist.
        ValueError: If the recipe names no model or data set, or one with images or
            labels that cannot be used; no folder is left then, nor after any other
            error before the first epoch is complete.
        TrainingDivergedError: If the loss becomes NaN, with what was NaN first. The
            last good epoch is kept.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     folder = pathlib.Path(parent, "first")
        ...     model = train(OneStep(epochs=1, batch_size=600), folder)
        ...     sorted(path.name for path in folder.glob("[h-r]*"))
        ['history.csv', 'model.keras', 'report.html']
    """
    strategy = strategy or strategy_of(None)
    check_batch_size(strategy, recipe.batch_size)
    if writes(strategy):
        Run.refuse_existing(folder)
    data = recipe.load_data()
    data.check(progress)
    with strategy.scope():
        model = recipe.build(0, data)
        require_classes(model, data)
        for note in recipe.notes(data):
            warnings.warn(note, stacklevel=2)
        teacher = recipe.load_teacher()
        trainer_of(recipe, model, teacher)  # Refuses a teacher that does not fit.
    with own_folder(strategy, pathlib.Path(folder)) as own:
        run = Run.create(own)
        with run.locked():
            run.write_config(
                recipe.resolved(data.steps_per_epoch).as_dict(), _facts(recipe, data)
            )
            training = _Training(recipe, run, data, teacher, callbacks, strategy)
            _tell(begin, data, strategy)
            try:
                return training.go_on(model, _start(model), stage=0, done=0)
            except Exception:
                run.drop_untrained()
                raise


def resume(
    run: Run,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    strategy: tf.distribute.Strategy | None = None,
    progress: Callable[[int, int], None] | None = None,
    begin: Callable[[datasets.Dataset], None] | None = None,
) -> tf.keras.Model:
    """Goes on with a run from its last complete epoch.

    Weights, averages of the optimizers, order and augmentation of the images are those
    of a run that was never interrupted. What was made from the half-trained model (its
    .tflite and reports) is removed.

    Args:
        run: An earlier run.
        callbacks: Further Keras callbacks. Defaults to none.
        strategy: As for `train`; it need not be the one that the run began with, but
            sums are then rounded otherwise. Defaults to `None`, one device.
        progress: As for `train`. Defaults to `None`.
        begin: As for `train`; of a run that is complete it is not called. Defaults to
            `None`.

    Returns:
        The trained model; of a run that was complete, as it was.

    Raises:
        FileNotFoundError: If the folder holds no run.
        RunInUseError: If another training or conversion writes to the folder.
        ValueError: If its configuration or model is damaged.
    """
    strategy = strategy or strategy_of(None)
    recipe = recipe_of(run)
    check_batch_size(strategy, recipe.batch_size)
    with own_folder(strategy, run.folder) as own, Run(own).locked():
        return _resume(Run(own), recipe, callbacks, strategy, progress, begin)


def _resume(
    run: Run,
    recipe: Recipe,
    callbacks: Sequence[tf.keras.callbacks.Callback],
    strategy: tf.distribute.Strategy,
    progress: Callable[[int, int], None] | None,
    begin: Callable[[datasets.Dataset], None] | None,
) -> tf.keras.Model:
    run.drop_unfinished()
    data = recipe.load_data()
    run.check_unchanged(_facts(recipe, data))
    data.check(progress)
    stage = _stage(run, recipe)
    epochs = recipe.stage_epochs()
    with strategy.scope():
        model, done = _newest(run), 0
    if model is not None:
        require_classes(model, data)
        done = _epochs_of(model, data)
    if stage == len(epochs) - 1 and model is not None and done >= epochs[stage]:
        _complete_pictures(run)
        return _finished(recipe, run, data, model)
    run.warn_of_other_threads()
    with strategy.scope():
        first = recipe.build(stage, data, _previous(run, stage))
        teacher = recipe.load_teacher()
    start = _start(first)
    if model is None:
        model = first
    run.drop_results()
    passed = sum(epochs[:stage]) + done
    drop_epochs(run.history, passed)
    if done == 0 and not drop_epochs(run.flips, passed):
        # Of a first epoch that was not completed.
        run.flips.unlink(missing_ok=True)
    training = _Training(recipe, run, data, teacher, callbacks, strategy)
    _tell(begin, data, strategy)
    return training.go_on(model, start, stage, done)


def _tell(
    begin: Callable[[datasets.Dataset], None] | None,
    data: datasets.Dataset,
    strategy: tf.distribute.Strategy,
) -> None:
    """Tells the one who asked, by one process of several, what is trained on."""
    if begin is not None and writes(strategy):
        begin(data)


def _complete_pictures(run: Run) -> None:
    """Draws what the process may not have drawn that ended behind the last epoch."""
    if run.flips.exists() and not run.picture.exists():
        try:
            with replacing(run.picture) as picture:
                plot_flips(run.flips, picture)
        except Exception as error:  # No picture is worth a training.
            warnings.warn(f"{run.picture} could not be drawn ({error}).", stacklevel=3)
    try_to_write_page(run)


def recipe_of(run: Run) -> Recipe:
    """Returns the recipe of an earlier run.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration is damaged or of another version.
    """
    content = dict(run.read_recipe())
    # The first version had one scheme.
    kind = str(content.pop("kind", OneStep.kind))
    try:
        one_of("recipe", kind, tuple(RECIPES))
        return RECIPES[kind](**content)
    except TypeError as error:
        raise ValueError(f"{run.config} is of another version: {error}") from error
    except ValueError as error:
        raise ValueError(f"{run.config} cannot be used: {error}") from error


def images_of(run: Run) -> tuple[tuple[str, ...], float]:
    """Returns the classes of a run, and what of its test images is looked at.

    The data need not be there any more, but of runs of earlier versions.

    Args:
        run: The run.

    Returns:
        The names of the classes, and the attribute `middle` of the data set.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration is damaged.
    """
    recipe, facts = recipe_of(run), run.read_facts()
    if {"classes", "middle"} <= set(facts):
        return tuple(facts["classes"]), float(facts["middle"])
    data = recipe.load_data(load_model(run.model))
    return data.class_names, data.middle


def trained_epochs(
    run: Run, recipe: Recipe, model: tf.keras.Model, data: datasets.Dataset
) -> int:
    """Returns how many epochs a run has trained, of all its stages.

    Args:
        run: The run.
        recipe: Its recipe.
        model: Its model.
        data: Its data set.
    """
    return sum(recipe.stage_epochs()[: _stage(run, recipe)]) + _epochs_of(model, data)


def trainer_of(
    recipe: Recipe, model: tf.keras.Model, teacher: tf.keras.Model | None
) -> tf.keras.Model:
    """Returns what is fitted to train a model: itself, or a `Distiller` around it.

    Args:
        recipe: The recipe.
        model: The model, compiled.
        teacher: The recipe's teacher, if it has one.
    """
    if teacher is None:
        return model
    trainer = Distiller(
        model,
        teacher,
        temperature=recipe.temperature,
        hard_labels=recipe.hard_labels,
    )
    trainer.compile(model.optimizer, metrics=["accuracy"])
    return trainer


def _stage(run: Run, recipe: Recipe) -> int:
    """Returns the stage that a run is in: those before it left their models."""
    stages = len(recipe.stage_epochs())
    return sum(run.step(number).exists() for number in range(1, stages))


def _previous(run: Run, stage: int) -> tf.keras.Model | None:
    return load_model(run.step(stage)) if stage else None


def _newest(run: Run) -> tf.keras.Model | None:
    """Loads the model of the last complete epoch, of the one before if it is damaged.

    The one before then takes its place.

    Raises:
        ValueError: If there are models, all of them damaged.
    """
    if not run.model.exists() and not run.previous.exists():
        return None
    try:
        return load_model(run.model)
    except UntrustedModelError:
        raise
    except (FileNotFoundError, ValueError) as error:
        if not run.previous.exists():
            raise
        earlier = load_model(run.previous)
        warnings.warn(
            f"{error} Going on from {run.previous}, which was saved before it.",
            stacklevel=3,
        )
    os.replace(run.previous, run.model)
    # It was that of the model that is damaged.
    run.recalibration.unlink(missing_ok=True)
    return earlier


def _epochs_of(model: tf.keras.Model, data: datasets.Dataset) -> int:
    optimizer = model.optimizer
    batches = int(optimizer.iterations.numpy())
    together = getattr(optimizer, "accumulate_steps", 1)
    if together > 1:
        # A group of batches may run on over the end of an epoch.
        batches = together * batches + int(optimizer.accumulator.count.numpy())
    return batches // data.steps_per_epoch


def _facts(recipe: Recipe, data: datasets.Dataset) -> dict[str, Any]:
    """Returns what must be the same when a run goes on."""
    return {
        "training images": data.train_size,
        "classes": list(data.class_names),
        "middle": data.middle,
        "data": data.fingerprint,
        **{name: digest_of_file(path) for name, path in recipe.files().items()},
    }


def _start(model: tf.keras.Model) -> dict[str, Any]:
    return {name: kernel.numpy() for name, kernel in binary_kernels(model).items()}


def _finished(
    recipe: Recipe, run: Run, data: datasets.Dataset, model: tf.keras.Model
) -> tf.keras.Model:
    """Does what comes behind the last epoch, unless it was done."""
    if not recipe.recalibrate or run.recalibration.exists():
        return model
    before = _accuracy(model, data)
    images = data.train_from(0).map(lambda x, y: x).take(recipe.recalibrate)
    number = recalibrate(model, images)
    result = Recalibration(number, before, _accuracy(model, data))
    save_model(run, model)
    run.write_text("recalibration.json", json.dumps(dataclasses.asdict(result)))
    try_to_write_page(run)
    return model


def _accuracy(model: tf.keras.Model, data: datasets.Dataset) -> float:
    return float(model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"])


def save_model(run: Run, model: tf.keras.Model) -> None:
    """Replaces the model of a run, and keeps the one before."""
    with replacing(run.model) as temporary:
        model.save(temporary)
        if run.model.exists():
            os.replace(run.model, run.previous)


@dataclasses.dataclass(frozen=True)
class _Training:
    """What stays the same in all stages of a training."""

    recipe: Recipe
    run: Run
    data: datasets.Dataset
    teacher: tf.keras.Model | None
    callbacks: Sequence[tf.keras.callbacks.Callback]
    strategy: tf.distribute.Strategy

    def go_on(
        self, model: tf.keras.Model, start: dict[str, Any], stage: int, done: int
    ) -> tf.keras.Model:
        """Trains the rest of a stage and those behind it.

        Args:
            model: The model as it is now.
            start: Its binary kernels as they were when the stage began.
            stage: The stage, from 0.
            done: The epochs of it that are done.

        Returns:
            The trained model.
        """
        recipe, run = self.recipe, self.run
        epochs = recipe.stage_epochs()
        while True:
            if done < epochs[stage]:
                recipe.prepare(model, stage)
                before = sum(epochs[:stage])
                end = before + epochs[stage]
                self._fit(model, start, stage, before + done, end)
            stage += 1
            if stage == len(epochs):
                return _finished(recipe, run, self.data, model)
            run.previous.unlink(missing_ok=True)
            os.replace(run.model, run.step(stage))
            with self.strategy.scope():
                model, done = recipe.build(stage, self.data, model), 0
            start = _start(model)

    def _fit(
        self,
        model: tf.keras.Model,
        start: dict[str, Any],
        stage: int,
        first: int,
        end: int,
    ) -> None:
        """Trains from an epoch up to another one, within a stage."""
        run, data = self.run, self.data
        # In the first of two steps no kernel is binary.
        flips = [FlipMonitor(run.flips, run.picture, start)] if start else []
        watch = StopAtNaN()
        with self.strategy.scope():
            trainer = trainer_of(self.recipe, model, self.teacher)
        train, test = data.train_from(first), data.test
        if self.strategy.num_replicas_in_sync > 1:
            train, test = shared_out(train), shared_out(test)
        try:
            trainer.fit(
                train,
                steps_per_epoch=data.steps_per_epoch,
                initial_epoch=first,
                epochs=end,
                validation_data=test,
                verbose=0,
                callbacks=[
                    # First: of weights that are NaN nothing else is worth saying.
                    watch,
                    *self.recipe.hardening(model, stage),
                    *flips,
                    _History(run),
                    *self.callbacks,
                    # Behind all that: what it leaves counts as a complete epoch.
                    _Checkpoint(run, model),
                    Page(run),
                ],
            )
        except TrainingDivergedError as error:
            raise self._explained(error, stage, watch.epoch) from None
        except tf.errors.OpError as error:
            # An image or a record may have changed meanwhile.
            data.check(again=True)
            # TensorFlow has this error for a full disk, too.
            is_memory = isinstance(error, tf.errors.ResourceExhaustedError)
            if not is_memory or "No space" in str(error):
                raise
            raise MemoryError(
                f"The memory does not hold a batch of {self.recipe.batch_size} images. "
                "Give a smaller batch_size, and as many more accumulate_steps for the "
                "same steps."
            ) from error
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            run.drop_unfinished()
            advice = (
                "What was saved before is still there; free some room, and go on with "
                "the run"
                if run.model.exists()
                else "Free some room, and begin anew"
            )
            raise OSError(
                error.errno, f"{run.folder} has no room for more. {advice}"
            ) from error

    def _explained(
        self, error: TrainingDivergedError, stage: int, epoch: int
    ) -> TrainingDivergedError:
        """Trains the epoch once more, to tell what was no number first."""
        recipe, run, data = self.recipe, self.run, self.data
        kept = epoch > sum(recipe.stage_epochs()[:stage])
        # By one device: what is no number there is none on any.
        if kept:
            model = load_model(run.model)
        else:
            model = recipe.build(stage, data, _previous(run, stage))
        recipe.prepare(model, stage)
        batches = data.train_from(epoch).take(data.steps_per_epoch)
        first = first_not_finite(trainer_of(recipe, model, self.teacher), batches)
        text = f"{error} The first that was not finite is {first}." if first else error
        good = f"{run.model} holds the last good epoch. " if kept else ""
        return TrainingDivergedError(
            f"{text} {good}Train with a lower learning rate, or a warm-up."
        )


class _History(tf.keras.callbacks.Callback):
    """Writes losses and metrics, a row an epoch, whatever the stages have of them."""

    def __init__(self, run: Run):
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds a row, and columns where there are new ones."""
        rows: list[dict[str, Any]] = []
        if self._run.history.exists():
            with self._run.history.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        rows.append({"epoch": epoch, **(logs or {})})
        columns = dict.fromkeys(itertools.chain.from_iterable(rows))
        lines = [",".join(columns)]
        lines += [",".join(str(row.get(name, "")) for name in columns) for row in rows]
        self._run.write_text("history.csv", "\n".join(lines) + "\n")


class _Checkpoint(tf.keras.callbacks.Callback):
    """Keeps the model of the last complete epoch, whatever happens meanwhile."""

    def __init__(self, run: Run, model: tf.keras.Model):
        super().__init__()
        self._run = run
        self._kept = model

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Replaces the model of the run."""
        save_model(self._run, self._kept)
