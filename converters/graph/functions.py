"""Operations taken out of the functions around them."""

from __future__ import annotations

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import op_def_registry

from converters.graph.nodes import data_inputs, node_name


def inlined(graph_def: GraphDef) -> dict[str, NodeDef]:
    """Returns the nodes of a graph and of the functions that it calls.

    Keras compiles convolutions with groups, and so hides them in a function.

    Args:
        graph_def: The graph; it is not changed.

    Returns:
        Copies of the nodes by name. Functions with control flow are still called.
    """
    nodes = {}
    for node in graph_def.node:
        nodes[node.name] = NodeDef()
        nodes[node.name].CopyFrom(node)
    functions = {f.signature.name: f for f in graph_def.library.function}
    for name, node in list(nodes.items()):
        if node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
            continue
        function = functions[node.attr["f"].func.name]
        if len(function.signature.output_arg) != 1 or any(
            not _has_one_output(inner) for inner in function.node_def
        ):
            continue
        arguments = [argument.name for argument in function.signature.input_arg]
        known = dict(zip(arguments, data_inputs(node), strict=True))
        known |= {n.name: f"{name}/{n.name}:0" for n in function.node_def}
        for inner in function.node_def:
            copied = NodeDef()
            copied.CopyFrom(inner)
            copied.name = f"{name}/{inner.name}"
            del copied.input[:]
            copied.input.extend(known[node_name(i)] for i in data_inputs(inner))
            nodes[copied.name] = copied
        result = function.signature.output_arg[0]
        passing = NodeDef(name=name, op="Identity")
        passing.input.append(known[node_name(function.ret[result.name])])
        passing.attr["T"].type = node.attr["Tout"].list.type[0]
        nodes[name] = passing
    return nodes


def _has_one_output(node: NodeDef) -> bool:
    """Whether a node of a function is a plain operation with one output."""
    definition = op_def_registry.get(node.op)
    if definition is None or len(definition.output_arg) != 1:
        return False
    output = definition.output_arg[0]
    calls = any(node.attr[key].HasField("func") for key in node.attr)
    return not (output.number_attr or output.type_list_attr or calls)
