"""Training of a stage of a recipe in memory, without the files of a run.

Studies and searches train so: they keep numbers, not models.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from larq_bnnopt.datasets import Dataset
from larq_bnnopt.recipes.divergence import StopAtNaN
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.training import trainer_of


def fit_stage(
    recipe: Recipe,
    model: tf.keras.Model,
    teacher: tf.keras.Model | None,
    data: Dataset,
    stage: int,
    *,
    validation: tf.data.Dataset,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    steps: int | None = None,
) -> None:
    """Trains all epochs of a stage, which continue those of the stages before.

    Args:
        recipe: The recipe.
        model: The model of the stage, built and prepared.
        teacher: The recipe's teacher, if it has one.
        data: The data set.
        stage: The stage, from 0.
        validation: Batches to evaluate after each epoch.
        callbacks: Further callbacks, after those of the recipe. Defaults to none.
        steps: Batches of an epoch. Defaults to `None`, all.

    Raises:
        TrainingDivergedError: If the loss becomes NaN or infinite.
    """
    epochs = recipe.stage_epochs()
    passed = sum(epochs[:stage])
    trainer_of(recipe, model, teacher, data).fit(
        data.train_from(passed),
        steps_per_epoch=data.steps_per_epoch if steps is None else steps,
        initial_epoch=passed,
        epochs=passed + epochs[stage],
        validation_data=validation,
        verbose=0,
        callbacks=[StopAtNaN(), *recipe.annealing(model, stage), *callbacks],
    )
