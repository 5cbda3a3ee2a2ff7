"""A Keras model as a graph of constants."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.python.framework import convert_to_constants

from converters.errors import ConversionError
from converters.graph.graph import Graph
from converters.graph.kernels import layer_names
from converters.graph.nodes import layer_of, node_name, source_of
from converters.model_arrays import given_as, input_names, output_names, structured


def freeze(model: tf.keras.Model) -> Graph:
    """Traces a Keras model for inference and makes constants of its weights.

    Args:
        model: A built Keras model with symbolic inputs.

    Returns:
        The graph, with any size of the batch. Its inputs have the types that
        interpreters take: real ones are float32, and unsigned ones of 16 bits int32.
    """
    dtypes = [tensor.dtype for tensor in model.inputs]
    specs = [
        tf.TensorSpec((None, *tensor.shape[1:]), given_as(tensor.dtype))
        for tensor in model.inputs
    ]
    names = input_names(model)

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        typed = [tf.cast(tensor, dtype) for tensor, dtype in zip(tensors, dtypes)]
        inputs = structured(model, dict(zip(names, typed)))
        outputs = tf.nest.flatten(model(inputs, training=False))
        return [
            tf.identity(tensor, name=f"output/{index}")
            for index, tensor in enumerate(outputs)
        ]

    function = tf.function(run, autograph=False).get_concrete_function(*specs)
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )
    graph_def = frozen.graph.as_graph_def()
    _read_directly(graph_def)
    placeholders = [tensor.name for tensor in frozen.inputs]
    layers = layer_names(model)
    _refuse_tables(model, graph_def, layers)
    return Graph(
        graph_def,
        inputs=dict(zip(names, placeholders)),
        outputs={n: f"output/{index}:0" for index, n in enumerate(output_names(model))},
        layers=layers,
    )


def _read_directly(graph_def: GraphDef) -> None:
    """Has casts of inputs that were cast before read the inputs.

    Keras casts what it is given to the types of its inputs, of which a file may have
    none: float64 and float16, which become float32 at once, and uint16.
    """
    nodes = {node.name: node for node in graph_def.node}
    for node in graph_def.node:
        if node.op != "Cast":
            continue
        first = nodes[node_name(source_of(nodes, node.input[0]))]
        if first.op != "Cast":
            continue
        given = source_of(nodes, first.input[0])
        if nodes[node_name(given)].op == "Placeholder":
            node.input[0] = given
            node.attr["SrcT"].type = first.attr["SrcT"].type


def _refuse_tables(
    model: tf.keras.Model, graph_def: GraphDef, layers: frozenset[str]
) -> None:
    """Refuses what is no constant and no input, as the table of a StringLookup."""
    held = {
        node.name
        for node in graph_def.node
        if node.op == "Placeholder" and node.attr["dtype"].type == tf.resource
    }
    readers = [
        (layer_of(node.name, layers), node.op)
        for node in graph_def.node
        if held & {node_name(source) for source in node.input}
    ]
    if readers:
        raise ConversionError(
            ", ".join(f"{layer} computes with {kind}" for layer, kind in readers)
            + f": a table, which no file of {model.name} can hold. Look up outside of "
            "the model."
        )
