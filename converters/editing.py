"""Changing a frozen graph: what computes a tensor, and other things in its place."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

# What passes its first input on. The gradient functions of larq's quantizers leave
# nodes of the second kind.
_PASSING = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "EnsureShape",
)


@dataclasses.dataclass(frozen=True)
class Equivalent:
    """A tensor of the graph as it was.

    Attributes:
        tensor: Its name.
        shape: Its shape; an axis of unknown size is `None`.
        factor: What its values are multiplied by in the new tensor, 1 or -1.
    """

    tensor: str
    shape: tuple[int | None, ...]
    factor: int


class Editor:
    """A graph that is looked into and changed; tensors go by names such as `"node:0"`.

    Args:
        graph_def: The graph; it is not changed.
        outputs: Names of the tensors that must stay.
        layers: Names of the layers that nodes belong to. Defaults to none.

    Attributes:
        equivalents: For tensors that were put in, what they are in the graph as it was.
    """

    def __init__(
        self, graph_def: Any, outputs: Sequence[str], layers: Collection[str] = ()
    ):
        self._outputs = list(outputs)
        self._layers = layers
        self._original = {node.name for node in graph_def.node}
        self.equivalents: dict[str, Equivalent] = {}
        self._nodes = {node.name: _copy(node) for node in graph_def.node}
        self._versions, self._library = graph_def.versions, graph_def.library
        self._inline()
        self._refresh()

    def _inline(self) -> None:
        """Takes single operations out of functions around them.

        Keras compiles convolutions with groups, and so hides them in one.
        """
        functions = {f.signature.name: f for f in self._library.function}
        for name, node in self._nodes.items():
            if node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
                continue
            function = functions[node.attr["f"].func.name]
            inner = [n for n in function.node_def if n.op not in _PASSING]
            arguments = [argument.name for argument in function.signature.input_arg]
            if len(inner) != 1 or data_inputs(inner[0]) != arguments:
                continue
            operation = _copy(inner[0])
            operation.name = name
            del operation.input[:]
            operation.input.extend(data_inputs(node))
            self._nodes[name] = operation

    def _refresh(self) -> None:
        """Reads the shapes of the graph as it is now, and who uses what."""
        import tensorflow as tf

        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(self.graph_def, name="")
        self._graph = graph
        self._constants: dict[str, np.ndarray | None] = {}
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

    def nodes(self, *kinds: str) -> list[Any]:
        """Returns the nodes of some operations, such as `"Conv2D"`."""
        return [node for node in self._nodes.values() if node.op in kinds]

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

    def signed_value(self, tensor: str) -> str | None:
        """Returns the tensor of which another one is larq's sign, or `None`."""
        return signed_value(self._nodes, tensor)

    def users(self, tensor: str) -> list[Any]:
        """Returns the nodes that use a tensor, behind nodes that change nothing."""
        found: dict[str, Any] = {}
        for node in self._users[canonical(tensor)]:
            if node.op in _PASSING:
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
        """Returns the static shape of a tensor."""
        return tuple(self._graph.get_tensor_by_name(canonical(tensor)).shape)

    def constant_size(self, tensor: str) -> tuple[int, int]:
        """Returns the number of a constant's elements, and the bytes of each."""
        known = self._graph.get_tensor_by_name(canonical(tensor))
        count = known.shape.num_elements()
        if count is None:
            value = self.constant(tensor)
            count = 0 if value is None else value.size
        return count, np.dtype(known.dtype.as_numpy_dtype).itemsize

    def constant(self, tensor: str) -> np.ndarray | None:
        """Returns the value of a tensor that does not depend on the inputs."""
        import tensorflow as tf

        tensor = self.source(tensor)
        if tensor not in self._constants:
            value = _literal(self._nodes[node_name(tensor)])
            if value is None and not self._depends_on_inputs(tensor):
                with tf.compat.v1.Session(graph=self._graph) as session:
                    value = session.run(tensor)
            self._constants[tensor] = value
        return self._constants[tensor]

    def _depends_on_inputs(self, tensor: str) -> bool:
        waiting, seen = [node_name(tensor)], set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self._nodes[name]
            if node.op == "Placeholder":
                return True
            waiting += [node_name(i) for i in data_inputs(node)]
        return False

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
                    self._graph.get_tensor_by_name(canonical(tensor)).dtype,
                    self.shape(tensor),
                    name=f"editing_input_{index}",
                )
                for index, tensor in enumerate(inputs)
            ]
            with tf.name_scope(self._free(scope)):
                results = tf.nest.flatten(build(*holders))
        given = {
            holder.op.name: canonical(tensor) for holder, tensor in zip(holders, inputs)
        }
        for node in scratch.as_graph_def().node:
            if node.name in given:
                continue
            for index, source in enumerate(node.input):
                if source.partition(":")[0] in given:
                    node.input[index] = given[source]
            self._nodes[node.name] = node
        new = [result.name for result in results]
        added = {node.name for node in scratch.as_graph_def().node}
        for old, result in zip(map(canonical, tensors), new, strict=True):
            for node in self._nodes.values():
                if node.name in added:
                    continue
                for index, source in enumerate(node.input):
                    if not source.startswith("^") and canonical(source) == old:
                        node.input[index] = result
        self._prune()
        self._refresh()
        return new

    def note_equal(
        self, new: str, old: str, shape: tuple[int | None, ...], factor: int = 1
    ) -> None:
        """Notes that a new tensor holds the values of an older one, in its order.

        Args:
            new: The new tensor.
            old: The older one, of the graph as it was or put in before.
            shape: The shape of the older one.
            factor: 1, or -1 if the new one holds the negated values.
        """
        old = canonical(old)
        if old.partition(":")[0] in self._original:
            self.equivalents[new] = Equivalent(old, shape, factor)
        elif old in self.equivalents:
            known = self.equivalents[old]
            self.equivalents[new] = dataclasses.replace(
                known, factor=known.factor * factor
            )

    def _free(self, scope: str) -> str:
        name, number = scope, 1
        while any(f"{node}/".startswith(f"{name}/") for node in self._nodes):
            name, number = f"{scope}_{number}", number + 1
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


def source_of(nodes: Mapping[str, Any], tensor: str) -> str:
    """Returns the tensor that nodes which change nothing pass on as another one."""
    tensor = canonical(tensor)
    name, _, index = tensor.partition(":")
    node = nodes[name]
    if node.op not in _PASSING:
        return tensor
    passed = data_inputs(node)[int(index) if node.op == "IdentityN" else 0]
    return source_of(nodes, passed)


def signed_value(nodes: Mapping[str, Any], tensor: str) -> str | None:
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
        inner, shift = producer(first), _literal(producer(second))
        if inner.op == "Sign" and shift is not None:
            if shift.size == 1 and 0 < shift.item() < 1:
                return source_of(nodes, inner.input[0])
    return None


def _literal(node: Any) -> np.ndarray | None:
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


def _copy(node: Any) -> Any:
    import tensorflow as tf

    copy = tf.compat.v1.NodeDef()
    copy.CopyFrom(node)
    return copy
