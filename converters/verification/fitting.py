"""The inputs and outputs of a .tflite by the names of its Keras model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from converters.errors import ConversionError
from converters.model_arrays import Outputs, filled_up, input_names, output_names
from converters.runtime import Interpreter, TensorInfo, TfliteFile

# Sizes after the axis of the batch; `None` stands for any.
_Sizes = tuple[int | None, ...] | None


def interpreter_for(
    model: tf.keras.Model, tflite: bytes | str | os.PathLike[str], num_threads: int = 1
) -> Interpreter:
    """Returns an interpreter of a file with the model's names.

    Args:
        model: A Keras model.
        tflite: The content of the file, or its path.
        num_threads: Threads of the interpreter. Defaults to `1`.

    Raises:
        ConversionError: If inputs or outputs of the two differ in name, number or
            shape.
        ValueError: If the file is no .tflite.
    """
    interpreter = Interpreter(with_names_of(model, tflite), num_threads)
    check_fit(model, interpreter)
    return interpreter


def with_names_of(
    model: tf.keras.Model, tflite: bytes | str | os.PathLike[str]
) -> bytes | str | os.PathLike[str]:
    """Returns the file with the model's names, where they can be matched.

    Args:
        model: A Keras model.
        tflite: The content of the file, or its path.
    """
    file = TfliteFile(tflite)
    inputs = _matched(input_names(model), model.input_names, file.input_names())
    outputs = _matched(output_names(model), model.output_names, file.output_names())
    if (tuple(inputs), tuple(outputs)) == (file.input_names(), file.output_names()):
        return tflite
    return file.with_names(inputs, outputs)


def _matched(
    ours: Sequence[str], keras: Sequence[str], theirs: Sequence[str]
) -> Sequence[str]:
    """Returns for each name of the file the model's, or all unchanged if unclear.

    Args:
        ours: The model's names, which may be keys of a dictionary.
        keras: The names that Keras gave, in the same order.
        theirs: The names in the file.
    """
    if len(ours) == len(theirs) == 1:
        return ours
    if set(ours) == set(theirs):
        return theirs
    if set(keras) == set(theirs):
        named = dict(zip(keras, ours))
        return [named[name] for name in theirs]
    by_number = sorted(ours, key=_numbered), sorted(theirs, key=_numbered)
    plain = [[_numbered(name)[0] for name in names] for names in by_number]
    if plain[0] != plain[1]:
        return theirs
    ours_of = dict(zip(by_number[1], by_number[0]))
    return [ours_of[name] for name in theirs]


def _numbered(name: str) -> tuple[str, int]:
    """Returns a name without Keras's number, and the number; the first has none."""
    plain, _, number = name.rpartition("_")
    return (plain, int(number)) if plain and number.isdecimal() else (name, 0)


def check_fit(model: tf.keras.Model, interpreter: Interpreter) -> None:
    """Refuses a file that was made from another model.

    Sizes that Keras does not know may be any in the file.

    Args:
        model: The Keras model.
        interpreter: Runs the file, which has the model's names.

    Raises:
        ConversionError: If inputs or outputs differ in name, number or shape.
    """
    for side, names, tensors, theirs in (
        ("inputs", input_names(model), model.inputs, interpreter.inputs),
        ("outputs", output_names(model), model.outputs, interpreter.outputs),
    ):
        if not tensors:  # A subclassed model has none.
            continue
        ours = dict(zip(names, map(_sizes, tensors)))
        found = {info.name: info.shape[1:] for info in theirs}
        if set(ours) != set(found) or not all(
            _is_like(sizes, found[name]) for name, sizes in ours.items()
        ):
            raise ConversionError(
                f"The file does not fit the model: the {side} are {ours} in the model "
                f"and {found} in the file."
            )


def _sizes(tensor: tf.Tensor) -> _Sizes:
    return None if tensor.shape.rank is None else tuple(tensor.shape)[1:]


def _is_like(ours: _Sizes, theirs: tuple[int, ...]) -> bool:
    """Whether a shape fits another one whose sizes may be unknown."""
    if ours is None:
        return True
    return len(ours) == len(theirs) and all(
        size in (None, other) for size, other in zip(ours, theirs)
    )


def file_outputs(
    interpreter: Interpreter, arrays: Mapping[str, np.ndarray], expected: Outputs
) -> dict[str, np.ndarray]:
    """Runs a file on the inputs of a model.

    Args:
        interpreter: Runs the file, which has the model's names.
        arrays: The inputs by name.
        expected: What the model returns for them.

    Returns:
        The outputs, in the shapes of the model's.

    Raises:
        ConversionError: If an output without an axis for the batch has another shape.
    """
    if expected.alone is None:
        return _named(interpreter.predict(arrays), interpreter.outputs)
    each = [
        _named(
            interpreter.predict({n: a[index : index + 1] for n, a in arrays.items()}),
            interpreter.outputs,
        )
        for index in range(len(next(iter(arrays.values()))))
    ]
    joined = {}
    for name, ours in expected.arrays.items():
        parts = [outputs[name] for outputs in each]
        if name in expected.alone:
            _check_shapes(name, parts, expected.alone[name])
            parts = [filled_up(part, ours.shape[1:])[None] for part in parts]
        joined[name] = np.concatenate(parts)
    return joined


def _check_shapes(
    name: str, parts: Iterable[np.ndarray], shapes: Sequence[tuple[int, ...]]
) -> None:
    for index, (part, shape) in enumerate(zip(parts, shapes)):
        if part.shape != shape:
            raise ConversionError(
                f"Output {name!r} is {shape} in the model and {part.shape} in the file "
                f"for input {index}: an output whose size depends on the input, such "
                "as the boxes of a non-max suppression, may have its largest size in a "
                "file. Give it one size (pad_to_max_output_size=True) and return the "
                "number of boxes."
            )


def _named(
    outputs: np.ndarray | dict[str, np.ndarray], infos: Sequence[TensorInfo]
) -> dict[str, np.ndarray]:
    return outputs if isinstance(outputs, dict) else {infos[0].name: outputs}
