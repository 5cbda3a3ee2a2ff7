"""A dilated convolution is one operation.

TensorFlow writes it as a convolution of images that are taken apart and put together
again. Other rewrites, and what is refused, look for convolutions as such. The result is
the same but for the order of float sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import is_nhwc, only_user, same_padding


def rewrite(graph: Graph) -> list[str]:
    """Puts dilated convolutions together."""
    import tensorflow as tf

    changed = []
    for node in graph.nodes("Conv2D"):
        apart = graph.producer(node.input[0])
        together = only_user(graph, f"{node.name}:0")
        if apart.op != "SpaceToBatchND" or not is_nhwc(node):
            continue
        if together is None or together.op != "BatchToSpaceND":
            continue
        value = data_inputs(apart)[0]
        constants = [
            graph.constant(tensor)
            for part in (apart, together)
            for tensor in data_inputs(part)[1:]
        ]
        if any(constant is None for constant in constants):
            continue
        blocks, padding, other, crops = map(np.asarray, constants)
        if len(blocks) != 2 or (blocks != other).any():
            continue
        if node.attr["padding"].s != b"VALID":
            continue
        if max(*node.attr["strides"].list.i, *node.attr["dilations"].list.i) > 1:
            continue
        amounts = padding - crops
        sizes, kernel = graph.inner_shape(value)[:2], graph.shape(node.input[1])[:2]
        if (crops[:, 0] != 0).any():
            continue
        if not amounts.any():
            kind = "VALID"
        elif (amounts == same_padding(sizes, kernel, (1, 1), blocks)).all():
            kind = "SAME"
        else:
            continue
        factors = [int(block) for block in blocks]

        def build(
            x: Any, filters: Any, kind: str = kind, factors: list[int] = factors
        ) -> Any:
            return tf.nn.conv2d(x, filters, 1, kind, dilations=factors)

        name = graph.layer(node)
        graph.replace(
            [f"{together.name}:0"],
            [value, data_inputs(node)[1]],
            build,
            f"{name}/dilated",
        )
        changed.append(name)
    return changed
