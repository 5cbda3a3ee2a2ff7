"""int8 inputs and outputs of a .tflite, instead of float32 ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np

from converters.runtime import TfliteFile
from converters.runtime.schema import (
    GraphOperator,
    Model,
    SubGraph,
    list_of,
    load_schema,
    names_of,
    operator_name,
)

# The quant step of signs: they are exactly -1 and 1.
_STEP_OF_SIGNS = 1.0


def with_int8_io(content: bytes) -> bytes:
    """Returns a file whose float32 inputs and outputs are int8 if they are quantized.

    An input becomes the int8 tensor that QUANTIZE computes from it, an output the one
    that DEQUANTIZE reads, or the signs that LceDequantize writes. QUANTIZE and
    DEQUANTIZE stay for other readers. Inputs and outputs of other types, such as the
    integers of an argmax, and unquantized ones stay as they are.

    Args:
        content: A .tflite with some operators in int8.
    """
    return TfliteFile(content).edited(lambda model: _Int8IO(model.subgraphs[0], model))


class _Int8IO:
    """Changes the inputs and outputs of a graph in place."""

    def __init__(self, graph: SubGraph, model: Model):
        self._graph, self._model, self._schema = graph, model, load_schema()
        self._types = self._schema.TensorType
        outputs = list_of(graph.outputs)
        inputs = list_of(graph.inputs)
        graph.inputs = _indices(self._int8_input(tensor) for tensor in inputs)
        # A tensor that was both input and output may now be computed from an input.
        graph.outputs = _indices(self._int8_output(tensor) for tensor in outputs)
        self._drop_unread()

    def _int8_input(self, tensor: int) -> int:
        """Returns the tensor that replaces an input."""
        quantized = next(
            (
                output
                for operator in self._readers(tensor)
                for output in list_of(operator.outputs)[:1]
                if self._is(operator, "QUANTIZE")
                and self._type(output) == self._types.INT8
            ),
            None,
        )
        if quantized is None or self._type(tensor) != self._types.FLOAT32:
            return tensor
        self._graph.operators = [
            operator
            for operator in self._graph.operators
            if list_of(operator.outputs) != [quantized]
        ]
        # Other readers of the input get it dequantized.
        self._graph.operators.insert(0, self._operator("DEQUANTIZE", quantized, tensor))
        return quantized

    def _int8_output(self, tensor: int) -> int:
        """Returns the tensor that replaces an output."""
        maker = self._maker(tensor)
        if maker is None or self._type(tensor) != self._types.FLOAT32:
            return tensor
        if self._is(maker, "DEQUANTIZE"):
            steps = int(list_of(maker.inputs)[0])
            return steps if self._type(steps) == self._types.INT8 else tensor
        if self._is(maker, "LceDequantize"):
            return self._int8_signs(maker, tensor)
        return tensor

    def _int8_signs(self, maker: GraphOperator, tensor: int) -> int:
        """Returns the signs of a tensor as integers."""
        signs = copy.copy(self._graph.tensors[tensor])
        signs.type = self._types.INT8
        signs.quantization = self._schema.QuantizationParametersT()
        signs.quantization.scale = np.array([_STEP_OF_SIGNS], np.float32)
        signs.quantization.zeroPoint = np.array([0], np.int64)
        self._graph.tensors.append(signs)
        second = copy.copy(maker)
        second.outputs = _indices([len(self._graph.tensors) - 1])
        self._graph.operators.append(second)
        return len(self._graph.tensors) - 1

    def _drop_unread(self) -> None:
        """Drops DEQUANTIZE operators whose output is no longer read."""
        kept: list[GraphOperator] = []
        wanted = set(list_of(self._graph.outputs))
        for operator in reversed(self._graph.operators):
            passes = self._is(operator, "DEQUANTIZE", "LceDequantize")
            if not passes or wanted & set(list_of(operator.outputs)):
                kept.append(operator)
                wanted |= set(list_of(operator.inputs))
        self._graph.operators = kept[::-1]

    def _readers(self, tensor: int) -> list[GraphOperator]:
        return [one for one in self._graph.operators if tensor in list_of(one.inputs)]

    def _maker(self, tensor: int) -> GraphOperator | None:
        for one in self._graph.operators:
            if tensor in list_of(one.outputs):
                return one
        return None

    def _type(self, tensor: int) -> int:
        return self._graph.tensors[tensor].type

    def _is(self, operator: GraphOperator, *names: str) -> bool:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return operator_name(code, names_of(self._schema.BuiltinOperator)) in names

    def _operator(self, name: str, read: int, written: int) -> GraphOperator:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(name)
        operator.inputs, operator.outputs = _indices([read]), _indices([written])
        return operator

    def _code(self, name: str) -> int:
        """Returns the index of a builtin operator's code, added if needed."""
        number = getattr(self._schema.BuiltinOperator, name)
        for index, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = 2  # The version with int8.
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _indices(tensors: Iterable[int]) -> np.ndarray:
    return np.array(list(tensors), np.int32)
