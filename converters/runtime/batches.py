"""Batches: checks of the arrays given to a file, and runs of any number of samples."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Union

import numpy as np

from converters.runtime.tensor_info import TensorInfo

Batch = Union[np.ndarray, Sequence[np.ndarray], Mapping[str, np.ndarray]]
Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
_METADATA, _MAX_METADATA = "metadata.json", 2**20


def checked_arrays(
    batch: Batch,
    inputs: Sequence[TensorInfo],
    check_finite: bool = True,
    path: pathlib.Path | None = None,
) -> list[np.ndarray]:
    """Returns a batch as arrays in the order and the types of a file's inputs.

    Args:
        batch: An array, or arrays by name, or arrays in the order of the inputs.
        inputs: The inputs of the file.
        check_finite: Whether NaN and infinity are refused. Defaults to `True`.
        path: Path of the file. The package around it states how images are scaled.
            Defaults to `None`.

    Raises:
        ValueError: If names, number, shapes, types or values do not fit the inputs.
        TypeError: If the batch contains something else than arrays.
    """
    names = [info.name for info in inputs]
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
        for info, array in zip(inputs, map(np.asarray, arrays))
    ]
    for info, array in zip(inputs, arrays):
        fits = array.ndim and array.shape[1:] == info.shape[1:]
        if not fits or array.dtype != info.dtype:
            expected = ("batch", *info.shape[1:])
            raise ValueError(
                f"Input {info.name!r} is {expected} of {info.dtype}. Received: "
                f"{array.shape} of {array.dtype}" + _scaling_hint(info, array, path)
            )
        if check_finite:
            _check_finite(info, array)
        _check_indices(info, array)
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"The inputs have {lengths} samples, which differ.")
    return arrays


def run_in_batches(
    run: Run, arrays: Sequence[np.ndarray], size: int
) -> list[np.ndarray]:
    """Runs all samples, `size` at once, and returns the joined outputs.

    Args:
        run: Runs `size` samples.
        arrays: The inputs, of any number of samples.
        size: Samples that are run at once. The last ones are padded.
    """
    if not len(arrays[0]):  # A sample of zeros yields the shapes.
        one = [np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays]
        return [array[:0] for array in run_in_batches(run, one, size)]
    parts = []
    for start in range(0, len(arrays[0]), size):
        given = [array[start : start + size] for array in arrays]
        lacking = size - len(given[0])
        if lacking:
            given = [
                np.concatenate([array, np.repeat(array[-1:], lacking, axis=0)])
                for array in given
            ]
        # An intermediate tensor may have several rows for a sample.
        parts.append(
            [
                array[: len(array) * (size - lacking) // size]
                for array in map(np.atleast_1d, run(given))
            ]
        )
    return [np.concatenate(output) for output in zip(*parts)]


def _scaling_hint(
    info: TensorInfo, array: np.ndarray, path: pathlib.Path | None
) -> str:
    """Returns how to scale pixels if the input takes real numbers."""
    if info.dtype.kind != "f" or array.dtype.kind not in "iu":
        return ""
    words = _preprocessing(path)
    how = "Scale them as in training" if words is None else f"Scale them: {words}"
    return f". {how}, then .astype('float32')."


def _check_finite(info: TensorInfo, array: np.ndarray) -> None:
    """Refuses NaN and infinity."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    sample = int(np.argwhere(~np.isfinite(array))[0][0])
    raise ValueError(
        f"Input {info.name!r} contains NaN or infinity, first in sample {sample}, and "
        "the sign of NaN is +1. Repair it, or make the Interpreter with "
        "check_finite=False."
    )


def _check_indices(info: TensorInfo, array: np.ndarray) -> None:
    """Refuses what is no row of the table that an input is looked up in."""
    if info.rows is None or not array.size or array.dtype.kind not in "iu":
        return
    least, largest = int(array.min()), int(array.max())
    if least < 0 or largest >= info.rows:
        wrong = largest if largest >= info.rows else least
        raise ValueError(
            f"Input {info.name!r} holds rows of a table, from 0 to {info.rows - 1}. "
            f"Received: {wrong}. Tokens must be of the vocabulary of the model."
        )


def _preprocessing(path: pathlib.Path | None) -> str | None:
    """Returns the preprocessing that the package of a file states, if there is one."""
    if path is None:
        return None
    beside = path.parent / _METADATA
    try:
        if not beside.is_file() or beside.stat().st_size > _MAX_METADATA:
            return None
        found = json.loads(beside.read_text(encoding="utf-8"))["preprocessing"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
