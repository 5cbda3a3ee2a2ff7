"""Runs a .tflite with binary layers from Python."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import itertools
import json
import os
import pathlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, Union

import numpy as np

from converters.runtime import delegate
from converters.runtime.host import free_cores
from converters.runtime.lce import LceEngine
from converters.runtime.tflite_file import TfliteFile

Batch = Union[np.ndarray, Sequence[np.ndarray], Mapping[str, np.ndarray]]
_MOST_THREADS = 1024
_METADATA, _MOST_METADATA = "metadata.json", 2**20
BACKENDS = ("auto", "delegate", "lce")


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

    def random(
        self, generator: np.random.Generator, samples: int, scale: float = 1
    ) -> np.ndarray:
        """Returns random values that any model takes: indices are 0 or 1.

        Args:
            generator: Where they come from.
            samples: How many.
            scale: Standard deviation of what are no indices.
        """
        size = (samples, *self.shape[1:])
        if self.dtype == np.uint8:
            return generator.integers(0, 256, size, np.uint8)
        if self.dtype in (np.float32, np.int8, np.int16):
            return generator.normal(scale=scale, size=size).astype(self.dtype)
        return generator.integers(0, 2, size).astype(self.dtype)


@dataclasses.dataclass(frozen=True)
class OperatorTime:
    """The time of one binary operator, or of what LiteRT runs between two of them.

    Attributes:
        operator: Index of the operator in the file, `None` for what is between.
        name: Name of the operator; of what is between, `"LiteRT"`.
        milliseconds: The shortest time of a run.
        median_milliseconds: The median.
    """

    operator: int | None
    name: str
    milliseconds: float
    median_milliseconds: float


class Interpreter:
    """Runs a .tflite file with named inputs and outputs.

    Args:
        model: Path of the file, or its content.
        num_threads: Threads to compute with, at most the free cores: with more of
            them LiteRT's wait for each other, and a run takes many times as long.
            Binary operators take 64 at most. Processes that are forked make
            interpreters of their own. Defaults to `1`.
        backend: `"delegate"`, the binary kernels of this package in LiteRT, that of
            ai-edge-litert or of TensorFlow; `"lce"`, the interpreter of Larq Compute
            Engine in its fast setting; or `"auto"`, the first of them that is
            installed. Defaults to `"auto"`.
        kernels: Which binary kernels of the delegate to compare with others, by a name
            that `bnnopt doctor` prints. Defaults to `None`, the fastest ones.
        check_finite: Whether inputs that hold NaN or infinity are refused. A sign makes
            +1 of NaN, so that the file answers with confidence where Keras says NaN.
            Denormal numbers below zero are -1 here, and +1 in Keras and Larq Compute
            Engine, which take them for zero. Defaults to `True`.

    Attributes:
        file: The file.
        inputs: The inputs, in the order of the file, which need not be Keras's.
        outputs: The outputs, in the order of the file.
        backend: The backend that runs it.
        batch_size: How many samples go through it at once.

    Raises:
        ValueError: If the file is none or does not run, or the backend is unknown.
        ImportError: If the backend is not installed.
        RuntimeError: If the LiteRT here does not work with the binary kernels, or if
            one of several threads is run in a process that was forked after it was
            made: make it in the child, or start processes with "spawn".
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
        if not _is_whole(num_threads) or not 0 < num_threads <= _MOST_THREADS:
            raise ValueError(
                "num_threads must be a whole number above 0 and up to "
                f"{_MOST_THREADS}. Received: {num_threads!r}"
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
        self.backend = _backend(backend)
        if kernels is not None and self.backend != "delegate":
            raise ValueError(
                f"kernels={kernels!r} are those of backend 'delegate'. This one is "
                f"{self.backend!r}."
            )
        _check_ends(self.inputs, self.outputs)
        self.batch_size = self._of_file = self.inputs[0].shape[0]
        self._num_threads = num_threads
        self._kernels = kernels
        self._check_finite = check_finite
        self._path = None if isinstance(model, bytes) else pathlib.Path(model)
        self._inner: tuple[tuple[int, ...], Any] = ((), None)
        self._engine = self._start(file.sound(), self.inputs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "An Interpreter is not pickled or copied. Pickle the path of its file, or "
            "its content, and make another one of it there."
        )

    def _start(self, content: bytes, inputs: Sequence[TensorInfo]) -> Any:
        if self.backend == "lce":
            return LceEngine(content, self._num_threads)
        engine = delegate.DelegateEngine(
            content, self._num_threads, delegate.ready_litert(), self._kernels
        )
        shapes = [info.shape for info in inputs]
        if shapes != [self.file.shape(tensor) for tensor in self.file.inputs]:
            engine.resize(shapes)
        return engine

    @property
    def runner(self) -> str:
        """What runs the file, with its version."""
        if self.backend == "lce":
            return f"larq-compute-engine {metadata.version('larq-compute-engine')}"
        kernels = self._kernels or delegate.default_kernels()
        return f"{kernels} kernels in {delegate.ready_litert()}"

    def resize(
        self, batch_size: int, sizes: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        """Lets several samples go through the file at once, or larger ones.

        Args:
            batch_size: How many samples.
            sizes: What follows the batch in the shapes of inputs, by name, as
                `{"image": (256, 256, 3)}`; the last axis, channels, stays. A network of
                convolutions that ends with a mean over the image takes any. Defaults
                to `None`, those of now.

        Raises:
            ValueError: If there is no such input, or the backend or the file cannot: a
                file may hold shapes of one sample, or of one size.
        """
        if not _is_whole(batch_size) or batch_size < 1:
            raise ValueError(f"batch_size must be positive. Received: {batch_size!r}")
        if self.backend != "delegate":
            raise ValueError(
                f"Backend {self.backend!r} runs a sample at a time, of the size of the "
                "file. Use 'delegate'."
            )
        inputs = tuple(_resized(self.inputs, sizes or {}))
        content, shapes = self.file.sound(), [info.shape[1:] for info in inputs]
        try:
            self.file.check_shapes([(batch_size, *shape) for shape in shapes])
            one, engine = self._start(content, inputs), self._start(content, inputs)
            outputs = one.output_shapes()
            kept = all(s[:1] == i.shape[:1] for s, i in zip(outputs, self.outputs))
            engine.resize([(batch_size, *shape) for shape in shapes])
            mixes = all(
                self._mixes_samples(one, engine, inputs, batch_size, seed)
                for seed in range(3)
            )
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"The file does not run on {batch_size} samples of {shapes} at once: "
                f"{error}"
            ) from error
        if not kept:
            raise ValueError(
                f"The file makes several samples of one of {shapes}: it holds a shape "
                "of one size."
            )
        if mixes:
            raise ValueError(
                f"The file gives other answers to {batch_size} samples at once than to "
                "each alone."
            )
        self._engine, self._inner, self.batch_size = engine, ((), None), batch_size
        self.inputs = inputs
        self.outputs = tuple(
            dataclasses.replace(info, shape=shape)
            for info, shape in zip(self.outputs, outputs)
        )

    def _mixes_samples(
        self, one: Any, engine: Any, inputs: Sequence[TensorInfo], size: int, seed: int
    ) -> bool:
        """Whether random samples get other answers together than alone."""
        generator = np.random.default_rng(seed)
        given = [info.random(generator, size, scale=20) for info in inputs]
        alone = self._all(one, given, self._of_file)
        for ours, expected in zip(engine.run(given), alone):
            if ours.shape != expected.shape:
                return True
            distance = np.abs(ours.astype(float) - expected).max(initial=0)
            if not distance <= 1e-3 * np.abs(expected.astype(float)).max(initial=1e-30):
                return True
        return False

    def predict(self, batch: Batch) -> np.ndarray | dict[str, np.ndarray]:
        """Runs the model on a batch.

        Args:
            batch: An array (batch, ...) for a model of one input; for several, arrays
                by name, or a sequence in the order of `inputs`. Float64 is rounded to
                float32, and where the file has int8 inputs, to its steps.

        Returns:
            An array (batch, ...), or arrays by name where there are several outputs.
            The steps of int8 outputs are returned as float32.

        Raises:
            ValueError: If names, number, shapes or types do not fit the inputs.
            TypeError: If something else than arrays is given.
        """
        results = self._all(self._engine, self._arrays(batch), self.batch_size)
        named = {
            info.name: info.real(array) for info, array in zip(self.outputs, results)
        }
        return named if len(named) > 1 else named[self.outputs[0].name]

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
        arrays = self._arrays(batch)
        number = self.file.num_tensors
        if not isinstance(tensors, Iterable):
            raise TypeError(f"tensors must be indices. Received: {tensors!r}")
        tensors = list(tensors)
        if not tensors:
            return {}
        wrong = [t for t in tensors if not _is_whole(t) or not 0 <= t < number]
        if wrong:
            raise ValueError(
                f"tensors must be indices from 0 to {number - 1}. Received: {wrong}"
            )
        if self._inner[0] != tuple(tensors):
            engine = self._start(self.file.with_outputs(tensors), self.inputs)
            self._inner = (tuple(tensors), engine)
        found = self._all(self._inner[1], arrays, self._of_file)
        return dict(zip(tensors, found))

    def run_once(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the model once, on `batch_size` samples.

        This is what a time is taken of: nothing is checked, split or joined.

        Args:
            arrays: The inputs, in the order of `inputs`, as `first_of` returns them.

        Returns:
            The outputs, in the order of `outputs`.
        """
        return self._engine.run(arrays)

    def operator_times(self, batch: Batch, runs: int = 30) -> tuple[OperatorTime, ...]:
        """Measures the binary operators, and LiteRT's own between them, in real runs.

        What comes before the first binary operator and after the last is left out;
        `converters.profile` measures all operators.

        Args:
            batch: As for `predict`; the first `batch_size` samples are taken.
            runs: How many runs. Defaults to `30`.

        Returns:
            The times in the order of the run, without those of `set_tensor` and
            `get_tensor`.

        Raises:
            ValueError: As `predict`, or if the backend is `"lce"`, which takes no
                times; `converters.profile` measures its operators.
        """
        if self.backend != "delegate":
            raise ValueError(
                f"Backend {self.backend!r} takes no times. Use converters.profile."
            )
        given = self.first_of(batch)
        if not _is_whole(runs) or runs < 1:
            raise ValueError(f"runs must be positive. Received: {runs!r}")
        measured = []
        for _ in range(runs):
            self.run_once(given)
            times = self._engine.times()
            measured.append(
                [end - start for _, start, end in times]
                + [after[1] - before[2] for before, after in itertools.pairwise(times)]
            )
        order = [operator for operator, _, _ in times]
        shortest = np.min(measured, axis=0) / 1e6
        medians = np.median(measured, axis=0) / 1e6
        rows = []
        for place, operator in enumerate(order):
            if place:
                gap = len(order) + place - 1
                rows.append(OperatorTime(None, "LiteRT", shortest[gap], medians[gap]))
            name = self.file.operators[operator].name
            rows.append(OperatorTime(operator, name, shortest[place], medians[place]))
        return tuple(rows)

    def _all(
        self, engine: Any, arrays: Sequence[np.ndarray], size: int
    ) -> list[np.ndarray]:
        """Runs all samples, `size` at once, and returns the tensors joined."""
        if not len(arrays[0]):  # One of zeros tells the shapes.
            one = [np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays]
            return [array[:0] for array in self._all(engine, one, size)]
        parts = []
        for start in range(0, len(arrays[0]), size):
            given = [array[start : start + size] for array in arrays]
            lacking = size - len(given[0])
            if lacking:
                given = [
                    np.concatenate([array, np.repeat(array[-1:], lacking, axis=0)])
                    for array in given
                ]
            # A tensor of the inside may hold several rows of a sample.
            parts.append(
                [
                    array[: len(array) * (size - lacking) // size]
                    for array in map(np.atleast_1d, engine.run(given))
                ]
            )
        return [np.concatenate(output) for output in zip(*parts)]

    def first_of(self, batch: Batch) -> list[np.ndarray]:
        """Returns the first samples of a batch, `batch_size`, as `run_once` takes them.

        Args:
            batch: As for `predict`.

        Raises:
            ValueError: As `predict`, or if there are fewer samples.
        """
        arrays = [array[: self.batch_size] for array in self._arrays(batch)]
        if any(len(array) < self.batch_size for array in arrays):
            raise ValueError(f"The inputs hold less than {self.batch_size} samples.")
        return arrays

    def _scaling(self, info: TensorInfo, array: np.ndarray) -> str:
        """Returns what to do with pixels where real numbers are wanted."""
        if info.dtype.kind != "f" or array.dtype.kind not in "iu":
            return ""
        words = _preprocessing(self._path)
        how = "Scale them as in training" if words is None else f"Scale them: {words}"
        return f". {how}, then .astype('float32')."

    def _arrays(self, batch: Batch) -> list[np.ndarray]:
        names = [info.name for info in self.inputs]
        if isinstance(batch, Mapping):
            if set(batch) != set(names):
                raise ValueError(
                    f"The inputs are {names}. Received: {sorted(map(str, batch))}"
                )
            arrays = [batch[name] for name in names]
        else:
            # A tensor of TensorFlow is an array, too.
            single = hasattr(batch, "__array__")
            if not single and not isinstance(batch, Iterable):
                raise TypeError(
                    "Inputs are NumPy arrays (batch, ...), one, several, or by name. "
                    f"Received: {type(batch).__name__}"
                )
            arrays = [np.asarray(batch)] if single else list(batch)
        if len(arrays) != len(names):
            raise ValueError(f"The inputs are {names}. Received: {len(arrays)} arrays")
        for array in arrays:
            if not hasattr(array, "__array__"):
                raise TypeError(
                    "Inputs are NumPy arrays (batch, ...). Received: "
                    f"{type(array).__name__}"
                )
        arrays = [
            info.quantized(array.astype(np.float32))
            if array.dtype in (np.float32, np.float64)
            and info.dtype in (np.float32, np.int8)
            else array
            for info, array in zip(self.inputs, map(np.asarray, arrays))
        ]
        for info, array in zip(self.inputs, arrays):
            fits = array.ndim and array.shape[1:] == info.shape[1:]
            if not fits or array.dtype != info.dtype:
                expected = ("batch", *info.shape[1:])
                raise ValueError(
                    f"Input {info.name!r} is {expected} of {info.dtype}. Received: "
                    f"{array.shape} of {array.dtype}" + self._scaling(info, array)
                )
            if self._check_finite:
                _check_finite(info, array)
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"The inputs hold {lengths} samples, which differ.")
        return arrays


def _is_whole(number: Any) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _check_ends(inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> None:
    """Refuses a file that no batch goes through."""
    if not inputs or not outputs:
        raise ValueError("This file has no inputs, or no outputs.")
    for info in inputs:
        if not info.shape:
            raise ValueError(f"Input {info.name!r} has no dimension for a batch.")
        if info.shape[0] < 1:
            raise ValueError(f"Input {info.name!r} of {info.shape} takes no sample.")


def _check_finite(info: TensorInfo, array: np.ndarray) -> None:
    """Refuses what a sign would take for +1."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    sample = int(np.argwhere(~np.isfinite(array))[0][0])
    raise ValueError(
        f"Input {info.name!r} holds NaN or infinity, first in sample {sample}, and a "
        "sign makes +1 of NaN. Repair it, or make the Interpreter with "
        "check_finite=False."
    )


def _preprocessing(path: pathlib.Path | None) -> str | None:
    """Returns what the package of a file says of its inputs."""
    if path is None:
        return None
    beside = path.parent / _METADATA
    try:
        if not beside.is_file() or beside.stat().st_size > _MOST_METADATA:
            return None
        found = json.loads(beside.read_text(encoding="utf-8"))["preprocessing"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def _resized(
    inputs: Sequence[TensorInfo], sizes: Mapping[str, Sequence[int]]
) -> Iterator[TensorInfo]:
    """Yields inputs of other sizes; refuses what is none."""
    names = [info.name for info in inputs]
    if not isinstance(sizes, Mapping):
        raise TypeError(f"sizes are tuples by name of the input. Received: {sizes!r}")
    if not set(sizes) <= set(names):
        raise ValueError(f"The inputs are {names}. Received: {sorted(map(str, sizes))}")
    for info in inputs:
        given = sizes.get(info.name, info.shape[1:])
        size = tuple(given) if isinstance(given, Iterable) else (given,)
        if len(size) != len(info.shape) - 1 or not all(
            _is_whole(number) and number > 0 for number in size
        ):
            raise ValueError(
                f"Input {info.name!r} is {('batch', *info.shape[1:])}. Received for "
                f"what follows the batch: {size}"
            )
        if size[-1:] != info.shape[1:][-1:]:
            # Not every LiteRT checks it against the kernels that read them.
            raise ValueError(
                f"The last axis of input {info.name!r}, its channels, is "
                f"{info.shape[-1]} in this file. Received: {size}"
            )
        yield dataclasses.replace(info, shape=(info.shape[0], *size))


def tensor_info(file: TfliteFile, name: str, tensor: int) -> TensorInfo:
    """Returns the facts of an input or output of a file."""
    scale, zero_point = file.quantization(tensor) or (None, 0)
    return TensorInfo(name, file.shape(tensor), file.dtype(tensor), scale, zero_point)


@functools.cache
def _tell_of_sources() -> None:
    """Warns, once, that this is a copy without kernels, and where another one is."""
    here = delegate.HERE.parents[1]
    installed = _installed_folder(here)
    cure = (
        "Install it where a C compiler is (pip install --force-reinstall --no-deps .), "
        "and start outside of that folder."
        if installed is None
        else f"The copy in {installed} has them: start outside of that folder."
    )
    warnings.warn(
        f"converters is imported from {here}, where no binary kernels are built: Larq "
        f"Compute Engine runs the file, many times slower. {cure}",
        stacklevel=5,
    )


def _installed_folder(here: pathlib.Path) -> pathlib.Path | None:
    """Returns where another copy lies that has kernels, `None` if there is none."""
    library = pathlib.Path("converters", "runtime", delegate.LIBRARY.name)
    # A build leaves metadata beside the sources, too.
    for distribution in metadata.distributions(name="larq-bnnopt"):
        folder = pathlib.Path(str(distribution.locate_file(""))).resolve()
        if folder != here and (folder / library).exists():
            return folder
    return None


def _backend(wanted: str) -> str:
    """Returns the backend to use."""
    if wanted == "lce":
        return "lce"
    if wanted == "delegate":
        delegate.ready_litert()
        return "delegate"
    has_lce = importlib.util.find_spec("larq_compute_engine") is not None
    try:
        delegate.ready_litert()
    except ImportError as error:
        if not has_lce:
            raise ImportError(
                f"Nothing here runs a .tflite with binary layers. {error}"
            ) from error
        if not delegate.LIBRARY.exists():
            _tell_of_sources()
        return "lce"
    except RuntimeError as error:
        if not has_lce:
            raise
        warnings.warn(f"{error} Larq Compute Engine is taken.", stacklevel=4)
        return "lce"
    return "delegate"
