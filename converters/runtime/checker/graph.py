"""Checks of one graph of a file: its tensors, its order, its operators, its memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.runtime.checker.builtin_options import check_options
from converters.runtime.checker.constant_folding import depends_on_shapes, fold
from converters.runtime.checker.contracts import Contracts
from converters.runtime.checker.node import Node, UnsupportedError
from converters.runtime.checker.operand_values import (
    check_operands,
    is_shaped_by_a_run,
)
from converters.runtime.checker.shape_inference import infer_shape
from converters.runtime.schema import (
    GraphOperator,
    Model,
    SubGraph,
    Tensor,
    list_of,
    operator_name,
)

# 1 GiB: of float32 in one tensor, and of all tensors that are live at once.
_MAX_ELEMENTS = 2**28
_MAX_BYTES = 2**30
_MAX_ELEMENTS_OF_LITERT = 2**31 - 1
_MAX_DIMENSIONS = 8
_DTYPES: dict[str, Any] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
_CALLS = (
    "thenSubgraphIndex",
    "elseSubgraphIndex",
    "condSubgraphIndex",
    "bodySubgraphIndex",
    "initSubgraphIndex",
)


class Graph:
    """One graph of a file.

    Args:
        model: The file.
        graph: Its graph.
        contracts: The contracts of operators.
        types: Names of the types of tensors, by their number.
    """

    def __init__(
        self,
        model: Model,
        graph: SubGraph,
        contracts: Contracts,
        types: dict[int, str],
    ):
        self._model, self._graph = model, graph
        self._contracts, self._types = contracts, types
        self._tensors = graph.tensors or []
        self._operators = graph.operators or []
        self._inputs = list_of(graph.inputs)
        self._outputs = list_of(graph.outputs)
        self._calls = [
            (len(list_of(one.inputs)), len(list_of(one.outputs)))
            for one in model.subgraphs
        ]
        self._constants: dict[int, np.ndarray] = {}
        self._sizes: dict[int, int] = {}
        self._inferred: dict[int, tuple[int, ...]] = {}
        self._unknown_shapes: set[int] = set()
        self._folded: dict[int, np.ndarray] = {}
        self._empty: set[int] = set()
        self._bounded: set[int] = set()
        self._is_called = False
        self._input_shapes: Mapping[int, tuple[int, ...]] = {}
        self._max_elements, self._max_bytes = _MAX_ELEMENTS, _MAX_BYTES

    def resize(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        """Sets other shapes of the inputs than the file's."""
        self._input_shapes = dict(shapes)
        self._inferred.update(shapes)
        self._max_elements, self._max_bytes = _MAX_ELEMENTS_OF_LITERT, _memory()

    def mark_called(self) -> None:
        """Notes that an operator of another graph supplies the inputs.

        Their shapes may be dynamic.
        """
        self._is_called = True
        tensors = range(len(self._tensors))
        given = (i for i in self._inputs if i in tensors)
        self._unknown_shapes.update(i for i in given if self._is_dynamic(i))

    def _is_dynamic(self, index: int) -> bool:
        """Whether the file declares that a shape is known in a run only."""
        return -1 in list_of(self._tensors[index].shapeSignature)

    def check(self) -> None:
        """Refuses a graph that native code may not survive."""
        for index in range(len(self._tensors)):
            self._check_tensor(index)
        for index in (*self._inputs, *self._outputs):
            if index not in range(len(self._tensors)):
                raise ValueError("an input or output of a graph is out of range")
        self._check_order()
        for index, operator in enumerate(self._operators):
            node = self._node(index, operator)
            check_options(node)
            self._contracts.check(node)
            self._check_operands(node)
            self._infer_shape(node, list_of(operator.outputs))
            self._fold(node, list_of(operator.outputs))
        self._check_float16()
        self._check_memory()

    def calls(self) -> list[int]:
        """Returns the indices of the graphs that its operators call."""
        return [
            int(getattr(operator.builtinOptions, field))
            for operator in self._operators
            for field in _CALLS
            if hasattr(operator.builtinOptions, field)
        ]

    def _check_tensor(self, index: int) -> None:
        tensor = self._tensors[index]
        name = tensor.name.decode() if tensor.name is not None else str(index)
        kind = self._types.get(tensor.type, f"type {tensor.type}")
        if kind not in _DTYPES:
            raise UnsupportedError(f"contains {kind.lower()} tensors")
        if tensor.sparsity is not None:
            raise UnsupportedError("contains sparse tensors")
        if tensor.buffer not in range(len(self._model.buffers)):
            raise ValueError(f"it has no buffer {tensor.buffer}")
        shape = list_of(tensor.shape)
        if min(shape, default=0) < 0:
            raise ValueError(f"tensor {name} has a negative size")
        if len(shape) > _MAX_DIMENSIONS:
            raise ValueError(
                f"tensor {name} has {len(shape)} dimensions; the maximum is "
                f"{_MAX_DIMENSIONS}"
            )
        elements = math.prod(shape)
        if elements > _MAX_ELEMENTS:
            raise ValueError(
                f"tensor {name} has {elements:,} elements; the maximum is "
                f"{_MAX_ELEMENTS:,}"
            )
        self._check_quantization(tensor, name, shape, kind)
        data = self._model.buffers[tensor.buffer].data
        dtype = np.dtype(_DTYPES[kind])
        self._sizes[index] = (
            math.prod(self._input_shapes.get(index, shape)) * dtype.itemsize
        )
        if data is None or len(data) == 0:
            return
        if len(data) != elements * dtype.itemsize:
            raise ValueError(
                f"tensor {name} of {shape} has {len(data)} bytes and should have "
                f"{elements * dtype.itemsize}"
            )
        flat = np.frombuffer(bytes(data) if elements < 64 else data, dtype)
        self._constants[index] = flat.reshape(shape)

    def _check_quantization(
        self, tensor: Tensor, name: str, shape: Sequence[int], kind: str
    ) -> None:
        """Refuses invalid scales and zero points."""
        found = tensor.quantization
        if found is None:
            return
        scales, points = list_of(found.scale), list_of(found.zeroPoint)
        if len(points) not in ({len(scales), 0} if not scales else {len(scales)}):
            raise ValueError(
                f"tensor {name} has {len(scales)} scales and {len(points)} zero points"
            )
        if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
            raise ValueError(f"tensor {name} has an invalid scale")
        axis = int(found.quantizedDimension)
        if len(scales) > 1 and (
            axis not in range(len(shape)) or shape[axis] != len(scales)
        ):
            raise ValueError(
                f"tensor {name} of {shape} has {len(scales)} scales for axis {axis}"
            )
        if kind in ("INT8", "UINT8", "INT16") and scales:
            low, high = np.iinfo(_DTYPES[kind]).min, np.iinfo(_DTYPES[kind]).max
            if not all(low <= point <= high for point in points):
                raise ValueError(f"tensor {name} has a zero point out of range")

    def _check_order(self) -> None:
        """Refuses a graph in which a tensor is read before it is written."""
        computed = {i for one in self._operators for i in list_of(one.outputs)}
        known = {-1, *self._inputs}
        for index, tensor in enumerate(self._tensors):
            # Constants without elements have no bytes.
            is_empty = math.prod(list_of(tensor.shape)) == 0 and index not in computed
            if tensor.isVariable or index in self._constants or is_empty:
                known.add(index)
            if is_empty and not tensor.isVariable and index not in self._inputs:
                dtype = _DTYPES[self._types[tensor.type]]
                self._folded[index] = np.zeros(list_of(tensor.shape), dtype)
                self._empty.add(index)
        if set(self._inputs) & set(self._constants):
            raise ValueError("an input is a constant")
        for place, operator in enumerate(self._operators):
            inputs, outputs = list_of(operator.inputs), list_of(operator.outputs)
            for tensor in (*inputs, *outputs, *list_of(operator.intermediates)):
                if tensor not in range(-1, len(self._tensors)):
                    raise ValueError(f"it has no tensor {tensor}")
            if not known.issuperset(inputs):
                raise ValueError(
                    f"operator {place} reads a tensor that is not computed yet"
                )
            if not known.isdisjoint(outputs) or len(set(outputs)) < len(outputs):
                raise ValueError(
                    f"operator {place} writes a tensor that exists already"
                )
            known.update(outputs)
        if not known.issuperset(self._outputs):
            raise ValueError("an output of a graph is not computed")

    def _node(self, index: int, operator: GraphOperator) -> Node:
        codes = self._model.operatorCodes or []
        if operator.opcodeIndex not in range(len(codes)):
            raise ValueError(
                f"operator {index} has no operator code {operator.opcodeIndex}"
            )
        inputs, outputs = list_of(operator.inputs), list_of(operator.outputs)
        custom = operator.customOptions
        return Node(
            index=index,
            name=operator_name(codes[operator.opcodeIndex], self._contracts.operators),
            inputs=inputs,
            shapes=[self._shape(i) for i in inputs],
            knows_shapes=self._unknown_shapes.isdisjoint(inputs),
            kinds=[self._kind(i) for i in inputs],
            values=[self._value(i) for i in inputs],
            scales=[self._scale(i) for i in inputs],
            output_shapes=[self._shape(i) for i in outputs],
            output_kinds=[self._kind(i) for i in outputs],
            output_scales=[self._scale(i) for i in outputs],
            options=operator.builtinOptions,
            options_type=int(operator.builtinOptionsType),
            custom=b"" if custom is None else np.asarray(custom, np.uint8).tobytes(),
            graphs=self._calls,
        )

    def _shape(self, index: int) -> tuple[int, ...]:
        """Returns a shape, the inferred one if there is one."""
        if index in self._inferred:
            return self._inferred[index]
        return tuple(list_of(self._tensors[index].shape)) if index >= 0 else ()

    def _is_constant(self, index: int) -> bool:
        """Whether the values of a tensor are in the file, or it is left out."""
        return index < 0 or index in self._constants or index in self._empty

    def _differs_from_file(self, index: int) -> bool:
        """Whether the inferred shape differs from the file's."""
        return index >= 0 and self._shape(index) != tuple(
            list_of(self._tensors[index].shape)
        )

    def _value(self, index: int) -> np.ndarray | None:
        """Returns the constant or folded value of a tensor, `None` if there is none."""
        found = self._constants.get(index)
        return self._folded.get(index) if found is None else found

    def _kind(self, index: int) -> str:
        return self._types[self._tensors[index].type] if index >= 0 else ""

    def _scale(self, index: int) -> float | None:
        found = self._tensors[index].quantization if index >= 0 else None
        scales = [] if found is None else list_of(found.scale)
        return float(scales[0]) if scales else None

    def _check_operands(self, node: Node) -> None:
        """Refuses sizes and indices that no kernel checks and only a run knows."""
        try:
            are_bounded = [self._is_bounded(i) for i in node.inputs]
            check_operands(node, are_bounded, self._is_called)
        except NotImplementedError as error:
            raise UnsupportedError(str(error)) from None

    def _is_bounded(self, index: int) -> bool:
        return index in self._bounded or index < 0 or self._value(index) is not None

    def _fold(self, node: Node, outputs: Sequence[int]) -> None:
        """Folds an operator whose inputs are constants or shapes."""
        values = fold(node)
        if values is not None and len(values) == len(outputs):
            self._folded.update(zip(outputs, values))
        elif depends_on_shapes(node, [self._is_bounded(i) for i in node.inputs]):
            self._bounded.update(outputs)

    def _infer_shape(self, node: Node, outputs: Sequence[int]) -> None:
        """Infers the shape of an operator's output; refuses one that is too large."""
        shape = infer_shape(node) if node.knows_shapes else _estimated_shape(node)
        if shape is not None and outputs:
            self._check_elements(node, math.prod(shape))
        if shape is None or not outputs or not node.knows_shapes:
            self._unknown_shapes.update(self._uncertain(node, outputs))
            return
        self._inferred[outputs[0]] = shape
        kind = np.dtype(_DTYPES[node.output_kinds[0]])
        self._sizes[outputs[0]] = math.prod(shape) * kind.itemsize

    def _check_elements(self, node: Node, elements: int) -> None:
        if elements > self._max_elements:
            raise ValueError(
                f"operator {node.index}, {node.name}, makes {elements:,} elements; the "
                f"maximum is {self._max_elements:,}"
            )

    def _uncertain(self, node: Node, outputs: Sequence[int]) -> list[int]:
        """Returns the outputs whose shapes may differ from the file's."""
        are_constants = [self._is_constant(i) for i in node.inputs]
        if (
            not node.knows_shapes
            or any(self._differs_from_file(i) for i in node.inputs)
            or is_shaped_by_a_run(node, are_constants)
        ):
            return list(outputs)
        if node.name in ("IF", "WHILE"):
            return [i for i in outputs if self._is_dynamic(i)]
        return []

    def _check_float16(self) -> None:
        """Refuses float16, except for constants that are converted to float32."""
        halves = {
            index
            for index, tensor in enumerate(self._tensors)
            if self._types[tensor.type] == "FLOAT16"
        }
        if not halves:
            return
        read = {
            tensor
            for index, operator in enumerate(self._operators)
            if self._node(index, operator).name != "DEQUANTIZE"
            for tensor in (*list_of(operator.inputs), *list_of(operator.outputs))
        }
        if halves & (read | {*self._inputs, *self._outputs}):
            raise UnsupportedError("computes in float16")

    def _check_memory(self) -> None:
        """Refuses a graph that needs more memory than any network should."""
        most = max(self._live_bytes(), default=0)
        if most > self._max_bytes:
            raise ValueError(
                f"its tensors take {most:,} bytes at once; the maximum is "
                f"{self._max_bytes:,}"
            )

    def _live_bytes(self) -> Iterator[int]:
        """Yields the bytes of the live computed tensors, operator by operator."""
        last = {}
        for place, operator in enumerate(self._operators):
            for tensor in (*list_of(operator.inputs), *list_of(operator.outputs)):
                last[tensor] = place
        last.update(dict.fromkeys(self._outputs, len(self._operators)))
        variables = [i for i, t in enumerate(self._tensors) if t.isVariable]
        alive = {*self._inputs, *variables} - set(self._constants)
        now = sum(self._sizes[index] for index in alive)
        yield now
        ends: dict[int, list[int]] = {}
        for tensor, place in last.items():
            if tensor >= 0 and tensor not in self._constants:
                ends.setdefault(place, []).append(tensor)
        for place, operator in enumerate(self._operators):
            now += sum(self._sizes[index] for index in set(list_of(operator.outputs)))
            yield now
            done = set(ends.get(place, ())) - set(variables)
            now -= sum(self._sizes[index] for index in done)


def _estimated_shape(node: Node) -> tuple[int, ...] | None:
    """Returns the shape of an output if the inputs have the shapes of the file."""
    try:
        return infer_shape(node)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _memory() -> int:
    """Returns the bytes of memory of this host."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return _MAX_BYTES
