"""Whether a .tflite holds what LiteRT takes for granted: graphs, tensors, constants.

LiteRT and XNNPACK trust a file: an index that leads nowhere, or a stride of zero, ends
their process. So no native code sees a file before it passed here; what each operator
needs stands in `contracts.py`.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.runtime.contracts import Contracts, Node
from converters.runtime.folding import depends_on_shapes, folded
from converters.runtime.growth import made
from converters.runtime.operands import check_operands, is_shaped_by_a_run
from converters.runtime.options import check_options

# 1 GiB: of float32 in one tensor, and of everything that is alive at once.
_MOST_ELEMENTS = 2**28
_MOST_BYTES = 2**30
_MOST_OF_LITERT = 2**31 - 1
_MOST_DIMENSIONS = 8
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


class UnsupportedError(ValueError):
    """A file that is sound and holds what is not supported here."""


def check_model(
    model: Any, schema: Any, shapes: Mapping[int, tuple[int, ...]] | None = None
) -> None:
    """Refuses a file that native code would stumble over.

    Args:
        model: The objects of the file.
        schema: The classes that read the format.
        shapes: Other shapes of inputs of the first graph, by their tensor, which may
            need all memory of this machine. Defaults to `None`, those of the file.

    Raises:
        UnsupportedError: If it holds types that are not supported.
        ValueError: If it is damaged.
    """
    buffers = model.buffers or []
    if not model.subgraphs or not buffers:
        raise ValueError("it holds no graph")
    if any(getattr(buffer, "offset", 0) for buffer in buffers):
        raise UnsupportedError("holds constants behind the graph")
    for graph in model.subgraphs:
        for operator in graph.operators or []:
            if getattr(operator, "largeCustomOptionsOffset", 0):
                raise UnsupportedError("holds options behind the graph")
            if getattr(operator, "builtinOptions2Type", 0):
                raise UnsupportedError("holds StableHLO operators")
    _check_labels(model)
    names = _names_of(schema.BuiltinOperator)
    types = _names_of(schema.TensorType)
    contracts = Contracts(names, _names_of(schema.BuiltinOptions))
    graphs = [_Graph(model, graph, contracts, types) for graph in model.subgraphs]
    for graph in graphs[1:]:
        graph.is_called()
    if shapes:
        graphs[0].resize(shapes)
    for graph in graphs:
        graph.check()
    _check_calls([graph.calls() for graph in graphs])


def _names_of(enumeration: Any) -> dict[int, str]:
    return {
        value: name
        for name, value in vars(enumeration).items()
        if isinstance(value, int)
    }


def _check_labels(model: Any) -> None:
    """Refuses signatures and metadata that lead nowhere."""
    for entry in model.metadata or []:
        if entry.buffer not in range(len(model.buffers)):
            raise ValueError(f"its metadata is in buffer {entry.buffer}, which is none")
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex not in range(len(model.subgraphs)):
            raise ValueError("a signature belongs to no graph")
        tensors = range(len(model.subgraphs[signature.subgraphIndex].tensors or []))
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            if entry.tensorIndex not in tensors or entry.name is None:
                raise ValueError("a signature names no tensor")
            entry.name.decode()


def _check_calls(calls: Sequence[Sequence[int]]) -> None:
    """Refuses graphs that call what is none, or themselves."""
    if any(index not in range(len(calls)) for index in itertools.chain(*calls)):
        raise ValueError("an operator calls a graph that is not there")
    reached = [set(called) for called in calls]
    for _ in calls:
        for called in reached:
            called |= set().union(*(reached[index] for index in called))
    if any(index in called for index, called in enumerate(reached)):
        raise ValueError("a graph calls itself")


class _Graph:
    """One graph of a file."""

    def __init__(
        self, model: Any, graph: Any, contracts: Contracts, types: dict[int, str]
    ):
        self._model, self._graph = model, graph
        self._contracts, self._types = contracts, types
        self._tensors = graph.tensors or []
        self._operators = graph.operators or []
        self._given = _list(graph.inputs)
        self._outputs = _list(graph.outputs)
        self._calls = [
            (len(_list(one.inputs)), len(_list(one.outputs))) for one in model.subgraphs
        ]
        self._constants: dict[int, np.ndarray] = {}
        self._sizes: dict[int, int] = {}
        self._made: dict[int, tuple[int, ...]] = {}
        self._unknown: set[int] = set()
        self._folded: dict[int, np.ndarray] = {}
        self._empty: set[int] = set()
        self._bounded: set[int] = set()
        self._is_called = False
        self._given_shapes: Mapping[int, tuple[int, ...]] = {}
        self._most_elements, self._most_bytes = _MOST_ELEMENTS, _MOST_BYTES

    def resize(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        """Gives inputs other shapes than the file does."""
        self._given_shapes = dict(shapes)
        self._made.update(shapes)
        self._most_elements, self._most_bytes = _MOST_OF_LITERT, _memory()

    def is_called(self) -> None:
        """Knows that an operator gives the inputs, of shapes that may be guessed."""
        self._is_called = True
        tensors = range(len(self._tensors))
        given = (i for i in self._given if i in tensors)
        self._unknown.update(i for i in given if self._is_guessed(i))

    def _is_guessed(self, index: int) -> bool:
        """Whether the file says that it does not know a shape."""
        return -1 in _list(self._tensors[index].shapeSignature)

    def check(self) -> None:
        """Refuses what native code would stumble over."""
        for index in range(len(self._tensors)):
            self._check_tensor(index)
        for index in (*self._given, *self._outputs):
            if index not in range(len(self._tensors)):
                raise ValueError("an input or output is not there")
        self._check_order()
        for index, operator in enumerate(self._operators):
            node = self._node(index, operator)
            check_options(node)
            self._contracts.check(node)
            self._check_operands(node)
            self._foresee(node, _list(operator.outputs))
            self._fold(node, _list(operator.outputs))
        self._check_half()
        self._check_memory()

    def calls(self) -> list[int]:
        """Returns the graphs that its operators call."""
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
            raise UnsupportedError(f"holds {kind.lower()} tensors")
        if tensor.sparsity is not None:
            raise UnsupportedError("holds sparse tensors")
        if tensor.buffer not in range(len(self._model.buffers)):
            raise ValueError(f"it has no buffer {tensor.buffer}")
        shape = _list(tensor.shape)
        if min(shape, default=0) < 0:
            raise ValueError(f"tensor {name} has a negative size")
        if len(shape) > _MOST_DIMENSIONS:
            raise ValueError(
                f"tensor {name} has {len(shape)} dimensions, and {_MOST_DIMENSIONS} "
                "are the most"
            )
        elements = math.prod(shape)
        if elements > _MOST_ELEMENTS:
            raise ValueError(
                f"tensor {name} has {elements:,} elements, and {_MOST_ELEMENTS:,} are "
                "the most"
            )
        self._check_steps(tensor, name, shape, kind)
        data = self._model.buffers[tensor.buffer].data
        dtype = np.dtype(_DTYPES[kind])
        self._sizes[index] = (
            math.prod(self._given_shapes.get(index, shape)) * dtype.itemsize
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

    def _check_steps(
        self, tensor: Any, name: str, shape: Sequence[int], kind: str
    ) -> None:
        """Refuses scales that are none."""
        found = tensor.quantization
        if found is None:
            return
        scales, points = _list(found.scale), _list(found.zeroPoint)
        if len(points) not in ({len(scales), 0} if not scales else {len(scales)}):
            raise ValueError(
                f"tensor {name} has {len(scales)} scales and {len(points)} zero points"
            )
        if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
            raise ValueError(f"tensor {name} has a scale that is none")
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
                raise ValueError(f"tensor {name} has a zero point that is no step")

    def _check_order(self) -> None:
        """Refuses a graph in which something is read before it is written."""
        computed = {i for one in self._operators for i in _list(one.outputs)}
        known = {-1, *self._given}
        for index, tensor in enumerate(self._tensors):
            # Constants without elements have no bytes.
            is_empty = math.prod(_list(tensor.shape)) == 0 and index not in computed
            if tensor.isVariable or index in self._constants or is_empty:
                known.add(index)
            if is_empty and not tensor.isVariable and index not in self._given:
                dtype = _DTYPES[self._types[tensor.type]]
                self._folded[index] = np.zeros(_list(tensor.shape), dtype)
                self._empty.add(index)
        if set(self._given) & set(self._constants):
            raise ValueError("an input is a constant")
        for place, operator in enumerate(self._operators):
            inputs, outputs = _list(operator.inputs), _list(operator.outputs)
            for tensor in (*inputs, *outputs, *_list(operator.intermediates)):
                if tensor not in range(-1, len(self._tensors)):
                    raise ValueError(f"it has no tensor {tensor}")
            if not known.issuperset(inputs):
                raise ValueError(f"operator {place} reads what is not computed yet")
            if not known.isdisjoint(outputs) or len(set(outputs)) < len(outputs):
                raise ValueError(f"operator {place} writes what is there already")
            known.update(outputs)
        if not known.issuperset(self._outputs):
            raise ValueError("an input or output is not there")

    def _node(self, index: int, operator: Any) -> Node:
        codes = self._model.operatorCodes or []
        if operator.opcodeIndex not in range(len(codes)):
            raise ValueError(f"operator {index} is of no kind")
        inputs, outputs = _list(operator.inputs), _list(operator.outputs)
        custom = operator.customOptions
        return Node(
            index=index,
            name=self._contracts.name(codes[operator.opcodeIndex]),
            inputs=inputs,
            shapes=[self._shape(i) for i in inputs],
            knows_shapes=self._unknown.isdisjoint(inputs),
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
        """Returns a shape as it comes out in a run, where that is known."""
        if index in self._made:
            return self._made[index]
        return tuple(_list(self._tensors[index].shape)) if index >= 0 else ()

    def _is_held(self, index: int) -> bool:
        """Whether the file holds the values of a tensor."""
        return index < 0 or index in self._constants or index in self._empty

    def _is_another(self, index: int) -> bool:
        """Whether a shape comes out in a run that is not that of the file."""
        return index >= 0 and self._shape(index) != tuple(
            _list(self._tensors[index].shape)
        )

    def _value(self, index: int) -> np.ndarray | None:
        """Returns what a tensor holds in every run, where that is known."""
        found = self._constants.get(index)
        return self._folded.get(index) if found is None else found

    def _kind(self, index: int) -> str:
        return self._types[self._tensors[index].type] if index >= 0 else ""

    def _scale(self, index: int) -> float | None:
        found = self._tensors[index].quantization if index >= 0 else None
        scales = [] if found is None else _list(found.scale)
        return float(scales[0]) if scales else None

    def _check_operands(self, node: Node) -> None:
        """Refuses sizes and places that only a run knows, and no kernel looks at."""
        try:
            are_bounded = [self._is_bounded(i) for i in node.inputs]
            check_operands(node, are_bounded, self._is_called)
        except NotImplementedError as error:
            raise UnsupportedError(str(error)) from None

    def _is_bounded(self, index: int) -> bool:
        return index in self._bounded or index < 0 or self._value(index) is not None

    def _fold(self, node: Node, outputs: Sequence[int]) -> None:
        """Notes what an operator makes of constants and shapes."""
        values = folded(node)
        if values is not None and len(values) == len(outputs):
            self._folded.update(zip(outputs, values))
        elif depends_on_shapes(node, [self._is_bounded(i) for i in node.inputs]):
            self._bounded.update(outputs)

    def _foresee(self, node: Node, outputs: Sequence[int]) -> None:
        """Refuses an operator that makes more than the file says, and too much."""
        shape = made(node) if node.knows_shapes else _guessed(node)
        if shape is not None and outputs:
            self._check_elements(node, math.prod(shape))
        if shape is None or not outputs or not node.knows_shapes:
            self._unknown.update(self._unsure(node, outputs))
            return
        self._made[outputs[0]] = shape
        kind = np.dtype(_DTYPES[node.output_kinds[0]])
        self._sizes[outputs[0]] = math.prod(shape) * kind.itemsize

    def _check_elements(self, node: Node, elements: int) -> None:
        if elements > self._most_elements:
            raise ValueError(
                f"operator {node.index}, {node.name}, makes {elements:,} elements, and "
                f"{self._most_elements:,} are the most"
            )

    def _unsure(self, node: Node, outputs: Sequence[int]) -> list[int]:
        """Returns the outputs whose shapes may be others than those of the file."""
        are_constants = [self._is_held(i) for i in node.inputs]
        if (
            not node.knows_shapes
            or any(self._is_another(i) for i in node.inputs)
            or is_shaped_by_a_run(node, are_constants)
        ):
            return list(outputs)
        if node.name in ("IF", "WHILE"):
            return [i for i in outputs if self._is_guessed(i)]
        return []

    def _check_half(self) -> None:
        """Refuses float16 but for constants that become float32."""
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
            for tensor in (*_list(operator.inputs), *_list(operator.outputs))
        }
        if halves & (read | {*self._given, *self._outputs}):
            raise UnsupportedError("computes in float16")

    def _check_memory(self) -> None:
        """Refuses a graph that needs more memory than files of networks do."""
        most = max(self._alive(), default=0)
        if most > self._most_bytes:
            raise ValueError(
                f"its tensors take {most:,} bytes at once, and {self._most_bytes:,} "
                "are the most"
            )

    def _alive(self) -> Iterator[int]:
        """Yields for each operator the bytes of the computed tensors then alive."""
        last = {}
        for place, operator in enumerate(self._operators):
            for tensor in (*_list(operator.inputs), *_list(operator.outputs)):
                last[tensor] = place
        last.update(dict.fromkeys(self._outputs, len(self._operators)))
        variables = [i for i, t in enumerate(self._tensors) if t.isVariable]
        alive = {*self._given, *variables} - set(self._constants)
        now = sum(self._sizes[index] for index in alive)
        yield now
        ends: dict[int, list[int]] = {}
        for tensor, place in last.items():
            if tensor >= 0 and tensor not in self._constants:
                ends.setdefault(place, []).append(tensor)
        for place, operator in enumerate(self._operators):
            now += sum(self._sizes[index] for index in set(_list(operator.outputs)))
            yield now
            done = set(ends.get(place, ())) - set(variables)
            now -= sum(self._sizes[index] for index in done)


def _guessed(node: Node) -> tuple[int, ...] | None:
    """Returns what an operator makes of inputs that are as the file guesses."""
    try:
        return made(node)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _memory() -> int:
    """Returns the bytes of memory of this machine."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return _MOST_BYTES


def _list(values: Any) -> list[Any]:
    """Returns a vector of the format as a list; one that is left out is empty."""
    return [] if values is None else np.asarray(values).tolist()
