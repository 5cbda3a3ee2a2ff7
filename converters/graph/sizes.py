"""Size of a graph: its operations and the bytes of its constants.

A rewrite is reported with the size before it and after it.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence

from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.kernels import is_binary
from converters.graph.nodes import canonical, data_inputs, node_name


@dataclasses.dataclass(frozen=True)
class GraphSize:
    """Operations and constants of a graph, before Larq Compute Engine converts it.

    This is of the graph, not of the file: the converter joins operations, and leaves
    some kernels float that could be bits.

    Attributes:
        operations: Number of operations that depend on the inputs.
        constant_bytes: Bytes of the constants that they use, each constant once; a
            kernel of a convolution that is +c and -c in each channel counts as bits.
    """

    operations: int
    constant_bytes: int


def size_of(graph: Graph) -> GraphSize:
    """Counts what a graph computes its outputs with.

    Args:
        graph: The graph.

    Returns:
        The counts.
    """
    nodes = graph.by_name
    live = _dependent_on_inputs(nodes) & _needed(nodes, list(graph.outputs.values()))
    operations = 0
    constants: dict[str, int] = {}
    for name in live:
        node = nodes[name]
        if node.op == "Placeholder" or graph.source(name) != canonical(name):
            continue
        operations += 1
        for index, source in enumerate(data_inputs(node)):
            if node_name(source) in live:
                continue
            tensor = graph.source(source)
            bits = node.op == "Conv2D" and index == 1 and _has_bits(graph, tensor)
            size = _bytes(graph, tensor, bits)
            # What one operation uses as bits may be real to another one.
            constants[tensor] = max(size, constants.get(tensor, 0))
    return GraphSize(operations, sum(constants.values()))


def _dependent_on_inputs(nodes: Mapping[str, NodeDef]) -> set[str]:
    users = collections.defaultdict(list)
    for name, node in nodes.items():
        for source in data_inputs(node):
            users[node_name(source)].append(name)
    inputs = [name for name, node in nodes.items() if node.op == "Placeholder"]
    return _reached(inputs, users)


def _needed(nodes: Mapping[str, NodeDef], outputs: Sequence[str]) -> set[str]:
    sources = {
        name: [node_name(source) for source in data_inputs(node)]
        for name, node in nodes.items()
    }
    return _reached([node_name(output) for output in outputs], sources)


def _reached(start: Sequence[str], steps: dict[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += steps.get(name, ())
    return reached


def _bytes(graph: Graph, tensor: str, bits: bool) -> int:
    count, each = graph.constant_size(tensor)
    return -(-count // 8) if bits else count * each


def _has_bits(graph: Graph, kernel: str) -> bool:
    """Whether a kernel is known to be +c and -c, without a computation."""
    if graph.pre_sign(kernel) is not None:
        return True
    node = graph.producer(kernel)
    if node.op == "Const":
        return is_binary(graph.constant(kernel))
    if node.op != "Mul":
        return False
    one, other = data_inputs(node)
    return (_has_bits(graph, one) and _is_by_channel(graph.shape(other))) or (
        _has_bits(graph, other) and _is_by_channel(graph.shape(one))
    )


def _is_by_channel(shape: Collection[int | None]) -> bool:
    return all(size == 1 for size in list(shape)[:-1])
