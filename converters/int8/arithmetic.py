"""Arithmetic of 8-bit quantization: scales, zero points, values on quant steps."""

from __future__ import annotations

import numpy as np


def quant_params(low: float, high: float) -> tuple[float, int]:
    """Returns scale and zero point of a range in 8 bits, as TensorFlow nudges it.

    scale = (high - low) / 255, and the zero point is -128 - low / scale, rounded.

    Args:
        low: The least value, 0 or less.
        high: The largest value, 0 or more, and not `low`.

    Returns:
        Scale, and zero point between -128 and 127.

    Example:
        >>> quant_params(0.0, 255.0), quant_params(-1.0, 1.0)[1]
        ((1.0, -128), 0)
    """
    scale = (high - low) / 255
    zero_point = int(np.floor(-128 - low / scale + 0.5))
    return float(scale), min(max(zero_point, -128), 127)


def nudged(low: float, high: float) -> tuple[float, float]:
    """Returns the range of 8 bits nearest to another one that has zero among its steps.

    Args:
        low: The least value.
        high: The largest value.

    Returns:
        The least and the largest step: -128 and 127 times the scale, off by the zero
        point. Zero twice for nothing but zeros.

    Example:
        >>> nudged(-127.6, 127.4), nudged(2.0, 255.0), nudged(0.0, 0.0)
        ((-128.0, 127.0), (0.0, 255.0), (0.0, 0.0))
    """
    low, high = min(0.0, low), max(0.0, high)
    if low == high:
        return low, high
    scale, zero_point = quant_params(low, high)
    return scale * (-128 - zero_point), scale * (127 - zero_point)


def quantize_dequantize(kernel: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Returns weights rounded to the quant steps that the converter gives them.

    They are symmetric, from -127 to 127 steps of the largest magnitude over `axes`.

    Args:
        kernel: The weights.
        axes: The axes that share a scale.

    Returns:
        The weights, float32.
    """
    largest = np.abs(kernel).max(axis=axes, keepdims=True).astype(np.float64)
    scale = np.where(largest > 0, largest, 1) / 127
    return (np.rint(kernel / scale) * scale).astype(np.float32)
