"""conv(pad(s, 0), W)   becomes   conv(pad(s, 1), W) - the sum of W outside the image.

Larq Compute Engine pads with +1, and subtracts what was too much. That is right only
where no window reaches over both sides of the image, so not for one that is smaller
than the kernel. There it is made to pad with +1, and the difference, a constant at each
place of the output, is subtracted afterwards. The result is the same to the bit but for
the order of float sums.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    becomes_binary,
    convolve_like,
    ints,
    output_of,
    same_padding,
)
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SmallImageConv:
    """A binary convolution that pads its image with zeros.

    Attributes:
        node: The convolution.
        sizes: Height and width of its image.
    """

    node: NodeDef
    sizes: tuple[int, ...]


def rewrite(graph: Graph) -> list[str]:
    """Replaces zero padding where Larq Compute Engine would be wrong."""
    changed = []
    for match in find(graph):
        name = graph.layer(match.node)
        kernel = graph.known(match.node.input[1])
        strides, dilations = (
            ints(match.node, attribute)[1:3] for attribute in ("strides", "dilations")
        )
        amounts = same_padding(match.sizes, kernel.shape[:2], strides, dilations)
        graph.replace(
            [output_of(match.node)],
            [data_inputs(match.node)[0]],
            functools.partial(
                _build,
                node=match.node,
                kernel=kernel,
                amounts=((0, 0), *map(tuple, amounts), (0, 0)),
                outside=_outside(kernel, match.sizes, amounts, strides, dilations),
            ),
            f"{name}/around",
        )
        changed.append(name)
    return changed


def find(graph: Graph) -> list[SmallImageConv]:
    """Returns the convolutions of signs whose zero padding comes out wrong."""
    return list(passing(_LOG, graph, _matches(graph), _check))


def _matches(graph: Graph) -> Iterator[SmallImageConv]:
    for node in graph.nodes("Conv2D"):
        if node.attr["padding"].s == b"SAME" and becomes_binary(graph, node):
            yield SmallImageConv(node, graph.inner_shape(node.input[0])[:2])


def _check(graph: Graph, match: SmallImageConv) -> str | None:
    kernel = graph.known(match.node.input[1]).shape[:2]
    extents = [
        dilation * (taps - 1) + 1
        for dilation, taps in zip(ints(match.node, "dilations")[1:3], kernel)
    ]
    if all(extent <= size for extent, size in zip(extents, match.sizes)):
        return "its image is at least as large as its kernel"
    return None


def _outside(
    kernel: np.ndarray,
    sizes: Sequence[int],
    amounts: np.ndarray,
    strides: Sequence[int],
    dilations: Sequence[int],
) -> np.ndarray:
    """Returns the sum of the weights outside of the image.

    It is (rows, columns, out), or (out,) where that is the same everywhere.
    """
    inside = []
    for axis in (0, 1):
        starts = np.arange(0, sizes[axis], strides[axis]) - amounts[axis, 0]
        taps = dilations[axis] * np.arange(kernel.shape[axis])
        places = starts[:, np.newaxis] + taps
        inside.append((places >= 0) & (places < sizes[axis]))
    both = inside[0][:, np.newaxis, :, np.newaxis] & inside[1][:, np.newaxis]
    weights = kernel.sum(axis=2, dtype=np.float64)
    outside = np.einsum("yxhw,hwo->yxo", ~both, weights).astype(np.float32)
    one: np.ndarray = outside[0, 0]
    return one if (outside == one).all() else outside


def _build(
    x: tf.Tensor,
    *,
    node: NodeDef,
    kernel: np.ndarray,
    amounts: Sequence[tuple[int, int]],
    outside: np.ndarray,
) -> tf.Tensor:
    padded = tf.pad(x, amounts, constant_values=1.0)
    return convolve_like(node, padded, kernel, "VALID") - outside
