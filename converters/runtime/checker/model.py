"""The checker: whether a .tflite satisfies what LiteRT takes for granted.

LiteRT and XNNPACK trust a file: an index out of range, or a stride of zero, ends their
process. So every file is checked here before native code sees it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from converters.runtime.checker.contracts import Contracts
from converters.runtime.checker.graph import Graph
from converters.runtime.checker.node import UnsupportedError
from converters.runtime.schema import Model, load_schema, names_of


def check_model(
    model: Model, shapes: Mapping[int, tuple[int, ...]] | None = None
) -> None:
    """Refuses a file that native code may not survive.

    Args:
        model: The objects of the file.
        shapes: Other shapes of the first graph's inputs, by the index of their tensor.
            They may need all memory of this host. Defaults to `None`, the file's.

    Raises:
        UnsupportedError: If it contains types that are not supported.
        ValueError: If it is damaged.
    """
    buffers = model.buffers or []
    if not model.subgraphs or not buffers:
        raise ValueError("it contains no graph")
    if any(getattr(buffer, "offset", 0) for buffer in buffers):
        raise UnsupportedError("contains constants after the graph")
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            if getattr(operator, "largeCustomOptionsOffset", 0):
                raise UnsupportedError("contains options after the graph")
            if getattr(operator, "builtinOptions2Type", 0):
                raise UnsupportedError("contains StableHLO operators")
    _check_names(model)
    schema = load_schema()
    names = names_of(schema.BuiltinOperator)
    types = names_of(schema.TensorType)
    contracts = Contracts(names, names_of(schema.BuiltinOptions))
    graphs = [Graph(model, one, contracts, types) for one in model.subgraphs]
    for called in graphs[1:]:
        called.mark_called()
    if shapes:
        graphs[0].resize(shapes)
    for graph in graphs:
        graph.check()
    _check_calls([graph.calls() for graph in graphs])


def _check_names(model: Model) -> None:
    """Refuses signatures and metadata with an index out of range."""
    for entry in model.metadata or []:
        if entry.buffer not in range(len(model.buffers)):
            raise ValueError(
                f"its metadata is in buffer {entry.buffer}, which does not exist"
            )
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex not in range(len(model.subgraphs)):
            raise ValueError("a signature belongs to no graph")
        tensors = range(len(model.subgraphs[signature.subgraphIndex].tensors or []))
        for name in [*(signature.inputs or []), *(signature.outputs or [])]:
            if name.tensorIndex not in tensors or name.name is None:
                raise ValueError("a signature names no tensor")
            name.name.decode()


def _check_calls(calls: Sequence[Sequence[int]]) -> None:
    """Refuses graphs that call a graph out of range, or themselves."""
    if any(index not in range(len(calls)) for index in itertools.chain(*calls)):
        raise ValueError("an operator calls a graph that does not exist")
    reached = [set(called) for called in calls]
    for _ in calls:
        for called in reached:
            called |= set().union(*(reached[index] for index in called))
    if any(index in called for index, called in enumerate(reached)):
        raise ValueError("a graph calls itself")
