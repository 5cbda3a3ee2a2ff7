"""General gradient filter (paper 001, eq. 14): arguments and step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from larq_bnnopt.optimizers import rules
from larq_bnnopt.optimizers.updates.base import Update, one_of

Coefficients: TypeAlias = tuple[float, ...]


def normalized(
    b: Sequence[float], a: Sequence[float]
) -> tuple[Coefficients, Coefficients]:
    """Returns the coefficients of a stable filter, equally many, with a[0] = 1.

    Raises:
        ValueError: For coefficients that are missing or not finite, and for a filter
            whose outputs grow without a bound.

    Example:
        >>> normalized([0.5], [2.0, -1.0])
        ((0.25, 0.0), (1.0, -0.5))
    """
    if not len(b) or not len(a) or a[0] == 0 or not np.isfinite([*b, *a]).all():
        raise ValueError(
            "b and a need a finite coefficient each, and a[0] must not be 0. "
            f"Received: b={b!r}, a={a!r}"
        )
    poles = np.roots(np.asarray(a, float))
    if np.abs(poles).max(initial=0.0) >= 1:
        raise ValueError(
            "The filter is not stable: the roots of a must lie inside the unit "
            f"circle. Received: a={a!r} with roots {poles.tolist()}"
        )
    length = max(len(b), len(a))

    def padded(values: Sequence[float]) -> Coefficients:
        zeros = [0.0] * (length - len(values))
        return tuple(float(value) / float(a[0]) for value in [*values, *zeros])

    return padded(b), padded(a)


def low_pass(alpha: float, gamma: float) -> tuple[Coefficients, Coefficients]:
    """Returns b and a of the gradient filter of order 2 with constant averages.

    Its transfer function is the product of those of both averages,
    gamma / (1 - (1 - gamma) z) and alpha / (1 - (1 - alpha) z), z being the delay by a
    step.

    Example:
        >>> low_pass(0.5, 0.5)
        ((0.25,), (1.0, -1.0, 0.25))

    References:
        Paper 001 (gradient filtering), eq. 12, 13 and 15.
    """
    return (alpha * gamma,), (1.0, alpha + gamma - 2, (1 - alpha) * (1 - gamma))


class IIRFilterUpdate(Update):
    """General gradient filter without Keras; `IIRFilter` documents it."""

    fixed = (*Update.fixed, "b", "a")

    def __init__(
        self,
        b: Sequence[float],
        a: Sequence[float],
        on_zero: str = "keep",
        state_dtype: str = "float32",
        name: str = "IIRFilter",
        embedding_updates: str = "dense",
        **kwargs: Any,
    ):
        super().__init__(
            name=name,
            state_dtype=state_dtype,
            embedding_updates=embedding_updates,
            **kwargs,
        )
        self.b, self.a = normalized(b, a)
        self.given = ([float(value) for value in b], [float(value) for value in a])
        self.state_names = tuple(f"z{k}" for k in range(1, len(self.a)))
        self.on_zero = one_of("on_zero", on_zero, rules.ON_ZERO)

    def step(self, gradient, theta, state, hyperparameters, seed):
        """Applies `rules.iir_filter`."""
        return rules.iir_filter(
            gradient, theta, state, b=self.b, a=self.a, on_zero=self.on_zero, seed=seed
        )

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that are not Keras's own."""
        b, a = self.given
        return {"b": b, "a": a, "on_zero": self.on_zero}
