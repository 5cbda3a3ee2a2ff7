"""sign(s relu(x + d) + b)   becomes   sign(x + c),   s > 0.

Only the sign counts. With t = b / s, and s a number or one for each channel,

    sign(s x + b)       = sign(x + t)
    sign(relu(x) + t)   = sign(x + t)     t < 0
    sign(relu(x) + t)   = 1               t >= 0

where a constant that is larger than any -x stands for 1. What is left after a binary
convolution is its threshold: it writes bits, and no real number between two of them.
The result is the same but for values that are zero but for rounding.
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
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    ADD,
    MOVING,
    PAD,
    constant_padding,
    is_nhwc,
    operand_orders,
    output_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
# They keep the last axis, if its size stays.
_RESHAPING = ("Reshape", "ExpandDims", "Squeeze")
# Times the largest sum of a convolution, which rounding may exceed.
_ROOM = 1.25
# What a sum of float32 still holds.
_MOST = 1e30


@dataclasses.dataclass(frozen=True)
class _Threshold:
    """A sign of what is computed by channel from another tensor.

    It is the sign of `scale * relu(x) + offset`, or without the ReLU.

    Attributes:
        node: The sign.
        value: Name of the tensor before the sign.
        source: Name of the tensor x.
        scale: The factor of each channel, positive, float64.
        offset: What is added to each channel, float64.
        is_always: Whether the sign of a channel is +1 for any x; `None` without a ReLU.
        factor: The node that multiplied x by a number before it was moved, or `None`.
        steps: How many operations there are between x and the sign.
    """

    node: NodeDef
    value: str
    source: str
    scale: np.ndarray
    offset: np.ndarray
    is_always: np.ndarray | None = None
    factor: NodeDef | None = None
    steps: int = 0

    def before(self, source: str, **changes: object) -> _Threshold:
        """Returns this, one operation further back."""
        changes = {"source": source, "steps": self.steps + 1, **changes}
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def rewrite(graph: Graph) -> list[str]:
    """Leaves one sum before signs."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        offset = _new_offset(graph, match)
        if match.factor is not None:
            moved = _other(graph, match.factor)
            graph.replace(
                [output_of(match.factor)], [moved], tf.identity, f"{name}/unscaled"
            )
        if match.is_always is not None:
            bound = _bound(graph, match.source)
            # The check has found that there is one where it is needed.
            most = 0.0 if bound is None else _ROOM * bound
            offset = np.where(match.is_always, most, offset)
        graph.replace(
            [match.value],
            [match.source],
            functools.partial(
                _build,
                offset=offset.astype(np.float32),
                shape=graph.inner_shape(match.value),
            ),
            f"{name}/threshold",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_Threshold]:
    for node in graph.nodes("Sign"):
        value = graph.pre_sign(output_of(node))
        shape = () if value is None else graph.shape(value)
        if value is None or len(shape) < 2 or shape[-1] is None:
            continue
        ones = np.ones(shape[-1])
        found = _read_back(graph, _Threshold(node, value, value, ones, 0 * ones))
        moved = _moved_factor(graph, found)
        found = dataclasses.replace(found, factor=moved)
        gains = found.is_always is not None or (found.scale != 1).any()
        if gains or moved is not None or _number_of_sums(graph, found) > 1:
            yield found


def _check(graph: Graph, match: _Threshold) -> str | None:
    is_always = match.is_always
    if is_always is not None and is_always.any():
        if _bound(graph, match.source) is None:
            return "nothing bounds what its ReLU takes"
    # A comparison with nan is false.
    if not (np.abs(_new_offset(graph, match)) <= _MOST).all():
        return "float32 has no room for its offset over its scale"
    return None


def _new_offset(graph: Graph, match: _Threshold) -> np.ndarray:
    """Returns what is added to x instead, by channel."""
    factor = 1.0 if match.factor is None else _number(graph, match.factor)
    offset: np.ndarray = match.offset / (match.scale * factor)
    return offset


def _read_back(graph: Graph, at: _Threshold) -> _Threshold:
    """Goes back through operations that are done to each channel."""
    while True:
        node = graph.producer(at.source)
        if len(graph.users(output_of(node))) != 1:
            return at
        found = _step_back(graph, node, at)
        if found is None:
            return at
        at = found


