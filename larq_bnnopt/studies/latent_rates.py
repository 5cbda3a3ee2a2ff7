"""A learning rate and a decay for latent weights alone, beside a recipe's own.

Paper 001 turns them for the latent weights; if the real-valued weights had them too, a
figure would show both effects.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from larq_bnnopt.studies.arm import Arm

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt.datasets import Dataset
    from larq_bnnopt.recipes import Recipe


def rates(factor: float, alpha: float, real_decay: float = 1e-4) -> dict[str, float]:
    r"""Returns what `with_own_rate` takes of a setting.

    Args:
        factor: What the learning rate \(\epsilon\) is multiplied by for latent weights.
        alpha: The product \(\alpha = \epsilon \lambda\) of that learning rate and the
            weight decay of latent weights, at the start.
        real_decay: Weight decay of the real-valued weights. Defaults to `1e-4`. The
            recipe's own must be 0.
    """
    return {
        "latent_rate_factor": factor,
        "latent_alpha": alpha,
        "real_decay": real_decay,
    }


def with_own_rate(
    model: tf.keras.Model, data: Dataset, recipe: Recipe, arm: Arm
) -> None:
    """Gives the latent weights of a model their own learning rate and decay."""
    import tensorflow as tf

    from larq_bnnopt.optimizers import CaseOptimizer

    factor = arm.more["latent_rate_factor"]
    decay = arm.more["latent_alpha"] / (factor * recipe.learning_rate)
    for variable in recipe.decayed(model, 0):
        own = decay if is_latent(variable) else arm.more["real_decay"]
        model.add_loss(functools.partial(_half_square, variable, own))
    steps = recipe.steps(recipe.epochs * data.steps_per_epoch)
    latent = tf.keras.optimizers.SGD(
        tf.keras.optimizers.schedules.CosineDecay(factor * recipe.learning_rate, steps),
        momentum=recipe.momentum or 0.0,
    )
    predicate = tf.keras.saving.register_keras_serializable("larq_bnnopt")(is_latent)
    model.compile(
        CaseOptimizer((predicate, latent), default_optimizer=model.optimizer),
        loss=model.loss,
        metrics=["accuracy"],
    )


def is_latent(variable: tf.Variable) -> bool:
    """Returns whether a variable holds latent weights of one bit."""
    return getattr(variable, "precision", None) == 1


def _half_square(variable: tf.Variable, rate: float) -> tf.Tensor:
    import tensorflow as tf

    # Its gradient is rate * variable.
    return rate / 2 * tf.reduce_sum(tf.square(variable))
