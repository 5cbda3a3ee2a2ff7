"""Optimizers of binary weights by name, with the constants that recipes give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from larq_bnnopt.optimizers import Bop, Bop2ndOrder, Diode, GradientFilter, IIRFilter
from larq_bnnopt.optimizers.updates import diode, gradient_filter, iir_filter

BinaryOptimizer: TypeAlias = Diode | GradientFilter | IIRFilter | Bop | Bop2ndOrder


def _filter_coefficients(steps: int) -> dict[str, Any]:
    b, a = iir_filter.low_pass(**gradient_filter.averages_for_steps(steps))
    return {"b": b, "a": a}


# Optimizer -> the fields of a recipe that it takes, as they fit a number of steps.
FITTING: dict[str, Callable[[int], dict[str, Any]]] = {
    "diode": lambda steps: {
        **diode.averages_for_steps(steps),
        "eta": 1.0,
        "initial_inertia": 0.0,
    },
    "gradient_filter": lambda steps: {
        **gradient_filter.averages_for_steps(steps),
        "order": 2,
    },
    "iir": _filter_coefficients,
    "bop": lambda steps: {"threshold": 1e-8, "gamma": 1e-4},
    "bop2nd": lambda steps: {"threshold": 1e-6, "gamma": 1e-7, "sigma": 1e-3},
    "adam": lambda steps: {},
    "radam": lambda steps: {},
    "sgd": lambda steps: {},
}
# Optimizer -> the field that decays; the coefficients of a general filter are constant.
DECAYING = {
    "diode": "eta",
    "gradient_filter": "alpha",
    "bop": "gamma",
    "bop2nd": "gamma",
}
_CLASSES: dict[str, Callable[..., BinaryOptimizer]] = {
    "diode": lambda eta, **others: Diode(eta, **others),
    "gradient_filter": GradientFilter,
    "iir": IIRFilter,
    "bop": Bop,
    "bop2nd": Bop2ndOrder,
}


def binary_optimizer(name: str, fields: Mapping[str, Any]) -> BinaryOptimizer:
    """Returns an optimizer of binary weights by name.

    Of Diode eta decays (paper 003, section 4.4 and figure 3), of the gradient filter
    alpha (paper 001, section 4 and figure 6), of Bop and second-order Bop gamma, as
    where they are published (Helwegen et al. 2019, section 5; Suarez-Ramirez et al.
    2021). Their thresholds stay.

    Args:
        name: `"diode"`, `"gradient_filter"`, `"iir"`, `"bop"` or `"bop2nd"`.
        fields: The fields of a recipe that it takes, as in `FITTING`; what decays may
            be a schedule.

    Returns:
        The optimizer.

    Example:
        >>> binary_optimizer("bop", {"threshold": 1e-8, "gamma": 1e-4}).name
        'Bop'
    """
    return _CLASSES[name](**fields)
