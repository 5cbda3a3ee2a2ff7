"""Binary convolutions of the same signs that are joined behind become one.

concat(f1(conv(s, W1)) + x1, f2(conv(s, W2)) + x2)
    = f(conv(s, concat(W1, W2))) + concat(x1, x2)

with biases or batch normalizations f1, f2, and f of both. ReActNet doubles its channels
so. The result is the same but for the order of float sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import becomes_binary, like, padding_of


def rewrite(graph: Graph) -> list[str]:
    """Merges twins."""
    changed = []
    for node in graph.nodes("ConcatV2"):
        *parts, axis = data_inputs(node)
        rank = len(graph.shape(f"{node.name}:0"))
        if graph.constant(axis) not in (-1, rank - 1) or len(parts) < 2:
            continue
        ways = [_way(graph, part) for part in parts]
        if any(way is None for way in ways) or not _alike(graph, ways):
            continue
        names = [graph.layer(way[0]) for way in ways if way]
        _merge(graph, node, ways)
        changed += names
    return changed


def _way(graph: Graph, tensor: str) -> Any:
    """Returns the convolution that a tensor comes from and the steps behind it.

    A step is the name of its operation with its constants, or with the other operand of
    a sum.
    """
    steps: list[tuple[str, Any]] = []
    while True:
        source = graph.source(tensor)
        node = graph.producer(source)
        if len(graph.users(source)) != 1 or source != f"{node.name}:0":
            return None
        inputs = data_inputs(node)
        if node.op == "Conv2D":
            if not becomes_binary(graph, node):
                return None
            return node, tuple(reversed(steps))
        if node.op == "BiasAdd":
            constants = [graph.constant(inputs[1])]
        elif node.op == "FusedBatchNormV3" and not node.attr["is_training"].b:
            constants = [graph.constant(i) for i in inputs[1:]]
            constants.append(node.attr["epsilon"].f)
        elif node.op in ("Add", "AddV2"):
            beside = _beside(graph, inputs)
            if beside is None or any(kind == "Add" for kind, _ in steps):
                return None
            tensor, other = beside
            steps.append(("Add", other))
            continue
        else:
            return None
        if any(constant is None for constant in constants):
            return None
        steps.append((node.op, constants))
        tensor = inputs[0]


def _beside(graph: Graph, inputs: list[str]) -> tuple[str, str] | None:
    """Returns which operand of a sum leads to a convolution, and the other one."""
    leading = [i for i in inputs if _leads(graph, i)]
    if len(leading) != 1:
        return None
    (way,) = leading
    (other,) = [i for i in inputs if i != way]
    same = graph.shape(way)[1:] == graph.shape(other)[1:]
    return (way, other) if same and graph.constant(other) is None else None


def _leads(graph: Graph, tensor: str) -> bool:
    source = graph.source(tensor)
    node = graph.producer(source)
    if len(graph.users(source)) != 1:
        return False
    if node.op in ("BiasAdd", "FusedBatchNormV3"):
        return _leads(graph, node.input[0])
    return node.op == "Conv2D"


def _alike(graph: Graph, ways: Any) -> bool:
    """Whether convolutions differ in their weights alone, and so what follows."""

    def facts(way: Any) -> Any:
        node, steps = way
        kernel = graph.known(node.input[1])
        attributes = [
            tuple(node.attr[name].list.i) for name in ("strides", "dilations")
        ]
        epsilons = [v[-1] for kind, v in steps if kind == "FusedBatchNormV3"]
        return (
            graph.source(node.input[0]),
            kernel.shape[:3],
            kernel.shape[2] == graph.inner_shape(node.input[0])[-1],
            attributes,
            padding_of(node),
            [kind for kind, _ in steps],
            epsilons,
        )

    first = facts(ways[0])
    kernels = [graph.known(node.input[1]) for node, _ in ways]
    twice = any(
        np.array_equal(one, other)
        for index, one in enumerate(kernels)
        for other in kernels[:index]
    )
    # One kernel for two ways would be stored and computed twice.
    return first[2] and not twice and all(facts(way) == first for way in ways[1:])


def _merge(graph: Graph, node: Any, ways: Any) -> None:
    import tensorflow as tf

    convolution, all_steps = like(ways[0][0]), [way[1] for way in ways]
    kernel = np.concatenate([graph.known(way[0].input[1]) for way in ways], axis=-1)
    beside = [value for steps in all_steps for kind, value in steps if kind == "Add"]

    def build(x: Any, *others: Any) -> Any:
        y = convolution(x, kernel)
        for together in zip(*all_steps):
            kind, values = together[0][0], [step[1] for step in together]
            if kind == "Add":
                y = y + tf.concat(others, axis=-1)
            elif kind == "BiasAdd":
                y = tf.nn.bias_add(y, np.concatenate([v[0] for v in values]))
            else:
                constants = [np.concatenate(c) for c in zip(*(v[:-1] for v in values))]
                y = tf.compat.v1.nn.fused_batch_norm(
                    y, *constants, epsilon=values[0][-1], is_training=False
                )[0]
        return y

    signs = graph.source(ways[0][0].input[0])
    name = f"{graph.layer(ways[0][0])}/twins"
    graph.replace([f"{node.name}:0"], [signs, *beside], build, name)
