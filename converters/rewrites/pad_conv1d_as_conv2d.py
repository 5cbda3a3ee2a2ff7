"""A sequence is padded as the image that a convolution over time takes it for.

Keras writes a convolution over time as one of images of height 1. A `QuantConv1D` that
pads with -1 or +1 does so before, where Larq Compute Engine does not look for it. The
result is the same to the bit.
"""

from __future__ import annotations

from typing import Any

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import paddings


def rewrite(graph: Graph) -> list[str]:
    """Moves padding of sequences behind the change of their shape."""
    import tensorflow as tf

    changed = []
    for node in graph.nodes("ExpandDims"):
        pad = graph.producer(node.input[0])
        if pad.op not in ("Pad", "PadV2"):
            continue
        if graph.pre_sign(data_inputs(pad)[0]) is None:
            continue
        found, axis = paddings(graph, pad), graph.constant(node.input[1])
        if found is None or axis is None or len(found[0]) != 3:
            continue
        amounts, constant = found
        position = int(axis.item()) % 4
        around = [tuple(amount) for amount in amounts]
        around.insert(position, (0, 0))

        def build(
            x: Any,
            position: int = position,
            around: Any = tuple(around),
            constant: float = constant,
        ) -> Any:
            return tf.pad(tf.expand_dims(x, position), around, constant_values=constant)

        name = graph.layer(node)
        value = data_inputs(pad)[0]
        graph.replace([f"{node.name}:0"], [value], build, f"{name}/image")
        changed.append(name)
    return changed
