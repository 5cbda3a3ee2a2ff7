"""Temperature annealing: real-valued kernels of BNext become signs in training.

At temperature 1 a `zoo_extensions.TemperatureSign` passes values inside [-1, 1]; as the
temperature falls it becomes the sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    import zoo_extensions as zx

# What the authors' code of BNext multiplies the temperature by in each epoch.
_DECAY = 0.9
# The share of the epochs after which kernels are signs, where 0.9 is too slow for it.
_ANNEALED = 0.75


def annealing(
    model: tf.keras.Model, epochs: int, first_epoch: int = 0
) -> list[tf.keras.callbacks.Callback]:
    """Returns the callback that anneals the kernels of a model, if any are annealed.

    The temperature is multiplied by 0.9 in each epoch, as in the code of BNext's
    authors, or by less if kernels would otherwise not be signs in the last quarter of
    the epochs.

    Args:
        model: The model.
        epochs: Epochs of its training.
        first_epoch: The first of them. Defaults to `0`.

    Returns:
        A list with a `zoo_extensions.TemperatureDecay`, or an empty list.

    Raises:
        ValueError: If there are too few epochs: kernels are real in the first one.

    Example:
        >>> import zoo_extensions as zx
        >>> factory = zx.BNext18.factory(
        ...     filters=(8, 16), blocks=(1, 1), input_shape=(32, 32, 3))
        >>> [decay.decay for decay in annealing(factory.build(), epochs=200)]
        [0.9]
        >>> annealing(zx.TinyResidualBNN(), epochs=200)
        []

    References:
        [BNext](https://arxiv.org/abs/2211.12933); the decay is from its code.
    """
    import zoo_extensions as zx

    thresholds = [quantizer.threshold for quantizer in _annealed(model)]
    if not thresholds:
        return []
    if epochs < 2:
        raise ValueError(
            f"{model.name} has kernels that are real in the first epoch and become "
            f"signs after it, so it needs at least 2 epochs. Received: {epochs}"
        )
    annealed = max(1, int(_ANNEALED * epochs))
    # Half of it, so that rounding does not keep a kernel real.
    decay = min(_DECAY, (min(thresholds) / 2) ** (1 / annealed))
    return [zx.TemperatureDecay(decay, first_epoch)]


def require_binarized(model: tf.keras.Model, path: str) -> None:
    """Raises a ValueError if kernels of a trained model are not signs yet.

    Args:
        model: The model.
        path: Its file.
    """
    temperatures = [
        float(quantizer.temperature)
        for quantizer in _annealed(model)
        if float(quantizer.temperature) >= quantizer.threshold
    ]
    if temperatures:
        raise ValueError(
            f"{path} has kernels that are still real (temperature "
            f"{max(temperatures):.3g}): its training did not end. Resume it, or save "
            "zoo_extensions.force_sign(model) and start from that."
        )


def binarized(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a model whose kernels are signs: itself, unless some are annealed.

    Args:
        model: The model.
    """
    import zoo_extensions as zx

    return zx.force_sign(model) if any(_annealed(model)) else model


def copy_weights(source: tf.keras.Model, target: tf.keras.Model) -> None:
    """Copies all weights but temperatures, which only annealed kernels have.

    Args:
        source: A model.
        target: A model of the same layers; their kernels may have other quantizers.
    """
    values, variables = (
        list(_without_temperatures(source)),
        list(_without_temperatures(target)),
    )
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)


def _annealed(model: tf.keras.Model) -> Iterator[zx.TemperatureSign]:
    """Yields the quantizers of a model that have a temperature."""
    import zoo_extensions as zx

    for part in model.submodules:
        if isinstance(part, zx.TemperatureSign):
            yield part


def _without_temperatures(model: tf.keras.Model) -> Iterator[tf.Variable]:
    temperatures = {id(quantizer.temperature) for quantizer in _annealed(model)}
    for variable in model.weights:
        if id(variable) not in temperatures:
            yield variable
