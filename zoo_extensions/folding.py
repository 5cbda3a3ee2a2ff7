"""Folds the scale of a kernel into the batch normalization after its layer.

The algebra alone, in NumPy: `latent` decides which kernels and which normalizations.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class BatchNormParameters:
    """The parameters of a batch normalization in inference.

    gamma (z - mean) / sqrt(variance + epsilon) + beta

    Attributes:
        gamma: The scale, or `None` for 1.
        beta: The offset, or `None` for 0.
        mean: The moving mean.
        variance: The moving variance.
    """

    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray
    variance: np.ndarray


def fold(
    norm: BatchNormParameters,
    scale: np.ndarray,
    bias: np.ndarray | None,
    epsilon: float,
    limit: float,
) -> BatchNormParameters | None:
    """Returns a batch normalization with new(z + bias) = norm(scale * z + bias).

    Args:
        norm: The batch normalization, float64 like all other arrays here.
        scale: The scale of each channel, at least 0.
        bias: The bias of the layer, or `None`.
        epsilon: Epsilon of both.
        limit: Upper limit of the new means and variances. A channel that would exceed
            it gets the mean `bias`, the variance 1, and gamma and beta to match.

    Returns:
        The other batch normalization, with gamma and beta where `norm` has them, or
        `None` where none exists.
    """
    offset = np.zeros_like(scale) if bias is None else bias
    slope = (1.0 if norm.gamma is None else norm.gamma) / np.sqrt(
        norm.variance + epsilon
    )
    # Without gamma, the variance has to hold the whole scale, epsilon included.
    fixed = epsilon if norm.gamma is None else 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (norm.mean - offset) / scale + offset
        variance = (norm.variance + fixed) / scale**2 - fixed
        in_range = (np.abs(mean) < limit) & (variance < limit)
    if norm.gamma is None and not np.all(in_range & (variance >= 0)):
        return None
    if norm.beta is None and not np.all(in_range):
        return None
    mean, variance = np.where(in_range, mean, offset), np.where(in_range, variance, 1.0)
    gamma = beta = None
    if norm.gamma is not None:
        gamma = slope * scale * np.sqrt(variance + epsilon)
    if norm.beta is not None:
        beta = norm.beta + np.where(in_range, 0.0, slope * (offset - norm.mean))
    return BatchNormParameters(gamma, beta, mean, variance)
