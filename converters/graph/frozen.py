"""A Keras model as one graph of constants, which is converted and looked into."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.graph.graph import Alias
from converters.graph.kernels import layer_names
from converters.graph.nodes import (
    canonical,
    execution_order,
    layer_of,
    node_name,
    pre_sign,
    source_of,
)
from converters.graph.sessions import session_of
from converters.model_arrays import (
    filled_up,
    given_as,
    input_names,
    output_names,
    structured,
)

# As few tell parts of samples that stand in another order.
_ORDERED_SAMPLES = 3
_ROUNDING = 1e-3
_FEW_MOVED = 0.1


@dataclasses.dataclass(frozen=True)
class Sign:
    """A place of the graph where a value becomes its sign.

    Attributes:
        layer: Name of the layer it belongs to.
        pre_sign: Name of the tensor before the sign.
        sign: Name of the tensor of -1 and +1.
        channels: Size of its last axis, `None` where the graph does not know it.
    """

    layer: str
    pre_sign: str
    sign: str
    channels: int | None


@dataclasses.dataclass(frozen=True)
class FrozenModel:
    """The inference graph of a Keras model with its weights as constants.

    Attributes:
        graph_def: The graph, `tf.compat.v1.GraphDef`.
        inputs: Names of the input tensors by the model's names, in the model's order.
        shapes: Shapes of the inputs by the model's names, without the batch.
        dtypes: Types of the inputs by the model's names.
        outputs: Names of the output tensors by the model's names.
        signs: The signs that depend on the inputs, in the order of execution.
        layers: Names of the model's layers.
        aliases: In a rewritten graph, what new signs are in the one before.
        alone: Where samples are to be computed one at a time, the shapes of outputs
            that have no axis for the batch, by the model's names; else `None`. Smaller
            ones end with zeros.
    """

    graph_def: Any
    inputs: dict[str, str]
    shapes: dict[str, tuple[int | None, ...]]
    dtypes: dict[str, Any]
    outputs: dict[str, str]
    signs: tuple[Sign, ...]
    layers: frozenset[str]
    aliases: Mapping[str, Alias] = dataclasses.field(default_factory=dict)
    alone: Mapping[str, tuple[int, ...]] | None = None

    def with_graph(self, graph_def: Any, aliases: Mapping[str, Alias]) -> FrozenModel:
        """Returns the same model with another graph between inputs and outputs."""
        signs = _find_signs(graph_def, list(self.inputs.values()), self.layers)
        return dataclasses.replace(
            self, graph_def=graph_def, signs=signs, aliases=aliases
        )

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """Yields a function (feeds, fetches) -> arrays; any tensor can be fed."""
        import tensorflow as tf

        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(self.graph_def, name="")
        with session_of(graph) as session:

            def run(
                feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
            ) -> list[np.ndarray]:
                # Scalars are told as arrays of one number.
                given = {
                    name: array.reshape(graph.get_tensor_by_name(name).shape)
                    if graph.get_tensor_by_name(name).shape.rank == 0
                    else array
                    for name, array in feeds.items()
                }
                return session.run(list(fetches), given)

            yield run if self.alone is None else functools.partial(self._each, run)

    def moves_samples(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Returns whether what is compared stands in another order in a batch.

        A file computes one sample at a time. A graph that joins parts of samples along
        the axis of the batch, as a dilated convolution over time does, has the first
        parts of all samples before the second ones.

        Args:
            arrays: The inputs by the model's names, (samples, ...).
        """
        fetches = [sign.pre_sign for sign in self.signs]
        fetches += [
            canonical(node.input[0])
            for node in self.graph_def.node
            if node.op.startswith("FakeQuant")
        ]
        feeds = {self.inputs[n]: a[:_ORDERED_SAMPLES] for n, a in arrays.items()}
        samples = len(next(iter(feeds.values())))
        if samples == 1 or not fetches:
            return False
        with dataclasses.replace(self, alone=None).session() as run:
            pairs = zip(run(feeds, fetches), self._each(run, feeds, fetches))
            return any(_is_moved(*pair, samples) for pair in pairs)

    def _each(
        self,
        run: Callable[..., list[np.ndarray]],
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
    ) -> list[np.ndarray]:
        """Runs the samples one at a time and joins what is fetched."""
        samples = len(feeds[next(iter(self.inputs.values()))])
        shapes = {self.outputs[name]: s for name, s in (self.alone or {}).items()}
        parts = []
        for one in range(samples):
            # A tensor of the inside may hold several rows of a sample.
            given = {
                name: array[
                    one * len(array) // samples : (one + 1) * len(array) // samples
                ]
                for name, array in feeds.items()
            }
            parts.append(
                [
                    filled_up(array, shapes[name])[None]
                    if name in shapes
                    else np.atleast_1d(array)
                    for name, array in zip(fetches, run(given, fetches))
                ]
            )
        return [np.concatenate(arrays) for arrays in zip(*parts)]


def _is_moved(together: np.ndarray, apart: np.ndarray, samples: int) -> bool:
    """Returns whether a batch holds other values than its samples, one by one."""
    together = np.atleast_1d(together)
    if len(apart) == samples * len(together):  # A constant is that of each sample.
        apart = apart[: len(together)]
    if apart.shape != together.shape:
        return True
    scale = np.sqrt(np.square(together, dtype=np.float64).mean())
    # Rounding turns few signs, and moves few values after them.
    far = np.abs(together.astype(np.float64) - apart) > _ROUNDING * scale
    return bool(far.mean() > _FEW_MOVED)


def freeze(model: Any) -> FrozenModel:
    """Traces a Keras model for inference and makes constants of its weights.

    Args:
        model: A built Keras model with symbolic inputs.

    Returns:
        The graph, with any size of the batch. Its inputs have the types that
        interpreters take: real ones are float32, and unsigned ones of 16 bits int32.
    """
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

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
    return FrozenModel(
        graph_def=graph_def,
        inputs=dict(zip(names, placeholders)),
        shapes={n: tuple(s.shape)[1:] for n, s in zip(names, specs)},
        dtypes={n: s.dtype for n, s in zip(names, specs)},
        outputs={n: f"output/{index}:0" for index, n in enumerate(output_names(model))},
        signs=_find_signs(graph_def, placeholders, layers),
        layers=layers,
    )


def _read_directly(graph_def: Any) -> None:
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


def _refuse_tables(model: Any, graph_def: Any, layers: frozenset[str]) -> None:
    """Refuses what is no constant and no input, as the table of a StringLookup."""
    import tensorflow as tf

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


def _find_signs(
    graph_def: Any, inputs: Sequence[str], layers: frozenset[str]
) -> tuple[Sign, ...]:
    """Finds larq's signs of what depends on the inputs."""
    import tensorflow as tf

    # Read again, it knows shapes that the traced one does not: after functions.
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    nodes = {node.name: node for node in graph_def.node}
    live = {node_name(name) for name in inputs}
    signs = []
    for name in execution_order(nodes):
        if any(node_name(source) in live for source in nodes[name].input):
            live.add(name)
        if nodes[name].op != "Sign" or name not in live:
            continue
        value = pre_sign(nodes, name)
        if value is not None:
            shape = graph.get_tensor_by_name(canonical(name)).shape
            if shape.rank == 0:  # One number is never bits in a file.
                continue
            layer = layer_of(name, layers)
            signs.append(Sign(layer, value, canonical(name), shape[-1]))
    return tuple(signs)
