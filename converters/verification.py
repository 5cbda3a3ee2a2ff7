"""Whether a .tflite computes what its Keras model computes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from converters.auditing import signs
from converters.errors import ConversionError
from converters.runtime import Interpreter

Inputs = Union[np.ndarray, Sequence[np.ndarray], Mapping[str, np.ndarray]]

LARGEST_MEDIAN_DIFFERENCE = 1e-4
LEAST_AGREEMENT = 0.995
_TIE = 1e-5
_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Verification:
    """The outputs of a Keras model beside those of a file, on the same inputs.

    Both compute in float32, in another order, so most outputs differ by rounding alone.
    Where a value in front of a sign is almost zero, rounding may turn the sign, and the
    output moves visibly although nothing is wrong: a tie.

    Attributes:
        samples: Number of inputs.
        median_difference: Median over the inputs of the largest difference, relative to
            the largest output.
        largest_difference: The largest of these differences.
        agreement: Share of inputs with equal predictions: the largest class, or for
            other outputs a difference below 1e-3.
        moved: Number of inputs whose difference is larger than 1e-4.
        moved_with_tie: How many of those have a value within 1e-5, on the scale of its
            layer, of a sign; `None` where the model's inner values cannot be read.
        keras_accuracy: Accuracy of the Keras model, `None` without labels.
        tflite_accuracy: Accuracy of the file, `None` without labels.
        milliseconds: Mean time of the file for one input.
        num_threads: Threads it ran with.
    """

    samples: int
    median_difference: float
    largest_difference: float
    agreement: float
    moved: int
    moved_with_tie: int | None
    keras_accuracy: float | None
    tflite_accuracy: float | None
    milliseconds: float
    num_threads: int

    @property
    def passed(self) -> bool:
        """Whether the file says what the model says.

        The median difference is at most 1e-4, and at least 99.5 % of the predictions
        are equal. Among fewer than 200 inputs one prediction may differ.
        """
        disagreements = round((1 - self.agreement) * self.samples)
        allowed = max(1, int((1 - LEAST_AGREEMENT) * self.samples + 1e-9))
        return (
            self.median_difference <= LARGEST_MEDIAN_DIFFERENCE
            and disagreements <= allowed
        )


def verify(
    model: Any,
    tflite: bytes | str | os.PathLike[str],
    inputs: Inputs,
    labels: np.ndarray | None = None,
    *,
    num_threads: int = 1,
) -> Verification:
    """Runs a Keras model and a .tflite on the same inputs and compares the outputs.

    Args:
        model: The Keras model that was converted.
        tflite: The content of the file, or its path.
        inputs: Float32 array (samples, ...); for several inputs, arrays by name or in
            the model's order.
        labels: Integer class of each sample, (samples,), to report accuracies. Defaults
            to `None`.
        num_threads: Threads of the interpreter. Defaults to `1`.

    Returns:
        The comparison; `.passed` is the verdict.

    Raises:
        ConversionError: If inputs or outputs of the two differ in name, number or
            shape.
        ValueError: If the file is no .tflite or the inputs do not fit.

    Example:
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> from converters import convert
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).normal(size=(20, 28, 28, 1))
        >>> images = images.astype(np.float32)
        >>> content = convert(model, inputs=None).content
        >>> verify(model, content, images).passed
        True
    """
    interpreter = Interpreter(tflite, num_threads)
    arrays = named_inputs(model, inputs)
    _check_fit(model, interpreter, arrays)
    expected = _named_outputs(model, model.predict(arrays, _BATCH, verbose=0))
    start = time.perf_counter()
    received = interpreter.predict(arrays)
    seconds = time.perf_counter() - start
    if not isinstance(received, Mapping):
        received = dict(zip(expected, [received]))
    samples = len(next(iter(arrays.values())))
    if labels is not None and len(labels) != samples:
        raise ValueError(
            f"{samples} inputs need as many labels. Received: {len(labels)}"
        )
    difference, agrees = np.zeros(samples), np.ones(samples, bool)
    for name, ours in expected.items():
        ours, theirs = (array.reshape(samples, -1) for array in (ours, received[name]))
        scale = max(np.abs(ours).max(), np.finfo(np.float32).tiny)
        one = np.abs(ours - theirs).max(axis=1) / scale
        # A comparison with nan is false, so that nan neither agrees nor passes.
        one = np.where(np.isnan(one), np.inf, one)
        difference = np.maximum(difference, one)
        if _is_classification(expected[name]):
            agrees &= ours.argmax(axis=1) == theirs.argmax(axis=1)
            agrees &= np.isfinite(one)
        else:
            agrees &= one <= 1e-3
    moved = np.flatnonzero(difference > LARGEST_MEDIAN_DIFFERENCE)
    first = next(iter(expected))

    def accuracy(outputs: Mapping[str, np.ndarray]) -> float | None:
        if labels is None:
            return None
        if not _is_classification(outputs[first]):
            raise ValueError(
                f"Labels need class scores (samples, classes) as the first output. "
                f"Received: {outputs[first].shape}"
            )
        return float((outputs[first].argmax(axis=1) == labels).mean())

    return Verification(
        samples=samples,
        median_difference=float(np.median(difference)),
        largest_difference=float(difference.max()),
        agreement=float(agrees.mean()),
        moved=len(moved),
        moved_with_tie=_count_ties(
            model, {name: array[moved] for name, array in arrays.items()}
        ),
        keras_accuracy=accuracy(expected),
        tflite_accuracy=accuracy(received),
        milliseconds=1000 * seconds / samples,
        num_threads=num_threads,
    )


def named_inputs(model: Any, inputs: Inputs) -> dict[str, np.ndarray]:
    """Returns the inputs by the names that the model gives them."""
    names = list(model.input_names)
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise ValueError(f"The inputs are {names}. Received: {sorted(inputs)}")
        arrays = {name: np.asarray(inputs[name]) for name in names}
    else:
        several = isinstance(inputs, (list, tuple))
        given = list(inputs) if several else [inputs]
        if len(given) != len(names):
            raise ValueError(f"The inputs are {names}. Received: {len(given)} arrays")
        arrays = {name: np.asarray(array) for name, array in zip(names, given)}
    sizes = {len(array) for array in arrays.values()}
    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(f"Inputs need equally many samples, at least one: {sizes}")
    return arrays


def near_ties(model: Any, inputs: Inputs) -> np.ndarray | None:
    """Returns how close each input comes to turning a sign.

    Args:
        model: A Keras model.
        inputs: As for `verify`.

    Returns:
        For each sample the smallest magnitude in front of an input quantizer, divided
        by the root mean square of that layer, (samples,); `None` where the inner
        values cannot be read, as in subclassed and nested models.
    """
    import tensorflow as tf

    arrays = named_inputs(model, inputs)
    if any(hasattr(layer, "layers") for layer in model.layers):
        return None
    try:
        values = [
            layer.input
            for layer in model.layers
            if getattr(layer, "input_quantizer", None) is not None
            or isinstance(layer, signs())
        ]
        inner = tf.keras.Model(model.inputs, values)
    except (AttributeError, ValueError):
        return None
    if not values:
        return None
    samples = len(next(iter(arrays.values())))
    closest = np.full(samples, np.inf)
    for start in range(0, samples, _BATCH):
        part = slice(start, start + _BATCH)
        batch = {name: array[part] for name, array in arrays.items()}
        for value in tf.nest.flatten(inner(batch, training=False)):
            flat = value.numpy().reshape(len(value), -1)
            scale = np.sqrt((flat**2).mean(axis=1)) + np.finfo(np.float32).tiny
            closest[part] = np.minimum(closest[part], np.abs(flat).min(axis=1) / scale)
    return closest


def _count_ties(model: Any, inputs: dict[str, np.ndarray]) -> int | None:
    if len(next(iter(inputs.values()))) == 0:
        return 0
    closest = near_ties(model, inputs)
    return None if closest is None else int((closest <= _TIE).sum())


def _is_classification(output: np.ndarray) -> bool:
    return output.ndim == 2 and output.shape[1] > 1


def _named_outputs(model: Any, outputs: Any) -> dict[str, np.ndarray]:
    if isinstance(outputs, Mapping):
        return dict(outputs)
    several = isinstance(outputs, (list, tuple))
    return dict(zip(model.output_names, outputs if several else [outputs]))


def _check_fit(
    model: Any, interpreter: Interpreter, arrays: dict[str, np.ndarray]
) -> None:
    """Refuses a file that was made from another model."""

    def facts(names: Sequence[str], shapes: Sequence[Any]) -> dict[str, Any]:
        return {name: tuple(shape)[1:] for name, shape in zip(names, shapes)}

    shapes = [array.shape for array in arrays.values()]
    for side, ours, theirs in (
        ("inputs", facts(list(arrays), shapes), interpreter.inputs),
        (
            "outputs",
            facts(model.output_names, [t.shape for t in model.outputs]),
            interpreter.outputs,
        ),
    ):
        found = facts([info.name for info in theirs], [info.shape for info in theirs])
        if ours != found:
            raise ConversionError(
                f"The file does not fit the model: the {side} are {ours} in the model "
                f"and {found} in the file."
            )
