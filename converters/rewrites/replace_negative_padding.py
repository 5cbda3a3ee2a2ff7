"""conv(pad(sign(x), -1), W)   becomes   conv(pad(-sign(x), +1), -W).

Larq Compute Engine recognizes padding with +1 and 0 alone. The negated sign of zero is
-1, so -sign(x) is the sign of -tiny - x with the smallest normal number: the result is
the same to the bit, but for x between -tiny and 0.
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
from converters.graph.kernels import is_binary
from converters.graph.nodes import data_inputs
from converters.graph.patterns import (
    ConstantPadding,
    constant_padding,
    convolve_like,
    output_of,
    sign,
)
from converters.rewrites.matching import log_refusal, passing

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _NegativelyPadded:
    """A convolution of signs that are padded with -1.

    Attributes:
        node: The convolution.
        signs: Name of the tensor of signs.
        value: Name of the tensor that they are the signs of.
        padding: The padding.
    """

    node: NodeDef
    signs: str
    value: str
    padding: ConstantPadding


def rewrite(graph: Graph) -> list[str]:
    """Negates signs that are padded with -1 before binary convolutions."""
    changed = []
    for match in passing(_LOG, graph, _matches(graph), _check):
        name, shape = graph.layer(match.node), graph.shape(match.signs)
        padding = dataclasses.replace(match.padding, value=1.0)
        negated: list[str] = []
        graph.replace(
            [output_of(match.node)],
            [match.value],
            functools.partial(
                _build,
                node=match.node,
                kernel=-graph.known(match.node.input[1]),
                padding=padding,
                negated=negated,
            ),
            f"{name}/negated",
        )
        graph.record_alias(negated[0], match.signs, shape, factor=-1)
        changed.append(name)
    return changed


def _matches(graph: Graph) -> Iterator[_NegativelyPadded]:
    for node in graph.nodes("Conv2D"):
        pad = graph.producer(node.input[0])
        if pad.op != "PadV2" or node.attr["padding"].s != b"VALID":
            continue
        signs = data_inputs(pad)[0]
        value = graph.pre_sign(signs)
        if value is None:
            continue
        padding = constant_padding(graph, pad)
        if padding is None:
            log_refusal(_LOG, graph.layer(node), "its padding is no constant")
        elif padding.value == -1:
            yield _NegativelyPadded(node, graph.source(signs), value, padding)


def _check(graph: Graph, match: _NegativelyPadded) -> str | None:
    if not is_binary(graph.constant(match.node.input[1])):
        return "its kernel is not +c and -c in each output channel"
    return None


def _build(
    x: tf.Tensor,
    *,
    node: NodeDef,
    kernel: np.ndarray,
    padding: ConstantPadding,
    negated: list[str],
) -> tf.Tensor:
    """Builds the convolution; adds the name of the negated signs to `negated`."""
    signs = sign(-np.finfo(np.float32).tiny - x)
    negated.append(signs.name)
    return convolve_like(node, padding.applied(signs), kernel)