def _step_back(graph: Graph, node: NodeDef, at: _Threshold) -> _Threshold | None:
    """Returns what is before a node, `None` if it is not one of those."""
    channels = len(at.scale)
    if node.op in _RESHAPING:
        source = graph.source(data_inputs(node)[0])
        kept = graph.shape(source)[-1:] == (channels,)
        return at.before(source, steps=at.steps) if kept else None
    if node.op == "Relu":
        if at.is_always is not None:
            return None
        source = graph.source(node.input[0])
        return at.before(source, is_always=at.offset >= 0)
    if node.op not in ("BiasAdd", "Sub", "Mul", "RealDiv", *ADD):
        return None
    if node.op == "BiasAdd" and not is_nhwc(node):
        return None
    for place, (tensor, other) in enumerate(operand_orders(node)):
        constant = _by_channel(graph, other, channels)
        same = graph.shape(tensor) == graph.shape(output_of(node))
        if constant is None or not same or graph.producer(tensor).op == "Sign":
            continue
        source = graph.source(tensor)
        if node.op in ("BiasAdd", *ADD):
            return at.before(source, offset=at.offset + at.scale * constant)
        if node.op == "Sub":
            # A number minus x has the other sign.
            offset = at.offset - at.scale * constant
            return at.before(source, offset=offset) if place == 0 else None
        if (constant <= 0).any() or (node.op == "RealDiv" and place):
            return None
        factor = constant if node.op == "Mul" else 1 / constant
        return at.before(source, scale=at.scale * factor)
    return None


def _by_channel(graph: Graph, tensor: str, channels: int) -> np.ndarray | None:
    """Returns a constant as one number for each channel, `None` if it is none."""
    constant = graph.constant(tensor)
    if constant is None or constant.dtype != np.float32:
        return None
    if constant.size == 1 or constant.size == channels == constant.shape[-1]:
        return np.broadcast_to(constant.reshape(-1).astype(np.float64), channels)
    return None


def _number_of_sums(graph: Graph, match: _Threshold) -> int:
    """Returns the operations that one sum replaces; a bias costs nothing."""
    return match.steps - (graph.producer(match.source).op in ("Conv2D", "MatMul"))


def _moved_factor(graph: Graph, at: _Threshold) -> NodeDef | None:
    """Returns the product with a number that x was before it was moved, or `None`."""
    if at.is_always is not None:
        return None
    node = graph.producer(at.source)
    moves = 0
    while node.op in MOVING and len(graph.users(output_of(node))) == 1:
        node, moves = graph.producer(data_inputs(node)[0]), moves + 1
    if not moves or len(graph.users(output_of(node))) != 1:
        return None
    if node.op != "Mul" or _number(graph, node) <= 0:
        return None
    return node


def _number(graph: Graph, node: NodeDef) -> float:
    """Returns the number that a node multiplies by, 0 if it is none."""
    for tensor in data_inputs(node):
        constant = graph.constant(tensor)
        if constant is not None and constant.size == 1:
            return float(constant.item())
    return 0.0


def _other(graph: Graph, node: NodeDef) -> str:
    """Returns the tensor that a node multiplies by a number."""
    first, second = data_inputs(node)
    return second if graph.constant(first) is not None else first


def _bound(graph: Graph, source: str) -> np.ndarray | None:
    """Returns what a convolution of signs gives at most, by channel, or `None`."""
    node = graph.producer(source)
    kernel = graph.constant(node.input[1]) if node.op == "Conv2D" else None
    if kernel is None or not is_nhwc(node):
        return None
    signs = node.input[0]
    pad = graph.producer(signs)
    padding = constant_padding(graph, pad) if pad.op in PAD else None
    if padding is not None and abs(padding.value) <= 1:
        signs = pad.input[0]
    if graph.pre_sign(signs) is None:
        return None
    total: np.ndarray = np.abs(kernel.astype(np.float64)).sum(axis=(0, 1, 2))
    return total


def _build(x: tf.Tensor, *, offset: np.ndarray, shape: tuple[int, ...]) -> tf.Tensor:
    y = x + offset
    return y if tuple(x.shape[1:]) == shape else tf.reshape(y, (-1, *shape))
