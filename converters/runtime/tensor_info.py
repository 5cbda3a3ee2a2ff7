"""Name, shape, type and quantization parameters of an input or output."""

from __future__ import annotations

import dataclasses

import numpy as np

from converters.runtime.tflite_file import TfliteFile


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output: its name in the model, shape and type.

    Attributes:
        name: Its name in the model.
        shape: Its shape in the file.
        dtype: Its type in the file.
        scale: The quant step of an int8 tensor, or `None`.
        zero_point: The integer that represents zero.
        rows: The rows of the table that an input is looked up in, or `None`: its values
            are from 0 to one less.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float | None = None
    zero_point: int = 0
    rows: int | None = None

    def quantized(self, array: np.ndarray) -> np.ndarray:
        """Returns real numbers, quantized if the tensor is: rounded and saturated."""
        if self.scale is None or array.dtype == np.int8:
            return array
        steps = array / self.scale
        # As TensorFlow Lite rounds: halves away from zero.
        whole = np.trunc(steps + np.copysign(0.5, steps)) + self.zero_point
        return np.clip(whole, -128, 127).astype(np.int8)

    def real(self, array: np.ndarray) -> np.ndarray:
        """Returns numbers of the file, dequantized if the tensor is quantized."""
        if self.scale is None:
            return array
        steps = array.astype(np.float32) - np.float32(self.zero_point)
        return steps * np.float32(self.scale)

    def random(
        self, generator: np.random.Generator, samples: int, scale: float = 1
    ) -> np.ndarray:
        """Returns random values that any model takes: indices are 0 or 1.

        Args:
            generator: The random generator.
            samples: How many samples.
            scale: Standard deviation of real numbers.
        """
        size = (samples, *self.shape[1:])
        if self.dtype == np.uint8:
            return generator.integers(0, 256, size, np.uint8)
        if self.dtype in (np.float32, np.int8, np.int16):
            return generator.normal(scale=scale, size=size).astype(self.dtype)
        return generator.integers(0, 2, size).astype(self.dtype)


def tensor_info(file: TfliteFile, name: str, tensor: int) -> TensorInfo:
    """Returns the facts about an input or output of a file."""
    scale, zero_point = file.quantization(tensor) or (None, 0)
    rows = file.lookup_rows(tensor) if tensor in file.inputs else None
    return TensorInfo(
        name, file.shape(tensor), file.dtype(tensor), scale, zero_point, rows
    )
