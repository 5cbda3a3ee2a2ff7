"""Sign -> Reshape   becomes   Reshape -> Sign, and so for what moves or joins values.

Larq Compute Engine recognizes a binary convolution by the sign directly before it. A
sign commutes with everything that moves values: reshaping, transposing, so a channel
shuffle, and concatenation; and with the choice of the largest. The result is the same
to the bit.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import canonical, data_inputs
from converters.graph.patterns import (
    PAD,
    ints,
    is_nhwc,
    output_of,
    padding_of,
    sign,
)
from converters.rewrites.matching import log_refusal

_LOG = logging.getLogger(__name__)
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
_MASKS = (
    "begin_mask",
    "end_mask",
    "ellipsis_mask",
    "new_axis_mask",
    "shrink_axis_mask",
)


@dataclasses.dataclass(frozen=True)
class _MovedSigns:
    """An operation that moves or joins signs.

    Attributes:
        node: The operation.
        signs: Names of the tensors of signs.
        values: Names of the tensors that they are the signs of.
    """

    node: NodeDef
    signs: tuple[str, ...]
    values: tuple[str, ...]


def rewrite(graph: Graph) -> list[str]:
    """Moves signs after operations that only move values."""
    changed: dict[str, None] = {}
    while True:
        refusals: dict[str, str] = {}
        for match in _matches(graph):
            reason = _check(graph, match)
            if reason is None:
                changed |= dict.fromkeys(
                    graph.layer(graph.producer(source)) for source in match.signs
                )
                _sink(graph, match)
                break
            refusals[graph.layer(match.node)] = reason
        else:
            for layer, reason in refusals.items():
                log_refusal(_LOG, layer, reason)
            return list(changed)


def _matches(graph: Graph) -> Iterator[_MovedSigns]:
    for node in graph.nodes(*_MOVING):
        signs = data_inputs(node)[: -1 if node.op == "ConcatV2" else 1]
        values = [graph.pre_sign(tensor) for tensor in signs]
        known = tuple(value for value in values if value is not None)
        if known:
            yield _MovedSigns(node, tuple(signs), known)


def _check(graph: Graph, match: _MovedSigns) -> str | None:
    if len(match.values) < len(match.signs):
        return "not all that it joins are signs"
    if not _leads_to_product(graph, match.node):
        return "no convolution or dense layer follows"
    if match.node.op == "MaxPool" and not is_nhwc(match.node):
        return "its channels are not the last axis"
    return None


def _leads_to_product(graph: Graph, node: NodeDef) -> bool:
    """Tells whether a convolution takes the values, moved at most."""
    for user in graph.users(output_of(node)):
        if user.op in ("Conv2D", "MatMul"):
            return True
        if user.op in (*_MOVING, *PAD) and _leads_to_product(graph, user):
            return True
    return False


def _sink(graph: Graph, match: _MovedSigns) -> None:
    for tensor, value in zip(match.signs, match.values):
        _take_shape_of(graph, graph.source(tensor), value)
    node, moved = match.node, output_of(match.node)
    others = map(canonical, data_inputs(node)[len(match.values) :])
    shape = graph.shape(moved)
    first = graph.source(data_inputs(node)[0])
    shape_before = graph.shape(first)
    (new,) = graph.replace(
        [moved],
        [*match.values, *others],
        functools.partial(_build, node=node, count=len(match.values)),
        f"{graph.layer(node)}/before_sign",
    )
    graph.record_alias(new, moved, shape)
    if new not in graph.aliases and node.op in _KEEPING_ORDER:
        graph.record_alias(new, first, shape_before)


def _take_shape_of(graph: Graph, tensor: str, value: str) -> None:
    """Takes the shape of the value instead of its sign's."""
    for user in graph.users(tensor):
        if user.op == "Shape":
            name = f"{graph.layer(user)}/shape"
            graph.replace([output_of(user)], [value], tf.shape, name)


def _build(*tensors: tf.Tensor, node: NodeDef, count: int) -> tf.Tensor:
    return sign(_moved(node, tensors[:count], tensors[count:]))


def _moved(
    node: NodeDef, values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Moves other values as a node does."""
    if node.op == "ConcatV2":
        return tf.concat(list(values), others[0])
    (x,) = values
    if node.op == "Squeeze":
        return tf.squeeze(x, ints(node, "squeeze_dims"))
    if node.op == "MaxPool":
        window, strides = ints(node, "ksize"), ints(node, "strides")
        return tf.nn.max_pool2d(x, window, strides, padding_of(node))
    if node.op == "StridedSlice":
        masks = {name: node.attr[name].i for name in _MASKS}
        return tf.strided_slice(x, *others, **masks)
    function = {
        "Reshape": tf.reshape,
        "Transpose": tf.transpose,
        "ExpandDims": tf.expand_dims,
    }[node.op]
    return function(x, others[0])
