"""Training of a recipe into a run folder, stage by stage, and resuming it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.callbacks import FlipMonitor, binary_kernels, plot_flips
from larq_bnnopt.callbacks.summaries import drop_epochs
from larq_bnnopt.recipes.bert_distillation import BertDistiller
from larq_bnnopt.recipes.checkpoints import (
    Checkpoint,
    epochs_of_stage,
    model_of_previous_stage,
    newest_model,
    save_model,
    stage_of,
)
from larq_bnnopt.recipes.distillation import Distiller
from larq_bnnopt.recipes.divergence import (
    StopAtNaN,
    TrainingDivergedError,
    first_not_finite,
)
from larq_bnnopt.recipes.fitting import require_classes
from larq_bnnopt.recipes.fitting_texts import require_same_tokens
from larq_bnnopt.recipes.histories import HistoryWriter
from larq_bnnopt.recipes.kinds import (
    data_of,
    keep_settings,
    recipe_of,
    settings_facts,
)
from larq_bnnopt.recipes.loss_scaling import LossScaleLog, restore_loss_scale
from larq_bnnopt.recipes.memory import is_out_of_memory
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.pages import Page, try_to_write_page
from larq_bnnopt.recipes.recalibration import Recalibration, recalibrate
from larq_bnnopt.recipes.recipe import Recipe, metrics_of
from larq_bnnopt.recipes.runs import Run, digest_of_file
from larq_bnnopt.recipes.strategies import (
    check_batch_size,
    check_metrics,
    is_chief,
    own_folder,
    shared_out,
    strategy_of,
)
from larq_bnnopt.writing import replacing

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def train(
    recipe: Recipe,
    folder: str | os.PathLike[str],
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    strategy: tf.distribute.Strategy | None = None,
    progress: Callable[[int, int], None] | None = None,
    begin: Callable[[datasets.Dataset], None] | None = None,
) -> tf.keras.Model:
    """Trains a model and writes the files of the run to a new folder.

    After every epoch the folder holds `model.keras`, with the optimizer, beside
    `history.csv`, `flips.csv` and `report.html`; `flips.png` at the end. Recipes with
    several stages leave the model of each earlier stage, as `step1.keras`.

    Args:
        recipe: What to train.
        folder: Folder to make.
        callbacks: Further Keras callbacks. Defaults to none.
        strategy: How several devices or machines train it together, see
            `strategy_of`; the batch size counts the images of all. Only the chief
            writes to the folder. Defaults to `None`, one device.
        progress: Called while images are checked before the training, with the number
            of checked images, and of all. Defaults to `None`.
        begin: Called with the data set when all is checked and the training begins, in
            the process that writes to the folder. Defaults to `None`.

    Returns:
        The trained model.

    Raises:
        FileExistsError: If the folder exists.
        FileNotFoundError: If the recipe's teacher does not exist.
        ValueError: If the recipe names an unknown model or data set, or one with images
            or labels that cannot be used. No folder is left after an error before the
            first epoch is complete.
        TrainingDivergedError: If the loss becomes NaN; it names the layer that was NaN
            first. The last good epoch is kept.

    Example:
        >>> import pathlib, tempfile
        >>> from larq_bnnopt.recipes import OneStep
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     folder = pathlib.Path(parent, "first")
        ...     model = train(OneStep(epochs=1, batch_size=600), folder)
        ...     sorted(path.name for path in folder.glob("[h-r]*"))
        ['history.csv', 'model.keras', 'report.html']
    """
    strategy = strategy or strategy_of(None)
    check_batch_size(strategy, recipe.batch_size)
    if is_chief(strategy):
        Run.refuse_existing(folder)
    data = recipe.load_data()
    check_metrics(strategy, data.metrics)
    data.check(progress)
    with strategy.scope():
        model = recipe.build(0, data)
        require_classes(model, data)
        for note in recipe.notes(data):
            warnings.warn(note, stacklevel=2)
        teacher = recipe.load_teacher()
        trainer_of(recipe, model, teacher, data)  # Refuses a teacher that does not fit.
    with own_folder(strategy, pathlib.Path(folder)) as own:
        run = Run.create(own)
        with run.locked():
            run.write_config(
                recipe.resolved(data.steps_per_epoch).as_dict(), _facts(recipe, data)
            )
            keep_settings(run, data)
            training = _Training(recipe, run, data, teacher, callbacks, strategy)
            _call_begin(begin, data, strategy)
            try:
                return training.run_from(model, _start(model), stage=0, done=0)
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
    """Resumes a run from its last complete epoch.

    Weights, averages of the optimizers, order and augmentation of the images are equal
    to a run that was never interrupted. What was made from the half-trained model (its
    .tflite and reports) is removed.

    Args:
        run: An earlier run.
        callbacks: Further Keras callbacks. Defaults to none.
        strategy: As for `train`; it may differ from the one that the run began with,
            but then rounds sums differently. Defaults to `None`, one device.
        progress: As for `train`. Defaults to `None`.
        begin: As for `train`; not called if the run is complete. Defaults to `None`.

    Returns:
        The trained model; unchanged if the run was complete.

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
    data = data_of(run, recipe)
    run.check_unchanged(_facts(recipe, data))
    check_metrics(strategy, data.metrics)
    data.check(progress)
    stage = stage_of(run, recipe)
    epochs = recipe.stage_epochs()
    with strategy.scope():
        model, done = newest_model(run), 0
    if model is not None:
        require_classes(model, data)
        done = epochs_of_stage(model, data)
    if stage == len(epochs) - 1 and model is not None and done >= epochs[stage]:
        _complete_pictures(run)
        return _finished(recipe, run, data, model)
    run.warn_of_other_threads()
    with strategy.scope():
        first = recipe.build(stage, data, model_of_previous_stage(run, stage))
        teacher = recipe.load_teacher()
        trainer_of(recipe, first, teacher, data)  # As for `train`.
    start = _start(first)
    if model is None:
        model = first
    run.drop_results()
    passed = sum(epochs[:stage]) + done
    drop_epochs(run.history, passed)
    if done:
        restore_loss_scale(model, run, passed)
    if done == 0 and not drop_epochs(run.flips, passed):
        # They are from a first epoch that was not completed.
        run.flips.unlink(missing_ok=True)
    training = _Training(recipe, run, data, teacher, callbacks, strategy)
    _call_begin(begin, data, strategy)
    return training.run_from(model, start, stage, done)


