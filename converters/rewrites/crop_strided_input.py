"""What no window of a convolution with strides reads is cut off.

The kernels that run real convolutions (XNNPACK's) go wrong at "same" where the last
window ends before the image does, as with a kernel that is smaller than the stride. The
rest of the image is cut off, or "valid" used where no padding is read. The result is
the same to the bit.
"""

from __future__ import annotations

from typing import Any

from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import becomes_binary, is_nhwc, like


def rewrite(graph: Graph) -> list[str]:
    """Cuts off what real convolutions do not read."""
    changed = []
    for node, read, padded in find(graph):
        convolution = like(node, None if padded else "VALID")

        def build(
            x: Any,
            filters: Any,
            read: Any = read,
            padded: bool = padded,
            convolution: Any = convolution,
        ) -> Any:
            if padded:
                x = x[:, : read[0], : read[1]]
            return convolution(x, filters)

        name = graph.layer(node)
        inputs = data_inputs(node)[:2]
        graph.replace([f"{node.name}:0"], inputs, build, f"{name}/read")
        changed.append(name)
    return changed


def find(graph: Graph) -> list[tuple[Any, tuple[int, ...], bool]]:
    """Returns convolutions that do not read all of their image.

    Each with the size that is read, and whether there is padding in the other axis.
    """
    found = []
    for node in graph.nodes("Conv2D", "DepthwiseConv2dNative"):
        if node.attr["padding"].s != b"SAME" or not is_nhwc(node):
            continue
        weights = graph.constant(data_inputs(node)[1])
        if weights is None or weights.shape[:2] == (1, 1):
            continue
        sizes, kernel = graph.inner_shape(node.input[0])[:2], weights.shape[:2]
        strides, dilations = (
            node.attr[name].list.i[1:3] for name in ("strides", "dilations")
        )
        ends = [
            (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1
            for size, stride, dilation, taps in zip(sizes, strides, dilations, kernel)
        ]
        if all(end >= size for end, size in zip(ends, sizes)):
            continue
        if node.op == "Conv2D" and becomes_binary(graph, node):
            continue
        read = tuple(min(end, size) for end, size in zip(ends, sizes))
        padded = any(end > size for end, size in zip(ends, sizes))
        found.append((node, read, padded))
    return found
