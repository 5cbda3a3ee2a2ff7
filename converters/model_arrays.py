"""The inputs and outputs of a Keras model as arrays by name, checked and computed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
import tensorflow as tf

from converters.errors import ConversionError

Inputs = Union[np.ndarray, Sequence[np.ndarray], Mapping[str, np.ndarray]]

_BATCH = 64
# Two runs on equal arrays round alike; a sample that others change differs by more.
_UNCHANGED = 1e-6


def check_model(model: object) -> None:
    """Raises a TypeError unless a Keras model was given.

    Args:
        model: The argument to check.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(model, tf.keras.Model):
        raise TypeError(
            f"A Keras model is needed, not {type(model).__name__}. Read a file with "
            "larq_bnnopt.recipes.load_model."
        )


def check_model_and_file(model: object, tflite: object) -> None:
    """Raises a TypeError unless a Keras model and then a .tflite were given.

    Args:
        model: The argument that should be the model.
        tflite: The argument that should be the file.

    Raises:
        TypeError: If one of them is something else, or both are swapped.
    """
    if isinstance(tflite, tf.keras.Model):
        raise TypeError("The Keras model comes first, then the .tflite.")
    check_model(model)
    if not isinstance(tflite, (bytes, str, os.PathLike)):
        raise TypeError(
            "The content of a .tflite, as bytes, or its path is needed, not "
            f"{type(tflite).__name__}."
        )


def input_names(model: tf.keras.Model) -> list[str]:
    """Returns the names of a model's inputs, in the order of `model.inputs`.

    They are the keys of a model that was built with a dictionary, and otherwise
    Keras's, of its input layers.
    """
    return _keys(getattr(model, "input", None)) or list(model.input_names)


def output_names(model: tf.keras.Model) -> list[str]:
    """Returns the names of a model's outputs, in the order of `model.outputs`.

    They are the keys of a model that returns a dictionary, and otherwise Keras's.
    """
    return _keys(getattr(model, "output", None)) or list(model.output_names)


def _keys(structure: object) -> list[str]:
    """Returns the keys of a dictionary of tensors, none of another structure."""
    if not isinstance(structure, Mapping):
        return []
    if any(tf.nest.is_nested(value) for value in structure.values()):
        return []
    # As `tf.nest` flattens it.
    return [str(key) for key in sorted(structure)]


def given_as(dtype: tf.DType) -> tf.DType:
    """Returns the type in a file of an input with a type of Keras.

    Args:
        dtype: A `tf.DType`.
    """
    if dtype.is_floating:
        return tf.float32
    return {tf.uint16: tf.int32, tf.uint32: tf.int64}.get(dtype, dtype)


def checked_inputs(
    model: tf.keras.Model, inputs: Inputs, role: str = "inputs"
) -> dict[str, np.ndarray]:
    """Returns inputs by name, in the types of the model; refuses what does not fit.

    Args:
        model: A Keras model.
        inputs: As for `verify`.
        role: What errors call them. Defaults to `"inputs"`.

    Raises:
        ValueError: If number, names, shapes, types or values do not fit.
        TypeError: If they are no arrays.
    """
    arrays = named_inputs(model, inputs, role)
    tensors = dict(zip(arrays, model.inputs or ()))
    for name, tensor in tensors.items():
        _check_shape(model, name, tensor, arrays[name])
        arrays[name] = _typed(model, name, tensor.dtype, arrays[name])
    check_finite(arrays)
    _check_rows(model, arrays)
    return arrays


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises a ValueError for an input that holds NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"Input {name!r} holds values that are not finite.")


