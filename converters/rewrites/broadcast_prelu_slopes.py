"""PReLU with one slope   becomes   PReLU with that slope for each channel.

XNNPACK, which computes PRELU in every interpreter, reads a slope for each channel: of a
single one it reads beyond, and relu(x) - a relu(-x) becomes other numbers in silence.
The result is the same to the bit.
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
from converters.graph.patterns import ADD, NegativePart, negative_parts, output_of
from converters.rewrites.matching import passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SingleSlope:
    """A product -a relu(-x) with a single slope.

    Attributes:
        part: The product.
        negated_slope: The tensor -a, of one number.
        sizes: The shape of x, without the batch.
    """

    part: NegativePart
    negated_slope: np.ndarray
    sizes: tuple[int, ...]

    @property
    def node(self) -> NodeDef:
        """The node that multiplies."""
        return self.part.product

    @property
    def channels(self) -> int:
        """Number of channels that share the slope."""
        return self.sizes[-1] if self.sizes else 1


def rewrite(graph: Graph) -> list[str]:
    """Repeats single slopes for each channel."""
    changed = []
    for match in find(graph):
        name = graph.layer(match.node)
        shape = (*(1 for _ in match.sizes[1:]), match.channels)
        slopes = np.full(shape, match.negated_slope.ravel()[0])
        graph.replace(
            [output_of(match.node)],
            [match.part.rectified],
            functools.partial(tf.multiply, slopes),
            f"{name}/slopes",
        )
        changed.append(name)
    return changed


def find(graph: Graph) -> list[SingleSlope]:
    """Returns products that become a PRELU with one slope for several channels."""
    return list(passing(_LOG, graph, _matches(graph), _check))


def _matches(graph: Graph) -> Iterator[SingleSlope]:
    for total in graph.nodes(*ADD):
        for part in negative_parts(graph, total):
            slope = graph.constant(part.negated_slope)
            if slope is not None and slope.size == 1:
                yield SingleSlope(part, slope, graph.inner_shape(part.source))


def _check(graph: Graph, match: SingleSlope) -> str | None:
    if match.channels == 1:
        return "it has one channel"
    if match.negated_slope.ndim != len(match.sizes):
        return "its slope has another rank, and is joined to no PRELU"
    return None
