"""Arrays of NumPy that a network takes as they are."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class ArrayInput:
    """An input that is an array of numbers, without any preprocessing.

    It stands for a `Preprocessing` where a network takes no photographs.

    Attributes:
        shape: Shape of the input without the batch.

    Example:
        >>> import numpy as np
        >>> ArrayInput((2,))(np.array([1, 2])).dtype
        dtype('float32')
    """

    shape: tuple[int, ...]

    def words(self) -> str:
        """Returns the input in words, as one line."""
        return f"float32, {' x '.join(map(str, self.shape))}, as it is"

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data for JSON."""
        return {"shape": list(self.shape), "as_it_is": True}

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Returns an array as an input, float32.

        Raises:
            ValueError: If it has another shape, holds no numbers, or not finite ones.
        """
        if array.dtype.kind not in "fiub" or array.shape != self.shape:
            raise ValueError(
                f"has shape {array.shape} and type {array.dtype}; the model takes "
                f"numbers of {self.shape}"
            )
        with np.errstate(over="ignore"):
            numbers = array.astype(np.float32)
        if not np.isfinite(numbers).all():
            raise ValueError("holds values that are not finite")
        return numbers

    def of_file(self, path: str | os.PathLike[str], decode: Any = None) -> np.ndarray:
        """Returns the input in a .npy file.

        Args:
            path: The file.
            decode: Not used: there is nothing to decode. Defaults to `None`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds no such array.
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist.")
        try:
            array = np.load(path, allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError("it holds several arrays")
        except Exception as error:  # Readers of damaged files raise what they like.
            text = " ".join(str(error).split())[:120]
            raise ValueError(f"{path} is no array of NumPy, .npy ({text}).") from error
        try:
            return self(array)
        except ValueError as error:
            raise ValueError(f"{path} {error}.") from error
