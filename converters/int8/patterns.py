"""Patterns of a graph around real-valued layers that int8 kernels compute."""

from __future__ import annotations

from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph
from converters.graph.kernels import is_binary
from converters.graph.nodes import canonical, data_inputs

# The axes of the weights that share a scale: all but that of the output channels.
# Dense layers have one scale.
WEIGHTED = {"Conv2D": (0, 1, 2), "DepthwiseConv2dNative": (0, 1), "MatMul": (0, 1)}
_AFFINE = ("AddV2", "Add", "Mul", "BiasAdd")
_NORM = "FusedBatchNormV3"
_ACTIVATIONS = ("Relu", "Relu6")
# Those that TensorFlow Lite writes with the scale of what they read; the first kind
# rounds again.
AVERAGING = ("AvgPool", "ResizeBilinear")
SAME_RANGE = (
    *AVERAGING,
    "BatchToSpaceND",
    "ExpandDims",
    "MaxPool",
    "Pad",
    "Reshape",
    "ResizeNearestNeighbor",
    "Slice",
    "SpaceToBatchND",
    "Split",
    "Squeeze",
    "StridedSlice",
    "TopKV2",
    "Transpose",
)
# What these leave out is in the range, too: the converter gives it to all they read.
_PARTS = ("Slice", "Split", "StridedSlice", "TopKV2")


def chain(graph: Graph, node: NodeDef) -> list[NodeDef]:
    """Returns a layer and the nodes fused with it: affine ones, then an activation."""
    chain = [node]
    while chain[-1].op not in _ACTIVATIONS:
        users = graph.users(f"{chain[-1].name}:0")
        if len(users) != 1:
            break
        if users[0].op not in _ACTIVATIONS and not _is_affine(graph, users[0]):
            break
        chain.append(users[0])
    return chain


def _is_affine(graph: Graph, node: NodeDef) -> bool:
    """Whether a node scales channels by constants, or adds constants to them."""
    if node.op == _NORM:
        return True
    if node.op not in _AFFINE:
        return False
    constants = map(graph.constant, data_inputs(node))
    value = next((constant for constant in constants if constant is not None), None)
    return value is not None and value.size in (1, (1, *value.shape)[-1])


def is_sign(graph: Graph, tensor: str) -> bool:
    """Whether a tensor holds signs."""
    node = graph.producer(tensor)
    while node.op in (*SAME_RANGE, "PadV2"):
        node = graph.producer(passed_value(node))
    return node.op == "Sign"


def pads_with_zeros(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is the result of a binary convolution padded with zeros."""
    node = graph.producer(tensor)
    while node.op == _NORM or _is_affine(graph, node):
        given = [i for i in data_inputs(node) if graph.constant(i) is None]
        node = graph.producer(given[0])
    return (
        node.op == "Conv2D"
        and node.attr["padding"].s == b"SAME"
        and is_sign(graph, data_inputs(node)[0])
        and is_binary(graph.constant(data_inputs(node)[1]))
    )


def path_back(graph: Graph, tensor: str, reader: str = "") -> list[tuple[str, str]]:
    """Returns the way back through nodes that keep a range: readers, what they read."""
    path = [(reader, tensor)]
    while True:
        node = graph.producer(tensor)
        if node.op not in SAME_RANGE:
            return path
        tensor = canonical(passed_value(node))
        path.append((node.name, tensor))


def whole(graph: Graph, tensor: str) -> str:
    """Returns the tensor that another one is a part of, or that one itself."""
    read = [tensor for _, tensor in path_back(graph, tensor)]
    parts = [i for i, part in enumerate(read) if graph.producer(part).op in _PARTS]
    return graph.source(read[parts[-1] + 1]) if parts else tensor


def passed_value(node: NodeDef) -> str:
    """Returns the input whose values a node hands on."""
    return data_inputs(node)[1 if node.op == "Split" else 0]
