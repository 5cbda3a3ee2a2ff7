"""Comparison of a .tflite with its Keras model: does it compute the same?"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from converters.comparison import LARGEST_MEDIAN_DIFFERENCE, largest_differences
from converters.errors import ConversionError, reported
from converters.graph.freezing import freeze
from converters.graph.graph import Graph
from converters.model_arrays import (
    Inputs,
    Outputs,
    check_model_and_file,
    checked_samples,
    keras_outputs,
)
from converters.rewrites import rewrite
from converters.runtime import Interpreter
from converters.verification.answers import (
    equal_answers,
    is_classification,
    similar_answers,
)
from converters.verification.evidence import Evidence, gather, is_int8
from converters.verification.fitting import file_outputs, interpreter_for
from converters.verification.result import Verification
from converters.verification.witness import call_witness, timed


def verify(
    model: tf.keras.Model,
    tflite: bytes | str | os.PathLike[str],
    inputs: Inputs,
    labels: np.ndarray | None = None,
    *,
    num_threads: int = 1,
) -> Verification:
    """Runs a Keras model and a .tflite on the same inputs and compares the outputs.

    Inputs and outputs are matched by name. A single one needs no equal name. Names that
    differ only by Keras's automatic numbers, as in a model that was built again, are
    matched in the order of the numbers.

    Args:
        model: The Keras model that was converted.
        tflite: The content of the file, or its path.
        inputs: Array (samples, ...); for several inputs, arrays by name or in the
            model's order, as Keras takes them. A model that was built with a dictionary
            takes arrays by its keys. Real numbers are rounded to float32; an input of
            integers or booleans takes integers.
        labels: Integer class of each sample, (samples,), to report accuracies. Defaults
            to `None`.
        num_threads: Threads of the interpreter. Defaults to `1`.

    Returns:
        The comparison; `.passed` is the verdict.

    Raises:
        ConversionError: If inputs or outputs of the two differ in name, number or
            shape.
        ValueError: If the file is no .tflite or the inputs do not fit.
        TypeError: If a model and a file were not given in this order.

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
    check_model_and_file(model, tflite)
    arrays, labels = checked_samples(model, inputs, labels)
    return verify_arrays(model, tflite, arrays, labels, num_threads)


def verify_arrays(
    model: tf.keras.Model,
    tflite: bytes | str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    num_threads: int = 1,
) -> Verification:
    """Does what `verify` does, for inputs and labels that were checked already.

    Args:
        model: As for `verify`.
        tflite: As for `verify`.
        arrays: The inputs, as `checked_samples` returns them.
        labels: The labels, as it returns them.
        num_threads: As for `verify`.
    """
    interpreter = interpreter_for(model, tflite, num_threads)
    frozen, converted = _graphs_of(model)
    return compare(model, frozen, converted, interpreter, arrays, labels, num_threads)


def _graphs_of(model: tf.keras.Model) -> tuple[Graph | None, Sequence[Graph | None]]:
    """Returns a model as a graph, and the graphs that may have been converted."""
    if not getattr(model, "inputs", None):
        return None, ()
    with reported(f"The tracing of {model.name}"):
        frozen = freeze(model)
        rewritten = frozen.copy()
        rewrites = rewrite(rewritten)
    # A file from elsewhere was converted as the model is.
    return frozen, (rewritten, None) if rewrites else (None,)


def compare(
    model: tf.keras.Model,
    frozen: Graph | None,
    converted: Sequence[Graph | None],
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    num_threads: int = 1,
) -> Verification:
    """Compares a file with its model, for graphs that are at hand.

    Args:
        model: The Keras model.
        frozen: The model as a graph, `None` where it has no symbolic inputs.
        converted: The graphs that may have been converted: rewritten ones, and `None`
            for `frozen` itself.
        interpreter: Runs the file, as `interpreter_for` returns it.
        arrays: The inputs, as `checked_samples` returns them.
        labels: The labels, as it returns them.
        num_threads: Threads of the interpreter.

    Returns:
        The comparison.
    """
    with reported(f"The comparison of {model.name} with its file"):
        outputs = keras_outputs(model, arrays)
        _warn_of_mixing(model, outputs)

        def compared_with(outputs: Outputs) -> Verification:
            graphs = [
                graph and _run_as_the_file(graph, outputs, arrays)
                for graph in (frozen, *converted)
            ]
            found = functools.partial(gather, graphs[0], graphs[1:])
            return _compared(outputs, found, interpreter, arrays, labels, num_threads)

        verification = compared_with(outputs)
        if verification.outcome != "failed" or outputs.alone is not None:
            return verification
        alone = keras_outputs(model, arrays, alone=True)
        apart = largest_differences(outputs.arrays, alone.arrays)
        if (apart <= LARGEST_MEDIAN_DIFFERENCE).all():
            return verification
        verification = compared_with(alone)
        if verification.passed:
            _warn_of_batches(model)
        return verification


