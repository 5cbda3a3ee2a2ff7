"""A real-valued convolution with groups becomes one convolution for each group.

With a group for each channel it becomes a depthwise convolution.

TensorFlow Lite computes groups by its slow reference code. What follows the convolution
up to its activation (a bias, a batch normalization) is split too, so that it joins the
convolution, which it could not through the concatenation. The result is the same but
for the order of float sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import ACTIVATIONS, is_nhwc, like, only_user, padding_of


def rewrite(graph: Graph) -> list[str]:
    """Splits grouped convolutions whose inputs are no signs."""
    changed = []
    for node in graph.nodes("Conv2D"):
        if not is_nhwc(node):
            continue
        kernel = graph.constant(node.input[1])
        channels = graph.shape(node.input[0])[-1]
        if kernel is None or channels is None or kernel.shape[2] == channels:
            continue
        if _is_binary_input(graph, node.input[0]):
            continue
        if kernel.shape[2] == 1:
            _make_depthwise(graph, node, kernel, channels)
        else:
            _split(graph, node, kernel, channels // kernel.shape[2])
        changed.append(graph.layer(node))
    return changed


def _is_binary_input(graph: Graph, tensor: str) -> bool:
    """Whether a tensor holds signs, padded perhaps."""
    pad = graph.producer(tensor)
    if pad.op in ("Pad", "PadV2"):
        tensor = pad.input[0]
    return graph.pre_sign(tensor) is not None


def _make_depthwise(graph: Graph, node: Any, kernel: np.ndarray, channels: int) -> None:
    """Writes a convolution with a group for each channel as a depthwise one."""
    import tensorflow as tf

    height, width, _, filters = kernel.shape
    turned = kernel.reshape(height, width, channels, filters // channels)
    strides = list(node.attr["strides"].list.i)
    dilations = list(node.attr["dilations"].list.i)[1:3]
    padding = padding_of(node)

    def build(x: Any) -> Any:
        return tf.nn.depthwise_conv2d(x, turned, strides, padding, dilations=dilations)

    name = f"{graph.layer(node)}/groups"
    graph.replace([f"{node.name}:0"], [data_inputs(node)[0]], build, name)


def _split(graph: Graph, node: Any, kernel: np.ndarray, groups: int) -> None:
    import tensorflow as tf

    steps, last = _what_follows(graph, node)
    convolution = like(node)
    kernels = np.split(kernel, groups, axis=-1)

    def build(x: Any) -> Any:
        parts = []
        for group, part in enumerate(tf.split(x, groups, axis=-1)):
            part = convolution(part, kernels[group])
            for step in steps:
                part = step(part, group, groups)
            parts.append(part)
        return tf.concat(parts, axis=-1)

    name = f"{graph.layer(node)}/groups"
    graph.replace([f"{last.name}:0"], [data_inputs(node)[0]], build, name)


def _what_follows(graph: Graph, node: Any) -> tuple[list[Any], Any]:
    """Returns what is done to each channel behind a convolution, and the last node."""
    import tensorflow as tf

    steps: list[Any] = []
    last = node
    while True:
        user = only_user(graph, f"{last.name}:0")
        if user is None or graph.source(user.input[0]) != f"{last.name}:0":
            return steps, last
        constants = [graph.constant(source) for source in data_inputs(user)[1:]]
        if any(constant is None for constant in constants):
            return steps, last
        if user.op == "BiasAdd":
            steps.append(_Bias(constants[0]))
        elif user.op == "FusedBatchNormV3" and not user.attr["is_training"].b:
            steps.append(_Norm(constants, user.attr["epsilon"].f))
        elif user.op in ACTIVATIONS:
            function = getattr(tf.nn, user.op.lower())
            steps.append(lambda x, group, groups, f=function: f(x))
        elif user.op == "LeakyRelu":
            slope = user.attr["alpha"].f
            steps.append(lambda x, group, groups, a=slope: tf.nn.leaky_relu(x, a))
        else:
            return steps, last
        last = user


class _Bias:
    def __init__(self, bias: Any):
        self._bias = bias

    def __call__(self, x: Any, group: int, groups: int) -> Any:
        import tensorflow as tf

        return tf.nn.bias_add(x, np.split(self._bias, groups)[group])


class _Norm:
    def __init__(self, constants: list[Any], epsilon: float):
        self._constants, self._epsilon = constants, epsilon

    def __call__(self, x: Any, group: int, groups: int) -> Any:
        import tensorflow as tf

        scale, offset, mean, variance = (
            np.split(constant, groups)[group] for constant in self._constants
        )
        return tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, self._epsilon, is_training=False
        )[0]
