"""Fake-quantize operations of a graph: where they stand, and their quant steps."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.nodes import canonical, data_inputs
from converters.int8.arithmetic import quant_params, quantize_dequantize
from converters.int8.patterns import SAME_RANGE, WEIGHTED, chain, passed_value

FAKE_QUANT = (
    "FakeQuantWithMinMaxVars",
    "FakeQuantWithMinMaxArgs",
    "FakeQuantWithMinMaxVarsPerChannel",
)


@dataclasses.dataclass(frozen=True)
class QuantParams:
    """The quantization parameters of one tensor in 8 bits.

    Attributes:
        layer: Name of the layer that computes the tensor.
        before: Name of the tensor of real numbers.
        tensor: Name of the tensor that is rounded to quant steps.
        scale: What one step is worth.
        zero_point: The number that stands for zero, from -128 to 127.
    """

    layer: str
    before: str
    tensor: str
    scale: float
    zero_point: int


def is_quantized(graph: Graph) -> bool:
    """Whether a graph has fake-quantize operations, so that it becomes int8."""
    return any(node.op in FAKE_QUANT for node in graph.by_name.values())


def quant_params_of(graph: Graph) -> tuple[QuantParams, ...]:
    """Returns the quantization parameters of a graph, those of its weights aside.

    Args:
        graph: A graph, after `insert_fake_quants` or of a model that was trained with
            ranges.

    Returns:
        One for each tensor; none for a graph of real numbers.
    """
    found = []
    for node in graph.nodes(*FAKE_QUANT):
        tensor = f"{node.name}:0"
        if graph.constant(tensor) is not None:
            continue
        limits = limits_of(graph, node)
        if limits is None or limits[0] == limits[1]:
            continue
        scale, zero_point = quant_params(*limits)
        before = canonical(data_inputs(node)[0])
        layer = graph.layer(graph.producer(before))
        found.append(QuantParams(layer, before, tensor, scale, zero_point))
    return tuple(found)


def limits_of(graph: Graph, node: NodeDef) -> tuple[float, float] | None:
    """Returns the range of 8 bits of a whole tensor, `None` of another operation."""
    if node.attr["num_bits"].i != 8 or node.attr["narrow_range"].b:
        return None
    if node.op == "FakeQuantWithMinMaxArgs":
        return node.attr["min"].f, node.attr["max"].f
    low, high = (graph.constant(tensor) for tensor in data_inputs(node)[1:])
    if low is None or high is None or low.size != 1:
        return None
    return float(low), float(high)


def with_quantized_kernels(graph: Graph) -> Graph:
    """Returns a graph that computes what its int8 file computes.

    Its int8 weights are rounded as in the file. The file of it would be the same.

    Args:
        graph: A graph with fake-quantize operations; it stays as it is.
    """
    kernels = {}
    for node in graph.nodes(*WEIGHTED):
        name = canonical(data_inputs(node)[1])
        kernel = graph.constant(name)
        if kernel is None or _is_quantized_tensor(graph, name):
            continue
        users = graph.users(f"{chain(graph, node)[-1].name}:0")
        if not users or not all(user.op in FAKE_QUANT for user in users):
            continue
        if _is_quantized_tensor(graph, data_inputs(node)[0]):
            kernels[name] = quantize_dequantize(kernel, WEIGHTED[node.op])
    if not kernels:
        return graph

    def build() -> list[tf.Tensor]:
        return [tf.constant(kernel) for kernel in kernels.values()]

    rounded = graph.copy()
    rounded.replace(list(kernels), [], build, "int8_kernels")
    return rounded


def _is_quantized_tensor(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is fake-quantized, or passes on one that is."""
    node = graph.producer(tensor)
    while node.op in SAME_RANGE:
        node = graph.producer(passed_value(node))
    return node.op in FAKE_QUANT
