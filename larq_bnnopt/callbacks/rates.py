"""The optimizer that trains the binary kernels, and its current rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, Union

import tensorflow as tf

# Of one of Keras's two APIs, which have no common base.
Optimizer: TypeAlias = Union[
    tf.keras.optimizers.Optimizer, tf.keras.optimizers.legacy.Optimizer
]
# When one of these falls, the number of flips falls: eta of Diode, alpha of the
# gradient filter, gamma of Bop.
_RATES = ("learning_rate", "alpha", "gamma")


def trainers_of(
    optimizer: Optimizer, variables: Sequence[tf.Variable]
) -> list[Optimizer]:
    """Returns the optimizer that trains each of some variables.

    Args:
        optimizer: The optimizer of a model, which may hold others: a
            LossScaleOptimizer one, a CaseOptimizer several.
        variables: The variables.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "optimizers_of"):  # A CaseOptimizer.
        return list(optimizer.optimizers_of(variables))
    return [optimizer] * len(variables)


def rates_of(optimizer: Optimizer, kernels: Sequence[tf.Variable]) -> dict[str, float]:
    """Returns the current rates of the optimizer that trains some kernels, by name.

    Args:
        optimizer: The optimizer of a model. Of a CaseOptimizer, the one inside it that
            trains the kernels.
        kernels: The kernels.

    Returns:
        The rates; of a schedule its value at the last or the next step. Empty if the
        optimizer has no rates, or if more than one optimizer trains the kernels.

    Example:
        >>> from larq_bnnopt.optimizers import GradientFilter
        >>> rates_of(GradientFilter(alpha=0.5, gamma=0.25), [])
        {'alpha': 0.5, 'gamma': 0.25}
    """
    if kernels:
        trainers = trainers_of(optimizer, kernels)
        if len({id(trainer) for trainer in trainers}) != 1:
            return {}
        optimizer = trainers[0]
    found = {}
    for name in _RATES:
        value = getattr(optimizer, name, None)
        if callable(value):
            value = value(optimizer.iterations)
        if value is not None:
            found[name] = float(tf.convert_to_tensor(value))
    return found
