"""Fake-quantize operations that let real-valued layers be computed in 8 bits.

Larq Compute Engine computes in int8 what stands between `FakeQuantWithMinMaxVars`. Here
they are put around convolutions and dense layers with real weights, with the ranges
that values have there for representative inputs. With the weights rounded as the
converter rounds them, such a graph computes what the file computes, up to the rounding
of one step.

All else stays float32, though Larq Compute Engine could do more: where signs and sums
read 8 bits, values near zero lose their sign. With ranges everywhere small networks of
the zoo kept less of their predictions (docs/int8.md), were no smaller, and up to three
times slower where int8 kernels are slow (PRELU).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from converters.graph.graph import Graph, Insertion
from converters.graph.nodes import canonical, data_inputs, node_name
from converters.int8.arithmetic import nudged
from converters.int8.fake_quants import FAKE_QUANT, limits_of
from converters.int8.patterns import (
    AVERAGING,
    WEIGHTED,
    chain,
    is_sign,
    pads_with_zeros,
    path_back,
    whole,
)

# TensorFlow Lite's own, always.
_FIXED = {
    "Softmax": (0.0, 255 / 256),
    "Sigmoid": (0.0, 255 / 256),
    "Tanh": (-1.0, 127 / 128),
}
_TINY = 1e-30
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class _Place:
    """A range that is to be put in.

    Attributes:
        name: Name of the new node.
        tensor: The tensor that it rounds.
        reader: The one node that reads the rounded tensor, `None` for all.
        range_of: The tensor whose values make the range; `None` where there is to be
            none, in spite of ranges before.
    """

    name: str
    tensor: str
    reader: str | None
    range_of: str | None


def insert_fake_quants(
    graph: Graph, calibration: Mapping[str, np.ndarray], io: bool = False
) -> None:
    """Puts quantization around the real-valued convolutions and dense layers.

    A range spans the least and the largest value that the calibration inputs have
    there, and zero: leaving out the rarest values kept no more predictions.

    Args:
        graph: The graph, which is edited.
        calibration: Representative inputs by the model's names, (samples, ...).
        io: Whether inputs and outputs of the model are quantized, too. Defaults to
            `False`.
    """
    inputs, outputs = list(graph.inputs.values()), list(graph.outputs.values())
    places = _places(graph, inputs if io else [], outputs if io else [])
    if not places:
        return
    watched = [place.range_of for place in places if place.range_of is not None]
    spans = _spans(graph, calibration, list(dict.fromkeys(watched)))
    insertions = [_insertion(graph, place, spans) for place in places]
    graph.insert([one for one in insertions if one is not None])


def _insertion(
    graph: Graph, place: _Place, spans: Mapping[str, tuple[float, float]]
) -> Insertion | None:
    """Returns what to insert at a place, `None` where all values are zeros."""
    if place.range_of is None:
        build = functools.partial(_plus_almost_nothing, name=place.name)
        return Insertion(place.tensor, build, place.reader)
    kind = graph.producer(place.tensor).op
    low, high = nudged(*_FIXED.get(kind, spans[place.range_of]))
    if low == high:
        return None
    build = functools.partial(
        _fake_quantized,
        low=low,
        high=high,
        clip=pads_with_zeros(graph, place.tensor),
        name=place.name,
    )
    return Insertion(place.tensor, build, place.reader)


def _plus_almost_nothing(x: tf.Tensor, name: str) -> tf.Tensor:
    """Changes no value, but a sum has no range where none is given."""
    return tf.add(x, np.float32(_TINY), name=name)


def _fake_quantized(
    x: tf.Tensor, low: float, high: float, clip: bool, name: str
) -> tf.Tensor:
    if clip:
        x = _clipped(x, low, name)
    return tf.quantization.fake_quant_with_min_max_vars(x, low, high, name=name)


def _clipped(x: tf.Tensor, low: float, name: str) -> tf.Tensor:
    """Returns values that are clipped where their range begins, as rounding does.

    Binary kernels that pad with zeros write nothing but float32, and the converter
    would have them write int8 if this did not come in between.
    """
    return tf.maximum(x, np.float32(low), name=f"{name}/cut")


def fit_for_conversion(graph: Graph) -> None:
    """Edits the graph of a model that was trained with ranges so that it converts.

    Args:
        graph: The graph. Its function stays the same.
    """
    insertions = []
    for node in graph.nodes(*FAKE_QUANT):
        tensor = canonical(data_inputs(node)[0])
        limits = limits_of(graph, node)
        if limits is not None and pads_with_zeros(graph, tensor):
            name = f"int8/{node.name}"
            build = functools.partial(_clipped, low=limits[0], name=name)
            insertions.append(Insertion(tensor, build, node.name))
    if insertions:
        graph.insert(insertions)


def _spans(
    graph: Graph, calibration: Mapping[str, np.ndarray], tensors: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Returns the least and the largest value of tensors over all inputs."""
    imported = graph.imported()
    with imported.graph.as_default():
        ends = [
            (tf.reduce_min(tensor), tf.reduce_max(tensor))
            for tensor in map(imported.graph.get_tensor_by_name, tensors)
        ]
    samples = len(next(iter(calibration.values())))
    found = []
    for start in range(0, samples, _BATCH):
        part = slice(start, start + _BATCH)
        feeds = {graph.inputs[name]: array[part] for name, array in calibration.items()}
        found.append(imported.session.run(ends, feeds))
    lows, highs = np.moveaxis(
        np.array(found, np.float64).reshape(-1, len(ends), 2), 2, 0
    )
    return {
        tensor: (float(low), float(high))
        for tensor, low, high in zip(tensors, lows.min(axis=0), highs.max(axis=0))
    }


