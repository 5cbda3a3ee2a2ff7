"""Lowering of a graph to a .tflite by the converter of Larq Compute Engine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

from converters.errors import ConversionError
from converters.graph.graph import Graph
from converters.graph.nodes import node_name
from converters.int8.fake_quants import is_quantized
from converters.int8.io import with_int8_io
from converters.lowering.packed_tables import with_packed_tables
from converters.runtime import TfliteFile

# Lines of the converter's log that a user should see.
_NOTEWORTHY = re.compile(r"(^|\s)([WE]\d{4} |error:|warning:)|: [WE] ", re.IGNORECASE)
# What it always logs.
_USUAL = re.compile(
    r"cuda|rocm|tensorrt|cuinit|oneDNN|computation_placer", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A file, and what was written while it was made.

    Attributes:
        content: The bytes of the .tflite, with the model's names.
        messages: Warnings and errors of the converter.
    """

    content: bytes
    messages: tuple[str, ...]


class LoweringError(ConversionError):
    """A graph could not be lowered.

    Attributes:
        messages: Warnings and errors of the converter.
    """

    def __init__(self, message: str, messages: tuple[str, ...]):
        super().__init__(message)
        self.messages = messages


def lower(graph: Graph, int8_io: bool = False) -> Lowered:
    """Lowers a graph to a .tflite with binary operators.

    Args:
        graph: The graph.
        int8_io: Whether inputs and outputs of the file are int8 where their
            quantization parameters are known. Defaults to `False`.

    Returns:
        The file, and the messages worth reading.

    Raises:
        LoweringError: If the converter fails.
        ConversionError: If it cannot be loaded.
    """
    failure = None
    with _captured_stderr() as lines, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = _converted(graph)
            if int8_io and is_quantized(graph):
                content = with_int8_io(content)
            content = with_packed_tables(TfliteFile(content).with_filters())
            content = TfliteFile(content).with_names(
                list(graph.inputs), list(graph.outputs)
            )
        except ConversionError:
            raise
        except Exception as error:  # Its errors are of many kinds.
            failure = error
    # The converter's own warnings matter: one of them is all that is said of a first
    # attempt that failed and of options that were dropped.
    warned = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    logged = [
        line for line in lines if _NOTEWORTHY.search(line) and not _USUAL.search(line)
    ]
    messages = (*warned, *logged)
    if failure is not None:
        raise LoweringError(str(failure), messages) from failure
    return Lowered(content, messages)


def _converted(graph: Graph) -> bytes:
    """Runs the converter, which writes no names of inputs and outputs."""
    try:
        from larq_compute_engine.mlir import _tf_tfl_flatbuffer as lce
    except ImportError as error:
        raise ConversionError(
            f"The converter cannot be loaded: {error}. If it is not installed: pip "
            "install larq-compute-engine==0.16.0 (Linux x86-64, macOS or Windows)."
        ) from error
    inputs = list(graph.inputs.values())
    # Larq Compute Engine's own function saves the model first, which takes most of its
    # time, and orders the inputs by name.
    return lce.convert_graphdef_to_tflite_flatbuffer(
        graph.graph_def.SerializeToString(),
        [node_name(tensor) for tensor in inputs],
        [_type_name(graph.dtype(tensor)) for tensor in inputs],
        [[1, *graph.shape(tensor)[1:]] for tensor in inputs],
        [node_name(tensor) for tensor in graph.outputs.values()],
        is_quantized(graph),
        "arm",
        None,
    )


def _type_name(dtype: tf.DType) -> str:
    return DataType.Name(dtype.as_datatype_enum)


@contextlib.contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """Collects what is written to the process's standard error, also from C++."""
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
