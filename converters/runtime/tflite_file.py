"""Reader and editor of .tflite files: operators, tensors, constants, names."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import pathlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from converters.runtime.checker.custom_options import checked_custom_options
from converters.runtime.checker.model import check_model
from converters.runtime.checker.node import UnsupportedError
from converters.runtime.schema import (
    GraphOperator,
    Model,
    OperatorCode,
    SubGraph,
    Tensor,
    list_of,
    load_schema,
    names_of,
    operator_name,
)

_IDENTIFIER = b"TFL3"


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator of the graph.

    Attributes:
        name: Name of a custom operator such as `"LceBconv2d"`, or of a builtin one such
            as `"CONV_2D"`.
        inputs: Indices of the input tensors, -1 where an optional one is missing.
        outputs: Indices of the output tensors.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TfliteFile:
    """The first subgraph of a .tflite, read from bytes or a path.

    Args:
        source: The content of the file, or its path.

    Attributes:
        content: The bytes of the file.
        operators: The operators, in the order of execution.
        inputs: Indices of the input tensors, in the order of the file.
        outputs: Indices of the output tensors, in the order of the file.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If this is not a .tflite, a damaged one, or one of types that are
            not supported, as strings.
    """

    def __init__(self, source: bytes | str | os.PathLike[str]):
        name = "the content" if isinstance(source, bytes) else os.fspath(source)
        self.content = source if isinstance(source, bytes) else _bytes_of(source)
        if self.content[4:8] != _IDENTIFIER:
            raise ValueError(
                f"{name} is not a .tflite: it has {len(self.content)} bytes and does "
                "not carry the identifier TFL3."
            )
        load_schema()  # Outside of the block, as a missing reader is no damage.
        try:
            self._model = _read(self.content)
            check_model(self._model)
            self._graph = self._model.subgraphs[0]
            self.inputs = tuple(list_of(self._graph.inputs))
            self.outputs = tuple(list_of(self._graph.outputs))
            self.operators = tuple(self._operators())
            self.input_names(), self.output_names()
        except UnsupportedError as error:
            raise ValueError(f"{name} {error}, which are not supported.") from error
        except Exception as error:  # The reader of the format may raise anything.
            raise ValueError(
                f"{name} is a damaged .tflite of {len(self.content)} bytes: {error}"
            ) from error
        _broadcast_slopes(self._graph, self._model, self.operators)

    def _operators(self) -> list[Operator]:
        builtin = names_of(load_schema().BuiltinOperator)
        codes = self._model.operatorCodes
        return [
            Operator(
                operator_name(codes[operator.opcodeIndex], builtin),
                tuple(list_of(operator.inputs)),
                tuple(list_of(operator.outputs)),
            )
            for operator in self._graph.operators or []
        ]

    def name(self, tensor: int) -> str:
        """Returns the name of a tensor."""
        return self._graph.tensors[tensor].name.decode()

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Returns the shape of a tensor."""
        shape = self._graph.tensors[tensor].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def dtype(self, tensor: int) -> np.dtype:
        """Returns the type of a tensor's elements."""
        names = names_of(load_schema().TensorType)
        return np.dtype(names[self._graph.tensors[tensor].type].lower())

    def quantization(self, tensor: int) -> tuple[float, int] | None:
        """Returns scale and zero point of an int8 tensor, `None` for other tensors.

        Its values are scale * (integer - zero point). `None` also if each channel has
        its own scale.
        """
        found = self._graph.tensors[tensor].quantization
        if self.dtype(tensor) != np.int8 or found is None:
            return None
        scales = list_of(found.scale)
        if len(scales) != 1:
            return None
        return float(scales[0]), int(list_of(found.zeroPoint)[0])

    def data(self, tensor: int) -> np.ndarray | None:
        """Returns the values of a constant tensor, `None` if it is computed."""
        buffer = self._model.buffers[self._graph.tensors[tensor].buffer].data
        if buffer is None or len(buffer) == 0:
            return None
        flat = np.frombuffer(bytes(buffer), self.dtype(tensor))
        return flat.reshape(self.shape(tensor))

    def buffer(self, tensor: int) -> tuple[int, int]:
        """Returns the index and the size of a tensor's buffer.

        Tensors of equal values may share a buffer. The size is 0 for computed tensors.
        """
        index = int(self._graph.tensors[tensor].buffer)
        data = self._model.buffers[index].data
        return index, 0 if data is None else len(data)

    def lookup_rows(self, tensor: int) -> int | None:
        """Returns the rows of the smallest table that a tensor holds indices of.

        `None` if it holds none. An index beyond them ends a run with an error.
        """
        rows = [
            self.shape(facts.inputs[0])[getattr(operator.builtinOptions, "axis", 0)]
            for operator, facts in zip(self._graph.operators or [], self.operators)
            if facts.name == "GATHER" and facts.inputs[1] == tensor
        ]
        return min(rows, default=None)

    def custom_options(self, operator: int) -> Mapping[str, Any]:
        """Returns the options of a custom operator by name, none of a builtin one.

        Args:
            operator: Index of the operator.
        """
        content = bytes(list_of(self._graph.operators[operator].customOptions))
        return checked_custom_options(self.operators[operator].name, content)

    def repeated(self, operator: int, copies: int) -> tuple[bytes, tuple[int, ...]]:
        """Returns a file of one operator, repeated.

        All copies read the same inputs and constants. Each writes its own outputs; the
        outputs of the last copy are the outputs of the file.

        Args:
            operator: Index of the operator.
            copies: How many copies the file contains.

        Returns:
            The content, and the tensors of this file that are its inputs.
        """
        schema = load_schema()
        source = self._graph.operators[operator]
        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version = self._model.version
        model.buffers = [schema.BufferT()]
        model.operatorCodes = [self._model.operatorCodes[source.opcodeIndex]]
        model.operatorCodes.append(_shape_code(schema))
        model.subgraphs = [graph]
        graph.tensors, graph.operators = [], []

        def add(tensor: int, buffer: int = 0) -> int:
            new = copy.copy(self._graph.tensors[tensor])
            new.buffer = buffer
            graph.tensors.append(new)
            return len(graph.tensors) - 1

        def operate(
            code: int,
            like: GraphOperator,
            inputs: Sequence[int],
            outputs: Sequence[int],
        ) -> None:
            new = copy.copy(like)
            new.opcodeIndex = code
            new.inputs, new.outputs = (
                np.array(tensors, np.int32) for tensors in (inputs, outputs)
            )
            graph.operators.append(new)

        ask = schema.OperatorT()
        ask.builtinOptionsType = schema.BuiltinOptions.ShapeOptions
        ask.builtinOptions = schema.ShapeOptionsT()
        ask.builtinOptions.outType = schema.TensorType.INT32
        here = {-1: -1}
        given = []
        for tensor in self.operators[operator].inputs:
            if tensor in here:
                continue
            buffer, size = self.buffer(tensor)
            if size:
                model.buffers.append(self._model.buffers[buffer])
                here[tensor] = add(tensor, len(model.buffers) - 1)
            else:
                here[tensor] = add(tensor)
                if not self._graph.tensors[tensor].isVariable:
                    given.append(tensor)
        inputs = [here[tensor] for tensor in self.operators[operator].inputs]
        for _ in range(copies):
            outputs = [add(tensor) for tensor in self.operators[operator].outputs]
            operate(0, source, inputs, outputs)
            # XNNPACK drops operators whose output is not read. A SHAPE reads it, costs
            # nothing, and is not an operator of XNNPACK.
            for output in outputs:
                graph.tensors.append(_shape_tensor(schema, graph.tensors[output]))
                shape = len(graph.tensors) - 1
                operate(1, ask, [output], [shape])
        graph.inputs = np.array([here[tensor] for tensor in given], np.int32)
        graph.outputs = np.array(outputs, np.int32)
        return _pack(model, len(self.content)), tuple(given)

    @property
    def num_tensors(self) -> int:
        """The number of tensors."""
        return len(self._graph.tensors)

    def _needed(
        self, outputs: Sequence[int], given: Sequence[int] = ()
    ) -> list[GraphOperator]:
        """Returns the operators that outputs depend on, or that have no output.

        XNNPACK, as of TensorFlow 2.19, crashes on some whose output is not read.
        """
        wanted, kept = set(outputs) - set(given), []
        for operator, facts in zip(
            reversed(self._graph.operators), reversed(self.operators)
        ):
            if not facts.outputs or wanted & set(facts.outputs):
                kept.append(operator)
                wanted |= set(facts.inputs) - set(given)
        return kept[::-1]

    def with_outputs(self, tensors: Sequence[int]) -> bytes:
        """Returns the content with other tensors as its outputs.

        Operators that they do not depend on are left out.

        Args:
            tensors: Indices of tensors that the graph computes.
        """
        kept = self._needed(tensors)
        with self._edited():
            self._graph.operators = kept
            self._graph.outputs = np.array(tensors, np.int32)
            self._model.signatureDefs = []
            return self._packed()

    def with_given(self, tensors: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Returns the content with computed tensors as further inputs.

        Operators that the outputs then do not depend on are left out.

        Args:
            tensors: Indices of the tensors. They come after the inputs of the file.
            outputs: Indices of computed tensors, the new outputs.
        """
        kept = self._needed(outputs, tensors)
        with self._edited():
            self._graph.inputs = np.array([*self.inputs, *tensors], np.int32)
            self._graph.outputs = np.array(outputs, np.int32)
            self._graph.operators = kept
            self._model.signatureDefs = []
            return self._packed()

    def with_names(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """Returns the content with names for its inputs and outputs.

        The names are in the signature `"serving_default"`.

        Args:
            inputs: Names in the order of `inputs`.
            outputs: Names in the order of `outputs`.
        """
        schema = load_schema()
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.subgraphIndex = 0
        for side, names, tensors in (
            ("inputs", inputs, self.inputs),
            ("outputs", outputs, self.outputs),
        ):
            maps = []
            for name, tensor in zip(names, tensors, strict=True):
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name, tensor
                maps.append(entry)
            setattr(signature, side, maps)
        with self._edited():
            self._model.signatureDefs = [signature]
            return self._packed()

    def with_filters(self) -> bytes:
        """Returns the content with each filter of a binary convolution as a constant.

        The converter may make a filter of equal words by a FILL, which not every kernel
        can read.
        """
        read = {o.inputs[1] for o in self.operators if o.name == "LceBconv2d"}
        filled = {
            index: (operator.outputs[0], value)
            for index, operator in enumerate(self.operators)
            if operator.name == "FILL"
            and operator.outputs[0] in read
            and (value := self.data(operator.inputs[1])) is not None
        }
        if not filled:
            return self.content
        changed = TfliteFile(self.content)
        graph, buffers = changed._graph, changed._model.buffers
        for tensor, value in filled.values():
            words = np.full(self.shape(tensor), value, "<i4")
            buffers.append(load_schema().BufferT())
            buffers[-1].data = np.frombuffer(words.tobytes(), np.uint8)
            graph.tensors[tensor].buffer = len(buffers) - 1
        graph.operators = [
            operator
            for index, operator in enumerate(graph.operators)
            if index not in filled
        ]
        return _pack(changed._model, len(self.content))

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuses other shapes of the inputs that an operator cannot have.

        Args:
            shapes: One for each of `inputs`.

        Raises:
            ValueError: If an operator cannot, or needs more memory than this host has.
        """
        given = dict(zip(self.inputs, shapes, strict=True))
        check_model(self._model, given)

    def edited(self, change: Callable[[Model], object]) -> bytes:
        """Returns the content after a change; this file is not changed.

        Args:
            change: Changes the objects of the file in place.
        """
        model = _read(self.content)
        change(model)
        return _pack(model, len(self.content))

    def sound(self) -> bytes:
        """Returns the content, serialized again, with all references in bounds.

        LiteRT trusts the references of a file, and a damaged one ends its process.
        """
        return self._packed()

    @contextlib.contextmanager
    def _edited(self) -> Iterator[None]:
        """Restores the lists of the graph and the signatures at the end."""
        graph, model = self._graph, self._model
        before = graph.inputs, graph.outputs, graph.operators, model.signatureDefs
        try:
            yield
        finally:
            graph.inputs, graph.outputs, graph.operators, model.signatureDefs = before

    def _packed(self) -> bytes:
        return _pack(self._model, len(self.content))

    def input_names(self) -> tuple[str, ...]:
        """Returns the model's names of the inputs, in the order of the file."""
        return self._names("inputs", self.inputs)

    def output_names(self) -> tuple[str, ...]:
        """Returns the model's names of the outputs, in the order of the file."""
        return self._names("outputs", self.outputs)

    def _names(self, side: str, tensors: tuple[int, ...]) -> tuple[str, ...]:
        known: dict[int, list[str]] = {}
        for signature in (self._model.signatureDefs or [])[:1]:
            for entry in getattr(signature, side) or []:
                known.setdefault(int(entry.tensorIndex), []).append(entry.name.decode())
        # A tensor that is an output twice has two names.
        return tuple(
            (known[tensor].pop(0) if len(known[tensor]) > 1 else known[tensor][0])
            if tensor in known
            else self.name(tensor)
            for tensor in tensors
        )


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    """Returns the content of a file; refuses pipes and devices, which never end."""
    path = pathlib.Path(path)
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise ValueError(f"{path} is a pipe or a device, not a file.")
    return path.read_bytes()


def _read(content: bytes) -> Model:
    """Returns the objects of a file."""
    schema = load_schema()
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def _broadcast_slopes(
    graph: SubGraph, model: Model, operators: Sequence[Operator]
) -> None:
    """Repeats the slope of a PRELU for each channel if all channels share one.

    XNNPACK reads a slope for each channel.
    """
    schema = load_schema()
    for facts, operator in zip(operators, graph.operators or []):
        if facts.name != "PRELU":
            continue
        given, slope = (graph.tensors[index] for index in facts.inputs)
        data = model.buffers[slope.buffer].data
        sizes, channels = tuple(list_of(slope.shape)), tuple(list_of(given.shape))[-1:]
        if data is None or not channels or set(sizes) - {1}:
            continue
        wide = copy.copy(slope)
        wide.shape = np.array([*sizes[:-1], *channels], np.int32)
        wide.shapeSignature = None
        wide.name = slope.name + b"/of_each_channel"
        buffer = schema.BufferT()
        buffer.data = np.tile(np.asarray(data, np.uint8), channels[0])
        model.buffers.append(buffer)
        wide.buffer = len(model.buffers) - 1
        graph.tensors.append(wide)
        operator.inputs = np.array([facts.inputs[0], len(graph.tensors) - 1], np.int32)


def _pack(model: Model, size: int) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(size + 1024)
    try:
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    except Exception as error:  # The writer of the format may raise anything.
        raise ValueError(f"This .tflite is damaged: {error}") from error
    return bytes(builder.Output())


def _shape_code(schema: ModuleType) -> OperatorCode:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SHAPE
    code.version = 1
    return code


def _shape_tensor(schema: ModuleType, of: Tensor) -> Tensor:
    tensor = schema.TensorT()
    tensor.shape = np.array([0 if of.shape is None else len(of.shape)], np.int32)
    tensor.type = schema.TensorType.INT32
    tensor.buffer = 0
    tensor.name = "shape"
    return tensor
