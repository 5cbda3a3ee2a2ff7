"""What is said, by name, of weights that no flip optimizer can train well."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import tensorflow as tf


def warn_of_start(variable: tf.Variable, optimizer: str) -> None:
    """Warns of weights outside {-1, +1} and of a constraint that leads out of it.

    Only where values can be read, outside of functions.
    """
    if not tf.executing_eagerly():
        return
    values = variable.numpy()
    if not np.all(np.abs(values) == 1.0):
        warnings.warn(
            f"{optimizer} trains weights in {{-1, +1}}, but {variable.name} holds "
            "other values; it goes on from their signs. Start such a kernel with "
            "zoo_extensions.initializers.BernoulliSign(). What is no binary kernel "
            "belongs to the default_optimizer of a CaseOptimizer.",
            stacklevel=2,
        )
    constraint = getattr(variable, "constraint", None)
    if constraint is not None:
        signs = tf.where(values < 0, -1.0, 1.0)
        if not np.array_equal(constraint(signs), signs):
            warnings.warn(
                f"The constraint of {variable.name} ({constraint}) takes weights out "
                f"of {{-1, +1}} after each step of {optimizer}. Remove it, or scale "
                "behind the layer.",
                stacklevel=2,
            )


def penalised(variables: Iterable[tf.Variable]) -> list[str]:
    """Returns the names of the variables on which Keras computes a regularizer.

    A variable does not know its regularizer. While Keras traces a training step, the
    penalty is already there under a name of its own, and is looked up.
    """
    graph, names = tf.compat.v1.get_default_graph(), []
    operations: list[str] = []
    while graph is not None and not tf.executing_eagerly():
        operations += [operation.name for operation in graph.get_operations()]
        graph = getattr(graph, "outer_graph", None)
    for variable in variables:
        scope = f"{variable.name.split(':')[0]}/Regularizer"
        if any(scope in operation for operation in operations):
            names.append(variable.name)
    return names


def warn_of_penalties(variables: Iterable[tf.Variable], optimizer: str) -> None:
    """Warns of regularizers on binary weights."""
    for name in penalised(variables):
        warnings.warn(
            f"{name} has a weight regularizer. All weights in {{-1, +1}} cost the "
            f"same, so it only pushes {optimizer} towards flipping them. Remove it.",
            stacklevel=2,
        )


def warn_of_no_gradient(variables: Iterable[tf.Variable], optimizer: str) -> None:
    """Warns of variables that a step leaves as they are."""
    names = ", ".join(variable.name for variable in variables)
    warnings.warn(
        f"No gradient for {names}: {optimizer} trains nothing. Does the loss depend on "
        "these variables?",
        stacklevel=2,
    )


def warn_of_lost_state(
    steps: int, found: dict[str, tuple[int, list[tf.Variable]]], advice: str
) -> None:
    """Warns of optimizers that should have state and have none.

    Args:
        steps: Number of steps that the saved optimizer had taken.
        found: By the optimizer's name, its number of steps and its variables.
        advice: What to do.
    """
    lost = []
    for name, (taken, variables) in found.items():
        averages = [v.numpy() for v in variables if v.shape.rank]
        # New averages are zero; half of Diode's are not if it starts with inertia.
        filled = sum(bool(np.any(average)) for average in averages)
        if taken == 0 or (averages and filled <= len(averages) / 2):
            lost.append(name)
    if lost:
        warnings.warn(
            f"The model was saved after {steps} steps of its optimizers, but the file "
            f"did not hold what {', '.join(lost)} had averaged. All variables are "
            f"trained, from new averages. {advice}",
            stacklevel=2,
        )
