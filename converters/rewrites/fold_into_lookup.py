"""f(W[ids])   becomes   f(W)[ids].

A function of each row alone, such as the quantizer of an embedding, need not be
computed at each token: the table gets it. Rows that become +c and -c are bits in the
file. The result is the same but for the order of sums over a row.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import (
    PASSING,
    canonical,
    data_inputs,
    execution_order,
    node_name,
)
from converters.graph.patterns import output_of
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
_UNARY = ("Abs", "Neg", "Relu", "Sign", "Square", "Sqrt", "Rsqrt", "Tanh")
_BINARY = ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum")
_OVER_ROWS = ("Mean", "Sum", "Max", "Min")


@dataclasses.dataclass(frozen=True)
class _Lookup:
    """Rows of a constant table, and a function of each of them.

    Attributes:
        node: The lookup.
        ends: The tensors of functions of rows that other operations read.
    """

    node: NodeDef
    ends: tuple[str, ...]


def rewrite(graph: Graph) -> list[str]:
    """Computes functions of rows for the tables."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        (end,) = match.ends
        graph.replace(
            [end],
            [data_inputs(match.node)[1]],
            functools.partial(
                _build,
                table=_computed(graph, match.node, end),
                shape=graph.shape(end),
            ),
            f"{name}/table",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_Lookup]:
    for node in graph.nodes("GatherV2"):
        if _is_of_rows(graph, node):
            ends = _ends(graph, node)
            if ends != (output_of(node),):
                yield _Lookup(node, ends)


def _check(graph: Graph, match: _Lookup) -> str | None:
    if len(match.ends) != 1:
        return "several functions of its rows are used"
    (end,) = match.ends
    if graph.dtype(end) != tf.float32 or _channels(graph, end) is None:
        return "the function of its rows makes no rows"
    return None


def _is_of_rows(graph: Graph, node: NodeDef) -> bool:
    """Whether a lookup takes rows of a constant matrix of real numbers."""
    table, _, axis = data_inputs(node)
    return (
        graph.dtype(table) == tf.float32
        and len(graph.shape(table)) == 2
        and graph.constant(table) is not None
        and graph.constant(axis) == 0
        and node.attr["batch_dims"].i == 0
    )


def _channels(graph: Graph, tensor: str) -> int | None:
    return graph.shape(tensor)[-1] if graph.shape(tensor) else None


def _ends(graph: Graph, lookup: NodeDef) -> tuple[str, ...]:
    """Returns the functions of rows that are used by what is none."""
    nodes = graph.by_name
    inside = {lookup.name}
    shapes: set[str] = set()
    for name in execution_order(nodes):
        node = nodes[name]
        sources = {node_name(source) for source in data_inputs(node)}
        if node.op == "Shape" and sources <= inside:
            shapes.add(name)
        elif sources & inside and _is_of_each_row(graph, node, inside, shapes):
            inside.add(name)
    # What passes a value on is its end only as an output of the model.
    known = (inside | shapes) - {node_name(name) for name in graph.outputs.values()}
    return tuple(
        canonical(name)
        for name in inside
        if nodes[name].op not in PASSING
        and any(reader.name not in known for reader in graph.users(name))
    )


def _is_of_each_row(
    graph: Graph, node: NodeDef, inside: set[str], shapes: set[str]
) -> bool:
    """Whether a node computes with each row alone, without moving it."""
    first, *others = data_inputs(node)
    if node.op in PASSING:
        return node_name(first) in inside
    if node.op in _UNARY:
        return True
    if node.op in _BINARY:
        rows = [one for one in (first, *others) if node_name(one) in inside]
        return len({len(graph.shape(one)) for one in rows}) == 1 and all(
            one in rows or _is_for_all_rows(graph, one) for one in (first, *others)
        )
    if node.op in _OVER_ROWS:
        axes = graph.constant(others[0])
        last = len(graph.shape(first)) - 1
        return (
            node.attr["keep_dims"].b
            and axes is not None
            and axes.size == 1
            and axes.item() in (-1, last)
        )
    if node.op == "Reshape":
        is_known = node_name(others[0]) in shapes or not graph.depends_on_inputs(
            others[0]
        )
        return is_known and _channels(graph, first) == _channels(graph, node.name)
    return False


def _is_for_all_rows(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is a constant, and the same for each row."""
    constant = graph.constant(tensor)
    return constant is not None and constant.size == (1, *constant.shape)[-1]


def _computed(graph: Graph, lookup: NodeDef, end: str) -> np.ndarray:
    """Returns the function of each row of the table."""
    table = graph.known(data_inputs(lookup)[0])
    # A lookup may take so many rows for a sample.
    tokens = int(np.prod(graph.inner_shape(output_of(lookup))[:-1]))
    missing = -len(table) % tokens
    padded = np.concatenate([table, np.repeat(table[:1], missing, axis=0)])
    rows = padded.reshape(-1, *graph.inner_shape(output_of(lookup)))
    (found,) = graph.imported().run({output_of(lookup): rows}, [end])
    result: np.ndarray = found.reshape(-1, found.shape[-1])[: len(table)]
    return result


def _build(
    ids: tf.Tensor, *, table: np.ndarray, shape: tuple[int | None, ...]
) -> tf.Tensor:
    rows = tf.gather(table, ids)
    if len(shape) == len(rows.shape):
        return rows
    return tf.reshape(rows, [-1 if size is None else size for size in shape])
