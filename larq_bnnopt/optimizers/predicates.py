"""Predicates: which optimizer of a CaseOptimizer trains which variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import larq as lq
import tensorflow as tf

Predicate: TypeAlias = Callable[[tf.Variable], bool]


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
def is_binary_variable(variable: tf.Variable) -> bool:
    """Returns whether a variable holds binary weights, without a latent copy.

    True for kernels of Larq layers with `kernel_quantizer=NoOp(precision=1)` and for
    tables of binary embeddings with the same `embeddings_quantizer`. Unlike
    `larq.optimizers.Bop.is_binary_variable`, it leaves latent weights (`ste_sign` and
    other quantizers of precision 1) to the optimizer for real values: those must keep
    their magnitude.

    Args:
        variable: A variable of a Keras model.

    Returns:
        Whether an optimizer that flips signs should train it.

    Example:
        >>> layer = lq.layers.QuantDense(2, kernel_quantizer=lq.quantizers.NoOp(1))
        >>> layer.build((None, 3))
        >>> [is_binary_variable(variable) for variable in layer.trainable_variables]
        [True, False]
    """
    return getattr(variable, "precision", None) == 1 and isinstance(
        getattr(variable, "quantizer", None), lq.quantizers.NoOp
    )


def route(
    variables: Sequence[tf.Variable],
    predicates: Sequence[Predicate],
    names: Sequence[str],
) -> list[int]:
    """Returns for each variable the index of the optimizer that trains it.

    Args:
        variables: The variables of a step.
        predicates: The predicates that claim variables.
        names: Names of the optimizers, one for each predicate, and one more if there is
            a default optimizer.

    Raises:
        ValueError: By name, for a variable that nobody or more than one claims, and for
            an optimizer that claims none.
    """
    owners = []
    for variable in variables:
        claims = [i for i, claim in enumerate(predicates) if claim(variable)]
        if len(claims) > 1:
            several = ", ".join(names[i] for i in claims)
            raise ValueError(
                f"{variable.name} is claimed by several optimizers: {several}. Change "
                "the predicates so that only one is true."
            )
        if not claims and len(names) == len(predicates):
            raise ValueError(
                f"{variable.name} is claimed by no optimizer. Give a "
                "default_optimizer, or make the variable untrainable."
            )
        owners.append(claims[0] if claims else len(predicates))
    return owners


def check_claims(
    owners: Sequence[int], predicates: Sequence[Predicate], names: Sequence[str]
) -> None:
    """Raises, by name, for an optimizer whose predicate claims no variable."""
    for index, predicate in enumerate(predicates):
        if index not in owners:
            raise ValueError(
                f"{names[index]} claims no variable of this model: its predicate "
                f"{predicate!r} is true for no trainable one. Layers with binary "
                "kernels need kernel_quantizer=larq.quantizers.NoOp(precision=1), "
                "binary embeddings the same as embeddings_quantizer, and must not be "
                "frozen; latent weights belong to the default_optimizer."
            )


def check_pairs(pairs: Sequence[object]) -> None:
    """Checks arguments of the form (predicate, optimizer).

    Raises:
        TypeError: For any other argument, by its number.
    """
    for index, pair in enumerate(pairs):
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"Argument {index} must be a tuple (predicate, optimizer). The "
                "optimizer of all other variables goes in as default_optimizer=. "
                f"Received: {pair!r}"
            )
        if not callable(pair[0]):
            raise TypeError(
                f"Pair {index} needs a callable predicate. Received: {pair[0]!r}"
            )
