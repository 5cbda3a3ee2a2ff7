"""Warnings about variables that a sign-flipping optimizer cannot train well."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import tensorflow as tf


def warn_of_start(variable: tf.Variable, optimizer: str) -> None:
    """Warns of weights outside {-1, +1} and of a constraint that moves them out.

    Does nothing inside of a `tf.function`, where no value can be read.
    """
    if not tf.executing_eagerly():
        return
    values = variable.numpy()
    if not np.all(np.abs(values) == 1.0):
        warnings.warn(
            f"{optimizer} trains weights in {{-1, +1}}, but {variable.name} holds "
            "other values; training starts from their signs. Initialize a binary "
            "kernel or embedding with zoo_extensions.initializers.BernoulliSign(); "
            "leave any other variable to the default_optimizer of a CaseOptimizer.",
            stacklevel=2,
        )
    constraint = getattr(variable, "constraint", None)
    if constraint is not None:
        signs = tf.where(values < 0, -1.0, 1.0)
        if not np.array_equal(constraint(signs), signs):
            warnings.warn(
                f"The constraint of {variable.name} ({constraint}) takes weights out "
                f"of {{-1, +1}} after each step of {optimizer}. Remove it, or scale "
                "the output of the layer.",
                stacklevel=2,
            )


def warn_of_penalties(
    variables: Iterable[tf.Variable], optimizer: str, warned: set[str]
) -> None:
    """Warns of regularizers on binary weights, once for each.

    A variable does not know its regularizer. While Keras traces a training step, the
    graph already holds the penalty under the variable's name, where this looks it up.
    In eager steps, and under the short names that TensorFlow 2.19 gives after loading,
    it finds nothing.

    Args:
        variables: Binary weights.
        optimizer: Name of their optimizer.
        warned: Names that were warned of before; grows.
    """
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    operations: list[str] = []
    while graph is not None:
        operations += [f"/{operation.name}" for operation in graph.get_operations()]
        graph = getattr(graph, "outer_graph", None)
    for variable in variables:
        path = variable.name.split(":")[0]
        scope = f"/{path}/Regularizer"
        if "/" not in path or path in warned:
            continue
        if any(scope in operation for operation in operations):
            warned.add(path)
            warnings.warn(
                f"{variable.name} has a weight regularizer. All weights in {{-1, +1}} "
                f"cost the same, so it only pushes {optimizer} towards flipping them. "
                "Remove it.",
                stacklevel=2,
            )


def warn_of_no_gradient(variables: Iterable[tf.Variable], optimizer: str) -> None:
    """Warns of variables without a gradient, which a step does not change."""
    names = ", ".join(variable.name for variable in variables)
    warnings.warn(
        f"No gradient for {names}: {optimizer} trains nothing. Does the loss depend on "
        "these variables?",
        stacklevel=2,
    )


def warn_of_dense_gradients(
    gradients: Iterable[tf.Tensor | tf.IndexedSlices | None],
    optimizer: str,
    warned: set[str],
) -> None:
    """Warns, once, where rows that are seen cannot be told from others.

    Args:
        gradients: The gradients that an optimizer with `embedding_updates="seen_rows"`
            gets.
        optimizer: Its name.
        warned: What was warned of before; grows.
    """
    found = [gradient for gradient in gradients if gradient is not None]
    if not found or any(isinstance(gradient, tf.IndexedSlices) for gradient in found):
        return
    if "embedding_updates" not in warned:
        warned.add("embedding_updates")
        warnings.warn(
            f'embedding_updates="seen_rows" of {optimizer} changes nothing: none of '
            "its gradients is sparse. An embedding has a sparse gradient if its rows "
            "are looked up in the variable itself, and the loss uses the table nowhere "
            "else; a regularizer uses all of it.",
            stacklevel=2,
        )


def warn_of_lost_state(before: dict[str, int], now: dict[str, int], keep: str) -> None:
    """Warns of optimizers that were saved with averages and are loaded without.

    Args:
        before: Number of steps taken when they were saved, by the optimizer's name.
        now: Number of steps that each counts now.
        keep: How to save the averages, a sentence.
    """
    lost = [name for name, steps in before.items() if steps and not now.get(name)]
    if lost:
        warnings.warn(
            f"This optimizer had taken {max(before.values())} steps when it was saved, "
            f"and starts without the averages of {', '.join(lost)}. All variables "
            f"are trained, from new averages. {keep}",
            stacklevel=2,
        )


def warn_of_exchange(
    before: Iterable[str], variables: Iterable[tf.Variable], optimizer: str
) -> None:
    """Warns where averages are used for other variables than they were saved for.

    Args:
        before: Names of the variables that were trained when the optimizer was saved.
        variables: The variables that it trains now.
        optimizer: Its name.
    """
    before, names = list(before), [variable.name for variable in variables]
    # Loading a model shortens names, of some layers or of all, and saving it after
    # more training may have kept the short ones.
    if len(before) == len(names) and not all(
        old.endswith(new) or new.endswith(old) for old, new in zip(before, names)
    ):
        warnings.warn(
            f"{optimizer} was saved while it trained {', '.join(before)}, and now uses "
            f"their averages for {', '.join(names)}. Take a step after freezing "
            "or unfreezing layers before you save, or compile with a new optimizer.",
            stacklevel=2,
        )


def warn_of_another_model(optimizer: str, steps: int) -> None:
    """Warns that an optimizer continues with variables that are all new to it.

    Args:
        optimizer: Its name.
        steps: Number of steps it has taken.
    """
    warnings.warn(
        f"{optimizer} continues with another model at step {steps}: its schedules and "
        "step counts continue from there, so a second training or fold does not start "
        "from step 0, and a file that is saved from now on holds the averages of this "
        "model alone. Make a new optimizer for each model.",
        stacklevel=2,
    )