def _compared(
    outputs: Outputs,
    gathered: Callable[..., Evidence],
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    num_threads: int,
) -> Verification:
    """Runs the file, and in a second interpreter again, and counts what differs."""
    run = functools.partial(file_outputs, expected=outputs)
    received, milliseconds = timed(interpreter, arrays, run)
    evidence = gathered(interpreter, arrays, received)
    witness = call_witness(interpreter, num_threads, arrays, received, run, gathered)
    expected, int8 = outputs.arrays, is_int8(interpreter.file)
    difference = largest_differences(expected, received)
    similar = similar_answers(expected, received)
    agrees = similar if int8 else equal_answers(expected, received)
    first = next(iter(expected))
    finite = _finite(expected, len(similar)) & _finite(received, len(similar))
    return Verification(
        samples=len(similar),
        layers=evidence.layers,
        untraced=evidence.untraced,
        first_mismatch=evidence.first_mismatch,
        output_difference=evidence.output_difference,
        median_difference=float(np.median(difference)),
        largest_difference=float(difference.max()),
        agreement=float(agrees.mean()),
        **evidence.mismatches(difference > LARGEST_MEDIAN_DIFFERENCE),
        not_finite=int((~finite).sum()),
        keras_accuracy=_accuracy(expected[first], labels),
        tflite_accuracy=_accuracy(received[first], labels),
        milliseconds=milliseconds,
        num_threads=num_threads,
        backend_name=interpreter.backend_name,
        classes=all(is_classification(output) for output in expected.values()),
        int8=int8,
        steps=evidence.steps,
        changed=int((~similar).sum()),
        witness=witness,
    )


def _accuracy(scores: np.ndarray, labels: np.ndarray | None) -> float | None:
    if labels is None:
        return None
    if not is_classification(scores):
        raise ConversionError(
            "Labels need class scores (samples, classes) as the first output. "
            f"Received: {scores.shape}"
        )
    return float((scores.argmax(axis=1) == labels).mean())


def _run_as_the_file(
    graph: Graph, outputs: Outputs, arrays: Mapping[str, np.ndarray]
) -> Graph:
    """Returns a graph that runs samples one at a time where a batch differs."""
    alone = outputs.shapes_alone
    if alone is None and graph.mixes_samples(arrays):
        alone = {}
    if alone is None:
        return graph
    run_alone = graph.copy()
    run_alone.alone = alone
    return run_alone


def _warn_of_mixing(model: tf.keras.Model, outputs: Outputs) -> None:
    if outputs.mixing is not None:
        warnings.warn(
            f"Output {outputs.mixing!r} of {model.name} depends on the other inputs of "
            "a batch. A file computes one input at a time, and so did the model here.",
            stacklevel=5,
        )


def _warn_of_batches(model: tf.keras.Model) -> None:
    warnings.warn(
        f"{model.name} computes other outputs for inputs in a batch than for each "
        "alone. A file computes one input at a time, so it was compared with the "
        "latter. TensorFlow 2.19 makes this mistake in convolutions with unequal "
        "strides.",
        stacklevel=5,
    )


def _finite(outputs: Mapping[str, np.ndarray], samples: int) -> np.ndarray:
    """Returns for each sample whether its outputs are finite."""
    finite = np.ones(samples, bool)
    for output in outputs.values():
        finite &= np.isfinite(output.reshape(samples, -1)).all(axis=1)
    return finite
