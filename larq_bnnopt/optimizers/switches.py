"""Switches that optimizers inherit from Keras: those without a meaning are refused."""

from __future__ import annotations

from typing import Any

from larq_bnnopt.optimizers.ranges import AT_LEAST_0

# Clipping, which is off at `None`.
CLIPS = ("clipnorm", "global_clipnorm", "clipvalue")
# What changes weights beside their update, with the values at which nothing is asked.
_OFF: dict[str, tuple[Any, ...]] = {
    "weight_decay": (None, 0),
    "decay": (None, 0),
    "use_ema": (None, False),
    "ema_momentum": (None, 0.99),
    "ema_overwrite_frequency": (None,),
}


def check(owner: str, name: str, value: Any, reason: str) -> None:
    """Raises for a switch of Keras that would do nothing here.

    Args:
        owner: Class of the optimizer.
        name: The attribute that is set.
        value: Its value.
        reason: Why decays and averages of weights are refused, and what to do.

    Raises:
        TypeError: If clipping is no number, or jit_compile no boolean.
        ValueError: If clipping is negative, or a decay or an average is asked for.
    """
    if name in CLIPS and value is not None:
        AT_LEAST_0.check(name, value)
    if name == "jit_compile" and not isinstance(value, bool):
        raise TypeError(f"jit_compile must be True or False. Received: {value!r}")
    if name in _OFF and not any(value is off or value == off for off in _OFF[name]):
        raise ValueError(f"{owner} {reason}. Received: {name}={value!r}")
