"""The graph of a Keras model: its layers, their calls, and the users of each tensor.

Keras has no public interface to it. Everything that reads its private attributes is
here.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

_layers = tf.keras.layers


class LayerCall(Protocol):
    """One call of a layer, which Keras calls a node."""

    @property
    def layer(self) -> tf.keras.layers.Layer:
        """The layer."""

    @property
    def outputs(self) -> Any:
        """The tensors it returned, in their structure."""

    @property
    def keras_inputs(self) -> Sequence[tf.Tensor]:
        """The Keras tensors among its arguments."""

    @property
    def call_args(self) -> Sequence[Any]:
        """Its positional arguments."""

    @property
    def call_kwargs(self) -> Mapping[str, Any]:
        """Its keyword arguments."""


class ModelGraph:
    """The layers of a model and its nested models, and the users of each tensor.

    Keys are ids of layers and tensors, which Keras does not let one hash by value.

    Attributes:
        layers: The layers that are no models with a graph.
        calls: The calls of each layer, nested models among them.
    """

    def __init__(self, model: tf.keras.Model) -> None:
        self.layers: dict[int, tf.keras.layers.Layer] = {}
        self.calls: dict[int, list[LayerCall]] = {}
        self._producers: dict[int, tf.keras.layers.Layer] = {}
        self._users: dict[int, list[LayerCall]] = {}
        self._outputs: set[int] = set()
        self._models: dict[int, tf.keras.Model] = {}
        self._add(model)

    def _add(self, model: tf.keras.Model) -> None:
        if id(model) in self._models:
            return
        self._models[id(model)] = model
        self._outputs.update(id(tensor) for tensor in tf.nest.flatten(model.output))
        for call in calls_of(model):
            layer = call.layer
            if call in self.calls.get(id(layer), []):
                continue  # Another model holds the same call.
            self.calls.setdefault(id(layer), []).append(call)
            for tensor in tf.nest.flatten(call.outputs):
                self._producers[id(tensor)] = layer
            for tensor in call.keras_inputs:
                self._users.setdefault(id(tensor), []).append(call)
        for layer in model.layers:
            if has_graph(layer):
                self._add(layer)
            else:
                self.layers[id(layer)] = layer

    def new_name(self, wanted: str) -> str:
        """Returns `wanted`, with a number if another layer has that name."""
        taken = {part.name for part in (*self.layers.values(), *self._models.values())}
        numbers = itertools.count(1)
        name = wanted
        while name in taken:
            name = f"{wanted}_{next(numbers)}"
        return name

    def norms_after(
        self, layer: tf.keras.layers.Layer
    ) -> list[tf.keras.layers.BatchNormalization]:
        """Returns the batch normalizations that alone use the outputs of a layer.

        Empty if anything else uses the outputs, or if one of these normalizations also
        normalizes the outputs of another layer.
        """
        norms: dict[int, tf.keras.layers.BatchNormalization] = {}
        if layer.activation is not tf.keras.activations.linear:
            return []
        for call in self.calls[id(layer)]:
            for tensor in tf.nest.flatten(call.outputs):
                users = self._users.get(id(tensor), [])
                if id(tensor) in self._outputs or len(users) != 1:
                    return []
                if not _normalizes(users[0], channel_axis(layer)):
                    return []
                norms[id(users[0].layer)] = users[0].layer
        for norm in norms.values():
            for call in self.calls[id(norm)]:
                producers = [
                    self._producers[id(tensor)] for tensor in call.keras_inputs
                ]
                if producers != [layer]:
                    return []
        return list(norms.values())


def has_graph(layer: tf.keras.layers.Layer) -> bool:
    """Tells whether a layer is a model that calls its layers as its graph says."""
    if not getattr(layer, "_is_graph_network", False):
        return False
    owner = next(kind for kind in type(layer).__mro__ if "call" in vars(kind))
    return owner.__name__ in ("Functional", "Sequential")


def is_made_of_tensors(kind: type[tf.keras.Model]) -> bool:
    """Tells whether a class is made as `tf.keras.Model(inputs, outputs)`."""
    parameters = list(inspect.signature(kind.__init__).parameters)
    return parameters[1:3] == ["inputs", "outputs"]


def calls_of(model: tf.keras.Model) -> list[LayerCall]:
    """Returns the calls in a model, each after the calls whose outputs it takes.

    Raises:
        ValueError: If `add_loss` or `add_metric` made some of them.
    """
    by_depth = model._nodes_by_depth
    calls = [
        call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]
    ]
    reached = {id(call) for depth in by_depth if depth >= 0 for call in by_depth[depth]}
    unreached = [call.layer.name for call in calls if id(call) not in reached]
    if unreached:
        raise ValueError(
            f"{model.name} holds {', '.join(unreached)}, made by add_loss or "
            "add_metric, which a copy of the model would lose. Add them to the new "
            "model instead."
        )
    return calls


def input_layer(model: tf.keras.Sequential) -> tf.keras.layers.InputLayer:
    """Returns the layer that makes the only input of a sequential model."""
    (start,) = model.inputs
    return start._keras_history.layer


def copied_lambda(layer: tf.keras.layers.Lambda) -> tf.keras.layers.Lambda:
    """Returns a layer with the same function, which a configuration may lose."""
    return type(layer)(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        **_layers.Layer.get_config(layer),
    )


def channel_axis(layer: tf.keras.layers.Layer) -> int:
    """Returns the axis of the channels in the outputs of a layer."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _normalizes(call: LayerCall, axis: int) -> bool:
    """Tells whether a call normalizes the channels on an axis, as in inference."""
    return (
        type(call.layer) is _layers.BatchNormalization
        and len(call.call_args) == 1
        and all(value is None or value is False for value in call.call_kwargs.values())
        and list(call.layer.axis) == [axis % call.call_args[0].shape.rank]
    )
