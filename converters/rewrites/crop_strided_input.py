"""conv(x, W) with strides   becomes   conv(x[:, :h, :w], W), for h x w that are read.

The kernels that run real convolutions (XNNPACK's) go wrong at "same" where the last
window ends before the image does, as with a kernel that is smaller than the stride. The
rest of the image is cut off, or "valid" used where no padding is read. The result is
the same to the bit.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    becomes_binary,
    convolve_like,
    ints,
    is_nhwc,
    output_of,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PartlyReadConv:
    """A convolution whose windows do not reach the end of its image.

    Attributes:
        node: The convolution.
        read: Height and width of what is read.
        padded: Whether it reads padding after the other axis.
    """

    node: NodeDef
    read: tuple[int, ...]
    padded: bool


def rewrite(graph: Graph) -> list[str]:
    """Cuts off what real convolutions do not read."""
    changed = []
    for match in find(graph):
        name = graph.layer(match.node)
        graph.replace(
            [output_of(match.node)],
            data_inputs(match.node)[:2],
            functools.partial(_build, match=match),
            f"{name}/read",
        )
        changed.append(name)
    return changed


def find(graph: Graph) -> list[PartlyReadConv]:
    """Returns the real convolutions that do not read all of their image."""
    return list(passing(_LOG, graph, _matches(graph), _check))


def _matches(graph: Graph) -> Iterator[PartlyReadConv]:
    for node in graph.nodes("Conv2D", "DepthwiseConv2dNative"):
        if node.attr["padding"].s != b"SAME" or not is_nhwc(node):
            continue
        weights = graph.constant(data_inputs(node)[1])
        if weights is None or weights.shape[:2] == (1, 1):
            continue
        sizes = graph.inner_shape(node.input[0])[:2]
        strides, dilations = (
            ints(node, name)[1:3] for name in ("strides", "dilations")
        )
        ends = [
            (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1
            for size, stride, dilation, taps in zip(
                sizes, strides, dilations, weights.shape[:2]
            )
        ]
        if any(end < size for end, size in zip(ends, sizes)):
            read = tuple(min(end, size) for end, size in zip(ends, sizes))
            padded = any(end > size for end, size in zip(ends, sizes))
            yield PartlyReadConv(node, read, padded)


def _check(graph: Graph, match: PartlyReadConv) -> str | None:
    if match.node.op == "Conv2D" and becomes_binary(graph, match.node):
        return "it is binary, and binary kernels compute it rightly"
    return None


def _build(x: tf.Tensor, filters: tf.Tensor, *, match: PartlyReadConv) -> tf.Tensor:
    if match.padded:
        x = x[:, : match.read[0], : match.read[1]]
    return convolve_like(match.node, x, filters, None if match.padded else "VALID")