def _call_begin(
    begin: Callable[[datasets.Dataset], None] | None,
    data: datasets.Dataset,
    strategy: tf.distribute.Strategy,
) -> None:
    """Calls `begin` with the data set, in one process of several."""
    if begin is not None and is_chief(strategy):
        begin(data)


def _complete_pictures(run: Run) -> None:
    """Draws what is missing if the process was killed after the last epoch."""
    if run.flips.exists() and not run.picture.exists():
        try:
            with replacing(run.picture) as picture:
                plot_flips(run.flips, picture)
        except Exception as error:  # A training does not fail for a picture.
            warnings.warn(f"{run.picture} could not be drawn ({error}).", stacklevel=3)
    try_to_write_page(run)


def trainer_of(
    recipe: Recipe,
    model: tf.keras.Model,
    teacher: tf.keras.Model | None,
    data: datasets.Dataset,
) -> tf.keras.Model:
    """Returns the Keras model to fit: the model, or a `Distiller` around it.

    Args:
        recipe: The recipe.
        model: The model, compiled.
        teacher: The recipe's teacher, if it has one.
        data: The data set.

    Raises:
        ValueError: If the teacher does not fit.
    """
    if teacher is None:
        return model
    common = {"temperature": recipe.temperature, "hard_labels": recipe.hard_labels}
    if data.kind == datasets.TEXTS:
        weights = recipe.distill_weights()
        regression = data.task == datasets.REGRESSION
        trainer = BertDistiller(
            model, teacher, **weights, regression=regression, **common
        )
        require_same_tokens(teacher, str(recipe.teacher), data)
    else:
        trainer = Distiller(model, teacher, **common)
    trainer.compile(model.optimizer, metrics=metrics_of(data))
    return trainer


