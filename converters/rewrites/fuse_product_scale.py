"""(a S) (b T)   becomes   a b (S T).

S and T hold signs, or zeros and ones as signs plus one: attention multiplies such
tensors with learned scales. Their product is a sum of whole numbers and so exact, and
one number is multiplied by, at most: where the next operation multiplies by a number,
too, or is a sign, the scale costs nothing. The result is the same but for the rounding
of floats.
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
    only_user,
    operand_orders,
    output_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Scaled:
    """Signs, or whole numbers of them, times a number.

    Attributes:
        product: The node that multiplies.
        numbers: Name of the tensor that it multiplies.
        scale: The number.
    """

    product: NodeDef
    numbers: str
    scale: float


@dataclasses.dataclass(frozen=True)
class _Match:
    """A product of matrices of which at least one is scaled signs.

    Attributes:
        node: The product.
        scaled: The scaled operands.
    """

    node: NodeDef
    scaled: tuple[_Scaled, ...]


def rewrite(graph: Graph) -> list[str]:
    """Moves the scales of signs behind products of two activations."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        for operand in match.scaled:
            graph.replace(
                [output_of(operand.product)],
                [operand.numbers],
                tf.identity,
                f"{graph.layer(operand.product)}/unscaled",
            )
        scale = float(np.prod([operand.scale for operand in match.scaled]))
        end, factor = _next_factor(graph, match.node)
        graph.replace(
            [output_of(end)],
            [output_of(match.node)],
            functools.partial(_times, scale=scale * factor),
            f"{name}/scaled",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_Match]:
    for node in graph.nodes("BatchMatMulV2", "BatchMatMul", "MatMul"):
        found = [_scaled(graph, tensor) for tensor in data_inputs(node)[:2]]
        scaled = [operand for operand in found if operand is not None]
        if scaled:
            yield _Match(node, tuple(scaled))


def _check(graph: Graph, match: _Match) -> str | None:
    if any(graph.constant(tensor) is not None for tensor in data_inputs(match.node)):
        return "one of its operands is a constant"
    if any(operand.scale == 0 for operand in match.scaled):
        return "its signs are multiplied by zero"
    if len({operand.product.name for operand in match.scaled}) < len(match.scaled):
        return "it multiplies a tensor by itself"
    return None


def _scaled(graph: Graph, tensor: str) -> _Scaled | None:
    """Returns scaled signs that only a product reads, moved at most, or `None`."""
    while True:
        node = graph.producer(tensor)
        if len(graph.users(output_of(node))) != 1:
            return None
        if node.op not in MOVING:
            break
        tensor = data_inputs(node)[0]
    if node.op != "Mul":
        return None
    for numbers, factor in operand_orders(node):
        constant = graph.constant(factor)
        if constant is not None and constant.size == 1:
            if not _are_whole(graph, numbers):
                return None
            return _Scaled(node, graph.source(numbers), float(constant.item()))
    return None


def _are_whole(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is signs, or signs plus a whole number."""
    if graph.pre_sign(tensor) is not None:
        return True
    node = graph.producer(tensor)
    if node.op not in ADD:
        return False
    for signs, number in operand_orders(node):
        constant = graph.constant(number)
        if constant is not None and constant.size == 1:
            is_whole = float(constant.item()).is_integer()
            return is_whole and graph.pre_sign(signs) is not None
    return False


def _next_factor(graph: Graph, node: NodeDef) -> tuple[NodeDef, float]:
    """Returns the product with a number that follows, and the number."""
    user = only_user(graph, output_of(node))
    if user is not None and user.op == "Mul":
        for tensor, factor in operand_orders(user):
            constant = graph.constant(factor)
            if constant is not None and constant.size == 1:
                if graph.producer(tensor).name == node.name:
                    return user, float(constant.item())
    return node, 1.0


def _times(x: tf.Tensor, *, scale: float) -> tf.Tensor:
    return x * np.float32(scale)
