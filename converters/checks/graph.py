"""Legality checks of a graph: patterns that Larq Compute Engine converts wrongly.

They are reported by the names of layers. Rewrites have removed most of them before.
"""

from __future__ import annotations

import math

from converters.errors import ConversionError
from converters.graph.graph import Graph
from converters.graph.nodes import data_inputs
from converters.graph.patterns import ints, same_padding
from converters.rewrites import (
    broadcast_constants,
    broadcast_prelu_slopes,
    crop_strided_input,
    fuse_dilated_conv,
    replace_zero_padding,
    trim_explicit_padding,
)


def check_graph(graph: Graph) -> None:
    """Raises a ConversionError for a graph that would be converted wrongly.

    Args:
        graph: The graph that goes into the converter.

    Raises:
        ConversionError: With all reasons, by the names of layers.
    """
    reasons = _other_signs(graph)
    # Larq Compute Engine fuses dilated convolutions, too.
    graph = graph.copy()
    fuse_dilated_conv.rewrite(graph)
    reasons += [
        f"{graph.layer(match.node)} pads an image of {_size(match)} with zeros for a "
        "kernel that reaches farther, which Larq Compute Engine computes wrongly. Use "
        "the rewrite 'replace_zero_padding', pad_values=1.0, or a smaller kernel."
        for match in replace_zero_padding.find(graph)
    ]
    reasons += [
        f"{graph.layer(padded.node)} has strides after explicit padding, which Larq "
        "Compute Engine takes for that of padding='same', another one. Use the rewrite "
        "'trim_explicit_padding', or padding='same'."
        for padded in trim_explicit_padding.find(graph)
        if _is_misread(graph, padded)
    ]
    reasons += [
        f"{graph.layer(read.node)} has padding='same' and strides that leave a part "
        "of its image unread, which the kernels of the interpreter compute wrongly. "
        "Use the rewrite 'crop_strided_input', or padding='valid'."
        for read in crop_strided_input.find(graph)
    ]
    reasons += [
        f"{graph.layer(operand.node)} has a constant of the shape "
        f"{operand.constant.shape} after a binary convolution, for which Larq Compute "
        "Engine writes a file that does not load. Use the rewrite "
        "'broadcast_constants', or one number for each channel."
        for operand in broadcast_constants.find(graph)
    ]
    reasons += [
        f"{graph.layer(node)} counts integers ({node.op}), which no interpreter "
        "knows. Encode them outside of the model, or by tf.one_hot."
        for node in graph.nodes("Bincount", "DenseBincount")
    ]
    reasons += [
        f"{graph.layer(found.node)} has one slope for {found.channels} channels, "
        "beyond which interpreters read. Use the rewrite 'broadcast_prelu_slopes', or "
        "share the slopes over all axes but the last."
        for found in broadcast_prelu_slopes.find(graph)
    ]
    if reasons:
        raise ConversionError("\n".join(dict.fromkeys(reasons)))


def _size(match: replace_zero_padding.SmallImageConv) -> str:
    height, width = match.sizes
    return f"{height}x{width} pixels"


def _is_misread(graph: Graph, match: trim_explicit_padding.PaddedConv) -> bool:
    """Whether explicit padding is taken for "same", which puts it elsewhere.

    It is where it is balanced and gives outputs of the usual size.
    """
    node, value = match.node, data_inputs(match.pad)[0]
    kernel = graph.shape(data_inputs(node)[1])
    sizes, outputs = (graph.inner_shape(t)[:2] for t in (value, node.name))
    strides, dilations = (ints(node, name)[1:3] for name in ("strides", "dilations"))
    amounts = match.padding.amounts[1:3]
    same = same_padding(sizes, kernel, strides, dilations)
    balanced = [before == (before + after) // 2 for before, after in amounts]
    usual = [math.ceil(size / stride) for size, stride in zip(sizes, strides)]
    elsewhere = (same[:, 0] != amounts[:, 0]).any()
    return all(balanced) and list(outputs) == usual and bool(elsewhere)


def _other_signs(graph: Graph) -> list[str]:
    """Names what is taken for larq's sign: Sign(Sign(x) + c) with any c."""
    known = {sign.sign for sign in graph.signs}
    reasons = []
    for node in graph.nodes("Sign"):
        if f"{node.name}:0" in known or not graph.depends_on_inputs(node.name):
            continue
        total = graph.producer(node.input[0])
        if total.op not in ("Add", "AddV2"):
            continue
        if any(graph.producer(part).op == "Sign" for part in data_inputs(total)):
            reasons.append(
                f"{graph.layer(node)} computes the sign of a sum with a sign, as "
                "SteTern does, which Larq Compute Engine takes for the sign alone. Use "
                "'ste_sign'."
            )
    return reasons
