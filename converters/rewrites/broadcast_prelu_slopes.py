"""PReLU with one slope gets one for each channel.

XNNPACK, which computes PRELU in every interpreter, reads a slope for each channel: of a
single one it reads beyond, and relu(x) - a relu(-x) becomes other numbers in silence.
The result is the same to the bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs


@dataclasses.dataclass(frozen=True)
class SingleSlope:
    """A product -a relu(-x) with one slope for several channels.

    Attributes:
        product: The node that multiplies.
        part: Name of the tensor relu(-x).
        factor: The number -a.
        shape: The shape of a slope for each channel, without the batch.
    """

    product: Any
    part: str
    factor: np.floating[Any]
    shape: tuple[int, ...]


def rewrite(graph: Graph) -> list[str]:
    """Repeats single slopes for each channel."""
    import tensorflow as tf

    changed = []
    for found in list(find(graph)):

        def build(part: Any, found: SingleSlope = found) -> Any:
            return tf.multiply(np.full(found.shape, found.factor), part)

        name = graph.layer(found.product)
        tensor = f"{found.product.name}:0"
        graph.replace([tensor], [found.part], build, f"{name}/slopes")
        changed.append(name)
    return changed


def find(graph: Graph) -> Iterator[SingleSlope]:
    """Yields products that become a PRELU with one slope for several channels."""
    for total in graph.nodes("Add", "AddV2"):
        first, second = data_inputs(total)
        for above, below in ((first, second), (second, first)):
            relu, product = graph.producer(above), graph.producer(below)
            if relu.op == "Relu" and product.op == "Mul":
                yield from _single(graph, product, graph.source(relu.input[0]))


def _single(graph: Graph, product: Any, x: str) -> Iterator[SingleSlope]:
    first, second = data_inputs(product)
    for factor, part in ((first, second), (second, first)):
        value, lower = graph.constant(factor), graph.producer(part)
        if value is None or value.size != 1 or lower.op != "Relu":
            continue
        negated = graph.producer(lower.input[0])
        if negated.op != "Neg" or graph.source(negated.input[0]) != x:
            continue
        sizes = graph.inner_shape(x)
        # Only slopes of this rank are joined to a PRELU.
        if value.ndim == len(sizes) > 0 and sizes[-1] > 1:
            shape = (*(1 for _ in sizes[1:]), sizes[-1])
            yield SingleSlope(product, part, value.ravel()[0], shape)
