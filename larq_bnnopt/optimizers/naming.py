"""Unique names and keys of optimizers and variables, for saved state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, Union

import numpy as np
import tensorflow as tf

# Of one of Keras's two APIs, which have no common base.
AnyOptimizer: TypeAlias = Union[
    tf.keras.optimizers.Optimizer, tf.keras.optimizers.legacy.Optimizer
]


def optimizer_name(optimizer: AnyOptimizer) -> str:
    """Returns the name of an optimizer of either API."""
    if isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        return optimizer._name
    return optimizer.name


def legacy_key(variable: tf.Variable) -> str:
    """Returns the key of a variable in legacy optimizers, the same in all replicas."""
    if hasattr(variable, "_distributed_container"):
        variable = variable._distributed_container()
    return variable._unique_id


def name_apart(variables: Iterable[tf.Variable]) -> None:
    """Gives every variable a unique name, by which HDF5 files store state.

    The counters of all optimizers have one name, and TensorFlow 2.19 shortens the names
    of variables when it loads a model.
    """
    taken: set[str] = set()
    for variable in variables:
        name, number = variable.name.split(":")[0], 1
        unique = name
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        for part in getattr(variable, "values", [variable]):
            part._handle_name = f"{unique}:0"


def set_all(
    owner: str, variables: Sequence[tf.Variable], values: Sequence[np.ndarray]
) -> None:
    """Sets variables to values of the same shapes, or none of them.

    Raises:
        ValueError: If the number or the shapes do not fit.
    """
    given = [tuple(np.shape(value)) for value in values]
    if given != [tuple(variable.shape) for variable in variables]:
        raise ValueError(
            f"{owner} keeps {len(variables)} variables for the weights it trains now. "
            f"Received: {len(given)} values, not of the same shapes."
        )
    for variable, value in zip(variables, values):
        variable.assign(np.asarray(value))
