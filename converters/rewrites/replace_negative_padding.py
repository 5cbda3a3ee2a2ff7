"""Padding with -1 becomes padding with +1 of the negated signs.

conv(pad(sign(x), -1), W) = conv(pad(-sign(x), +1), -W)

Larq Compute Engine knows padding with +1 and 0 alone. The negated sign of zero is -1,
so -sign(x) is the sign of -tiny - x with the smallest normal number: the result is the
same to the bit, but for x between -tiny and 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.kernels import is_binary
from converters.graph.nodes import data_inputs
from converters.graph.patterns import like, paddings, sign


def rewrite(graph: Graph) -> list[str]:
    """Negates what is padded with -1 in front of binary convolutions."""
    import tensorflow as tf

    changed = []
    for node in graph.nodes("Conv2D"):
        pad = graph.producer(node.input[0])
        if pad.op != "PadV2" or node.attr["padding"].s != b"VALID":
            continue
        found = paddings(graph, pad)
        value = graph.pre_sign(data_inputs(pad)[0])
        kernel = graph.constant(node.input[1])
        if found is None or found[1] != -1 or value is None or not is_binary(kernel):
            continue
        convolution = like(node)

        made: list[str] = []

        def build(
            x: Any,
            amounts: Any = found[0],
            kernel: Any = kernel,
            convolution: Any = convolution,
            made: list[str] = made,
        ) -> Any:
            negated = sign(-np.finfo(np.float32).tiny - x)
            made.append(negated.name)
            padded = tf.pad(negated, amounts, constant_values=1.0)
            return convolution(padded, -kernel)

        name, old = graph.layer(node), graph.source(data_inputs(pad)[0])
        shape = graph.shape(old)
        graph.replace([f"{node.name}:0"], [value], build, f"{name}/negated")
        graph.record_alias(made[0], old, shape, factor=-1)
        changed.append(name)
    return changed
