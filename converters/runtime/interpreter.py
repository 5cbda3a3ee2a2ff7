"""Runs a .tflite with binary layers from Python."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from converters.runtime.tflite_file import TfliteFile

Batch = Union[np.ndarray, Sequence[np.ndarray], Mapping[str, np.ndarray]]
BACKENDS = ("auto", "lce")


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output: its name in the model, shape and type.

    Attributes:
        name: Its name in the model.
        shape: Its shape in the file.
        dtype: Its type in the file.
        scale: What one step of an int8 tensor is worth, or `None`.
        zero_point: The integer that stands for zero.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float | None = None
    zero_point: int = 0

    def quantized(self, array: np.ndarray) -> np.ndarray:
        """Returns real numbers in the type of the file, rounded and cut off."""
        if self.scale is None or array.dtype == np.int8:
            return array
        steps = array / self.scale
        # As TensorFlow Lite rounds: halves away from zero.
        whole = np.trunc(steps + np.copysign(0.5, steps)) + self.zero_point
        return np.clip(whole, -128, 127).astype(np.int8)

    def real(self, array: np.ndarray) -> np.ndarray:
        """Returns numbers in the type of the file as real ones."""
        if self.scale is None:
            return array
        steps = array.astype(np.float32) - np.float32(self.zero_point)
        return steps * np.float32(self.scale)


class Interpreter:
    """Runs a .tflite file with named inputs and outputs.

    Args:
        model: Path of the file, or its content.
        num_threads: Threads to compute with. Defaults to `1`.
        backend: `"lce"`, the interpreter of Larq Compute Engine in its fast setting, or
            `"auto"`, the best one here. Defaults to `"auto"`.

    Attributes:
        file: The file.
        inputs: The inputs, in the order of the file, which need not be Keras's.
        outputs: The outputs, in the order of the file.

    Raises:
        ValueError: If the file is none, or the backend is unknown.
        ImportError: If the backend is not installed.

    Example:
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> from converters import convert
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
        >>> interpreter = Interpreter(convert(model, inputs=images).content)
        >>> interpreter.inputs[0].shape, interpreter.predict(images).shape
        ((1, 28, 28, 1), (3, 10))
    """

    def __init__(
        self,
        model: bytes | str | os.PathLike[str],
        num_threads: int = 1,
        backend: str = "auto",
    ):
        if backend not in BACKENDS:
            raise ValueError(
                f"backend must be one of {BACKENDS}. Received: {backend!r}"
            )
        file = TfliteFile(model)
        self.inputs = tuple(
            tensor_info(file, name, tensor)
            for name, tensor in zip(file.input_names(), file.inputs)
        )
        self.outputs = tuple(
            tensor_info(file, name, tensor)
            for name, tensor in zip(file.output_names(), file.outputs)
        )
        self.file = file
        self._num_threads = num_threads
        self._inner: tuple[tuple[int, ...], Any] = ((), None)
        self._interpreter = _lce_interpreter(file.content, num_threads)

    def predict(self, batch: Batch) -> np.ndarray | dict[str, np.ndarray]:
        """Runs the model on a batch.

        Args:
            batch: An array (batch, ...) for a model of one input; for several, arrays
                by name, or a sequence in the order of `inputs`. Where the file has
                int8 inputs, float32 arrays are rounded to its steps.

        Returns:
            An array (batch, ...), or arrays by name where there are several outputs.
            The steps of int8 outputs are returned as float32.

        Raises:
            ValueError: If names, number, shapes or types do not fit the inputs.
        """
        arrays = self._arrays(batch)
        result = self._interpreter.predict(arrays if len(arrays) > 1 else arrays[0])
        if len(self.outputs) == 1:
            return self.outputs[0].real(result)
        return {
            info.name: info.real(array) for info, array in zip(self.outputs, result)
        }

    def intermediate(
        self, batch: Batch, tensors: Sequence[int]
    ) -> dict[int, np.ndarray]:
        """Runs the model on a batch and returns tensors of its inside.

        Args:
            batch: As for `predict`.
            tensors: Indices of tensors in the file, as `TfliteFile` gives them.

        Returns:
            Arrays (batch, ...) by index. Binary tensors are int32, 32 channels each,
            and 8-bit ones int8.

        Raises:
            ValueError: As `predict`.
        """
        if not tensors:
            return {}
        arrays = self._arrays(batch)
        if self._inner[0] != tuple(tensors):
            content = self.file.with_outputs(tensors)
            interpreter = _lce_interpreter(content, self._num_threads)
            self._inner = (tuple(tensors), interpreter)
        result = self._inner[1].predict(arrays if len(arrays) > 1 else arrays[0])
        return dict(zip(tensors, [result] if len(tensors) == 1 else result))

    def run_once(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the model once, on arrays of exactly the shapes of the file.

        This is what a time is taken of: nothing is checked, split or joined.

        Args:
            arrays: The inputs, in the order of `inputs`, batch included.

        Returns:
            The outputs, in the order of `outputs`.
        """
        return self._interpreter.interpreter.predict(list(arrays))

    def first_of(self, batch: Batch) -> list[np.ndarray]:
        """Returns the first sample of a batch as `run_once` takes it.

        Args:
            batch: As for `predict`.

        Raises:
            ValueError: As `predict`, or if there is no sample.
        """
        arrays = self._arrays(batch)
        if not all(len(array) for array in arrays):
            raise ValueError("The inputs hold no sample.")
        return [array[:1] for array in arrays]

    def _arrays(self, batch: Batch) -> list[np.ndarray]:
        names = [info.name for info in self.inputs]
        if isinstance(batch, Mapping):
            if set(batch) != set(names):
                raise ValueError(
                    f"The inputs are {names}. Received: {sorted(map(str, batch))}"
                )
            arrays = [batch[name] for name in names]
        else:
            arrays = [batch] if isinstance(batch, np.ndarray) else list(batch)
        if len(arrays) != len(names):
            raise ValueError(f"The inputs are {names}. Received: {len(arrays)} arrays")
        arrays = [
            info.quantized(array) if array.dtype == np.float32 else array
            for info, array in zip(self.inputs, arrays)
        ]
        for info, array in zip(self.inputs, arrays):
            if array.shape[1:] != info.shape[1:] or array.dtype != info.dtype:
                expected = ("batch", *info.shape[1:])
                raise ValueError(
                    f"Input {info.name!r} is {expected} of {info.dtype}. Received: "
                    f"{array.shape} of {array.dtype}"
                )
        return arrays


def tensor_info(file: TfliteFile, name: str, tensor: int) -> TensorInfo:
    """Returns the facts of an input or output of a file."""
    scale, zero_point = file.quantization(tensor) or (None, 0)
    return TensorInfo(name, file.shape(tensor), file.dtype(tensor), scale, zero_point)


def _lce_interpreter(content: bytes, num_threads: int) -> Any:
    try:
        import larq_compute_engine as lce
    except ImportError as error:
        raise ImportError(
            "To run binary layers here, install larq-compute-engine: "
            "pip install larq-compute-engine==0.16.0"
        ) from error
    # The default kernels of its x86 build are slower than float32.
    return lce.testing.Interpreter(
        content, num_threads, use_indirect_bgemm=True, use_xnnpack=True
    )
