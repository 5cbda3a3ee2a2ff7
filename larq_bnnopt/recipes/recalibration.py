"""Re-estimation of batch-norm statistics after a training (precise BN)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Recalibration:
    """The effect of re-estimated batch-norm statistics on the accuracy.

    Attributes:
        batches: Number of batches that the statistics are means of.
        before: Accuracy on the test images before.
        after: Accuracy on the test images after.
    """

    batches: int
    before: float
    after: float


def require_normalization(model: tf.keras.Model) -> None:
    """Raises a ValueError if a model has no batch normalization to recalibrate.

    Args:
        model: The model; layers that are frozen now may train later.
    """
    if not any(
        isinstance(layer, tf.keras.layers.BatchNormalization)
        for layer in model.submodules
    ):
        raise ValueError(
            f"{model.name} has no batch normalization, whose statistics recalibrate "
            "re-estimates. Leave recalibrate out."
        )


def recalibrate(
    model: tf.keras.Model, batches: Iterable[tf.Tensor | tuple[tf.Tensor, ...]]
) -> int:
    r"""Re-estimates batch-norm statistics: sets moving averages to means over batches.

    \[ \mu = \frac{1}{n} \sum_i \mu_i, \quad \sigma^2 = \frac{1}{n} \sum_i \sigma_i^2 \]

    of the means and variances of n batches, all with the current weights. During
    training they are exponential averages over weights that flip meanwhile, and a flip
    changes the values after it at once, however small the learning rate is. Nothing
    else in the model changes; frozen layers, which do not normalize by batches, keep
    their statistics.

    Args:
        model: A built Keras model.
        batches: Batches of images, or of pairs of images and labels, with the batch
            size of the training.

    Returns:
        The number of batches.

    Raises:
        ValueError: If there is no batch, or no batch normalization that trains.

    Example:
        >>> model = tf.keras.Sequential([
        ...     tf.keras.layers.BatchNormalization(input_shape=(1,))])
        >>> images = tf.constant([[1.0], [3.0], [5.0], [7.0]])
        >>> recalibrate(model, tf.split(images, 2))
        2
        >>> [float(w.numpy()[0]) for w in model.non_trainable_weights]
        [4.0, 1.0]

    References:
        Wu and Johnson, "Rethinking Batch in BatchNorm" (2021), section 3 (PreciseBN),
        with the mean of the variances, as in its authors' code.
    """
    norms = [
        layer
        for layer in model.submodules
        if isinstance(layer, tf.keras.layers.BatchNormalization) and layer.trainable
    ]
    if not norms:
        raise ValueError(f"{model.name} has no batch normalization that trains.")
    momenta = [layer.momentum for layer in norms]
    number = 0
    try:
        for batch in batches:
            for layer in norms:
                layer.momentum = number / (number + 1)
            # Not in a tf.function, which would keep the first momentum.
            images = batch[0] if isinstance(batch, tuple) else batch
            model(images, training=True)
            number += 1
    finally:
        for layer, momentum in zip(norms, momenta):
            layer.momentum = momentum
    if not number:
        raise ValueError("recalibrate needs at least one batch.")
    return number
