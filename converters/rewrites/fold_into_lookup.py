"""f(W[ids])   becomes   f(W)[ids].

A function of each row alone, such as the quantizer of an embedding, need not be
computed at each token: the table gets it. Rows that become +c and -c are bits in the
file, so what follows on them, such as a ReLU, stays behind the lookup. The result is
the same but for the order of sums over a row.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Collection, Iterator

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
from converters.runtime.bits import has_binary_rows

_LOG = logging.getLogger(__name__)
_UNARY = ("Abs", "Neg", "Relu", "Sign", "Square", "Sqrt", "Rsqrt", "Tanh")
_BINARY = ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum")
_OVER_ROWS = ("Mean", "Sum", "Max", "Min")


@dataclasses.dataclass(frozen=True)
class _Lookup:
    """Rows of a constant table, and a function of each of them.

    Attributes:
        node: The lookup.
        end: The function that the table gets; the lookup's own rows for none.
        table: What it gets.
    """

    node: NodeDef
    end: str
    table: np.ndarray


def rewrite(graph: Graph) -> list[str]:
    """Computes functions of rows for the tables."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        graph.replace(
            [match.end],
            [data_inputs(match.node)[1]],
            functools.partial(
                _build,
                table=match.table,
                shape=graph.shape(match.end),
            ),
            f"{name}/table",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_Lookup]:
    for node in graph.nodes("GatherV2"):
        if not _is_of_rows(graph, node):
            continue
        inside, ends = _functions(graph, node)
        if ends == {node.name}:
            continue
        ways = [
            canonical(name)
            for name in inside
            if _passes_all(graph, node, name, inside, ends) and _has_rows(graph, name)
        ]
        end, table = _best(graph, node, ways)
        is_own = end == output_of(node)
        if np.array_equal(table, graph.known(data_inputs(node)[0])) and (
            not is_own or has_binary_rows(table)
        ):
            continue  # Rows in another shape, or +c and -c already.
        yield _Lookup(node, end, table)


def _best(graph: Graph, lookup: NodeDef, ways: list[str]) -> tuple[str, np.ndarray]:
    """Returns the last function that makes rows of +c and -c, else the last one."""
    last = None
    for end in reversed(ways):
        table = _computed(graph, lookup, end)
        if has_binary_rows(table):
            return end, table
        last = last or (end, table)
    if last is None:
        raise ValueError(f"{lookup.name} is no function of its own rows.")
    return last


def _check(graph: Graph, match: _Lookup) -> str | None:
    if match.end == output_of(match.node):
        return "several functions of its rows are used"
    shapes = [graph.shape(one)[1:] for one in (match.end, output_of(match.node))]
    if shapes[0] != shapes[1] and None in shapes[0]:
        return "its rows get a shape that is not known"
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


def _functions(graph: Graph, lookup: NodeDef) -> tuple[list[str], set[str]]:
    """Returns the functions of rows in order, and which are used by what is none."""
    nodes = graph.by_name
    inside = {lookup.name: None}
    shapes: set[str] = set()
    for name in execution_order(nodes):
        node = nodes[name]
        sources = {node_name(source) for source in data_inputs(node)}
        if node.op == "Shape" and sources <= inside.keys():
            shapes.add(name)
        elif sources & inside.keys() and _is_of_each_row(graph, node, inside, shapes):
            inside[name] = None
    # What passes a value on is its end only as an output of the model.
    known = (inside.keys() | shapes) - {
        node_name(one) for one in graph.outputs.values()
    }
    ends = {
        name
        for name in inside
        if nodes[name].op not in PASSING
        and any(reader.name not in known for reader in graph.users(name))
    }
    return [*inside], ends


def _passes_all(
    graph: Graph, lookup: NodeDef, name: str, inside: list[str], ends: set[str]
) -> bool:
    """Whether all that is used of a lookup is a function of one of its functions."""
    reached = {lookup.name} - {name}
    for one in inside:
        sources = {node_name(source) for source in data_inputs(graph.by_name[one])}
        if one != name and sources & reached:
            reached.add(one)
    return graph.by_name[name].op not in PASSING and not reached & ends


def _has_rows(graph: Graph, name: str) -> bool:
    return graph.dtype(name) == tf.float32 and _channels(graph, name) is not None


def _is_of_each_row(
    graph: Graph, node: NodeDef, inside: Collection[str], shapes: set[str]
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
    if rows.shape[1:].as_list() == [*shape[1:]]:
        return rows
    return tf.reshape(rows, [-1 if size is None else size for size in shape])
