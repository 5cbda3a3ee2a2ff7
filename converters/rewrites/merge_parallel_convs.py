"""Parallel binary convolutions -> Concat   become   one binary convolution.

concat(f1(conv(s, W1)) + x1, f2(conv(s, W2)) + x2)
    = f(conv(s, concat(W1, W2))) + concat(x1, x2)

with biases or batch normalizations f1, f2, and f of both. ReActNet doubles its channels
so. The result is the same but for the order of float sums.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    ADD,
    BatchNorm,
    batch_norm_of,
    becomes_binary,
    convolve_like,
    ints,
    output_of,
    padding_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Bias:
    """A constant that is added to each channel."""

    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Sibling:
    """The other operand of a sum, the name of a tensor."""

    tensor: str


_Step = _Bias | BatchNorm | _Sibling


@dataclasses.dataclass(frozen=True)
class _Branch:
    """A convolution and what follows it, up to a concatenation.

    Attributes:
        conv: The convolution.
        steps: What is done to its result, in order.
    """

    conv: NodeDef
    steps: tuple[_Step, ...]


@dataclasses.dataclass(frozen=True)
class _ParallelConvs:
    """A concatenation of channels that come from binary convolutions.

    Attributes:
        node: The concatenation.
        parts: Number of tensors that it takes.
        branches: Those of them that come from a binary convolution.
    """

    node: NodeDef
    parts: int
    branches: tuple[_Branch, ...]


def rewrite(graph: Graph) -> list[str]:
    """Merges parallel binary convolutions."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        names = [graph.layer(branch.conv) for branch in match.branches]
        first = match.branches[0].conv
        siblings = [
            step.tensor
            for branch in match.branches
            for step in branch.steps
            if isinstance(step, _Sibling)
        ]
        kernels = [graph.known(branch.conv.input[1]) for branch in match.branches]
        graph.replace(
            [output_of(match.node)],
            [graph.source(first.input[0]), *siblings],
            functools.partial(
                _build,
                node=first,
                kernel=np.concatenate(kernels, axis=-1),
                steps=list(zip(*(branch.steps for branch in match.branches))),
            ),
            f"{names[0]}/twins",
        )
        changed += names
    return changed


def _matches(graph: Graph) -> Iterator[_ParallelConvs]:
    for node in graph.nodes("ConcatV2"):
        *parts, axis = data_inputs(node)
        rank = len(graph.shape(output_of(node)))
        if graph.constant(axis) not in (-1, rank - 1) or len(parts) < 2:
            continue
        found = [_branch(graph, part) for part in parts]
        branches = tuple(branch for branch in found if branch is not None)
        if branches:
            yield _ParallelConvs(node, len(parts), branches)


def _check(graph: Graph, match: _ParallelConvs) -> str | None:
    if len(match.branches) < match.parts:
        return "not all that it joins comes from a binary convolution alone"
    first, *others = match.branches
    if not all(_same_attributes(graph, first, other) for other in others):
        return "its convolutions differ in more than their weights"
    kernels = [graph.known(branch.conv.input[1]) for branch in match.branches]
    if kernels[0].shape[2] != graph.inner_shape(first.conv.input[0])[-1]:
        return "its convolutions have groups"
    if any(itertools.starmap(np.array_equal, itertools.combinations(kernels, 2))):
        return "two of its convolutions share a kernel, which would be stored twice"
    return None


def _branch(graph: Graph, tensor: str) -> _Branch | None:
    """Returns the binary convolution that a tensor comes from, or `None`."""
    steps: list[_Step] = []
    while True:
        source = graph.source(tensor)
        node = graph.producer(source)
        if len(graph.users(source)) != 1 or source != output_of(node):
            return None
        if node.op == "Conv2D":
            found = _Branch(node, tuple(reversed(steps)))
            return found if becomes_binary(graph, node) else None
        if node.op in ADD:
            if any(isinstance(step, _Sibling) for step in steps):
                return None
            operands = _operands(graph, node)
            if operands is None:
                return None
            tensor, sibling = operands
            steps.append(_Sibling(sibling))
            continue
        step = _step(graph, node)
        if step is None:
            return None
        steps.append(step)
        tensor = data_inputs(node)[0]


def _step(graph: Graph, node: NodeDef) -> _Bias | BatchNorm | None:
    if node.op != "BiasAdd":
        return batch_norm_of(graph, node)
    values = graph.constant(data_inputs(node)[1])
    return None if values is None else _Bias(values)


def _operands(graph: Graph, node: NodeDef) -> tuple[str, str] | None:
    """Returns the operand of a sum that comes from a convolution, and its sibling."""
    inputs = data_inputs(node)
    from_conv = [tensor for tensor in inputs if _comes_from_conv(graph, tensor)]
    if len(from_conv) != 1:
        return None
    (branch,) = from_conv
    (sibling,) = (tensor for tensor in inputs if tensor != branch)
    same = graph.shape(branch)[1:] == graph.shape(sibling)[1:]
    return (branch, sibling) if same and graph.constant(sibling) is None else None


def _comes_from_conv(graph: Graph, tensor: str) -> bool:
    source = graph.source(tensor)
    node = graph.producer(source)
    if len(graph.users(source)) != 1:
        return False
    if node.op in ("BiasAdd", "FusedBatchNormV3"):
        return _comes_from_conv(graph, node.input[0])
    return bool(node.op == "Conv2D")


def _same_attributes(graph: Graph, one: _Branch, other: _Branch) -> bool:
    """Tells whether two branches differ in their weights alone."""

    def attributes(branch: _Branch) -> tuple[object, ...]:
        conv = branch.conv
        return (
            graph.source(conv.input[0]),
            graph.known(conv.input[1]).shape[:3],
            ints(conv, "strides"),
            ints(conv, "dilations"),
            padding_of(conv),
            [type(step) for step in branch.steps],
            [step.epsilon for step in branch.steps if isinstance(step, BatchNorm)],
        )

    return attributes(one) == attributes(other)


def _build(
    x: tf.Tensor,
    *siblings: tf.Tensor,
    node: NodeDef,
    kernel: np.ndarray,
    steps: list[tuple[_Step, ...]],
) -> tf.Tensor:
    """Convolves with all kernels at once; each step has one part for each branch."""
    y = convolve_like(node, x, kernel)
    for parts in steps:
        biases = [part.values for part in parts if isinstance(part, _Bias)]
        norms = [part for part in parts if isinstance(part, BatchNorm)]
        if biases:
            y = tf.nn.bias_add(y, np.concatenate(biases))
        elif norms:
            y = BatchNorm.joined(norms).applied(y)
        else:
            y = y + tf.concat(siblings, axis=-1)
    return y