def _check_rows(model: tf.keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises a ValueError for what no row of the embedding is that reads an input."""
    names = {id(tensor): name for name, tensor in zip(arrays, model.inputs or ())}
    for layer in model.submodules:
        if not isinstance(layer, tf.keras.layers.Embedding):
            continue
        try:
            name = names.get(id(layer.input))
        except AttributeError:  # It is called several times, or inside of a layer.
            continue
        if name is None:
            continue
        least, largest = arrays[name].min(), arrays[name].max()
        if least < 0 or largest >= layer.input_dim:
            raise ValueError(
                f"Input {name!r} of {model.name} holds rows of {layer.name}, from 0 to "
                f"{layer.input_dim - 1}. Received: {least} to {largest}. Tokens must "
                "be of the vocabulary of the model."
            )


def check_lengths(arrays: Mapping[str, np.ndarray], role: str = "inputs") -> None:
    """Raises a ValueError unless all arrays have equally many samples, at least one."""
    shapes = [array.shape for array in arrays.values()]
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or sizes & {(), (0,)}:
        raise ValueError(
            f"The {role} need equally many samples, at least one. Received: {shapes}"
        )


def checked_samples(
    model: tf.keras.Model, inputs: Inputs, labels: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Returns inputs by name and their labels; refuses what does not fit.

    Args:
        model: A Keras model.
        inputs: As for `checked_inputs`.
        labels: As for `checked_labels`. Defaults to `None`.

    Raises:
        ValueError: If inputs or labels do not fit the model.
        TypeError: If the inputs are no arrays.
    """
    arrays = checked_inputs(model, inputs)
    if labels is not None:
        labels = checked_labels(model, labels, len(_first(arrays)))
    return arrays, labels


def named_inputs(
    model: tf.keras.Model, inputs: Inputs, role: str = "inputs"
) -> dict[str, np.ndarray]:
    """Returns the inputs by the names that the model gives them.

    Args:
        model: A Keras model.
        inputs: As for `verify`.
        role: What errors call them. Defaults to `"inputs"`.
    """
    _refuse_data_set(inputs, role)
    arrays = _by_name(model, inputs)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"Input {name!r} is an array of numbers (samples, ...). Received: "
                f"{array.dtype} {array.shape}"
            )
    check_lengths(arrays, role)
    # NumPy computes in float64 by default; a file never does.
    return {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array
        for name, array in arrays.items()
    }


def _by_name(model: tf.keras.Model, inputs: Inputs) -> dict[str, np.ndarray]:
    """Returns arrays by name, given in any way that Keras takes."""
    names, structure = input_names(model), getattr(model, "input", None)
    if _is_deep(structure):
        try:
            tf.nest.assert_same_structure(structure, inputs, check_types=False)
            return dict(zip(names, map(_array, tf.nest.flatten(inputs))))
        except (ValueError, TypeError):
            pass  # They are by name, a flat sequence, or wrong.
    if isinstance(inputs, Mapping) and len(inputs) == len(names) == 1:
        # Keras numbers the inputs of each model of a process on.
        return {names[0]: _array(next(iter(inputs.values())))}
    return by_name(names, inputs)


def by_name(names: Sequence[str], inputs: Inputs) -> dict[str, np.ndarray]:
    """Returns arrays by name, which were given by name or in the order of the names.

    Args:
        names: Names of the inputs.
        inputs: One array, a list of arrays or arrays by name.

    Raises:
        ValueError: If there are others, or not as many.
    """
    if isinstance(inputs, Mapping):
        given = {str(key): value for key, value in inputs.items()}
        if set(given) == set(names):
            return {name: _array(given[name]) for name in names}
        raise ValueError(f"The inputs are {list(names)}. Received: {sorted(given)}")
    several = isinstance(inputs, (list, tuple))
    listed = list(inputs) if several else [inputs]
    if len(listed) != len(names):
        raise ValueError(
            f"The inputs are {list(names)}. Received: {len(listed)} arrays"
        )
    return dict(zip(names, map(_array, listed)))


def _is_deep(structure: Any) -> bool:
    """Whether a structure of tensors holds other structures."""
    if not tf.nest.is_nested(structure):
        return False
    parts = structure.values() if isinstance(structure, Mapping) else structure
    return any(tf.nest.is_nested(part) for part in parts)


def _array(value: object) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:  # Lists of several lengths.
        raise ValueError(f"Inputs are arrays (samples, ...): {error}") from error


def _refuse_data_set(inputs: object, role: str) -> None:
    if hasattr(inputs, "element_spec") or hasattr(inputs, "__next__"):
        raise TypeError(
            f"The {role} are arrays (samples, ...). Received: {type(inputs).__name__}. "
            "Of a data set of batches take some: images, labels = "
            "next(iter(data.unbatch().batch(256)))."
        )


