"""A learning rate and a decay for latent weights alone, beside a recipe's own.

Paper 001 turns them for the latent weights; if the real-valued weights had them too, a
figure would show both effects.
"""

from __future__ import annotations

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
        alpha: The alpha of the filter (paper 001, equation 17) that latent weights
            with that learning rate are, at the start; `decay_of` has their decay.
        real_decay: Weight decay of the real-valued weights. Defaults to `1e-4`. The
            recipe's own must be 0.
    """
    return {
        "latent_rate_factor": factor,
        "filter_alpha": alpha,
        "real_decay": real_decay,
    }


def decay_of(alpha: float, rate: float, momentum: float) -> float:
    r"""Returns the weight decay with which SGD on latent weights has a filter's alpha.

    Keras's SGD keeps the decay \(\lambda\) inside the momentum m, so that

    \[ w_i = (1 + m - \epsilon\lambda) w_{i-1} - m w_{i-2} - \epsilon g_i, \]

    whose slow pole is \(1 - \alpha\) for

    \[ \lambda = \frac{\alpha}{\epsilon} \left(1 - \frac{m}{1 - \alpha}\right)
       \approx \alpha (1 - m) / \epsilon. \]

    Args:
        alpha: Alpha.
        rate: The learning rate \(\epsilon\).
        momentum: The momentum m.

    Raises:
        ValueError: If the momentum is the slower average of the two.

    Example:
        >>> round(decay_of(0.005, rate=0.1, momentum=0.9), 5)
        0.00477
    """
    if (1 - alpha) ** 2 < momentum:
        raise ValueError(
            f"alpha must be at most 1 - sqrt(momentum). Received: alpha={alpha}, "
            f"momentum={momentum}"
        )
    return alpha / rate * (1 - momentum / (1 - alpha))


def with_own_rate(
    model: tf.keras.Model, data: Dataset, recipe: Recipe, arm: Arm
) -> None:
    """Gives the latent weights of a model their own learning rate and decay."""
    import tensorflow as tf

    from larq_bnnopt.recipes.recipe import add_decay

    rate = arm.more["latent_rate_factor"] * recipe.learning_rate
    momentum = recipe.momentum or 0.0
    decay = decay_of(arm.more["filter_alpha"], rate, momentum)
    for variable in recipe.decayed(model, 0):
        own = decay if is_latent(variable) else arm.more["real_decay"]
        add_decay(model, variable, own)
    steps = recipe.steps(recipe.epochs * data.steps_per_epoch)
    latent = tf.keras.optimizers.SGD(
        tf.keras.optimizers.schedules.CosineDecay(rate, steps), momentum=momentum
    )
    give_latent(model, latent)


def give_latent(model: tf.keras.Model, latent: tf.keras.optimizers.Optimizer) -> None:
    """Gives latent weights an optimizer of their own, beside the one of a model.

    Args:
        model: The model, compiled.
        latent: The optimizer of its latent weights.
    """
    import tensorflow as tf

    from larq_bnnopt.optimizers import CaseOptimizer

    predicate = tf.keras.saving.register_keras_serializable("larq_bnnopt")(is_latent)
    model.compile(
        CaseOptimizer((predicate, latent), default_optimizer=model.optimizer),
        loss=model.loss,
        metrics=["accuracy"],
    )


def is_latent(variable: tf.Variable) -> bool:
    """Returns whether a variable holds latent weights of one bit."""
    return getattr(variable, "precision", None) == 1
