"""The rates by which an optimizer trains binary kernels, as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# What lowers the number of flips as it falls: eta, alpha of the gradient filter, gamma
# of Bop.
_RATES = ("learning_rate", "alpha", "gamma")


def rates_of(optimizer: Any, kernels: Sequence[tf.Variable]) -> dict[str, float]:
    """Returns the rates of what trains some kernels, by name.

    Args:
        optimizer: The optimizer of a model; a CaseOptimizer is looked into.
        kernels: The kernels.

    Returns:
        The rates of now, of schedules those of the last or the next step; none of an
        optimizer that has none, and of kernels that more than one optimizer trains.

    Example:
        >>> from larq_bnnopt.optimizers import GradientFilter
        >>> rates_of(GradientFilter(alpha=0.5, gamma=0.25), [])
        {'alpha': 0.5, 'gamma': 0.25}
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "optimizers_of"):  # A CaseOptimizer.
        members = optimizer.optimizers_of(kernels)
        if len({id(member) for member in members}) != 1:
            return {}
        optimizer = members[0]
    found = {}
    for name in _RATES:
        value = getattr(optimizer, name, None)
        if callable(value):
            value = value(optimizer.iterations)
        if value is not None:
            found[name] = float(tf.convert_to_tensor(value))
    return found
