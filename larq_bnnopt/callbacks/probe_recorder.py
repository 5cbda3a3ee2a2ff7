"""Gradients, averages and weights of a training step, recorded in the step itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.callbacks.rates import Optimizer, trainers_of
from larq_bnnopt.callbacks.step_variables import step_variable

# The averages by the symbols of their papers; Adam and second-order Bop have v, too.
QUANTITIES = ("gradient", "u", "m", "v", "g", "weight")


class ProbeRecorder:
    """Records what the optimizer of each binary kernel gets, keeps and returns.

    The optimizer that trains a kernel is asked, inside a CaseOptimizer or a
    LossScaleOptimizer: its `apply_gradients` copies the gradient on its way in. So the
    gradient is exact, the one of the rule: the mean of the accumulated batches, clipped
    if a CaseOptimizer clips. Nothing is recovered from the averages, whose differences
    would have lost digits.

    Args:
        model: A built and compiled model.
        kernels: The binary kernels, by the name of their layer.
        chosen: Flat indices of the weights to record, by layer.
        capacity: Number of batches whose records the device can hold.

    Raises:
        ValueError: If the model is trained on several devices.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        kernels: Mapping[str, tf.Variable],
        chosen: Mapping[str, np.ndarray],
        capacity: int,
    ):
        replicas = model.distribute_strategy.num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                f"Probes record on one device, and {model.name} is trained on "
                f"{replicas}. Leave probes out, or train on one."
            )
        self._model = model
        self._kernels = dict(kernels)
        self._chosen = dict(chosen)
        self._capacity = capacity
        self._hooks: list[_Hook] = []
        # Whose gradients pass, which tracing a step shows.
        self._seen: set[int] = set()
        self._known: dict[str, set[str]] = {}
        weights = sum(map(len, chosen.values()))
        shape = (capacity, len(QUANTITIES), weights)
        with model.distribute_strategy.scope():
            self._values = step_variable(shape, tf.float32, "probe_values")
            self._steps = step_variable((capacity, 2), tf.int64, "probe_steps")
            self._gradients = {
                name: step_variable(kernel.shape, tf.float32, "probed_gradient")
                for name, kernel in kernels.items()
            }

    def attach(self) -> None:
        """Makes the optimizers of the kernels copy their gradients."""
        names = {id(kernel): name for name, kernel in self._kernels.items()}

        def copy(pairs: Iterable[tuple[Any, tf.Variable]]) -> None:
            for gradient, variable in pairs:
                name = names.get(id(variable))
                if name is not None and gradient is not None:
                    dense = tf.convert_to_tensor(gradient)
                    self._gradients[name].assign(tf.cast(dense, tf.float32))
                    self._seen.add(id(variable))

        trainers = {id(one): one for one in self._trainers().values()}
        self._hooks = [_Hook(trainer, copy) for trainer in trainers.values()]

    def detach(self) -> None:
        """Restores the optimizers' own methods."""
        for hook in self._hooks:
            hook.detach()
        self._hooks = []

    def _trainers(self) -> dict[str, Optimizer]:
        trainers = trainers_of(self._model.optimizer, list(self._kernels.values()))
        return dict(zip(self._kernels, trainers))

    def steps_taken(self) -> tf.Tensor:
        """Returns the number of steps that the optimizer has taken, int64."""
        return tf.convert_to_tensor(self._model.optimizer.iterations)

    def record(self, before: tf.Tensor) -> None:
        """Records a batch after its training step.

        Args:
            before: The result of `steps_taken` before it.
        """
        rows = []
        for name, indices in self._chosen.items():
            quantities = self._quantities(name)
            self._known[name] = set(quantities)
            missing = tf.fill(indices.shape, np.float32(np.nan))
            rows.append(
                tf.stack(
                    [
                        _gathered(quantities[one], indices)
                        if one in quantities
                        else missing
                        for one in QUANTITIES
                    ]
                )
            )
        _push(self._values, tf.concat(rows, axis=1))
        _push(self._steps, tf.stack([before, self.steps_taken()]))

    def _quantities(self, name: str) -> dict[str, tf.Tensor]:
        """Returns what is known of a kernel after a step, by `QUANTITIES`."""
        kernel = self._kernels[name]
        found = averages_of(self._trainers()[name], kernel)
        if id(kernel) in self._seen:
            found["gradient"] = tf.convert_to_tensor(self._gradients[name])
        found["weight"] = tf.convert_to_tensor(kernel)
        return {one: found[one] for one in QUANTITIES if one in found}

    def fetch(self, batches: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the records of the last batches that ended a step.

        Returns:
            The numbers of the steps, from 0, int64 (steps,), and the values, float32
            (steps, quantities, weights), in the order of `QUANTITIES` and of `chosen`.
        """
        start = self._capacity - batches
        before, after = self._steps.numpy()[start:].T
        return before[after > before], self._values.numpy()[start:][after > before]

    def known(self, layer: str) -> set[str]:
        """Returns the quantities that the optimizer of a layer has."""
        return self._known.get(layer, set())

    def kernel_values(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns the last quantities of each kernel, by layer and quantity."""
        return {
            name: {one: value.numpy() for one, value in self._quantities(name).items()}
            for name in self._kernels
        }


def averages_of(optimizer: Optimizer, variable: tf.Variable) -> dict[str, tf.Tensor]:
    """Returns the averages that an optimizer keeps of a variable, by their symbols.

    Of Keras's own optimizers m is the first moment, or the momentum of SGD as Keras
    keeps it (-learning_rate times a sum of gradients), and v the second moment.

    Args:
        optimizer: An optimizer of either Keras API, which has taken a step.
        variable: One of its variables.

    Returns:
        The averages; empty for an optimizer that keeps none, or others.
    """
    if hasattr(optimizer, "averages_of"):
        found = optimizer.averages_of(variable)
    elif isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        names = set(optimizer.get_slot_names())
        slots = {"m": "m", "v": "v", "momentum": "m"}
        found = {
            symbol: tf.convert_to_tensor(optimizer.get_slot(variable, name))
            for name, symbol in slots.items()
            if name in names
        }
    else:
        index = getattr(optimizer, "_index_dict", {}).get(optimizer._var_key(variable))
        lists = {"_momentums": "m", "momentums": "m", "_velocities": "v"}
        found = {
            symbol: tf.convert_to_tensor(getattr(optimizer, name)[index])
            for name, symbol in lists.items()
            if index is not None and getattr(optimizer, name, None)
        }
    return {name: value for name, value in found.items() if name in QUANTITIES}


class _Hook:
    """Calls a function with what is passed to `apply_gradients` of an optimizer."""

    def __init__(
        self,
        optimizer: Optimizer,
        look: Callable[[list[tuple[Any, tf.Variable]]], None],
    ):
        self._optimizer = optimizer
        self._own = vars(optimizer).get("apply_gradients")
        apply = optimizer.apply_gradients

        def looking(grads_and_vars: Iterable[Any], *args: Any, **named: Any) -> Any:
            pairs = list(grads_and_vars)
            look(pairs)
            return apply(pairs, *args, **named)

        optimizer.apply_gradients = looking

    def detach(self) -> None:
        if self._own is None:
            del self._optimizer.apply_gradients
        else:
            self._optimizer.apply_gradients = self._own


def _gathered(values: tf.Tensor, indices: np.ndarray) -> tf.Tensor:
    chosen = tf.gather(tf.reshape(values, [-1]), indices)
    return tf.cast(chosen, tf.float32)


def _push(records: tf.Variable, newest: tf.Tensor) -> None:
    """Appends a record, the last one, and drops the first."""
    records.assign(tf.concat([records[1:], newest[None]], axis=0))