def _check_shape(
    model: tf.keras.Model, name: str, tensor: tf.Tensor, array: np.ndarray
) -> None:
    if not tensor.shape[1:].is_compatible_with(array.shape[1:]):
        raise ValueError(
            f"Input {name!r} of {model.name} is {('samples', *tensor.shape[1:])}. "
            f"Received: {array.shape}"
        )


def _typed(
    model: tf.keras.Model, name: str, dtype: tf.DType, array: np.ndarray
) -> np.ndarray:
    """Returns an array in the type of an input, real ones in float32."""
    said = f"Input {name!r} of {model.name} is {dtype.name}. Received: {array.dtype}"
    if dtype.is_floating:
        if array.dtype.kind != "f":
            raise ValueError(
                f"{said}. Scale it as in training, then use astype('float32')."
            )
        # As Keras rounds them.
        return array.astype(dtype.as_numpy_dtype).astype(np.float32)
    if array.dtype.kind == "f":
        raise ValueError(
            f"{said}. The model scales its inputs itself: give them as they are "
            f"stored, as astype({dtype.name!r})."
        )
    typed = array.astype(given_as(dtype).as_numpy_dtype)
    if not np.array_equal(array.astype(dtype.as_numpy_dtype), array):
        raise ValueError(
            f"{said} from {array.min()} to {array.max()}, which that type does not "
            "hold."
        )
    return typed