def _places(
    graph: Graph, inputs: Sequence[str], outputs: Sequence[str]
) -> list[_Place]:
    """Returns where ranges belong: around real-valued layers, and at given ends."""
    layers = [
        (node, chain(graph, node)[-1])
        for node in graph.nodes(*WEIGHTED)
        if graph.constant(f"{node.name}:0") is None
        and graph.constant(data_inputs(node)[1]) is not None
        and not is_sign(graph, data_inputs(node)[0])
    ]
    after = [*(f"{last.name}:0" for _, last in layers), *inputs]

    def is_float(tensor: str) -> bool:
        return graph.dtype(tensor) == tf.float32

    known = {tensor for tensor in after if is_float(tensor)}

    def is_ranged(tensor: str) -> bool:
        return graph.source(path_back(graph, tensor)[-1][1]) in known

    for node in graph.nodes(*_FIXED):
        if is_ranged(data_inputs(node)[0]):
            known.add(f"{node.name}:0")
    for tensor in map(graph.source, outputs):
        if is_float(tensor) and not (is_ranged(tensor) or is_sign(graph, tensor)):
            known.add(whole(graph, tensor))
    places = {t: _Place(f"int8/{node_name(t)}", t, None, t) for t in sorted(known)}
    handing_on: set[str] = set()
    for first, _ in layers:
        path = path_back(graph, canonical(data_inputs(first)[0]), first.name)
        reader, tensor = path[-1]
        begin = graph.source(tensor)
        if begin not in known:
            name = f"int8/{reader}/input"
            places[f"{tensor} {reader}"] = _Place(name, tensor, reader, tensor)
            handing_on |= {name for name, _ in path[1:]}
    # A mean is rounded, to the steps of what it is taken of.
    for node in graph.nodes(*AVERAGING):
        mean, begin = f"{node.name}:0", path_back(graph, f"{node.name}:0")[-1][1]
        if node.name in handing_on or graph.source(begin) in known:
            places[mean] = _Place(f"int8/{node.name}", mean, None, begin)
    # One range for all that is joined would be that of its first part, which cuts off
    # the others.
    for node in graph.nodes("ConcatV2"):
        for tensor in map(canonical, data_inputs(node)[:-1]):
            if is_ranged(tensor):
                name = f"int8/{node.name}/{node_name(tensor)}"
                places[f"{tensor} {node.name}"] = _Place(name, tensor, node.name, None)
    return list(places.values())
