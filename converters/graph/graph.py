"""Changing a frozen graph: what computes a tensor, and other things in its place."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from converters.graph.nodes import (
    PASSING,
    canonical,
    data_inputs,
    layer_of,
    literal,
    node_name,
    pre_sign,
    source_of,
)
from converters.graph.sessions import session_of

# Shape and type of a tensor; no shape if not even the rank is known.
_Fact = tuple[Optional[tuple[Optional[int], ...]], Any]


@dataclasses.dataclass(frozen=True)
class Alias:
    """A tensor of the graph as it was.

    Attributes:
        tensor: Its name.
        shape: Its shape; an axis of unknown size is `None`.
        factor: What its values are multiplied by in the new tensor, 1 or -1, or one of
            them for each channel of the new tensor.
    """

    tensor: str
    shape: tuple[int | None, ...]
    factor: int | np.ndarray


class Graph:
    """A graph that is looked into and changed; tensors go by names such as `"node:0"`.

    Args:
        graph_def: The graph; it is not changed.
        outputs: Names of the tensors that must stay.
        layers: Names of the layers that nodes belong to. Defaults to none.

    Attributes:
        aliases: For tensors that were put in, what they are in the graph as it was.
    """

    def __init__(
        self, graph_def: Any, outputs: Sequence[str], layers: Collection[str] = ()
    ):
        self._outputs = list(outputs)
        self._layers = layers
        self._original = {node.name for node in graph_def.node}
        # Scopes that were given out: what was known of a name must stay true.
        self._scopes: set[str] = set()
        self.aliases: dict[str, Alias] = {}
        self._nodes = {node.name: _copy(node) for node in graph_def.node}
        self._versions, self._library = graph_def.versions, graph_def.library
        self._inline()
        self._at: Any = None
        self._constants: dict[str, np.ndarray | None] = {}
        self._measured: dict[str, tuple[int, ...]] = {}
        self._facts = _facts(self.graph_def)
        self._index_users()

    def _inline(self) -> None:
        """Takes operations out of functions around them.

        Keras compiles convolutions with groups, and so hides them in one.
        """
        import tensorflow as tf

        functions = {f.signature.name: f for f in self._library.function}
        for name, node in list(self._nodes.items()):
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
                copy = _copy(inner)
                copy.name = f"{name}/{inner.name}"
                del copy.input[:]
                copy.input.extend(known[node_name(i)] for i in data_inputs(inner))
                self._nodes[copy.name] = copy
            result = function.signature.output_arg[0]
            passing = tf.compat.v1.NodeDef(name=name, op="Identity")
            passing.input.append(known[node_name(function.ret[result.name])])
            passing.attr["T"].type = node.attr["Tout"].list.type[0]
            self._nodes[name] = passing

    def _index_users(self) -> None:
        """Reads who uses what in the graph as it is now."""
        self._users: dict[str, list[Any]] = collections.defaultdict(list)
        for node in self._nodes.values():
            for source in dict.fromkeys(map(canonical, data_inputs(node))):
                self._users[source].append(node)

    @property
    def graph_def(self) -> Any:
        """The graph as it is now."""
        import tensorflow as tf

        result = tf.compat.v1.GraphDef()
        result.node.extend(self._nodes.values())
        result.versions.CopyFrom(self._versions)
        result.library.CopyFrom(self._library)
        return result

    @property
    def by_name(self) -> Mapping[str, Any]:
        """The nodes of the graph as it is now."""
        return self._nodes

    def nodes(self, *kinds: str) -> Iterator[Any]:
        """Yields the nodes of some operations, such as `"Conv2D"`.

        They are those of now; what is gone before its turn is left out.
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

    def layer(self, node: Any) -> str:
        """Returns the name of a node's layer.

        New nodes are in a scope of the layer that they serve.
        """
        return layer_of(node.name, self._layers)

    def producer(self, tensor: str) -> Any:
        """Returns the node that computes a tensor, behind nodes that change nothing."""
        return self._nodes[node_name(self.source(tensor))]

    def source(self, tensor: str) -> str:
        """Returns the tensor that nodes which change nothing pass on as this one."""
        return source_of(self._nodes, tensor)

    def pre_sign(self, tensor: str) -> str | None:
        """Returns the tensor of which another one is larq's sign, or `None`."""
        return pre_sign(self._nodes, tensor)

    def users(self, tensor: str) -> list[Any]:
        """Returns the nodes that use a tensor, behind nodes that change nothing."""
        found: dict[str, Any] = {}
        for node in self._users[canonical(tensor)]:
            if node.op in PASSING:
                index = [canonical(i) for i in data_inputs(node)].index(
                    canonical(tensor)
                )
                passed = f"{node.name}:{index if node.op == 'IdentityN' else 0}"
                for user in self.users(passed):
                    found[user.name] = user
                if passed in self._outputs:
                    found[node.name] = node
            else:
                found[node.name] = node
        return list(found.values())

    def shape(self, tensor: str) -> tuple[int | None, ...]:
        """Returns the static shape of a tensor, empty if not even its rank is known."""
        return self._facts[canonical(tensor)][0] or ()

    def inner_shape(self, tensor: str) -> tuple[int, ...]:
        """Returns the shape behind the first axis, measured where it is unknown.

        It is unknown to TensorFlow behind some reshapings that compute their shape.
        """
        tensor = canonical(tensor)
        shape = self.shape(tensor)[1:]
        if self._facts[tensor][0] is not None and None not in shape:
            return tuple(int(size or 0) for size in shape)
        if tensor not in self._measured:
            feeds = {}
            for node in self.nodes("Placeholder"):
                sizes = [size or 1 for size in self.shape(node.name)]
                dtype = self._facts[canonical(node.name)][1]
                feeds[canonical(node.name)] = np.zeros(sizes, dtype.as_numpy_dtype)
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
        """Returns whether a tensor is no constant of the model."""
        return any(node.op == "Placeholder" for node in self._behind(tensor))

    def _behind(self, tensor: str) -> list[Any]:
        """Returns the nodes that a tensor is computed by."""
        waiting, seen = [node_name(tensor)], {}
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen[name] = self._nodes[name]
                waiting += [node_name(i) for i in data_inputs(seen[name])]
        return list(seen.values())

    def _compute(self, tensor: str, feeds: Mapping[str, np.ndarray]) -> Any:
        import tensorflow as tf

        nodes = self._behind(tensor)
        part = tf.compat.v1.GraphDef(versions=self._versions, library=self._library)
        part.node.extend(nodes)
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(part, name="")
        names = {node.name for node in nodes}
        given = {name: feeds[name] for name in feeds if node_name(name) in names}
        with session_of(graph) as session:
            return session.run(canonical(tensor), given)

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
        import tensorflow as tf

        scratch = tf.Graph()
        with scratch.as_default():
            holders = [
                tf.compat.v1.placeholder(
                    self._facts[canonical(tensor)][1],
                    self._facts[canonical(tensor)][0],
                    name=f"editing_input_{index}",
                )
                for index, tensor in enumerate(inputs)
            ]
            with tf.name_scope(self._free(scope)):
                results = tf.nest.flatten(build(*holders))
        given = {
            holder.op.name: canonical(tensor) for holder, tensor in zip(holders, inputs)
        }
        added = scratch.as_graph_def().node
        for node in added:
            if node.name in given:
                continue
            for index, source in enumerate(node.input):
                if source.partition(":")[0] in given:
                    node.input[index] = given[source]
            self._nodes[node.name] = node
        self._facts.update(_facts_of(scratch))
        new = [result.name for result in results]
        for old, result in zip(map(canonical, tensors), new, strict=True):
            # Alone, the new operations may not tell the shape.
            self._facts[result] = self._facts[old]
        names = {node.name for node in added}
        for old, result in zip(map(canonical, tensors), new, strict=True):
            for node in self._nodes.values():
                if node.name in names:
                    continue
                for index, source in enumerate(node.input):
                    if not source.startswith("^") and canonical(source) == old:
                        node.input[index] = result
        self._prune()
        self._index_users()
        return new

    def record_alias(
        self,
        new: str,
        old: str,
        shape: tuple[int | None, ...],
        factor: int | np.ndarray = 1,
    ) -> None:
        """Notes that a new tensor holds the values of an older one, in its order.

        Args:
            new: The new tensor.
            old: The older one, of the graph as it was or put in before.
            shape: The shape of the older one.
            factor: 1, or -1 if the new one holds the negated values; one for each
                channel of the new one where they differ.
        """
        old = canonical(old)
        if old.partition(":")[0] in self._original:
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
        waiting = [node_name(name) for name in self._outputs]
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
            del node.input[:]
            node.input.extend(kept)


def _facts(graph_def: Any) -> dict[str, _Fact]:
    """Returns shape and type of every tensor of a graph."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    return _facts_of(graph)


def _facts_of(graph: Any) -> dict[str, _Fact]:
    return {
        tensor.name: (
            None if tensor.shape.rank is None else tuple(tensor.shape),
            tensor.dtype,
        )
        for operation in graph.get_operations()
        for tensor in operation.outputs
    }


def _has_one_output(node: Any) -> bool:
    """Whether a node of a function is a plain operation with one output."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(node.op)
    if definition is None or len(definition.output_arg) != 1:
        return False
    output = definition.output_arg[0]
    calls = any(node.attr[key].HasField("func") for key in node.attr)
    return not (output.number_attr or output.type_list_attr or calls)


def _copy(node: Any) -> Any:
    import tensorflow as tf

    copy = tf.compat.v1.NodeDef()
    copy.CopyFrom(node)
    return copy
