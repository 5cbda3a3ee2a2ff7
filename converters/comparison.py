"""How far the outputs of two runs are apart, input by input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def largest_differences(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Returns for each input the largest difference of its outputs.

    It is relative to the largest magnitude of that output over all inputs, and infinite
    where one of the two is not a number.

    Args:
        ours: Arrays (samples, ...) by name.
        theirs: Arrays of the same names and shapes.

    Returns:
        Array (samples,).

    Example:
        >>> import numpy as np
        >>> ours = {"scores": np.array([[1.0, 4.0], [2.0, 3.0]])}
        >>> theirs = {"scores": np.array([[1.0, 5.0], [2.0, np.nan]])}
        >>> largest_differences(ours, theirs)
        array([0.25,  inf])
    """
    largest = np.zeros(len(next(iter(ours.values()))))
    for name, array in ours.items():
        one, other = (
            np.asarray(a, np.float64).reshape(len(largest), -1)
            for a in (array, theirs[name])
        )
        scale = np.abs(one).max(initial=0) or 1.0
        difference = np.abs(one - other).max(axis=1, initial=0) / scale
        largest = np.maximum(
            largest, np.where(np.isnan(difference), np.inf, difference)
        )
    return largest
