"""Whether a model has learned anything: its accuracy against that of guessing."""

from __future__ import annotations

import math

_FEW_STEPS = 20
# A guess is better than that once in forty times.
_STANDARD_ERRORS = 2


def best_guess(classes: int, images: int) -> float:
    """Returns an accuracy that guessing hardly exceeds.

    It is 1 / classes and two standard errors of a share of so many images.

    Args:
        classes: Number of classes.
        images: Number of test images.

    Example:
        >>> round(best_guess(10, 900), 3), best_guess(2, 1)
        (0.12, 1.0)
    """
    share = 1 / classes
    error = math.sqrt(share * (1 - share) / images)
    return min(1.0, share + _STANDARD_ERRORS * error)


def doubt(accuracy: float | None, classes: int, images: int, steps: int) -> str | None:
    """Returns why a training may have taught nothing, in words, or `None`.

    Args:
        accuracy: Share of the test images that the model gets right, `None` where that
            is not known.
        classes: Number of classes.
        images: Number of test images.
        steps: Number of steps that were trained.

    Example:
        >>> print(doubt(0.9, classes=3, images=36, steps=6))
        the training made only 6 steps, in which little is learned
    """
    made = f"{steps:,} {'step' if steps == 1 else 'steps'}"
    if accuracy is not None and accuracy <= best_guess(classes, images):
        return (
            f"the test accuracy of {accuracy:.1%} after {made} is no better than "
            f"guessing one of {classes:,} classes"
        )
    if steps < _FEW_STEPS:
        return f"the training made only {made}, in which little is learned"
    return None
