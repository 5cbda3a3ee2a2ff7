"""How far two runs may be apart, and how far they are, input by input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# How near to zero a value is whose sign rounding may flip, relative to the root mean
# square of its tensor.
SIGN_TOLERANCE = 1e-5
# Rounding flips one sign in millions of a network whose values before signs are spread
# (4e-8 to 3e-7 were seen). Where it flips thousands of times as many, values are zero
# but for rounding, and their signs mean nothing.
LARGEST_SHARE_FLIPPED = 1e-3
# A layer of few signs may have as many by chance: values before a sign are sums of
# integers, so that one near zero stands in several places.
_FEW_FLIPPED = 8
# Of outputs, given equal signs. Rounding alone stays below 1e-5, but where sums cancel
# in the last layer: 1.6e-5 was seen with nothing wrong.
LARGEST_OUTPUT_DIFFERENCE = 1e-4
# Where signs cannot be followed.
LARGEST_MEDIAN_DIFFERENCE = 1e-4
LEAST_AGREEMENT = 0.995
# In int8 a model is another one: signs flip where values are near zero. Figures that
# these limits leave room for are in `docs/int8.md`.
LEAST_INT8_AGREEMENT = 0.9
LARGEST_INT8_LOSS = 0.02


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


def too_many_flipped(flipped: int, values: int) -> bool:
    """Whether rounding flips more signs of a layer than values near zero explain.

    Args:
        flipped: Signs of the layer that differ by rounding.
        values: All of its signs.

    Example:
        >>> too_many_flipped(8, 100), too_many_flipped(9, 100)
        (False, True)
        >>> too_many_flipped(9, 10000)
        False
    """
    return flipped > max(_FEW_FLIPPED, LARGEST_SHARE_FLIPPED * values)
