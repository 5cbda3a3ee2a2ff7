"""int8 inputs and outputs of a .tflite, in the place of float32 ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np

from converters.runtime import TfliteFile

# What a step of signs is worth: they are exactly -1 and 1.
_STEP_OF_SIGNS = 1.0


def with_int8_io(content: bytes) -> bytes:
    """Returns a file whose float32 inputs and outputs are int8 where steps are known.

    An input is the int8 tensor that QUANTIZE makes of it, an output the one that
    DEQUANTIZE reads, or the signs that LceDequantize writes. QUANTIZE and DEQUANTIZE
    stay for whatever else reads them. Ends of other types, as the integers of an
    argmax, and those without steps stay as they are.

    Args:
        content: A .tflite with some operators in int8.
    """
    return TfliteFile(content).edited(lambda model: _Ends(model.subgraphs[0], model))


class _Ends:
    """Changes the ends of a graph in its place."""

    def __init__(self, graph: Any, model: Any):
        from tensorflow.lite.python import schema_py_generated as schema

        self._graph, self._model, self._schema = graph, model, schema
        self._types = schema.TensorType
        outputs = list(graph.outputs)
        graph.inputs = _indices(self._int8_input(tensor) for tensor in graph.inputs)
        # What was an input and an output may be computed from an input now.
        graph.outputs = _indices(self._int8_output(tensor) for tensor in outputs)
        self._drop_unread()

    def _int8_input(self, tensor: int) -> int:
        """Returns what an input becomes."""
        quantized = next(
            (
                operator.outputs[0]
                for operator in self._readers(tensor)
                if self._is(operator, "QUANTIZE")
                and self._type(operator.outputs[0]) == self._types.INT8
            ),
            None,
        )
        if quantized is None or self._type(tensor) != self._types.FLOAT32:
            return tensor
        self._graph.operators = [
            operator
            for operator in self._graph.operators
            if list(operator.outputs) != [quantized]
        ]
        # Whatever else reads the input gets its steps as real numbers.
        self._graph.operators.insert(0, self._operator("DEQUANTIZE", quantized, tensor))
        return quantized

    def _int8_output(self, tensor: int) -> int:
        """Returns what an output becomes."""
        maker = self._maker(tensor)
        if maker is None or self._type(tensor) != self._types.FLOAT32:
            return tensor
        if self._is(maker, "DEQUANTIZE"):
            steps = maker.inputs[0]
            return steps if self._type(steps) == self._types.INT8 else tensor
        if self._is(maker, "LceDequantize"):
            return self._int8_signs(maker, tensor)
        return tensor

    def _int8_signs(self, maker: Any, tensor: int) -> int:
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
        """Drops the operators between types that nothing reads any more."""
        kept: list[Any] = []
        wanted = {int(tensor) for tensor in self._graph.outputs}
        for operator in reversed(self._graph.operators):
            passes = self._is(operator, "DEQUANTIZE", "LceDequantize")
            if not passes or wanted & {int(tensor) for tensor in operator.outputs}:
                kept.append(operator)
                wanted |= {int(tensor) for tensor in operator.inputs}
        self._graph.operators = kept[::-1]

    def _readers(self, tensor: int) -> list[Any]:
        return [one for one in self._graph.operators if tensor in one.inputs]

    def _maker(self, tensor: int) -> Any:
        makers = (one for one in self._graph.operators if tensor in one.outputs)
        return next(makers, None)

    def _type(self, tensor: int) -> int:
        return self._graph.tensors[tensor].type

    def _is(self, operator: Any, *names: str) -> bool:
        code = self._model.operatorCodes[operator.opcodeIndex]
        if code.customCode is not None:
            return code.customCode.decode() in names
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return number in [vars(self._schema.BuiltinOperator).get(n) for n in names]

    def _operator(self, name: str, read: int, written: int) -> Any:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(name)
        operator.inputs, operator.outputs = _indices([read]), _indices([written])
        return operator

    def _code(self, name: str) -> int:
        """Returns the place of a builtin operator's code, which it adds if needed."""
        number = getattr(self._schema.BuiltinOperator, name)
        for index, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = 2  # Of int8.
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _indices(tensors: Iterable[int]) -> Any:
    return np.array(list(tensors), np.int32)
