"""Nodes of a graph by name: their inputs, their layers, their order."""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

# What passes its first input on. The gradient functions of larq's quantizers leave
# nodes of the second kind.
PASSING = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "EnsureShape",
)


def source_of(nodes: Mapping[str, NodeDef], tensor: str) -> str:
    """Returns the tensor that another one equals, before nodes that change nothing."""
    tensor = canonical(tensor)
    name, _, index = tensor.partition(":")
    node = nodes[name]
    if node.op not in PASSING:
        return tensor
    passed = data_inputs(node)[int(index) if node.op == "IdentityN" else 0]
    return source_of(nodes, passed)


def pre_sign(nodes: Mapping[str, NodeDef], tensor: str) -> str | None:
    """Returns the tensor of which another one is larq's sign, or `None`.

    That is Sign(Sign(x) + 0.1), which is +1 at zero.
    """

    def producer(tensor: str) -> NodeDef:
        return nodes[node_name(source_of(nodes, tensor))]

    outer = producer(tensor)
    if outer.op != "Sign":
        return None
    total = producer(outer.input[0])
    if total.op not in ("Add", "AddV2"):
        return None
    for first, second in (total.input[:2], total.input[1::-1]):
        inner, bias = producer(first), literal(producer(second))
        if inner.op == "Sign" and bias is not None:
            if bias.size == 1 and 0 < bias.item() < 1:
                return source_of(nodes, inner.input[0])
    return None


def literal(node: NodeDef) -> np.ndarray | None:
    """Returns the value of a constant node, `None` of another one."""
    import tensorflow as tf

    if node.op != "Const":
        return None
    return tf.make_ndarray(node.attr["value"].tensor)


def data_inputs(node: NodeDef) -> list[str]:
    """Returns the inputs of a node that are tensors."""
    return [source for source in node.input if not source.startswith("^")]


def layer_of(name: str, layers: Collection[str]) -> str:
    """Returns the outermost layer among the scopes of a node.

    Inside of it may be its quantizer, which is a layer too.
    """
    scopes = name.split("/")
    return next((scope for scope in scopes if scope in layers), scopes[0])


def node_name(source: str) -> str:
    """Returns the node of an input such as `"node:1"` or `"^node"`."""
    return source.lstrip("^").partition(":")[0]


def canonical(tensor: str) -> str:
    """Returns the name of a tensor with its number: `"node"` is `"node:0"`."""
    return tensor if ":" in tensor else f"{tensor}:0"


def execution_order(nodes: Mapping[str, NodeDef]) -> list[str]:
    """Returns the names of nodes so that each comes after its inputs."""
    waiting = {}
    users = collections.defaultdict(list)
    for name, node in nodes.items():
        sources = {node_name(source) for source in node.input} & nodes.keys()
        waiting[name] = len(sources)
        for source in sources:
            users[source].append(name)
    ready = collections.deque(name for name, count in waiting.items() if not count)
    order = []
    while ready:
        order.append(ready.popleft())
        for user in users[order[-1]]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return order
