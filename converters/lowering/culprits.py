"""Layers that Larq Compute Engine could not convert, and what to change in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import tensorflow as tf

from converters.graph.graph import Graph
from converters.graph.nodes import layer_of

# The converter names an operation by its kind and its name in the graph.
_OPERATION = re.compile(r'"(\w+):", "([^"@]+)[^"]*"')
# Slopes that become one PRELU though they have more axes than it takes.
_SLOPES = re.compile("'tfl.prelu' op failed to verify that operands .* rank 4")
_LOOPS = re.compile("TensorList|TensorArray|While|If$|Case$")


def culprits(
    model: tf.keras.Model, graph: Graph, messages: Sequence[str]
) -> tuple[str, ...]:
    """Returns a sentence for each layer that the converter named as a problem.

    Args:
        model: The Keras model.
        graph: The graph that was to be converted.
        messages: What the converter wrote.
    """
    kinds: dict[str, list[str]] = {}
    slopes: list[str] = []
    for line in "\n".join(messages).splitlines():
        for kind, name in _OPERATION.findall(line):
            layer = layer_of(name, graph.layers)
            if _SLOPES.search(line):
                slopes.append(layer)
            elif kind not in kinds.setdefault(layer, []):
                kinds[layer].append(kind)
    layers = {module.name: module for module in model.submodules}
    return tuple(
        f"{layer}{_kind(layers.get(layer))} has slopes for more than 4 axes, the batch "
        "among them, which PRELU does not take. Reshape its input to 4 axes and its "
        "output back, or replace it by LeakyReLU."
        for layer in dict.fromkeys(slopes)
    ) + tuple(
        f"{layer}{_kind(layers.get(layer))} computes with {', '.join(found)}, which "
        f"cannot be converted. {_cure(layers.get(layer), found)}"
        for layer, found in kinds.items()
        if layer in graph.layers
    )


def _kind(layer: tf.keras.layers.Layer | None) -> str:
    return "" if layer is None else f" ({type(layer).__name__})"


def _cure(layer: tf.keras.layers.Layer | None, kinds: Sequence[str]) -> str:
    if not any(map(_LOOPS.match, kinds)):
        return "Replace it."
    inner = getattr(layer, "forward_layer", None) or getattr(layer, "layer", layer)
    if not isinstance(inner, tf.keras.layers.RNN):
        return "Write it without a loop over tensors of unknown number, or replace it."
    convolutional = (
        tf.keras.layers.ConvLSTM1D,
        tf.keras.layers.ConvLSTM2D,
        tf.keras.layers.ConvLSTM3D,
    )
    if isinstance(inner, convolutional):
        return "Keras cannot unroll it: use convolutions over time instead."
    return "Build it with unroll=True and load the weights into it."


def users(graph: Graph, kinds: Collection[str]) -> list[str]:
    """Returns the layers that use operations of some kinds.

    Args:
        graph: The graph that was converted.
        kinds: Kinds of operations, such as `"Erfinv"`.
    """
    wanted = {kind.removeprefix("Flex") for kind in kinds}

    def found() -> Iterator[str]:
        for node in graph.by_name.values():
            if node.op in wanted:
                yield layer_of(node.name, graph.layers)
        for function in graph.functions:
            if any(node.op in wanted for node in function.node_def):
                yield function.signature.name

    names = list(dict.fromkeys(found()))
    return [name for name in names if name in graph.layers] or names