def _facts(recipe: Recipe, data: datasets.Dataset) -> dict[str, Any]:
    """Returns what must not change until a run is resumed."""
    return {
        "training images": data.train_size,
        "classes": list(data.class_names),
        "middle": data.middle,
        "data": data.fingerprint,
        **({} if data.kind == datasets.IMAGES else {"inputs": data.kind}),
        **settings_facts(data),
        **({} if data.task == datasets.CLASSIFICATION else {"task": data.task}),
        **{name: digest_of_file(path) for name, path in recipe.files().items()},
    }


def _start(model: tf.keras.Model) -> dict[str, np.ndarray]:
    return {name: kernel.numpy() for name, kernel in binary_kernels(model).items()}


def _finished(
    recipe: Recipe, run: Run, data: datasets.Dataset, model: tf.keras.Model
) -> tf.keras.Model:
    """Re-estimates batch-norm statistics after the last epoch, unless it was done."""
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


@dataclasses.dataclass(frozen=True)
class _Training:
    """A training, with what stays the same in all its stages."""

    recipe: Recipe
    run: Run
    data: datasets.Dataset
    teacher: tf.keras.Model | None
    callbacks: Sequence[tf.keras.callbacks.Callback]
    strategy: tf.distribute.Strategy

    def run_from(
        self, model: tf.keras.Model, start: dict[str, np.ndarray], stage: int, done: int
    ) -> tf.keras.Model:
        """Trains the rest of a stage and the stages after it.

        Args:
            model: The current model.
            start: Its binary kernels at the beginning of the stage.
            stage: The stage, from 0.
            done: Number of complete epochs of the stage.

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
        start: dict[str, np.ndarray],
        stage: int,
        first: int,
        end: int,
    ) -> None:
        """Trains the epochs from `first` to `end` within a stage."""
        run, data = self.run, self.data
        # In stage 1 of two_step no kernel is binary.
        flips = [FlipMonitor(run.flips, run.picture, start)] if start else []
        watch = StopAtNaN()
        with self.strategy.scope():
            trainer = trainer_of(self.recipe, model, self.teacher, data)
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
                    # First: nothing else matters if weights are NaN.
                    watch,
                    *self.recipe.annealing(model, stage),
                    *flips,
                    LossScaleLog(),
                    HistoryWriter(run),
                    *self.callbacks,
                    # Last: a saved model counts as a complete epoch.
                    Checkpoint(run, model),
                    Page(run),
                ],
            )
        except TrainingDivergedError as error:
            raise self._explained(error, stage, watch.epoch) from None
        except tf.errors.OpError as error:
            # An image or a record may have changed during the training.
            data.check(again=True)
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"The memory does not hold a batch of {self.recipe.batch_size} "
                f"{self.data.kind}. "
                "Give a smaller batch_size, and as many more accumulate_steps for the "
                "same steps."
            ) from error
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            run.drop_unfinished()
            advice = (
                "What was saved before is still there; free some room, and resume the "
                "run"
                if run.model.exists()
                else "Free some room, and start again"
            )
            raise OSError(
                error.errno, f"{run.folder} has no room for more. {advice}"
            ) from error

    def _explained(
        self, error: TrainingDivergedError, stage: int, epoch: int
    ) -> TrainingDivergedError:
        """Trains the epoch again, to name what was NaN or infinite first."""
        recipe, run, data = self.recipe, self.run, self.data
        kept = epoch > sum(recipe.stage_epochs()[:stage])
        # On one device: what is NaN there is NaN on any.
        if kept:
            model = load_model(run.model)
        else:
            model = recipe.build(stage, data, model_of_previous_stage(run, stage))
        recipe.prepare(model, stage)
        batches = data.train_from(epoch).take(data.steps_per_epoch)
        trainer = trainer_of(recipe, model, self.teacher, data)
        first = first_not_finite(trainer, batches)
        text = f"{error} The first that was not finite is {first}." if first else error
        good = f"{run.model} holds the last good epoch. " if kept else ""
        return TrainingDivergedError(
            f"{text} {good}Train with a lower learning rate, or a warm-up."
        )
