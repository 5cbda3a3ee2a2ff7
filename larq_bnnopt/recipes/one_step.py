"""One-step training: weights and activations are binary from the start."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.recipe_fields import OneStepFields, documented
from larq_bnnopt.recipes.recipe import Recipe


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class OneStep(OneStepFields, Recipe):
    """One-step training: weights and activations are binary from the start.

    Example:
        >>> OneStep(epochs=3, learning_rate=0.002).stage_epochs()
        (3,)

    References:
        Papers 001 (gradient filtering) and 003 (Diode), which train in one step.
    """

    def build(
        self,
        stage: int,
        data: datasets.Dataset,
        previous: tf.keras.Model | None = None,
    ) -> tf.keras.Model:
        """Builds the model with the weights that the seed gives, compiled."""
        model = self.create_model(data, latent_weights=self.is_latent)
        steps = data.steps_per_epoch
        optimizer = self.build_optimizer(self.epochs * steps, steps)
        return self.compile(model, optimizer, data)
