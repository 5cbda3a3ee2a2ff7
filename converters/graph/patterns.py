"""What several rewrites look for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.kernels import is_taken_for_binary
from converters.graph.nodes import data_inputs

# Those without a parameter; they are functions of tf.nn.
ACTIVATIONS = ("Relu", "Relu6", "Elu", "Tanh", "Sigmoid")


def sign(x: Any) -> Any:
    """Returns larq's sign, +1 at zero, as Larq Compute Engine knows it."""
    import tensorflow as tf

    return tf.sign(tf.sign(x) + 0.1)


def becomes_binary(graph: Graph, node: Any) -> bool:
    """Tells whether Larq Compute Engine makes a convolution binary.

    Its inputs must be signs, and groups of whole words.
    """
    kernel = graph.constant(node.input[1])
    if kernel is None or not is_nhwc(node) or not is_taken_for_binary(kernel):
        return False
    channels = graph.inner_shape(node.input[0])[-1]
    whole = kernel.shape[2] in (channels, *range(32, channels, 32))
    return whole and graph.pre_sign(node.input[0]) is not None


def only_user(graph: Graph, tensor: str) -> Any:
    """Returns the only node that uses a tensor, or `None`."""
    users = graph.users(tensor)
    return users[0] if len(users) == 1 else None


def paddings(graph: Graph, node: Any) -> tuple[np.ndarray, float] | None:
    """Returns what a Pad or PadV2 adds to each side of each axis, and its value."""
    given = data_inputs(node)
    amounts = graph.constant(given[1])
    value = graph.constant(given[2]) if node.op == "PadV2" else np.float32(0)
    if amounts is None or value is None:
        return None
    return amounts, float(value)


def is_nhwc(node: Any) -> bool:
    """Whether a convolution has its channels last."""
    return node.attr["data_format"].s in (b"NHWC", b"")


def same_padding(sizes: Any, kernel: Any, strides: Any, dilations: Any) -> np.ndarray:
    """Returns what TensorFlow's "same" adds before and behind each axis."""
    amounts = []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations):
        reach = dilation * (taps - 1) + 1
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        amounts.append((total // 2, total - total // 2))
    return np.array(amounts)


def like(node: Any, padding: str | None = None) -> Callable[[Any, Any], Any]:
    """Returns a function (inputs, kernel) that convolves as a node does.

    Args:
        node: A Conv2D or DepthwiseConv2dNative.
        padding: Another padding than the node's. Defaults to `None`, its own.
    """
    import tensorflow as tf

    strides = list(node.attr["strides"].list.i)
    dilations = list(node.attr["dilations"].list.i)
    amounts = padding or padding_of(node)

    def convolution(x: Any, kernel: Any) -> Any:
        if node.op == "DepthwiseConv2dNative":
            return tf.nn.depthwise_conv2d(
                x, kernel, strides, amounts, dilations=dilations[1:3]
            )
        return tf.nn.conv2d(x, kernel, strides, amounts, dilations=dilations)

    return convolution


def padding_of(node: Any) -> Any:
    """Returns the padding of a convolution or pooling as functions of tf.nn take it."""
    name = node.attr["padding"].s.decode()
    if name != "EXPLICIT":
        return name
    amounts = list(node.attr["explicit_paddings"].list.i)
    return list(map(list, zip(amounts[::2], amounts[1::2])))


def by_channel(graph: Graph, tensor: str, channels: int | None) -> Any:
    """Returns a constant as one number for each channel, `None` if it is none."""
    constant = graph.constant(tensor)
    if constant is None or channels is None or constant.dtype != np.float32:
        return None
    if constant.size == 1:
        return np.full(channels, constant.item(), np.float32)
    if constant.size == channels and constant.shape[-1] == channels:
        return constant.reshape(channels)
    return None


def channels_of(graph: Graph, tensor: str) -> int | None:
    """Returns the size of the last axis of rows or images, `None` of other tensors."""
    shape = graph.shape(tensor)
    return shape[-1] if len(shape) in (2, 4) else None


@dataclasses.dataclass(frozen=True)
class Norm:
    """A batch normalization with moving averages, gamma (x - mean) / s + beta.

    Attributes:
        source: Name of the tensor x.
        gamma: Scale of each channel, (channels,), as all of them float64.
        beta: Offset of each channel.
        mean: Moving mean of each channel.
        variance: Moving variance of each channel.
        epsilon: What is added to the variance to get s squared.
    """

    source: str
    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.gamma)

    @property
    def factor(self) -> np.ndarray:
        """What each channel is multiplied by, (channels,)."""
        return self.gamma / np.sqrt(self.variance + self.epsilon)

    @property
    def offset(self) -> np.ndarray:
        """What is added to each channel then, (channels,)."""
        return self.beta - self.mean * self.factor


def norm_of(graph: Graph, node: Any) -> Norm | None:
    """Returns what a node is as a batch normalization of constants, or `None`."""
    if node.op != "FusedBatchNormV3" or node.attr["is_training"].b or not is_nhwc(node):
        return None
    x, *given = data_inputs(node)
    constants = [graph.constant(tensor) for tensor in given[:4]]
    if any(constant is None for constant in constants):
        return None
    gamma, beta, mean, variance = (np.asarray(c, np.float64) for c in constants)
    epsilon = node.attr["epsilon"].f
    return Norm(graph.source(x), gamma, beta, mean, variance, epsilon)


@dataclasses.dataclass(frozen=True)
class PRelu:
    """Keras's PReLU, relu(x) - a relu(-x), with a slope for each channel.

    Attributes:
        source: Name of the tensor x.
        output: Name of its result.
        slope: The slopes a, (channels,).
    """

    source: str
    output: str
    slope: np.ndarray


def prelu_of(graph: Graph, tensor: str) -> PRelu | None:
    """Returns the PReLU that computes a tensor, or `None`."""
    output = graph.source(tensor)
    total = graph.producer(output)
    if total.op not in ("Add", "AddV2"):
        return None
    for above, below in (data_inputs(total), data_inputs(total)[::-1]):
        relu, product = graph.producer(above), graph.producer(below)
        if relu.op != "Relu" or product.op != "Mul":
            continue
        x = graph.source(relu.input[0])
        for factor, part in (data_inputs(product), data_inputs(product)[::-1]):
            negative = by_channel(graph, factor, channels_of(graph, x))
            lower = graph.producer(part)
            if negative is None or lower.op != "Relu":
                continue
            turned = graph.producer(lower.input[0])
            if turned.op == "Neg" and graph.source(turned.input[0]) == x:
                return PRelu(x, output, -negative)
    return None
