"""The graph of a model on its way to a file: searched, edited, copied and run."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.functions import inlined
from converters.graph.nodes import (
    PASSING,
    canonical,
    data_inputs,
    execution_order,
    layer_of,
    literal,
    node_name,
    pre_sign,
    source_of,
)
from converters.graph.sessions import Imported, differs_in_batches, one_by_one

# Shape and type of a tensor; no shape if not even the rank is known.
_Fact = tuple[Optional[tuple[Optional[int], ...]], tf.DType]


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
class Alias:
    """The tensor of the frozen graph that holds the values of a new one.

    Attributes:
        tensor: Its name.
        shape: Its shape; an axis of unknown size is `None`.
        factor: What its values are multiplied by in the new tensor, 1 or -1, or one of
            them for each channel of the new tensor.
    """

    tensor: str
    shape: tuple[int | None, ...]
    factor: int | np.ndarray


@dataclasses.dataclass(frozen=True)
class Insertion:
    """An operation to insert between a tensor and what reads it.

    Attributes:
        tensor: Name of the tensor.
        build: Makes the new tensor of it, or returns it where nothing is to be done.
        reader: Name of the one node that is to read the new tensor, `None` for all.
    """

    tensor: str
    build: Callable[[tf.Tensor], tf.Tensor]
    reader: str | None = None


class Graph:
    """The inference graph of a model, with its weights as constants.

    Tensors go by names such as `"node:0"`. Shapes and types are known from one import
    into TensorFlow, and kept current through edits.

    Args:
        graph_def: The nodes. Functions around operations are taken away.
        inputs: Names of the input tensors by the model's names, in the model's order.
        outputs: Names of the output tensors by the model's names: they stay.
        layers: Names of the model's layers, to which nodes belong by their scopes.

    Attributes:
        inputs: As given.
        outputs: As given.
        layers: As given.
        aliases: For tensors that edits put in, what they are in the graph as it was
            frozen.
        is_edited: Whether anything was changed since it was frozen.
        alone: Where samples are to be computed one at a time, the shapes of outputs
            that have no axis for the batch, by the model's names; else `None`. Smaller
            ones end with zeros.
    """

    def __init__(
        self,
        graph_def: GraphDef,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        layers: Collection[str] = (),
    ):
        self.inputs, self.outputs = dict(inputs), dict(outputs)
        self.layers = frozenset(layers)
        self.aliases: dict[str, Alias] = {}
        self.is_edited = False
        self.alone: Mapping[str, tuple[int, ...]] | None = None
        self._nodes = inlined(graph_def)
        self._versions, self._library = graph_def.versions, graph_def.library
        self._original = frozenset(self._nodes)
        # Scopes that were given out: what was known of a name must stay true.
        self._scopes: set[str] = set()
        self._at: NodeDef | None = None
        self._constants: dict[str, np.ndarray | None] = {}
        self._measured: dict[str, tuple[int, ...]] = {}
        self._imported = Imported(self.graph_def)
        # Nodes that are not in it as they are now.
        self._unknown: set[str] = set()
        self._facts = _facts_of(self._imported.graph)
        self._signs: tuple[Sign, ...] | None = None
        self._index_users()

    def copy(self) -> Graph:
        """Returns a graph that can be edited without a change of this one."""
        other = copy.copy(self)
        # Constants read nothing, so that no edit changes them in their place.
        other._nodes = {
            name: node if node.op == "Const" else _copied(node)
            for name, node in self._nodes.items()
        }
        other.aliases = dict(self.aliases)
        other._scopes, other._unknown = set(self._scopes), set(self._unknown)
        other._constants, other._measured = dict(self._constants), dict(self._measured)
        other._facts = dict(self._facts)
        other._index_users()
        return other

    def _index_users(self) -> None:
        """Reads who uses what in the graph as it is now."""
        self._users: dict[str, list[NodeDef]] = collections.defaultdict(list)
        for node in self._nodes.values():
            for source in dict.fromkeys(map(canonical, data_inputs(node))):
                self._users[source].append(node)

    @property
    def graph_def(self) -> GraphDef:
        """The graph as it is now."""
        result = GraphDef(versions=self._versions, library=self._library)
        result.node.extend(self._nodes.values())
        return result

    @property
    def by_name(self) -> Mapping[str, NodeDef]:
        """The nodes of the graph as it is now."""
        return self._nodes

    @property
    def functions(self) -> Sequence[FunctionDef]:
        """The functions that nodes call: bodies of loops and branches."""
        return self._library.function

    def nodes(self, *kinds: str) -> Iterator[NodeDef]:
        """Yields the nodes of some operations, such as `"Conv2D"`.

        Nodes that an edit removes before their turn are left out.
        """
        for node in [node for node in self._nodes.values() if node.op in kinds]:
            if self._nodes.get(node.name) is node:
                self._at = node
                yield node

    def place(self) -> str:
        """Names the operation that `nodes` yielded last, and its layer, for errors."""
        if self._at is None:
            return "its start"
        return f"{self._at.op} {self._at.name} of the layer {self.layer(self._at)}"

    def layer(self, node: NodeDef) -> str:
        """Returns the name of a node's layer.

        New nodes are in a scope of the layer that they serve.
        """
        return layer_of(node.name, self.layers)

    @property
    def signs(self) -> tuple[Sign, ...]:
        """Larq's signs of what depends on the inputs, in the order of execution."""
        if self._signs is None:
            self._signs = tuple(self._found_signs())
        return self._signs

    def _found_signs(self) -> Iterator[Sign]:
        live = {node_name(name) for name in self.inputs.values()}
        for name in execution_order(self._nodes):
            node = self._nodes[name]
            if any(node_name(source) in live for source in node.input):
                live.add(name)
            if node.op != "Sign" or name not in live:
                continue
            value, shape = pre_sign(self._nodes, name), self._facts[canonical(name)][0]
            if value is None or shape == ():  # One number is never bits in a file.
                continue
            channels = None if shape is None else shape[-1]
            yield Sign(self.layer(node), value, canonical(name), channels)

    def producer(self, tensor: str) -> NodeDef:
        """Returns the node that computes a tensor, before nodes that change nothing."""
        return self._nodes[node_name(self.source(tensor))]

    def source(self, tensor: str) -> str:
        """Returns the tensor that nodes which change nothing pass on as this one."""
        return source_of(self._nodes, tensor)

    def pre_sign(self, tensor: str) -> str | None:
        """Returns the tensor of which another one is larq's sign, or `None`."""
        return pre_sign(self._nodes, tensor)

    def users(self, tensor: str) -> list[NodeDef]:
        """Returns the nodes that use a tensor, after nodes that change nothing."""
        outputs, found = self.outputs.values(), {}
        for node in self._users[canonical(tensor)]:
            if node.op in PASSING:
                index = [canonical(i) for i in data_inputs(node)].index(
                    canonical(tensor)
                )
                passed = f"{node.name}:{index if node.op == 'IdentityN' else 0}"
                for user in self.users(passed):
                    found[user.name] = user
                if passed in outputs:
                    found[node.name] = node
            else:
                found[node.name] = node
        return list(found.values())

    def shape(self, tensor: str) -> tuple[int | None, ...]:
        """Returns the static shape of a tensor, empty if not even its rank is known."""
        return self._facts[canonical(tensor)][0] or ()

    def dtype(self, tensor: str) -> tf.DType:
        """Returns the type of a tensor."""
        return self._facts[canonical(tensor)][1]

    def inner_shape(self, tensor: str) -> tuple[int, ...]:
        """Returns the shape after the first axis, measured where it is unknown.

        It is unknown to TensorFlow after some reshapings that compute their shape.
        """
        tensor = canonical(tensor)
        shape = self.shape(tensor)[1:]
        if self._facts[tensor][0] is not None and None not in shape:
            return tuple(int(size or 0) for size in shape)
        if tensor not in self._measured:
            feeds = {}
            for node in self.nodes("Placeholder"):
                sizes = [size or 1 for size in self.shape(node.name)]
                dtype = self.dtype(node.name).as_numpy_dtype
                feeds[canonical(node.name)] = np.zeros(sizes, dtype)
            self._measured[tensor] = self._compute(tensor, feeds).shape[1:]
        return self._measured[tensor]

    def constant_size(self, tensor: str) -> tuple[int, int]:
        """Returns the number of a constant's elements, and the bytes of each."""
        shape, dtype = self._facts[canonical(tensor)]
        if dtype.name in ("resource", "string", "variant"):
            # Handles, and lists of tensors, are no numbers.
            return 0, 0
        count: int | None = None
        if shape is not None and None not in shape:
            count = math.prod(int(size or 0) for size in shape)
        if count is None:
            value = self.constant(tensor)
            count = 0 if value is None else value.size
        return count, np.dtype(dtype.as_numpy_dtype).itemsize

    def constant(self, tensor: str) -> np.ndarray | None:
        """Returns the value of a tensor that does not depend on the inputs."""
        tensor = self.source(tensor)
        if tensor not in self._constants:
            value = literal(self._nodes[node_name(tensor)])
            if value is None and not self.depends_on_inputs(tensor):
                value = self._compute(tensor, {})
            self._constants[tensor] = value
        return self._constants[tensor]

    def known(self, tensor: str) -> np.ndarray:
        """Returns the value of a tensor that is a constant.

        Raises:
            ValueError: If it is none.
        """
        value = self.constant(tensor)
        if value is None:
            raise ValueError(f"{tensor} depends on the inputs.")
        return value

    def depends_on_inputs(self, tensor: str) -> bool:
        """Whether a tensor is no constant of the model."""
        return any(node.op == "Placeholder" for node in self._ancestors(tensor))

    def _ancestors(self, tensor: str) -> list[NodeDef]:
        """Returns the nodes that a tensor is computed by."""
        waiting, seen = [node_name(tensor)], {}
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen[name] = self._nodes[name]
                waiting += [node_name(i) for i in data_inputs(seen[name])]
        return list(seen.values())

    def _compute(self, tensor: str, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        nodes = self._ancestors(tensor)
        names = {node.name for node in nodes}
        imported = self._imported
        if names & self._unknown:
            part = GraphDef(versions=self._versions, library=self._library)
            part.node.extend(nodes)
            imported = Imported(part)
        given = {name: feeds[name] for name in feeds if node_name(name) in names}
        return imported.run(given, [canonical(tensor)])[0]

    def imported(self) -> Imported:
        """Returns the graph as it is now in TensorFlow."""
        if self._unknown:
            self._imported, self._unknown = Imported(self.graph_def), set()
        return self._imported

    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
    ) -> list[np.ndarray]:
        """Computes tensors.

        Args:
            feeds: Arrays by the names of tensors, any of the graph.
            fetches: Names of the tensors to compute.
        """
        if self.alone is not None:
            return self._run_alone(feeds, fetches, self.alone)
        return self.imported().run(feeds, fetches)

    def _run_alone(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> list[np.ndarray]:
        """Computes the samples one at a time."""
        samples = len(feeds[next(iter(self.inputs.values()))])
        outputs = {self.outputs[name]: shape for name, shape in shapes.items()}
        return one_by_one(self.imported().run, feeds, fetches, samples, outputs)

    def mixes_samples(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether a batch has the samples in another order where files are compared.

        A file computes one sample at a time. A graph that joins parts of samples along
        the axis of the batch, as a dilated convolution over time does, has the first
        parts of all samples before the second ones.

        Args:
            arrays: The inputs by the model's names, (samples, ...).
        """
        fetches = [sign.pre_sign for sign in self.signs]
        fetches += [
            canonical(node.input[0])
            for node in self._nodes.values()
            if node.op.startswith("FakeQuant")
        ]
        feeds = {self.inputs[name]: array for name, array in arrays.items()}
        if not fetches:
            return False
        alone = functools.partial(self._run_alone, shapes={})
        return differs_in_batches(self.imported().run, alone, feeds, fetches)

    def replace(
        self,
        tensors: Sequence[str],
        inputs: Sequence[str],
        build: Callable[..., Any],
        scope: str,
    ) -> list[str]:
        """Puts other operations in the place of tensors.

        Args:
            tensors: What is computed otherwise from now on.
            inputs: What it is computed from.
            build: Takes symbolic tensors for the inputs and returns one for each of
                `tensors`.
            scope: The names of the new operations begin with it.

        Returns:
            The names of the new tensors.
        """
        scratch = tf.Graph()
        with scratch.as_default():
            holders = [
                self._held(tensor, f"editing_input_{index}")
                for index, tensor in enumerate(inputs)
            ]
            with tf.name_scope(self._free(scope)):
                results = tf.nest.flatten(build(*holders))
        names = [holder.op.name for holder in holders]
        self._add(scratch, dict(zip(names, map(canonical, inputs))))
        new = [result.name for result in results]
        for old, result in zip(map(canonical, tensors), new, strict=True):
            # Alone, the new operations may not tell the shape.
            self._facts[result] = self._facts[old]
        for old, result in zip(map(canonical, tensors), new, strict=True):
            for node in self._users[old]:
                self._redirect(node, old, result)
        self._prune()
        self._edited()
        return new

    def insert(self, insertions: Sequence[Insertion]) -> None:
        """Inserts operations between tensors and what reads them, one after another.

        What is inserted at a tensor for all readers is read by later insertions there,
        and no node that was inserted reads another one but so.

        Args:
            insertions: The operations. They name themselves.
        """
        readers = {source: list(nodes) for source, nodes in self._users.items()}
        held: dict[str, str] = {}
        current: dict[str, str] = {}
        results = []
        scratch = tf.Graph()
        with scratch.as_default():
            for index, one in enumerate(insertions):
                place = canonical(one.tensor)
                tensor = current.get(place, place)
                x = self._held(place, f"held_{index}")
                held[x.op.name] = tensor
                result = one.build(x)
                if result is x:
                    continue
                results.append((place, result.name))
                chosen = [
                    node
                    for node in readers.get(tensor, ())
                    if one.reader in (None, node.name)
                ]
                for node in chosen:
                    self._redirect(node, tensor, result.name)
                    readers[tensor].remove(node)
                readers[result.name] = chosen
                if one.reader is None:
                    current[tensor] = result.name
        self._add(scratch, held)
        for tensor, name in results:
            self._facts[name] = self._facts[tensor]
        self._edited()

    def _held(self, tensor: str, name: str) -> tf.Tensor:
        """Returns a placeholder for a tensor, in the default graph."""
        shape, dtype = self._facts[canonical(tensor)]
        return tf.compat.v1.placeholder(dtype, shape, name=name)

    def _add(self, scratch: tf.Graph, held: Mapping[str, str]) -> None:
        """Adds the nodes of another graph, in which some nodes stand for tensors."""
        facts = _facts_of(scratch)
        for node in scratch.as_graph_def().node:
            if node.name in held:
                continue
            for index, source in enumerate(node.input):
                if source.partition(":")[0] in held:
                    node.input[index] = held[source.partition(":")[0]]
            self._nodes[node.name] = node
            self._unknown.add(node.name)
        self._facts.update(facts)

    def _redirect(self, node: NodeDef, old: str, new: str) -> None:
        """Has a node read another tensor instead."""
        for index, source in enumerate(node.input):
            if not source.startswith("^") and canonical(source) == old:
                node.input[index] = new
                self._unknown.add(node.name)

    def _edited(self) -> None:
        self._index_users()
        self._signs, self.is_edited = None, True

    def record_alias(
        self,
        new: str,
        old: str,
        shape: tuple[int | None, ...],
        factor: int | np.ndarray = 1,
    ) -> None:
        """Records that a new tensor holds the values of an older one, in its order.

        Args:
            new: The new tensor.
            old: The older one, of the frozen graph or put in before.
            shape: The shape of the older one.
            factor: 1, or -1 if the new one holds the negated values; one for each
                channel of the new one where they differ.
        """
        old = canonical(old)
        if node_name(old) in self._original:
            self.aliases[new] = Alias(old, shape, factor)
        elif old in self.aliases:
            known = self.aliases[old]
            self.aliases[new] = dataclasses.replace(known, factor=known.factor * factor)

    def _free(self, scope: str) -> str:
        name, number = scope, 1
        while name in self._scopes or any(
            f"{node}/".startswith(f"{name}/")
            for node in (*self._nodes, *self._original)
        ):
            name, number = f"{scope}_{number}", number + 1
        self._scopes.add(name)
        return name

    def _prune(self) -> None:
        """Drops what no output needs."""
        waiting = [node_name(name) for name in self.outputs.values()]
        needed = {n for n, node in self._nodes.items() if node.op == "Placeholder"}
        while waiting:
            name = waiting.pop()
            if name in needed:
                continue
            needed.add(name)
            waiting += [node_name(i) for i in data_inputs(self._nodes[name])]
        for name in [name for name in self._nodes if name not in needed]:
            del self._nodes[name]
        for node in self._nodes.values():
            # Nothing here has side effects that an order could matter for.
            kept = data_inputs(node)
            if len(kept) < len(node.input):
                del node.input[:]
                node.input.extend(kept)


def _facts_of(graph: tf.Graph) -> dict[str, _Fact]:
    """Returns shape and type of every tensor of a graph."""
    return {
        tensor.name: (
            None if tensor.shape.rank is None else tuple(tensor.shape),
            tensor.dtype,
        )
        for operation in graph.get_operations()
        for tensor in operation.outputs
    }


def _copied(node: NodeDef) -> NodeDef:
    copied = NodeDef()
    copied.CopyFrom(node)
    return copied
