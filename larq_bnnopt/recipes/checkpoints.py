"""Checkpoints of a run: its model after every epoch, and how far it was trained."""

from __future__ import annotations

import os
import warnings

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.recipes.model_files import UntrustedModelError
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.runs import Run
from larq_bnnopt.writing import replacing


class Checkpoint(tf.keras.callbacks.Callback):
    """Saves the model of a run, with its optimizer, after every epoch."""

    def __init__(self, run: Run, model: tf.keras.Model):
        super().__init__()
        self._run = run
        self._model_to_save = model

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Replaces the model of the run."""
        save_model(self._run, self._model_to_save)


def save_model(run: Run, model: tf.keras.Model) -> None:
    """Replaces the model of a run; the one before becomes `previous.keras`."""
    with replacing(run.model) as temporary:
        model.save(temporary)
        if run.model.exists():
            os.replace(run.model, run.previous)


def trained_epochs(
    run: Run, recipe: Recipe, model: tf.keras.Model, data: datasets.Dataset
) -> int:
    """Returns the number of epochs that a run has trained, of all its stages.

    Args:
        run: The run.
        recipe: Its recipe.
        model: Its model.
        data: Its data set.
    """
    earlier = recipe.stage_epochs()[: stage_of(run, recipe)]
    return sum(earlier) + epochs_of_stage(model, data)


def stage_of(run: Run, recipe: Recipe) -> int:
    """Returns the stage of a run, from 0; each stage before it has left its model."""
    stages = len(recipe.stage_epochs())
    return sum(run.step(number).exists() for number in range(1, stages))


def model_of_previous_stage(run: Run, stage: int) -> tf.keras.Model | None:
    """Loads the model that the stage before has left, `None` in the first stage."""
    return load_model(run.step(stage)) if stage else None


def newest_model(run: Run) -> tf.keras.Model | None:
    """Loads the model of the last complete epoch, or of the one before.

    The latter if the newest is damaged; it then takes the place of the newest.

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
            f"{error} Resuming from {run.previous}, which was saved before it.",
            stacklevel=3,
        )
    os.replace(run.previous, run.model)
    # It describes the damaged model.
    run.recalibration.unlink(missing_ok=True)
    return earlier


def epochs_of_stage(model: tf.keras.Model, data: datasets.Dataset) -> int:
    """Returns the number of complete epochs that a model has trained in its stage."""
    # Of a LossScaleOptimizer, which counts the steps that it skips, too.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    batches = int(optimizer.iterations.numpy())
    together = getattr(optimizer, "accumulate_steps", 1)
    if together > 1:
        # A group of batches may run on over the end of an epoch.
        batches = together * batches + int(optimizer.accumulator.count.numpy())
    return batches // data.steps_per_epoch
