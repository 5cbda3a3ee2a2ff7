"""Tables of embeddings as bits in a .tflite, where their rows are +c and -c.

Larq Compute Engine packs the kernels of binary convolutions alone: a table that is
looked up in stays float32, 32 times as large.
"""

from __future__ import annotations

import copy

import numpy as np

from converters.runtime import TfliteFile
from converters.runtime.bits import WORD, has_binary_rows
from converters.runtime.schema import GraphOperator, Model, list_of, load_schema

_DEQUANTIZE = "LceDequantize"


def with_packed_tables(content: bytes) -> bytes:
    """Returns a file that looks up bits where rows of a table are +c and -c.

    GATHER(W, ids) becomes LceDequantize(GATHER(bits, ids)), times GATHER(c, ids) where
    not all c are 1. Values stay the same to the bit.

    Args:
        content: A .tflite.
    """
    file = TfliteFile(content)
    tables = {
        index: table
        for index, operator in enumerate(file.operators)
        if operator.name == "GATHER"
        and (table := file.data(operator.inputs[0])) is not None
        and has_binary_rows(table)
        # The same table may be read otherwise, too, and would be there twice.
        and sum(operator.inputs[0] in one.inputs for one in file.operators) == 1
    }
    if not tables:
        return content
    return file.edited(lambda model: _pack_tables(model, tables))


def _pack_tables(model: Model, tables: dict[int, np.ndarray]) -> None:
    graph = model.subgraphs[0]
    editor = _Editor(model)
    operators: list[GraphOperator] = []
    for index, operator in enumerate(graph.operators):
        if index not in tables or not _takes_rows(operator):
            operators.append(operator)
            continue
        operators += editor.packed(operator, tables[index])
    graph.operators = operators


def _takes_rows(operator: GraphOperator) -> bool:
    options = operator.builtinOptions
    return not getattr(options, "axis", 0) and not getattr(options, "batchDims", 0)


class _Editor:
    """Adds tensors and operators to a file."""

    def __init__(self, model: Model):
        self._model, self._graph = model, model.subgraphs[0]
        self._schema = load_schema()

    def packed(self, lookup: GraphOperator, table: np.ndarray) -> list[GraphOperator]:
        """Returns the operators that take the place of a lookup in a table."""
        source, ids = (int(tensor) for tensor in list_of(lookup.inputs))
        (rows,) = (int(tensor) for tensor in list_of(lookup.outputs))
        scales = np.abs(table[:, :1])
        words = self._constant(source, "bits", _words(table))
        bits = self._computed(rows, "bits", words)
        if (scales == 1).all():
            self._drop(source)
            return [
                self._like(lookup, [words, ids], [bits]),
                self._operator(self._custom(), [bits], [rows]),
            ]
        scale = self._constant(source, "scales", scales)
        scaled = self._computed(rows, "scales", scale)
        signs = self._copy(rows, "signs", self._shape(rows))
        self._drop(source)
        multiply = self._operator(self._builtin("MUL"), [signs, scaled], [rows])
        multiply.builtinOptionsType = self._schema.BuiltinOptions.MulOptions
        multiply.builtinOptions = self._schema.MulOptionsT()
        return [
            self._like(lookup, [words, ids], [bits]),
            self._like(lookup, [scale, ids], [scaled]),
            self._operator(self._custom(), [bits], [signs]),
            multiply,
        ]

    def _shape(self, tensor: int) -> list[int]:
        return [int(size) for size in list_of(self._graph.tensors[tensor].shape)]

    def _copy(self, tensor: int, name: str, shape: list[int]) -> int:
        """Adds a computed tensor like another one, of another shape."""
        new = copy.copy(self._graph.tensors[tensor])
        new.name = (new.name or b"") + f"/{name}".encode()
        new.shape, new.shapeSignature = np.array(shape, np.int32), None
        new.buffer = 0
        self._graph.tensors.append(new)
        return len(self._graph.tensors) - 1

    def _constant(self, table: int, name: str, values: np.ndarray) -> int:
        """Adds a constant in the place of a table."""
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        index = self._copy(table, name, list(values.shape))
        self._graph.tensors[index].buffer = len(self._model.buffers) - 1
        if values.dtype.kind == "i":
            self._graph.tensors[index].type = self._schema.TensorType.INT32
        return index

    def _computed(self, rows: int, name: str, table: int) -> int:
        """Adds the tensor of rows of a table."""
        width = self._shape(table)[-1]
        index = self._copy(rows, name, [*self._shape(rows)[:-1], width])
        self._graph.tensors[index].type = self._graph.tensors[table].type
        return index

    def _drop(self, table: int) -> None:
        """Leaves the values of a table out of the file."""
        self._model.buffers[self._graph.tensors[table].buffer].data = None
        self._graph.tensors[table].shape = np.zeros(0, np.int32)

    def _like(
        self, operator: GraphOperator, inputs: list[int], outputs: list[int]
    ) -> GraphOperator:
        new = copy.copy(operator)
        new.inputs, new.outputs = (
            np.array(tensors, np.int32) for tensors in (inputs, outputs)
        )
        return new

    def _operator(
        self, code: int, inputs: list[int], outputs: list[int]
    ) -> GraphOperator:
        new = self._schema.OperatorT()
        new.opcodeIndex = code
        return self._like(new, inputs, outputs)

    def _custom(self) -> int:
        for index, code in enumerate(self._model.operatorCodes):
            if code.customCode == _DEQUANTIZE.encode():
                return index
        code = self._schema.OperatorCodeT()
        number = self._schema.BuiltinOperator.CUSTOM
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.customCode, code.version = _DEQUANTIZE.encode(), 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def _builtin(self, name: str) -> int:
        number = getattr(self._schema.BuiltinOperator, name)
        for index, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _words(table: np.ndarray) -> np.ndarray:
    """Returns the signs of a table as words, 1 for a negative value."""
    rows, channels = table.shape
    negative = np.zeros((rows, -(-channels // WORD) * WORD), bool)
    negative[:, :channels] = table < 0
    packed = np.packbits(negative, axis=-1, bitorder="little")
    words: np.ndarray = packed.view("<i4")
    return words
