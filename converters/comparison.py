"""Differences between two runs, near-zero signs, and the limits for both."""

from __future__ import annotations

import dataclasses
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


def relative_to_rms(values: np.ndarray, samples: int = 1) -> np.ndarray:
    """Returns |x| / rms(x), the root mean square being over all values of one input.

    A value near zero is one of at most `SIGN_TOLERANCE` on this scale.

    Args:
        values: Values of one tensor for some inputs, the inputs on the first axis.
        samples: Number of inputs. Defaults to `1`.

    Returns:
        Array (samples, values of one input).

    Example:
        >>> import numpy as np
        >>> relative_to_rms(np.array([7.0, -1.0, 0.0, 2.0]), samples=2)
        array([[1.4       , 0.2       ],
               [0.        , 1.41421356]])
    """
    magnitude = np.abs(values, dtype=np.float64).reshape(samples, -1)
    squares = np.einsum("ij,ij->i", magnitude, magnitude)[:, np.newaxis]
    scale = np.sqrt(squares / magnitude.shape[1])
    return magnitude / np.maximum(scale, np.finfo(np.float32).tiny)


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


@dataclasses.dataclass
class SignCounter:
    """Counts the flipped signs of one layer, over several inputs.

    Attributes:
        values: Number of signs compared.
        flipped_near_zero: Signs that flipped where the value is near zero.
        unexplained_flips: Signs that flipped elsewhere.
        farthest: The largest value whose sign flipped, relative to the root mean square
            of its input.
    """

    values: int = 0
    flipped_near_zero: int = 0
    unexplained_flips: int = 0
    farthest: float = 0.0

    def add(self, values: int, flipped: np.ndarray) -> None:
        """Counts more signs.

        Args:
            values: How many were compared.
            flipped: The values of those that flipped, as of `relative_to_rms`.
        """
        # A comparison with nan is false.
        near_zero = int((flipped <= SIGN_TOLERANCE).sum())
        self.values += values
        self.flipped_near_zero += near_zero
        self.unexplained_flips += flipped.size - near_zero
        self.farthest = max(self.farthest, float(flipped.max(initial=0.0)))

    @property
    def is_undetermined(self) -> bool:
        """Whether rounding flips more signs than values near zero explain."""
        return too_many_flipped(self.flipped_near_zero, self.values)
