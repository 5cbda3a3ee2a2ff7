"""Warnings about models that have learned nothing: accuracy against guessing."""

from __future__ import annotations

import math

_FEW_STEPS = 20
# Guessing exceeds them once in forty times.
_STANDARD_ERRORS = 2


def best_guess(classes: int, images: int) -> float:
    """Returns an accuracy that guessing hardly exceeds.

    It is 1 / classes plus two standard errors of a share of that many images.

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
    """Returns why a model may have learned nothing, in words, or `None`.

    Args:
        accuracy: Share of the test images that the model predicts correctly, `None` if
            it is not known.
        classes: Number of classes.
        images: Number of test images.
        steps: Number of optimizer steps of the training.

    Example:
        >>> print(doubt(0.9, classes=3, images=36, steps=6))
        the training made only 6 steps, too few to learn from
    """
    made = f"{steps:,} {'step' if steps == 1 else 'steps'}"
    if accuracy is not None and accuracy <= best_guess(classes, images):
        return (
            f"the test accuracy of {accuracy:.1%} after {made} is no better than "
            f"guessing one of {classes:,} classes"
        )
    if steps < _FEW_STEPS:
        return f"the training made only {made}, too few to learn from"
    return None
