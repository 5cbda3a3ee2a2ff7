"""Interpreter: runs a .tflite with binary layers from Python."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import NoReturn, Union

import numpy as np

from converters.runtime import delegate
from converters.runtime.backends import BACKENDS, choose_backend
from converters.runtime.batches import Batch, checked_arrays, run_in_batches
from converters.runtime.delegate import DelegateEngine
from converters.runtime.host import free_cores
from converters.runtime.lce import LceEngine
from converters.runtime.operator_times import OperatorTime, measure_operators
from converters.runtime.resizing import is_whole, mixes_samples, resized_inputs
from converters.runtime.tensor_info import TensorInfo, tensor_info
from converters.runtime.tflite_file import TfliteFile

_MAX_THREADS = 1024
Engine = Union[DelegateEngine, LceEngine]


class Interpreter:
    """Runs a .tflite file with named inputs and outputs.

    Args:
        model: Path of the file, or its content.
        num_threads: Threads to compute with, at most the free cores: with more, threads
            of LiteRT wait for each other, and a run takes many times as long. Binary
            operators use at most 64. A forked process must make its own interpreter.
            Defaults to `1`.
        backend: `"delegate"`, the binary kernels of this package in LiteRT, which comes
            with ai-edge-litert or TensorFlow; `"lce"`, the interpreter of Larq Compute
            Engine with its fast options; or `"auto"`, the first that is installed.
            Defaults to `"auto"`.
        kernels: Which binary kernels the delegate uses, by a name that `bnnopt doctor`
            prints; for comparisons. Defaults to `None`, the fastest ones.
        check_finite: Whether inputs with NaN or infinity are refused. The sign of NaN
            is +1 in the file, which then answers with confidence where Keras answers
            NaN. Denormal numbers below zero are -1 here, and +1 in Keras and Larq
            Compute Engine, which flush them to zero. Defaults to `True`.

    Attributes:
        file: The file.
        inputs: The inputs, in the order of the file, which may differ from Keras's.
        outputs: The outputs, in the order of the file.
        backend: The backend that runs it.
        batch_size: The number of samples of one run.

    Raises:
        ValueError: If this is no .tflite, or one that does not run, or the backend is
            unknown.
        ImportError: If the backend is not installed.
        RuntimeError: If this LiteRT does not work with the binary kernels. Also if an
            interpreter with several threads runs in a forked child: make it in the
            child, or start processes with "spawn".
        TypeError: If it is pickled or copied: pickle the path of the file.

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
        kernels: str | None = None,
        check_finite: bool = True,
    ):
        if backend not in BACKENDS:
            raise ValueError(
                f"backend must be one of {BACKENDS}. Received: {backend!r}"
            )
        if not is_whole(num_threads) or not 0 < num_threads <= _MAX_THREADS:
            raise ValueError(
                "num_threads must be a whole number above 0 and up to "
                f"{_MAX_THREADS}. Received: {num_threads!r}"
            )
        if num_threads > free_cores():
            warnings.warn(
                f"num_threads={num_threads} on {free_cores()} cores: threads that wait "
                "for each other take many times as long.",
                stacklevel=2,
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
        self.backend = choose_backend(backend)
        if kernels is not None and self.backend != "delegate":
            raise ValueError(
                f"kernels={kernels!r} belong to backend 'delegate'. This one is "
                f"{self.backend!r}."
            )
        _check_signature(self.inputs, self.outputs)
        self.batch_size = self._file_batch_size = self.inputs[0].shape[0]
        self._num_threads = num_threads
        self._kernels = kernels
        self._check_finite = check_finite
        self._path = None if isinstance(model, bytes) else pathlib.Path(model)
        self._intermediate: tuple[tuple[int, ...], Engine | None] = ((), None)
        self._engine = self._start(file.sound(), self.inputs)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "An Interpreter is not pickled or copied. Pickle the path of its file, or "
            "its content, and make a new Interpreter there."
        )

    def _start(self, content: bytes, inputs: Sequence[TensorInfo]) -> Engine:
        if self.backend == "lce":
            return LceEngine(content, self._num_threads)
        return self._start_delegate(content, inputs)

    def _start_delegate(
        self, content: bytes, inputs: Sequence[TensorInfo]
    ) -> DelegateEngine:
        engine = DelegateEngine(
            content, self._num_threads, delegate.ready_litert(), self._kernels
        )
        shapes = [info.shape for info in inputs]
        if shapes != [self.file.shape(tensor) for tensor in self.file.inputs]:
            engine.resize(shapes)
        return engine

    @property
    def runner(self) -> str:
        """The old name of `backend_name`."""
        warnings.warn(
            "Interpreter.runner is deprecated and goes with the next release: use "
            "Interpreter.backend_name.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.backend_name

    @property
    def backend_name(self) -> str:
        """The backend with its kernels and version, as text."""
        if self.backend == "lce":
            return f"larq-compute-engine {metadata.version('larq-compute-engine')}"
        kernels = self._kernels or delegate.default_kernels()
        return f"{kernels} kernels in {delegate.ready_litert()}"

    def resize(
        self, batch_size: int, sizes: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        """Changes the batch size, and the size of the inputs.

        `predict` splits a batch into runs of `batch_size` samples, which is 1 in most
        files. Images of another size need a network of convolutions that ends with a
        global pooling.

        Args:
            batch_size: The number of samples of one run.
            sizes: The shapes of inputs, by name and without the batch, as in
                `{"image": (256, 256, 3)}`. The last axis, channels, cannot change.
                Defaults to `None`, the current shapes.

        Raises:
            ValueError: If there is no such input, or if the backend or the file cannot
                do it: a file may contain shapes for one sample, or for one size.
        """
        if not is_whole(batch_size) or batch_size < 1:
            raise ValueError(f"batch_size must be positive. Received: {batch_size!r}")
        if self.backend != "delegate":
            raise ValueError(
                f"Backend {self.backend!r} runs a sample at a time, of the size of the "
                "file. Use 'delegate'."
            )
        inputs = tuple(resized_inputs(self.inputs, sizes or {}))
        content, shapes = self.file.sound(), [info.shape[1:] for info in inputs]
        try:
            self.file.check_shapes([(batch_size, *shape) for shape in shapes])
            one = self._start_delegate(content, inputs)
            engine = self._start_delegate(content, inputs)
            outputs = one.output_shapes()
            kept = all(s[:1] == i.shape[:1] for s, i in zip(outputs, self.outputs))
            engine.resize([(batch_size, *shape) for shape in shapes])
            mixes = all(
                mixes_samples(
                    one.run, engine.run, inputs, self._file_batch_size, batch_size, seed
                )
                for seed in range(3)
            )
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"The file does not run on {batch_size} samples of {shapes} at once: "
                f"{error}"
            ) from error
        if not kept:
            raise ValueError(
                f"The file makes several samples of one of {shapes}: it contains a "
                "shape for one size."
            )
        if mixes:
            raise ValueError(
                f"The file gives other answers to {batch_size} samples at once than to "
                "each alone."
            )
        self._engine, self._intermediate, self.batch_size = (
            engine,
            ((), None),
            batch_size,
        )
        self.inputs = inputs
        self.outputs = tuple(
            dataclasses.replace(info, shape=shape)
            for info, shape in zip(self.outputs, outputs)
        )

    def predict(self, batch: Batch) -> np.ndarray | dict[str, np.ndarray]:
        """Runs the model on a batch.

        Args:
            batch: An array (batch, ...) for a model of one input; for several, arrays
                by name, or a sequence in the order of `inputs`. Float64 is rounded to
                float32. For int8 inputs, real numbers are quantized.

        Returns:
            An array (batch, ...), or arrays by name if there are several outputs. Int8
            outputs are dequantized to float32.

        Raises:
            ValueError: If names, number, shapes or types do not fit the inputs.
            TypeError: If the batch contains something else than arrays.
        """
        results = run_in_batches(self._engine.run, self._arrays(batch), self.batch_size)
        named = {
            info.name: info.real(array) for info, array in zip(self.outputs, results)
        }
        return named if len(named) > 1 else named[self.outputs[0].name]

    def intermediate(
        self, batch: Batch, tensors: Sequence[int]
    ) -> dict[int, np.ndarray]:
        """Runs the model on a batch and returns intermediate tensors.

        Args:
            batch: As for `predict`.
            tensors: Indices of tensors in the file, such as the `outputs` of
                `interpreter.file.operators`.

        Returns:
            Arrays (batch, ...) by index. Bit-packed tensors are int32, 32 channels a
            word, and quantized ones int8.

        Raises:
            ValueError: As `predict`.
        """
        arrays = self._arrays(batch)
        number = self.file.num_tensors
        if not isinstance(tensors, Iterable):
            raise TypeError(f"tensors must be indices. Received: {tensors!r}")
        tensors = list(tensors)
        if not tensors:
            return {}
        wrong = [t for t in tensors if not is_whole(t) or not 0 <= t < number]
        if wrong:
            raise ValueError(
                f"tensors must be indices from 0 to {number - 1}. Received: {wrong}"
            )
        known, engine = self._intermediate
        if engine is None or known != tuple(tensors):
            engine = self._start(self.file.with_outputs(tensors), self.inputs)
            self._intermediate = (tuple(tensors), engine)
        found = run_in_batches(engine.run, arrays, self._file_batch_size)
        return dict(zip(tensors, found))

    def run_once(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the model once, on `batch_size` samples; for timing.

        Nothing is checked, split or joined.

        Args:
            arrays: The inputs, in the order of `inputs`, as returned by `first_of`.

        Returns:
            The outputs, in the order of `outputs`.
        """
        return self._engine.run(arrays)

    def operator_times(self, batch: Batch, runs: int = 30) -> tuple[OperatorTime, ...]:
        """Measures the binary operators in real runs, and the time between them.

        `converters.profile` measures each operator alone, with a warm cache; these are
        the times inside of the whole network. The operators before the first binary one
        and after the last one are left out.

        Args:
            batch: As for `predict`; the first `batch_size` samples are taken.
            runs: How many runs. Defaults to `30`.

        Returns:
            The times in the order of the run, without `set_tensor` and `get_tensor`.

        Raises:
            ValueError: As `predict`, or if the backend is `"lce"`, which measures no
                times; `converters.profile` measures its operators.
        """
        if not isinstance(self._engine, DelegateEngine):
            raise ValueError(
                f"Backend {self.backend!r} measures no times. Use converters.profile."
            )
        given = self.first_of(batch)
        if not is_whole(runs) or runs < 1:
            raise ValueError(f"runs must be positive. Received: {runs!r}")
        return measure_operators(self._engine, self.file, given, runs)

    def first_of(self, batch: Batch) -> list[np.ndarray]:
        """Returns the first `batch_size` samples of a batch, as arrays for `run_once`.

        Args:
            batch: As for `predict`.

        Raises:
            ValueError: As `predict`, or if there are fewer samples.
        """
        arrays = [array[: self.batch_size] for array in self._arrays(batch)]
        if any(len(array) < self.batch_size for array in arrays):
            raise ValueError(f"The inputs contain less than {self.batch_size} samples.")
        return arrays

    def _arrays(self, batch: Batch) -> list[np.ndarray]:
        return checked_arrays(batch, self.inputs, self._check_finite, self._path)


def _check_signature(
    inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> None:
    """Refuses a file without inputs, outputs or a batch axis."""
    if not inputs or not outputs:
        raise ValueError("This file has no inputs, or no outputs.")
    for info in inputs:
        if not info.shape:
            raise ValueError(f"Input {info.name!r} has no dimension for a batch.")
        if info.shape[0] < 1:
            raise ValueError(f"Input {info.name!r} of {info.shape} takes no sample.")
