"""The .tflite format: LiteRT's generated reader, and types for the objects it makes.

The reader comes with ai-edge-litert or TensorFlow and has no types of its own.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union

import numpy as np

if TYPE_CHECKING:
    from flatbuffers import Builder

NO_LITERT = "No LiteRT is installed to run a .tflite with: pip install ai-edge-litert"

# A vector of the format; one without elements may be left out.
Vector = Optional[Union[Sequence[Any], np.ndarray]]


class Buffer(Protocol):
    """The bytes of a constant."""

    data: np.ndarray | None


class Quantization(Protocol):
    """Scales and zero points of a tensor."""

    scale: Vector
    zeroPoint: Vector
    quantizedDimension: int


class Tensor(Protocol):
    """A tensor of a graph."""

    name: Any  # bytes, or None
    shape: Vector
    shapeSignature: Vector
    type: int
    buffer: int
    isVariable: bool
    quantization: Quantization | None
    sparsity: object


class OperatorCode(Protocol):
    """The kind of an operator, by its number or, if it is custom, by its name."""

    builtinCode: int
    deprecatedBuiltinCode: int
    customCode: bytes | None
    version: int


class GraphOperator(Protocol):
    """An operator of a graph."""

    opcodeIndex: int
    inputs: Vector
    outputs: Vector
    intermediates: Vector
    builtinOptions: object
    builtinOptionsType: int
    customOptions: Vector


class SubGraph(Protocol):
    """A graph: operators in the order of execution, and their tensors."""

    tensors: list[Tensor]
    operators: list[GraphOperator]
    inputs: Vector
    outputs: Vector


class TensorName(Protocol):
    """The name of an input or output in a signature."""

    name: bytes
    tensorIndex: int


class Signature(Protocol):
    """The names of a graph's inputs and outputs."""

    subgraphIndex: int
    inputs: list[TensorName] | None
    outputs: list[TensorName] | None


class Metadata(Protocol):
    """A named buffer of a file."""

    buffer: int


class Model(Protocol):
    """A whole file."""

    version: int
    subgraphs: list[SubGraph]
    buffers: list[Buffer]
    operatorCodes: list[OperatorCode]
    signatureDefs: list[Signature] | None
    metadata: list[Metadata] | None

    def Pack(self, builder: Builder) -> int:
        """Serializes it."""


@functools.cache
def load_schema() -> ModuleType:
    """Returns the module of the generated classes.

    Raises:
        ImportError: If there is neither ai-edge-litert nor TensorFlow.
    """
    if importlib.util.find_spec("ai_edge_litert") is not None:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    if importlib.util.find_spec("tensorflow") is not None:
        return importlib.import_module("tensorflow.lite.python.schema_py_generated")
    raise ImportError(NO_LITERT)


def names_of(enumeration: type) -> dict[int, str]:
    """Returns the names of an enumeration of the format, by their number."""
    return {
        value: name
        for name, value in vars(enumeration).items()
        if isinstance(value, int)
    }


def operator_name(code: OperatorCode, builtin: dict[int, str]) -> str:
    """Returns the name of an operator.

    Args:
        code: Its code.
        builtin: Names of the builtin operators, by their number.
    """
    if code.customCode is not None:
        return str(code.customCode.decode())
    # Codes below 127 are also in a field of an older format.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return builtin.get(number, f"BUILTIN_{number}")


def list_of(values: Vector | Iterable[int]) -> list[Any]:
    """Returns a vector of the format as a list, empty if it is left out."""
    return [] if values is None else np.asarray(values).tolist()
