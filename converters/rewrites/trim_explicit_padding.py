"""conv(pad(x, p), W)   becomes   conv(pad(x, q), W), with the part q of p that is read.

Larq Compute Engine takes explicit padding that comes to as much as "same" for that of
"same", but TensorFlow places the latter elsewhere if the stride is larger than 1: a 3x3
convolution of stride 2 on an even image, padded by one on each side as in PyTorch,
comes out wrong. The last row and column of that padding are never read; without them
the padding is not balanced, and stays what it is. The result is the same to the bit.
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
    PAD,
    ConstantPadding,
    constant_padding,
    convolve_like,
    ints,
    is_nhwc,
    output_of,
)
from converters.rewrites.matching import log_refusal, passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PaddedConv:
    """A convolution with strides after explicit padding.

    Attributes:
        node: The convolution.
        pad: The node that pads.
        padding: Its padding.
    """

    node: NodeDef
    pad: NodeDef
    padding: ConstantPadding


def rewrite(graph: Graph) -> list[str]:
    """Cuts unread padding off before convolutions with strides."""
    changed = []
    for match in find(graph):
        name = graph.layer(match.node)
        padding = dataclasses.replace(match.padding, amounts=_read(graph, match))
        graph.replace(
            [output_of(match.node)],
            [data_inputs(match.pad)[0], data_inputs(match.node)[1]],
            functools.partial(_build, node=match.node, padding=padding),
            f"{name}/cut",
        )
        changed.append(name)
    return changed


def find(graph: Graph) -> list[PaddedConv]:
    """Returns the convolutions whose padding is partly unread."""
    return list(passing(_LOG, graph, _matches(graph), _check))


def _matches(graph: Graph) -> Iterator[PaddedConv]:
    for node in graph.nodes("Conv2D", "DepthwiseConv2dNative"):
        is_valid = node.attr["padding"].s == b"VALID"
        if not is_valid or max(ints(node, "strides")) == 1 or not is_nhwc(node):
            continue
        pad = graph.producer(node.input[0])
        if pad.op not in PAD:
            continue
        padding = constant_padding(graph, pad)
        if padding is None:
            log_refusal(_LOG, graph.layer(node), "its padding is no constant")
        else:
            yield PaddedConv(node, pad, padding)


def _check(graph: Graph, match: PaddedConv) -> str | None:
    if (_read(graph, match) == match.padding.amounts).all():
        return "all of its padding is read"
    return None


def _read(graph: Graph, match: PaddedConv) -> np.ndarray:
    """Returns the amounts of padding that windows read."""
    strides, dilations = ints(match.node, "strides"), ints(match.node, "dilations")
    sizes = graph.inner_shape(data_inputs(match.pad)[0])[:2]
    kernel = graph.shape(data_inputs(match.node)[1])
    amounts = match.padding.amounts.copy()
    for axis in (1, 2):
        before, after = amounts[axis]
        size = sizes[axis - 1]
        extent = dilations[axis] * ((kernel[axis - 1] or 1) - 1) + 1
        whole = before + size + after
        read = (whole - extent) // strides[axis] * strides[axis] + extent
        amounts[axis, 1] = max(0, read - before - size)
    return amounts


def _build(
    x: tf.Tensor, filters: tf.Tensor, *, node: NodeDef, padding: ConstantPadding
) -> tf.Tensor:
    return convolve_like(node, padding.applied(x), filters)
