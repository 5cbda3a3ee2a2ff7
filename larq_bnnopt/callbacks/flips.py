"""Counts, inside the training step, the binary weights whose sign changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def binary_kernels(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """Returns the trainable kernels of precision 1, by the name of their layer.

    Latent kernels, whose sign is the weight, count like kernels that are {-1, +1}
    themselves.

    Args:
        model: A built Keras model with layers of Larq.

    Returns:
        The kernels in the order of the model.

    Example:
        >>> import larq as lq
        >>> model = tf.keras.Sequential([
        ...     lq.layers.QuantDense(2, kernel_quantizer="ste_sign", input_shape=(3,),
        ...                          name="first")])
        >>> list(binary_kernels(model))
        ['first']
    """
    names: dict[int, str] = {}
    _name_variables(model, "", names)
    kernels: dict[str, tf.Variable] = {}
    for variable in model.trainable_variables:
        if getattr(variable, "precision", None) != 1:
            continue
        name = names[id(variable)].removesuffix("/kernel")
        unique, number = name, 1
        while unique in kernels:
            number += 1
            unique = f"{name}_{number}"
        kernels[unique] = variable
    return kernels


def _name_variables(layer: Any, prefix: str, names: dict[int, str]) -> None:
    """Names variables by their layer; their own names are shorter after loading."""
    # A model knows the order of its layers, a wrapper layer only what it holds.
    for inner in getattr(layer, "layers", None) or layer.submodules:
        if isinstance(inner, tf.keras.layers.Layer):
            nested = f"{prefix}{inner.name}/" if hasattr(inner, "layers") else prefix
            _name_variables(inner, nested, names)
    for variable in layer.trainable_variables:
        own = variable.name.removesuffix(":0").rpartition("/")[2]
        names.setdefault(id(variable), f"{prefix}{layer.name}/{own}")


class FlipCounter:
    """Counts the flips of each kernel in each training step of a model.

    The model's `train_step` compares signs before and after the update, in the graph:
    no copy of a weight leaves the device, and every step counts, also the first of an
    epoch and those inside `steps_per_execution`. The counts wait on the device until
    `take` fetches them.

    Args:
        model: A built and compiled model.
        kernels: Kernels to watch, by name.
        capacity: Steps that the counts can wait for.
    """

    def __init__(
        self, model: tf.keras.Model, kernels: dict[str, tf.Variable], capacity: int
    ):
        self._model = model
        self._kernels = list(kernels.values())
        self.capacity = capacity
        with model.distribute_strategy.scope():
            self._counts = tf.Variable(
                tf.zeros((capacity, len(kernels)), tf.int64),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name="flip_counts",
            )
        self._start = [_negative(kernel) for kernel in self._kernels]

    def attach(self, fit: object) -> None:
        """Makes the model's training step count.

        Args:
            fit: What tells this training from an interrupted one, whose counter is
                taken off.

        Raises:
            ValueError: If another counter counts for the same training.
        """
        model = self._model
        if getattr(model.train_step, "counts_for", None) is fit:
            raise ValueError(f"{model.name} is watched by a FlipMonitor already.")
        self.detach()
        step: Callable[[Any], Any] = model.train_step

        def counting_step(data: Any) -> Any:
            before = [_negative(kernel) for kernel in self._kernels]
            logs = step(data)
            flips = tf.stack(_differences(before, self._kernels))
            # The newest count stands last.
            self._counts.assign(tf.concat([self._counts[1:], flips[None]], axis=0))
            return logs

        marks: Any = counting_step
        marks.counts_for = fit
        marks.replaces = vars(model).get("train_step")
        model.train_step = counting_step
        model.make_train_function(force=True)

    def detach(self) -> None:
        """Gives the model its own training step back, if a counter replaces it."""
        step = vars(self._model).get("train_step")
        if not hasattr(step, "counts_for"):
            return
        if step.replaces is None:
            del self._model.train_step
        else:
            self._model.train_step = step.replaces
        self._model.train_function = None

    def take(self, steps: int) -> np.ndarray:
        """Returns the counts of the last steps, int64 (steps, kernels)."""
        return self._counts.numpy()[self.capacity - steps :]

    def start_from(self, kernels: list[np.ndarray]) -> None:
        """Takes these kernels as those that the training started from."""
        self._start = [tf.constant(kernel < 0) for kernel in kernels]

    def changed_since_start(self) -> int:
        """Returns how many weights have another sign than at the start."""
        return int(tf.add_n(_differences(self._start, self._kernels)))


def _negative(kernel: tf.Variable) -> tf.Tensor:
    return tf.convert_to_tensor(kernel) < 0


def _differences(
    before: list[tf.Tensor], kernels: list[tf.Variable]
) -> list[tf.Tensor]:
    return [
        tf.math.count_nonzero(old != _negative(kernel))
        for old, kernel in zip(before, kernels)
    ]
