"""How binary tensors lie in a file: 32 channels a word, the first one lowest."""

from __future__ import annotations

import numpy as np

WORD = 32


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
    """Unpacks bits, of which 1 stands for -1.

    Args:
        words: int32, (..., words).
        channels: How many there are. Defaults to `None`, all of the words.

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
