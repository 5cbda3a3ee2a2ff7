"""Equal answers of two runs: the same class, or nearly the same numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.comparison import largest_differences

# Of outputs that are no classes: relative to the largest one, and the root mean square
# of the difference relative to that of the output.
LARGEST_EQUAL_DIFFERENCE = 1e-3
LARGEST_MEAN_DIFFERENCE = 0.25
# A tensor of signs differs by as much where a tenth of its signs flip.
LEAST_EQUAL_SHARE = 0.9


def is_classification(output: np.ndarray) -> bool:
    """Returns whether an output holds scores of classes, (samples, classes).

    Integers, such as the indices of a `tf.math.top_k`, and booleans are no scores.
    """
    return output.ndim == 2 and output.shape[1] > 1 and output.dtype.kind == "f"


def equal_answers(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Returns for each input whether two runs give the same answer.

    The same answer is the same largest class, or for other outputs a difference below
    1e-3 of the largest output.

    Args:
        ours: Arrays (samples, ...) by name.
        theirs: Arrays of the same names and shapes.

    Returns:
        Array of booleans (samples,).

    Example:
        >>> import numpy as np
        >>> ours = {"scores": np.array([[1.0, 4.0], [2.0, 3.0]])}
        >>> theirs = {"scores": np.array([[1.0, 9.0], [3.5, 3.0]])}
        >>> equal_answers(ours, theirs)
        array([ True, False])
    """
    equal = _same_classes(ours, theirs)
    for name, array in ours.items():
        if not is_classification(array):
            pair = {name: array}, {name: theirs[name]}
            equal &= largest_differences(*pair) <= LARGEST_EQUAL_DIFFERENCE
    return equal


def similar_answers(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Returns for each input whether two runs give the same answer but for details.

    That is the largest class, nine of ten integers or booleans, or for other outputs a
    difference whose root mean square is at most a quarter of the output's. It is the
    measure for two runs of which one rounds, or has signs that rounding flipped.

    Args:
        ours: Arrays (samples, ...) by name.
        theirs: Arrays of the same names and shapes.

    Returns:
        Array of booleans (samples,).
    """
    similar = _same_classes(ours, theirs)
    for name, array in ours.items():
        if array.dtype.kind != "f":
            similar &= _shares_equal(array, theirs[name]) >= LEAST_EQUAL_SHARE
        elif not is_classification(array):
            difference = _mean_differences(array, theirs[name])
            similar &= difference <= LARGEST_MEAN_DIFFERENCE
    return similar


def _shares_equal(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Returns for each sample the share of its values that are equal."""
    return (ours == theirs).reshape(len(ours), -1).mean(axis=1)


def _same_classes(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Returns for each sample whether outputs are finite and classes are equal."""
    same = np.isfinite(largest_differences(ours, theirs))
    for name, array in ours.items():
        if is_classification(array):
            same &= array.argmax(axis=1) == theirs[name].argmax(axis=1)
    return same


def _mean_differences(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Returns for each sample the root mean square of its difference, relative."""
    flat, other = (a.reshape(len(ours), -1).astype(np.float64) for a in (ours, theirs))
    scale = np.sqrt(np.square(flat).mean(axis=1))
    difference = np.sqrt(np.square(flat - other).mean(axis=1))
    return difference / np.maximum(scale, np.finfo(np.float32).tiny)
