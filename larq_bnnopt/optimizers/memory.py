"""How many steps the averages should remember in a run of a given length.

The published constants belong to runs of hundreds of thousands of steps; an average
that remembers more steps than a run has keeps its weights where the first gradients
put them. Measured by `benchmarks/averages_for_steps.py`.
"""

from __future__ import annotations


def diode(total: int) -> dict[str, float]:
    """Returns alpha and beta of Diode for a run of `total` steps.

    u remembers total / 200 steps, at most 100; m remembers total / 3, at most 10,000.
    From 30,000 steps on these are the paper's constants.

    Example:
        >>> {name: round(value, 6) for name, value in diode(1200).items()}
        {'alpha': 0.833333, 'beta': 0.9975}
        >>> {name: round(value, 6) for name, value in diode(100_000).items()}
        {'alpha': 0.99, 'beta': 0.9999}
    """
    _check(total)
    return {
        "alpha": 1 - 1 / min(max(total / 200, 1.0), 100.0),
        "beta": 1 - 1 / min(max(total / 3, 1.0), 10_000.0),
    }


def gradient_filter(total: int) -> dict[str, float]:
    """Returns alpha, before its decay, and gamma for a run of `total` steps.

    g remembers a tenth of the run at first, and 100,000 steps at most, the paper's for
    ImageNet; m remembers ten steps.

    Example:
        >>> gradient_filter(1000)
        {'alpha': 0.01, 'gamma': 0.1}
    """
    _check(total)
    return {"alpha": min(max(10 / total, 1e-5), 1.0), "gamma": 0.1}


def _check(total: int) -> None:
    if total != int(total) or total < 1:
        raise ValueError(
            f"A run has a whole number of steps, at least 1. Received: {total!r}"
        )
