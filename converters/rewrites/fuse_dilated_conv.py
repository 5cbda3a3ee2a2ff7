"""SpaceToBatchND -> Conv2D -> BatchToSpaceND   becomes   Conv2D with a dilation rate.

TensorFlow writes a dilated convolution as a convolution of images that are taken apart
and put together again. Other rewrites, and the checks of the graph, look for
convolutions as such. The result is the same but for the order of float sums.
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
    ints,
    is_nhwc,
    only_user,
    output_of,
    same_padding,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Dilated:
    """A dilated convolution in three operations.

    Attributes:
        node: The convolution.
        before: What takes the image apart.
        after: What puts the results together.
    """

    node: NodeDef
    before: NodeDef
    after: NodeDef


def rewrite(graph: Graph) -> list[str]:
    """Writes dilated convolutions as one operation."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        padding = "SAME" if _padding(graph, match).any() else "VALID"
        graph.replace(
            [output_of(match.after)],
            [data_inputs(match.before)[0], data_inputs(match.node)[1]],
            functools.partial(
                _build,
                padding=padding,
                dilations=_blocks(graph, match),
            ),
            f"{name}/dilated",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_Dilated]:
    for node in graph.nodes("Conv2D"):
        before = graph.producer(node.input[0])
        after = only_user(graph, output_of(node))
        if before.op == "SpaceToBatchND" and is_nhwc(node):
            if after is not None and after.op == "BatchToSpaceND":
                yield _Dilated(node, before, after)


def _check(graph: Graph, match: _Dilated) -> str | None:
    tensors = [*data_inputs(match.before)[1:], *data_inputs(match.after)[1:]]
    if any(graph.constant(tensor) is None for tensor in tensors):
        return "its blocks or paddings are no constants"
    blocks, _, others, crops = map(graph.known, tensors)
    if len(blocks) != 2 or (blocks != others).any():
        return "the image is not put together as it was taken apart"
    if match.node.attr["padding"].s != b"VALID":
        return "the convolution between pads, too"
    if max(*ints(match.node, "strides"), *ints(match.node, "dilations")) > 1:
        return "the convolution between has strides or dilations of its own"
    if (crops[:, 0] != 0).any():
        return "its result is cropped at the start"
    padding = _padding(graph, match)
    sizes = graph.inner_shape(data_inputs(match.before)[0])[:2]
    kernel = graph.shape(match.node.input[1])[:2]
    same = same_padding(sizes, kernel, (1, 1), _blocks(graph, match))
    if padding.any() and (padding != same).any():
        return "its padding is neither 'valid' nor 'same'"
    return None


def _blocks(graph: Graph, match: _Dilated) -> list[int]:
    """Returns the sizes of the blocks, which are the dilation rates."""
    return [int(size) for size in graph.known(data_inputs(match.before)[1])]


def _padding(graph: Graph, match: _Dilated) -> np.ndarray:
    """Returns the padding that is not cropped again, before and after each axis."""
    padding: np.ndarray = graph.known(data_inputs(match.before)[2]) - graph.known(
        data_inputs(match.after)[2]
    )
    return padding


def _build(
    x: tf.Tensor, filters: tf.Tensor, *, padding: str, dilations: list[int]
) -> tf.Tensor:
    return tf.nn.conv2d(x, filters, 1, padding, dilations=dilations)
