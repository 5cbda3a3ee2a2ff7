"""Patterns that several rewrites look for, and how to build them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.kernels import is_taken_for_binary
from converters.graph.nodes import data_inputs

ADD = ("Add", "AddV2")
PAD = ("Pad", "PadV2")
# What changes the order or the shape of values alone.
MOVING = ("Reshape", "Transpose", "ExpandDims", "Squeeze")
# Those without a parameter; they are functions of tf.nn.
ACTIVATIONS = ("Relu", "Relu6", "Elu", "Tanh", "Sigmoid")


# Nodes.


def output_of(node: NodeDef) -> str:
    """Returns the name of a node's first output."""
    return f"{node.name}:0"


def operand_orders(node: NodeDef) -> tuple[tuple[str, str], tuple[str, str]]:
    """Returns the two operands of a node in both orders."""
    first, second = data_inputs(node)
    return (first, second), (second, first)


def only_user(graph: Graph, tensor: str) -> NodeDef | None:
    """Returns the only node that uses a tensor, or `None`."""
    users = graph.users(tensor)
    return users[0] if len(users) == 1 else None


def ints(node: NodeDef, attribute: str) -> list[int]:
    """Returns an attribute that is a list of integers, such as `"strides"`."""
    return list(node.attr[attribute].list.i)


def is_nhwc(node: NodeDef) -> bool:
    """Tells whether a convolution, a pool or a normalization has its channels last."""
    return node.attr["data_format"].s in (b"NHWC", b"")


# Signs.


def sign(x: tf.Tensor) -> tf.Tensor:
    """Returns larq's sign, +1 at zero, as Larq Compute Engine recognizes it."""
    return tf.sign(tf.sign(x) + 0.1)


def becomes_binary(graph: Graph, node: NodeDef) -> bool:
    """Tells whether Larq Compute Engine makes a convolution binary.

    Its inputs must be signs, and groups of whole words.
    """
    kernel = graph.constant(node.input[1])
    if kernel is None or not is_nhwc(node) or not is_taken_for_binary(kernel):
        return False
    channels = graph.inner_shape(node.input[0])[-1]
    whole = kernel.shape[2] in (channels, *range(32, channels, 32))
    return whole and graph.pre_sign(node.input[0]) is not None


# Constants of channels.


def channels_of(graph: Graph, tensor: str) -> int | None:
    """Returns the size of the last axis of rows or images, `None` of other tensors."""
    shape = graph.shape(tensor)
    return shape[-1] if len(shape) in (2, 4) else None


def by_channel(graph: Graph, tensor: str, channels: int | None) -> np.ndarray | None:
    """Returns a constant as one number for each channel, `None` if it is none."""
    constant = graph.constant(tensor)
    if constant is None or channels is None or constant.dtype != np.float32:
        return None
    if constant.size == 1:
        return np.full(channels, constant.item(), np.float32)
    if constant.size == channels and constant.shape[-1] == channels:
        return constant.reshape(channels)
    return None


# Padding and convolutions.


