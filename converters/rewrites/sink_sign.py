"""The sign is taken last: behind what moves and joins values.

Larq Compute Engine knows a binary convolution by the sign directly in front of it. A
sign commutes with everything that moves values: reshaping, transposing, so a channel
shuffle, and concatenation; and with the choice of the largest. The result is the same
to the bit.
"""

from __future__ import annotations

from typing import Any

from converters.graph.graph import Graph
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import is_nhwc, padding_of, sign

_MOVING = (
    "Reshape",
    "Transpose",
    "ExpandDims",
    "Squeeze",
    "ConcatV2",
    "StridedSlice",
    "MaxPool",
)

_KEEPING_ORDER = ("Reshape", "ExpandDims", "Squeeze")


def rewrite(graph: Graph) -> list[str]:
    """Moves signs behind operations that only move values."""
    changed: dict[str, None] = {}
    while True:
        for node in graph.nodes(*_MOVING):
            signs = data_inputs(node)[:-1] if node.op == "ConcatV2" else [node.input[0]]
            values = [graph.pre_sign(tensor) for tensor in signs]
            if None in values or not _leads_to_product(graph, node):
                continue
            if node.op == "MaxPool" and not is_nhwc(node):
                continue
            for source in signs:
                changed[graph.layer(graph.producer(source))] = None
            for source, value in zip(signs, values):
                _measure(graph, graph.source(source), str(value))
            _move(graph, node, [str(value) for value in values])
            break
        else:
            return list(changed)


def _leads_to_product(graph: Graph, node: Any) -> bool:
    """Whether the values go on to a convolution, moved at most."""
    for user in graph.users(f"{node.name}:0"):
        if user.op in ("Conv2D", "MatMul"):
            return True
        if user.op in (*_MOVING, "Pad", "PadV2"):
            if _leads_to_product(graph, user):
                return True
    return False


def _measure(graph: Graph, tensor: str, value: str) -> None:
    """Takes the shape of the value instead of that of its sign."""
    import tensorflow as tf

    for user in graph.users(tensor):
        if user.op == "Shape":
            name = f"{graph.layer(user)}/shape"
            graph.replace([f"{user.name}:0"], [value], tf.shape, name)


def _move(graph: Graph, node: Any, values: list[str]) -> None:
    import tensorflow as tf

    rest = data_inputs(node)[len(values) :]
    attributes = node.attr

    def build(*inputs: Any) -> Any:
        given, others = list(inputs[: len(values)]), list(inputs[len(values) :])
        if node.op == "ConcatV2":
            return sign(tf.concat(given, others[0]))
        if node.op == "Squeeze":
            return sign(tf.squeeze(given[0], list(attributes["squeeze_dims"].list.i)))
        if node.op == "MaxPool":
            window, strides = (list(attributes[n].list.i) for n in ("ksize", "strides"))
            pooled = tf.nn.max_pool2d(given[0], window, strides, padding_of(node))
            return sign(pooled)
        if node.op == "StridedSlice":
            masks = {
                name: attributes[name].i
                for name in (
                    "begin_mask",
                    "end_mask",
                    "ellipsis_mask",
                    "new_axis_mask",
                    "shrink_axis_mask",
                )
            }
            return sign(tf.strided_slice(given[0], *others, **masks))
        function = {
            "Reshape": tf.reshape,
            "Transpose": tf.transpose,
            "ExpandDims": tf.expand_dims,
        }[node.op]
        return sign(function(given[0], others[0]))

    name = f"{graph.layer(node)}/before_sign"
    moved, shape = f"{node.name}:0", graph.shape(f"{node.name}:0")
    first = graph.source(data_inputs(node)[0])
    shape_before = graph.shape(first)
    (new,) = graph.replace([moved], [*values, *map(canonical, rest)], build, name)
    graph.record_alias(new, moved, shape)
    if new not in graph.aliases and node.op in _KEEPING_ORDER:
        graph.record_alias(new, first, shape_before)
