"""Keras options that binary optimizers refuse: weight decay, averages of weights."""

from __future__ import annotations

from typing import Any

from larq_bnnopt.optimizers.ranges import AT_LEAST_0

# Gradient clipping; `None` turns it off.
CLIPS = ("clipnorm", "global_clipnorm", "clipvalue")
# Options that change weights beside their update, each with the values that are off.
_OFF: dict[str, tuple[Any, ...]] = {
    "weight_decay": (None, 0),
    "decay": (None, 0),
    "use_ema": (None, False),
    "ema_momentum": (None, 0.99),
    "ema_overwrite_frequency": (None,),
}


def check(owner: str, name: str, value: Any, reason: str) -> None:
    """Raises for an option of Keras that has no meaning here.

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
