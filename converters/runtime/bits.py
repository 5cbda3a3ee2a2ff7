"""Binary operators and tensors of a file: 32 channels a word, the first one lowest."""

from __future__ import annotations

import numpy as np

from converters.runtime.tflite_file import TfliteFile

WORD = 32
BINARY_CONVOLUTION = "LceBconv2d"
KNOWN_CUSTOM_OPERATORS = (
    BINARY_CONVOLUTION,
    "LceQuantize",
    "LceDequantize",
    "LceBMaxPool2d",
)


def packed_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of a binary tensor in words.

    Args:
        shape: Its shape in values, channels last.

    Example:
        >>> packed_shape((8, 8, 33))
        (8, 8, 2)
    """
    return (*shape[:-1], -(-shape[-1] // WORD))


def is_negative(words: np.ndarray, channels: int | None = None) -> np.ndarray:
    """Unpacks bits, where 1 means -1.

    Args:
        words: int32, (..., words).
        channels: The number of channels. Defaults to `None`, all bits of the words.

    Returns:
        Booleans, (..., channels).

    Example:
        >>> import numpy as np
        >>> is_negative(np.array([0b101], np.int32), 4)
        array([ True, False,  True, False])
    """
    little = np.ascontiguousarray(words, "<i4").view(np.uint8)
    bits = np.unpackbits(little, axis=-1, bitorder="little", count=channels)
    return bits.astype(bool)


def filter_is_negative(file: TfliteFile, tensor: int) -> np.ndarray:
    """Unpacks the filter of an `LceBconv2d`.

    Channel c is bit c % 32 of word c // 32, and 1 means -1. The bits after the
    last channel are 0.

    Args:
        file: The file.
        tensor: Index of the filter, int32 (out, height, width, words).

    Returns:
        Booleans, (out, height, width, 32 * words).
    """
    words = file.data(tensor)
    if words is None:
        words = _fill(file, tensor)
    return is_negative(words)


def _fill(file: TfliteFile, tensor: int) -> np.ndarray:
    """Returns a constant that the file stores as a FILL of one value."""
    for operator in file.operators:
        if tensor in operator.outputs and operator.name == "FILL":
            value = file.data(operator.inputs[1])
            if value is not None:
                return np.full(file.shape(tensor), value)
    raise ValueError(
        f"The filter {file.name(tensor)} of a binary convolution is not constant."
    )


def has_binary_rows(table: np.ndarray) -> bool:
    """Whether a table (rows, channels) is +c and -c in each row.

    Args:
        table: The table.

    Example:
        >>> has_binary_rows(np.array([[2, -2, -2], [1, 1, -1]], np.float32))
        True
    """
    if table.ndim != 2 or table.dtype != np.float32 or table.shape[1] < 2:
        return False
    magnitude = np.abs(table)
    return bool((magnitude == magnitude[:, :1]).all())
