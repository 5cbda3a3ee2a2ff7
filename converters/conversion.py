"""Conversion of a Keras model to a .tflite, which is verified before it is written."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from converters.auditing.audit import audit
from converters.checks.graph import check_graph
from converters.checks.model import check, in_float32
from converters.errors import ConversionError, reported
from converters.graph.freezing import freeze
from converters.graph.graph import Graph
from converters.int8.fake_quants import is_quantized
from converters.int8.insertion import fit_for_conversion, insert_fake_quants
from converters.lowering.culprits import culprits, users
from converters.lowering.lce import Lowered, LoweringError, lower
from converters.model_arrays import Inputs, checked_inputs, checked_samples
from converters.reports import Report
from converters.rewrites import REWRITES, checked_names, rewrite
from converters.runtime import Interpreter, TfliteFile
from converters.runtime.bits import KNOWN_CUSTOM_OPERATORS
from converters.verification.fitting import interpreter_for
from converters.verification.verify import compare
from converters.writing import write_atomic


@dataclasses.dataclass(frozen=True)
class Conversion:
    """The result of `convert`.

    Attributes:
        content: The bytes of the .tflite.
        path: Where it was written, or `None`.
        report: The audit of its layers and the comparison with the model.
    """

    content: bytes = dataclasses.field(repr=False)
    path: pathlib.Path | None
    report: Report


class NotEquivalentError(ConversionError):
    """A file does not compute what its model computes, or both depend on rounding."""

    def __init__(self, message: str, report: Report):
        super().__init__(message)
        self._report = report

    @property
    def report(self) -> Report:
        """The report of the file, which was not written."""
        return self._report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self._report)


def convert(
    model: tf.keras.Model,
    path: str | os.PathLike[str] | None = None,
    *,
    inputs: Inputs | None,
    labels: np.ndarray | None = None,
    rewrites: Sequence[str] | None = tuple(REWRITES),
    calibration: Inputs | None = None,
    int8_io: bool = False,
    allow_undetermined: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Conversion:
    """Converts a Keras model with Larq layers to a .tflite and verifies the result.

    The file is written only if it computes what the model computes. A warning names
    every layer with quantizers that stayed float, the reason and what to change.

    Args:
        model: A built Keras model with layers of Larq.
        path: Where to write the file. Defaults to `None`, nowhere.
        inputs: Real inputs to compare the file with the model on, as for `verify`; a
            few hundred are enough. `None` waives the comparison.
        labels: Integer class of each input, to report accuracies. Defaults to `None`.
        rewrites: Names from `converters.rewrites.REWRITES`: changes of the graph that
            keep its function and make more of it binary, or faster. `None` for none.
            Defaults to all.
        calibration: Representative inputs like `inputs`, from the training data; a few
            hundred are enough. The real-valued layers are computed in int8 with the
            ranges of their values on these inputs. Defaults to `None`, float32. A model
            that was trained with ranges
            (`tf.quantization.fake_quant_with_min_max_vars`) brings its own. Made-up
            ranges (Larq Compute Engine's `experimental_default_int8_range`) are not
            offered, because they give wrong answers.
        int8_io: Whether inputs and outputs of the file are int8, too, instead of
            float32; integer ones stay what they are. Defaults to `False`.
        allow_undetermined: Whether to write the file of a network whose answers depend
            on rounding, too, with a warning: see `Verification.outcome`. Defaults to
            `False`.
        progress: Called at each stage with a line of text, such as `print`. Defaults to
            `None`.

    Returns:
        Content, path and report.

    A model of mixed precision is converted in float32, with its float32 variables.
    Inputs of types that no interpreter takes are wider in the file, and `Interpreter`
    and `profile` take arrays of its types: float32 for float16 and float64, int32 for
    uint16, and int64 for uint32.

    Raises:
        NotEquivalentError: If the file does not compute what the model computes, or
            both depend on rounding. It has the report; no file is written.
        ConversionError: If the model holds no layer of Larq, has no symbolic inputs, or
            one of unknown size, of a fixed batch or of no numbers, a quantizer that the
            converter takes for another one, or an operator that no interpreter knows,
            if the conversion fails, or if an input or output cannot be int8. No file
            is written then.
        ValueError: If there is no such rewrite, or inputs, labels or calibration inputs
            do not fit: before the conversion.

    Example:
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).normal(size=(8, 28, 28, 1))
        >>> conversion = convert(model, inputs=images.astype(np.float32))
        >>> [layer.name for layer in conversion.report.audit.stayed_float]
        []
        >>> conversion.report.verification.passed
        True
    """
    tell = progress or _ignore
    # All arguments are checked before the long work.
    check(model)
    destination = None if path is None else _writable(path)
    names = checked_names(rewrites)
    arrays, labels = _samples(model, inputs, labels)
    if calibration is not None:
        calibration = checked_inputs(model, calibration, "calibration inputs")
    tell(f"tracing {model.name}")
    with reported(f"The tracing of {model.name}"):
        model = in_float32(model)
        frozen = freeze(model)
        graph = frozen.copy()
    if names:
        tell("rewriting its graph")
    with reported(f"The rewriting of {model.name}"):
        rewritten = rewrite(graph, names)
        check_graph(graph)
    with reported(f"The calibration of {model.name}"):
        _quantize(model, graph, calibration, int8_io)
    tell("converting it with Larq Compute Engine")
    with reported(f"The conversion of {model.name}"):
        lowered = _lowered(model, graph, int8_io)
        content, messages = lowered.content, lowered.messages
        _check_operators(content, graph, messages)
        _check_loads(model, content)
        if int8_io:
            _check_int8_io(content)
    tell("auditing the file" if arrays is None else "comparing the file with the model")
    with reported(f"The comparison of {model.name} with its file"):
        verification = None
        if arrays is not None:
            converted = [graph if graph.is_edited else None]
            interpreter = interpreter_for(model, content)
            verification = compare(
                model, frozen, converted, interpreter, arrays, labels
            )
        audited = audit(model, content)
        report = Report.of(model, audited, verification, messages, rewritten)
    _check_verification(report, calibration is not None, allow_undetermined)
    _warn_of_float_layers(report)
    if destination is not None:
        tell(f"writing {destination}")
        _write(destination, content)
    return Conversion(content, destination, report)


def _samples(
    model: tf.keras.Model, inputs: Inputs | None, labels: np.ndarray | None
) -> tuple[dict[str, np.ndarray] | None, np.ndarray | None]:
    """Returns inputs by name and their labels; refuses labels without inputs."""
    if inputs is not None:
        return checked_samples(model, inputs, labels)
    if labels is not None:
        raise ValueError("Labels need the inputs that they are of.")
    return None, None


def _warn_of_float_layers(report: Report) -> None:
    for layer in report.audit.stayed_float:
        warnings.warn(
            f"{layer.name} ({layer.kind}) stayed float: {layer.reason}. To make it "
            f"binary, {layer.fix}.",
            stacklevel=3,
        )


def _ignore(text: str) -> None:
    """Reports no progress."""


def _writable(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path; fails before the long work where nothing can be written."""
    destination = pathlib.Path(path)
    if not destination.parent.is_dir():
        raise ConversionError(f"The folder {destination.parent} does not exist.")
    if destination.is_dir() or not os.access(destination.parent, os.W_OK):
        raise ConversionError(f"{destination} cannot be written.")
    return destination