@dataclasses.dataclass(frozen=True)
class ConstantPadding:
    """Padding of a tensor by one number.

    Attributes:
        amounts: Sizes before and after each axis, (axes, 2).
        value: The number.
    """

    amounts: np.ndarray
    value: float

    def applied(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the padded tensor."""
        return tf.pad(x, self.amounts, constant_values=self.value)


def constant_padding(graph: Graph, node: NodeDef) -> ConstantPadding | None:
    """Returns the padding of a Pad or PadV2, `None` if it is no constant."""
    given = data_inputs(node)
    amounts = graph.constant(given[1])
    value = graph.constant(given[2]) if node.op == "PadV2" else np.float32(0)
    if amounts is None or value is None:
        return None
    return ConstantPadding(amounts, float(value))


def same_padding(
    sizes: Sequence[int],
    kernel: Sequence[int | None],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> np.ndarray:
    """Returns the padding of TensorFlow's "same", before and after each axis."""
    amounts = []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations):
        extent = dilation * ((taps or 1) - 1) + 1
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        amounts.append((total // 2, total - total // 2))
    return np.array(amounts)


def padding_of(node: NodeDef) -> str | list[list[int]]:
    """Returns the padding of a convolution or pool as functions of tf.nn take it."""
    name = node.attr["padding"].s.decode()
    if name != "EXPLICIT":
        return str(name)
    amounts = ints(node, "explicit_paddings")
    return list(map(list, zip(amounts[::2], amounts[1::2])))


def convolve_like(
    node: NodeDef,
    x: tf.Tensor | np.ndarray,
    kernel: tf.Tensor | np.ndarray,
    padding: str | None = None,
) -> tf.Tensor:
    """Convolves as another node does.

    Args:
        node: A Conv2D or DepthwiseConv2dNative.
        x: The inputs.
        kernel: The kernel.
        padding: Another padding than the node's. Defaults to `None`, its own.

    Returns:
        The result.
    """
    strides, dilations = ints(node, "strides"), ints(node, "dilations")
    amounts = padding or padding_of(node)
    if node.op == "DepthwiseConv2dNative":
        return tf.nn.depthwise_conv2d(
            x, kernel, strides, amounts, dilations=dilations[1:3]
        )
    return tf.nn.conv2d(x, kernel, strides, amounts, dilations=dilations)


# Batch normalizations.


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """A batch normalization with moving averages, gamma (x - mean) / s + beta.

    Attributes:
        source: Name of the tensor x.
        gamma: Scale of each channel, (channels,).
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
    def deviation(self) -> np.ndarray:
        """The standard deviation s of each channel, float64."""
        return np.sqrt(self.variance.astype(np.float64) + self.epsilon)

    @property
    def scale(self) -> np.ndarray:
        """What each channel is multiplied by, float64."""
        return self.gamma.astype(np.float64) / self.deviation

    @property
    def bias(self) -> np.ndarray:
        """What is added to each channel then, float64."""
        return self.beta.astype(np.float64) - self.mean * self.scale

    def scaled(self, scale: np.ndarray) -> BatchNorm:
        """Returns the normalization whose result is this one's times a constant."""
        gamma, beta = (
            (array.astype(np.float64) * scale).astype(np.float32)
            for array in (self.gamma, self.beta)
        )
        return dataclasses.replace(self, gamma=gamma, beta=beta)

    def split(self, parts: int) -> list[BatchNorm]:
        """Returns the normalizations of equal parts of the channels."""
        arrays = (self.gamma, self.beta, self.mean, self.variance)
        pieces = zip(*(np.split(array, parts) for array in arrays))
        return [
            BatchNorm(self.source, gamma, beta, mean, variance, self.epsilon)
            for gamma, beta, mean, variance in pieces
        ]

    @classmethod
    def joined(cls, norms: Sequence[BatchNorm]) -> BatchNorm:
        """Returns the normalization of concatenated channels; epsilons are equal."""
        return cls(
            norms[0].source,
            np.concatenate([norm.gamma for norm in norms]),
            np.concatenate([norm.beta for norm in norms]),
            np.concatenate([norm.mean for norm in norms]),
            np.concatenate([norm.variance for norm in norms]),
            norms[0].epsilon,
        )

    def applied(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the normalized tensor."""
        return tf.compat.v1.nn.fused_batch_norm(
            x,
            self.gamma,
            self.beta,
            self.mean,
            self.variance,
            epsilon=self.epsilon,
            is_training=False,
        )[0]


def batch_norm_of(graph: Graph, node: NodeDef) -> BatchNorm | None:
    """Returns the batch normalization of constants that a node is, or `None`."""
    if why_no_batch_norm(graph, node) is not None:
        return None
    x, *given = data_inputs(node)
    gamma, beta, mean, variance = (graph.known(tensor) for tensor in given[:4])
    epsilon = node.attr["epsilon"].f
    return BatchNorm(graph.source(x), gamma, beta, mean, variance, epsilon)


def why_no_batch_norm(graph: Graph, node: NodeDef) -> str | None:
    """Returns why a node is no batch normalization of constants, `None` if it is."""
    if node.op != "FusedBatchNormV3":
        return "is no batch normalization"
    if node.attr["is_training"].b:
        return "normalizes by the statistics of each batch"
    if not is_nhwc(node):
        return "its channels are not the last axis"
    for name, tensor in zip(
        ("gamma", "beta", "mean", "variance"), data_inputs(node)[1:]
    ):
        if graph.constant(tensor) is None:
            return f"{name} is no constant"
    return None


# PReLUs.


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
    for part in negative_parts(graph, graph.producer(output)):
        channels = channels_of(graph, part.source)
        negated = by_channel(graph, part.negated_slope, channels)
        if negated is not None:
            return PRelu(part.source, output, -negated)
    return None


@dataclasses.dataclass(frozen=True)
class NegativePart:
    """The product -a relu(-x) in a sum relu(x) - a relu(-x).

    Attributes:
        product: The node that multiplies.
        source: Name of the tensor x.
        negated_slope: Name of the tensor -a.
        rectified: Name of the tensor relu(-x).
    """

    product: NodeDef
    source: str
    negated_slope: str
    rectified: str


def negative_parts(graph: Graph, total: NodeDef) -> list[NegativePart]:
    """Returns the readings of a node as a sum relu(x) - a relu(-x), mostly none."""
    if total.op not in ADD:
        return []
    found = []
    for above, below in operand_orders(total):
        relu, product = graph.producer(above), graph.producer(below)
        if relu.op != "Relu" or product.op != "Mul":
            continue
        x = graph.source(relu.input[0])
        for slope, part in operand_orders(product):
            lower = graph.producer(part)
            if lower.op != "Relu":
                continue
            negated = graph.producer(lower.input[0])
            if negated.op == "Neg" and graph.source(negated.input[0]) == x:
                found.append(NegativePart(product, x, slope, part))
    return found


def prelu(x: tf.Tensor, slope: np.ndarray) -> tf.Tensor:
    """Returns the PReLU of an image as Larq Compute Engine recognizes it.

    That is how Keras writes it, with slopes of one rank less than the image.
    """
    negated = np.reshape(-slope, (1,) * (len(x.shape) - 2) + (-1,))
    return tf.nn.relu(x) + negated * tf.nn.relu(-x)
