"""Scores that a search maximizes: accuracy, R2, metrics of texts, and their form.

A regression has no accuracy, and all others may be negative, which is no share.
"""

from __future__ import annotations

ACCURACY = "accuracy"
R2 = "R2"


def in_words(score: str, value: float) -> str:
    """Returns a score as a report writes it.

    Args:
        score: Its name, such as `"accuracy"` or `"R2"`.
        value: Its value.

    Example:
        >>> in_words("accuracy", 0.125), in_words("R2", -0.125)
        ('12.50%', '-0.1250')
    """
    return f"{value:.2%}" if score == ACCURACY else f"{value:.4f}"