def _write(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ConversionError(f"{path} cannot be written: {error}") from error


def _quantize(
    model: tf.keras.Model,
    graph: Graph,
    calibration: Mapping[str, np.ndarray] | None,
    io: bool,
) -> None:
    """Puts quantization into the graph, if it is to have any."""
    if is_quantized(graph):
        if calibration is not None:
            raise ConversionError(
                f"{model.name} was trained with ranges of its own, which calibration "
                "would not change. Leave calibration out."
            )
        fit_for_conversion(graph)
    elif calibration is not None:
        insert_fake_quants(graph, calibration, io)
        if not is_quantized(graph):
            raise ConversionError(
                f"{model.name} has no real-valued convolution or dense layer that "
                "could be int8. Leave calibration out."
            )
    elif io:
        raise ConversionError(
            "int8_io needs ranges, which this model does not have. Give representative "
            "inputs as calibration, or train it with ranges."
        )


def _lowered(model: tf.keras.Model, graph: Graph, int8_io: bool) -> Lowered:
    """Lowers a graph; names the layers that cannot be converted."""
    try:
        return lower(graph, int8_io)
    except LoweringError as error:
        raise ConversionError(
            "".join(f"{line}\n" for line in culprits(model, graph, error.messages))
            + f"Larq Compute Engine could not convert {model.name}: {error}"
            + "".join(f"\n  {message}" for message in error.messages)
        ) from error


def _check_operators(content: bytes, graph: Graph, messages: tuple[str, ...]) -> None:
    builtin = vars(schema.BuiltinOperator)
    unknown = sorted(
        {
            operator.name
            for operator in TfliteFile(content).operators
            if operator.name not in builtin
            and operator.name not in KNOWN_CUSTOM_OPERATORS
        }
    )
    if unknown:
        raise ConversionError(
            f"No interpreter knows the operators {', '.join(unknown)} of this model, "
            "or not for their types. "
            f"Replace the layers that use them: {', '.join(users(graph, unknown))}."
            + "".join(f"\n  {message}" for message in messages)
        )


def _check_loads(model: tf.keras.Model, content: bytes) -> None:
    try:
        Interpreter(content, backend="lce")
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            f"Larq Compute Engine made a file of {model.name} that does not load: "
            f"{error}"
        ) from error


def _check_int8_io(content: bytes) -> None:
    """Refuses a file with float32 inputs or outputs, which nothing else notices."""
    file = TfliteFile(content)
    ends = [
        *zip(file.input_names(), file.inputs),
        *zip(file.output_names(), file.outputs),
    ]
    # Integers, as of an argmax or of pixels, stay what they are.
    others = [
        f"{name!r} is {file.dtype(tensor)}"
        for name, tensor in ends
        if file.dtype(tensor) == np.float32
    ]
    if others:
        raise ConversionError(
            f"Not all inputs and outputs can be int8: {', '.join(others)}, because no "
            "range stands there. Convert without int8_io, or change the first or last "
            "layer to one that has int8 kernels."
        )


def _check_verification(
    report: Report, calibrated: bool, allow_undetermined: bool
) -> None:
    verification = report.verification
    if verification is None:
        return
    if verification.remark:
        warnings.warn(f"{report.model}: {verification.remark}.", stacklevel=3)
    if verification.passed:
        return
    if verification.outcome == "undetermined":
        if not allow_undetermined:
            raise NotEquivalentError(
                f"No file was written of {report.model}, because "
                f"{verification.verdict}. {verification.cure}",
                report,
            )
        warnings.warn(f"{report.model}: {verification.verdict}.", stacklevel=3)
        return
    cure = ""
    if calibrated and not verification.not_finite:
        cure = (
            " Give as calibration a few hundred inputs of the training data, scaled as "
            "in training; train longer; or leave calibration out, for float32."
        )
    raise NotEquivalentError(
        f"The file would not compute what {report.model} computes, so none was "
        f"written: {verification.verdict}.{cure}",
        report,
    )
