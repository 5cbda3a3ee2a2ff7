"""Nodes of a graph by name: their inputs, their layers, their order."""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

# What passes its first input on. The gradient functions of larq's quantizers leave
# nodes of the second kind.
PASSING = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "EnsureShape",
)


def source_of(nodes: Mapping[str, Any], tensor: str) -> str:
    """Returns the tensor that nodes which change nothing pass on as another one."""
    tensor = canonical(tensor)
    name, _, index = tensor.partition(":")
    node = nodes[name]
    if node.op not in PASSING:
        return tensor
    passed = data_inputs(node)[int(index) if node.op == "IdentityN" else 0]
    return source_of(nodes, passed)


def pre_sign(nodes: Mapping[str, Any], tensor: str) -> str | None:
    """Returns the tensor of which another one is larq's sign, or `None`.

    That is Sign(Sign(x) + 0.1), which is +1 at zero.
    """

    def producer(tensor: str) -> Any:
        return nodes[node_name(source_of(nodes, tensor))]

    outer = producer(tensor)
    if outer.op != "Sign":
        return None
    shifted = producer(outer.input[0])
    if shifted.op not in ("Add", "AddV2"):
        return None
    for first, second in (shifted.input[:2], shifted.input[1::-1]):
        inner, shift = producer(first), literal(producer(second))
        if inner.op == "Sign" and shift is not None:
            if shift.size == 1 and 0 < shift.item() < 1:
                return source_of(nodes, inner.input[0])
    return None


def literal(node: Any) -> np.ndarray | None:
    """Returns the value of a constant node, `None` of another one."""
    import tensorflow as tf

    if node.op != "Const":
        return None
    return tf.make_ndarray(node.attr["value"].tensor)


def data_inputs(node: Any) -> list[str]:
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


def execution_order(nodes: Mapping[str, Any]) -> list[str]:
    """Returns the names of nodes so that each comes behind its inputs."""
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
