"""Pad -> ExpandDims   becomes   ExpandDims -> Pad, before a convolution over time.

Keras writes a convolution over time as one of images of height 1. A `QuantConv1D` that
pads with -1 or +1 does so before, where Larq Compute Engine does not look for it. The
result is the same to the bit.
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
    output_of,
)
from converters.rewrites.matching import log_refusal, passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _PaddedSequence:
    """Padded signs of a sequence that become an image.

    Attributes:
        node: The node that makes them an image.
        signs: Name of the tensor of signs.
        padding: Their padding.
    """

    node: NodeDef
    signs: str
    padding: ConstantPadding


def rewrite(graph: Graph) -> list[str]:
    """Pads the image of a sequence instead of the sequence."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name = graph.layer(match.node)
        axis = int(graph.known(match.node.input[1]).item()) % 4
        graph.replace(
            [output_of(match.node)],
            [match.signs],
            functools.partial(_build, axis=axis, padding=match.padding),
            f"{name}/image",
        )
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_PaddedSequence]:
    for node in graph.nodes("ExpandDims"):
        pad = graph.producer(node.input[0])
        if pad.op not in PAD or graph.pre_sign(data_inputs(pad)[0]) is None:
            continue
        padding = constant_padding(graph, pad)
        if padding is None:
            log_refusal(_LOG, graph.layer(node), "its padding is no constant")
        else:
            yield _PaddedSequence(node, data_inputs(pad)[0], padding)


def _check(graph: Graph, match: _PaddedSequence) -> str | None:
    if graph.constant(match.node.input[1]) is None:
        return "its axis is no constant"
    if len(match.padding.amounts) != 3:
        return "what is padded is no sequence of vectors"
    return None


def _build(x: tf.Tensor, *, axis: int, padding: ConstantPadding) -> tf.Tensor:
    amounts = np.insert(padding.amounts, axis, 0, axis=0)
    image = tf.expand_dims(x, axis)
    return dataclasses.replace(padding, amounts=amounts).applied(image)