def checked_labels(
    model: tf.keras.Model, labels: np.ndarray, samples: int
) -> np.ndarray:
    """Returns the labels as integer classes; refuses what does not fit.

    Args:
        model: A Keras model, whose first output are scores of classes.
        labels: The labels that were given.
        samples: How many there must be.

    Raises:
        ValueError: If they do not fit.
    """
    labels = np.asarray(labels)
    if len(np.atleast_1d(labels)) != samples:
        raise ValueError(
            f"{samples} inputs need as many labels. Received: {labels.shape}"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"Labels are integer classes (samples,). Received: {labels.shape}. For "
            "one-hot labels give labels.argmax(axis=1)."
        )
    if labels.dtype.kind not in "biuf" or not np.array_equal(labels, labels // 1):
        raise ValueError(
            f"Labels are integer classes (samples,). Received: {labels.dtype}, such as "
            f"{labels[0]!r}"
        )
    outputs = getattr(model, "outputs", None)
    classes = None
    if outputs and outputs[0].shape.rank is not None:
        _check_scores(tuple(outputs[0].shape), outputs[0].dtype)
        classes = outputs[0].shape[-1]
    if (labels < 0).any() or (classes is not None and (labels >= classes).any()):
        last = "" if classes is None else f" to {classes - 1}"
        raise ValueError(
            f"Labels are classes from 0{last}. "
            f"Received: {labels.min()} to {labels.max()}"
        )
    return labels


def _check_scores(shape: tuple[int | None, ...], dtype: tf.DType) -> None:
    if len(shape) != 2 or shape[1] == 1 or not dtype.is_floating:
        raise ValueError(
            "Labels need class scores (samples, classes) as the first output. "
            f"Received: {shape} of {dtype.name}"
        )


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs of a model for samples.

    Attributes:
        arrays: Arrays (samples, ...) by name.
        alone: `None` where a sample's outputs are the same in any batch. Otherwise
            samples were computed one at a time, as a device computes them. Then these
            are the shapes, for each sample, of outputs without an axis for the batch,
            by name; arrays of smaller ones end with zeros.
        mixing: The output that depends on the other samples of a batch though it has
            an axis for it, or `None`.
    """

    arrays: dict[str, np.ndarray]
    alone: dict[str, list[tuple[int, ...]]] | None = None
    mixing: str | None = None

    @property
    def shapes_alone(self) -> dict[str, tuple[int, ...]] | None:
        """The shapes that outputs without an axis for the batch are filled up to."""
        if self.alone is None:
            return None
        return {name: self.arrays[name].shape[1:] for name in self.alone}


def keras_outputs(
    model: tf.keras.Model, arrays: Mapping[str, np.ndarray], alone: bool = False
) -> Outputs:
    """Runs a Keras model for the outputs that its file should have.

    Args:
        model: The model.
        arrays: Its inputs, as of `checked_inputs`.
        alone: Whether samples are computed one by one in any case, which is slower.
            Defaults to `False`.

    Returns:
        The outputs. Computed one by one where samples share outputs.
    """
    names = output_names(model)
    batchless, mixing = _shared_outputs(model, arrays, names)
    if not batchless and mixing is None and not alone:
        found = _flat(model.predict(structured(model, arrays), _BATCH, verbose=0))
        outputs = dict(zip(names, found))
        batchless = {n for n, a in outputs.items() if len(a) != len(_first(arrays))}
        if not batchless:
            return Outputs(outputs)
    each = [
        dict(zip(names, _called(model, _sample(arrays, index))))
        for index in range(len(_first(arrays)))
    ]
    joined: dict[str, np.ndarray] = {}
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for name in names:
        parts = [np.atleast_1d(outputs[name]) for outputs in each]
        if name in batchless:
            shapes[name] = [part.shape for part in parts]
            shape = _largest(name, shapes[name])
            joined[name] = np.stack([filled_up(p, shape) for p in parts])
        else:
            joined[name] = np.concatenate(parts)
    return Outputs(joined, shapes, mixing)


def structured(model: tf.keras.Model, arrays: Mapping[str, Any]) -> Any:
    """Returns inputs by name, in the model's order, as the model takes them."""
    if not getattr(model, "inputs", None):
        return dict(arrays)
    if _is_deep(model.input):
        # Keras does not flatten dictionaries that hold other structures.
        return list(arrays.values())
    return tf.nest.pack_sequence_as(model.input, list(arrays.values()))


def _shared_outputs(
    model: tf.keras.Model, arrays: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[set[str], str | None]:
    """Returns outputs without an axis for the batch, and one that mixes samples.

    A sample is computed alone and with others.
    """
    with_zeros = {
        name: np.concatenate([array[:3], np.zeros_like(array[:1])])
        for name, array in arrays.items()
    }
    trios = [
        {name: array[[0, other, other]] for name, array in with_zeros.items()}
        for other in (1, -1)
    ]
    alone, first, second = (
        dict(zip(names, _called(model, given)))
        for given in (_sample(arrays, 0), *trios)
    )
    batchless, mixing = set(), None
    for name in names:
        if alone[name].shape[:1] != (1,) or first[name].shape[:1] != (3,):
            batchless.add(name)
        elif _differ(first[name][0], second[name][0]):
            mixing = mixing or name
    if mixing is not None:
        _refuse_chance(model, mixing, dict(zip(names, _called(model, trios[0]))), first)
    return batchless, mixing


def _refuse_chance(
    model: tf.keras.Model,
    name: str,
    once: Mapping[str, np.ndarray],
    again: Mapping[str, np.ndarray],
) -> None:
    if _differ(once[name], again[name]):
        raise ConversionError(
            f"Output {name!r} of {model.name} differs between calls for the same "
            "inputs, so no file can be compared with it. Take out what is random."
        )


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return True
    one, other = one.astype(np.float64), other.astype(np.float64)
    scale = np.abs(one).max(initial=0)
    return bool((np.abs(one - other) > _UNCHANGED * scale).any())


def _called(
    model: tf.keras.Model, arrays: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    tensors = {name: tf.constant(array) for name, array in arrays.items()}
    return _flat(model(structured(model, tensors), training=False))


def _flat(outputs: object) -> list[np.ndarray]:
    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


def _sample(arrays: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {name: array[index : index + 1] for name, array in arrays.items()}


def _first(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return next(iter(arrays.values()))


def _largest(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if len({len(shape) for shape in shapes}) != 1:
        raise ConversionError(
            f"Output {name!r} has another number of axes for each input: "
            f"{sorted(set(shapes))[:3]}. Give it one shape, or waive the comparison "
            "with inputs=None."
        )
    return tuple(map(max, zip(*shapes)))


def filled_up(part: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array in another shape, padded with zeros or truncated."""
    part, result = np.atleast_1d(part), np.zeros(shape, part.dtype)
    inside = tuple(slice(min(a, b)) for a, b in zip(part.shape, shape))
    result[inside] = part[inside]
    return result
