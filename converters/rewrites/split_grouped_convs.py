"""Conv2D with groups   becomes   Split -> Conv2D of each group -> Concat.

With a group for each channel it becomes a depthwise convolution.

TensorFlow Lite computes groups by its slow reference code. What follows the convolution
up to its activation (a bias, a batch normalization) is split too, so that it joins the
convolution, which it could not through the concatenation. The result is the same but
for the order of float sums.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    ACTIVATIONS,
    PAD,
    BatchNorm,
    batch_norm_of,
    convolve_like,
    ints,
    is_nhwc,
    only_user,
    output_of,
    padding_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)
# Takes the result of a group and its number.
_Step = Callable[[tf.Tensor, int], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class _GroupedConv:
    """A convolution with groups.

    Attributes:
        node: The convolution.
        kernel: Its kernel.
        channels: Number of its input channels.
    """

    node: NodeDef
    kernel: np.ndarray
    channels: int


def rewrite(graph: Graph) -> list[str]:
    """Splits grouped convolutions whose inputs are no signs."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        if match.kernel.shape[2] == 1:
            _make_depthwise(graph, match)
        else:
            _split(graph, match)
        changed.append(graph.layer(match.node))
    return changed


def _matches(graph: Graph) -> Iterator[_GroupedConv]:
    for node in graph.nodes("Conv2D"):
        if is_nhwc(node):
            kernel = graph.constant(node.input[1])
            channels = graph.shape(node.input[0])[-1]
            if kernel is not None and channels not in (None, kernel.shape[2]):
                yield _GroupedConv(node, kernel, int(channels or 0))


def _check(graph: Graph, match: _GroupedConv) -> str | None:
    tensor = match.node.input[0]
    pad = graph.producer(tensor)
    if pad.op in PAD:
        tensor = pad.input[0]
    if graph.pre_sign(tensor) is not None:
        return "its inputs are signs"
    return None


def _make_depthwise(graph: Graph, match: _GroupedConv) -> None:
    """Writes a convolution with a group for each channel as a depthwise one."""
    height, width, _, filters = match.kernel.shape
    kernel = match.kernel.reshape(
        height, width, match.channels, filters // match.channels
    )
    graph.replace(
        [output_of(match.node)],
        [data_inputs(match.node)[0]],
        functools.partial(_build_depthwise, node=match.node, kernel=kernel),
        f"{graph.layer(match.node)}/groups",
    )


def _build_depthwise(x: tf.Tensor, *, node: NodeDef, kernel: np.ndarray) -> tf.Tensor:
    strides, dilations = ints(node, "strides"), ints(node, "dilations")[1:3]
    return tf.nn.depthwise_conv2d(
        x, kernel, strides, padding_of(node), dilations=dilations
    )


def _split(graph: Graph, match: _GroupedConv) -> None:
    groups = match.channels // match.kernel.shape[2]
    steps, last = _following_steps(graph, match.node, groups)
    graph.replace(
        [output_of(last)],
        [data_inputs(match.node)[0]],
        functools.partial(
            _build,
            node=match.node,
            kernels=np.split(match.kernel, groups, axis=-1),
            steps=steps,
        ),
        f"{graph.layer(match.node)}/groups",
    )


def _build(
    x: tf.Tensor, *, node: NodeDef, kernels: Sequence[np.ndarray], steps: list[_Step]
) -> tf.Tensor:
    parts = []
    for group, part in enumerate(tf.split(x, len(kernels), axis=-1)):
        part = convolve_like(node, part, kernels[group])
        for step in steps:
            part = step(part, group)
        parts.append(part)
    return tf.concat(parts, axis=-1)


def _following_steps(
    graph: Graph, node: NodeDef, groups: int
) -> tuple[list[_Step], NodeDef]:
    """Returns the steps on each channel after a convolution, and the last node."""
    steps: list[_Step] = []
    last = node
    while True:
        user = only_user(graph, output_of(last))
        if user is None or graph.source(user.input[0]) != output_of(last):
            return steps, last
        step = _step(graph, user, groups)
        if step is None:
            return steps, last
        steps.append(step)
        last = user


def _step(graph: Graph, node: NodeDef, groups: int) -> _Step | None:
    """Returns the step that a node is, `None` if it is no step on each channel."""
    if node.op in ACTIVATIONS:
        return functools.partial(_activated, getattr(tf.nn, node.op.lower()))
    if node.op == "LeakyRelu":
        slope = node.attr["alpha"].f
        return functools.partial(
            _activated, functools.partial(tf.nn.leaky_relu, alpha=slope)
        )
    if node.op == "BiasAdd":
        bias = graph.constant(data_inputs(node)[1])
        if bias is None:
            return None
        return functools.partial(_biased, np.split(bias, groups))
    norm = batch_norm_of(graph, node)
    return None if norm is None else functools.partial(_normed, norm.split(groups))


def _activated(
    function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, group: int
) -> tf.Tensor:
    return function(x)


def _biased(biases: Sequence[np.ndarray], x: tf.Tensor, group: int) -> tf.Tensor:
    return tf.nn.bias_add(x, biases[group])


def _normed(norms: Sequence[BatchNorm], x: tf.Tensor, group: int) -> tf.Tensor:
    return norms[group].applied(x)
