"""Counts sign flips of binary weights inside the training step."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import larq as lq
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from larq_bnnopt.callbacks.had_gradient import HadGradient
from larq_bnnopt.callbacks.probe_recorder import ProbeRecorder
from larq_bnnopt.callbacks.rates import Optimizer
from larq_bnnopt.callbacks.step_variables import step_variable

# The result of a training step, by name.
Logs: TypeAlias = dict[str, tf.Tensor]


def binary_kernels(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """Returns the trainable kernels of precision 1, by the name of their layer.

    The table of an embedding is one. Latent kernels, whose sign is the weight, count
    like kernels that are {-1, +1} themselves.

    Args:
        model: A built Keras model with Larq layers.

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
        layer, _, own = names[id(variable)].rpartition("/")
        name = layer if own in ("kernel", "embeddings") else f"{layer}/{own}"
        unique, number = name, 1
        while unique in kernels:
            number += 1
            unique = f"{name}_{number}"
        kernels[unique] = variable
    return kernels


def _name_variables(
    layer: tf.keras.layers.Layer, prefix: str, names: dict[int, str]
) -> None:
    """Names variables by their layer: loading a model shortens their own names."""
    # A model knows the order of its layers, a wrapper layer only its submodules.
    for inner in getattr(layer, "layers", None) or layer.submodules:
        if isinstance(inner, tf.keras.layers.Layer):
            nested = f"{prefix}{inner.name}/" if hasattr(inner, "layers") else prefix
            _name_variables(inner, nested, names)
    for variable in layer.trainable_variables:
        own = variable.name.removesuffix(":0").rpartition("/")[2]
        names.setdefault(id(variable), f"{prefix}{layer.name}/{own}")


def starting_kernels(
    start: Mapping[str, ArrayLike], kernels: Mapping[str, tf.Variable]
) -> list[np.ndarray]:
    """Returns the kernels that a training started from, in the order of `kernels`.

    Args:
        start: The argument of `FlipMonitor`, by the names of the layers.
        kernels: The kernels of the model.

    Raises:
        ValueError: By the name of the layer, if one is missing or too many, if its
            shape is another one, or if its values have no signs.
    """
    for problem, names in (
        ("misses", [name for name in kernels if name not in start]),
        ("has no binary kernels to compare with", sorted(set(start) - set(kernels))),
    ):
        if names:
            raise ValueError(
                f"start {problem}: {', '.join(map(str, names))}. The binary kernels of "
                f"the model are {', '.join(kernels)}."
            )
    return [_starting_kernel(name, start[name], k) for name, k in kernels.items()]


def _starting_kernel(name: str, given: ArrayLike, kernel: tf.Variable) -> np.ndarray:
    values = given.numpy() if hasattr(given, "numpy") else np.asarray(given)
    if values.shape != tuple(kernel.shape):
        raise ValueError(
            f"start of {name} must have the shape {tuple(kernel.shape)} of its kernel. "
            f"Received: {values.shape}"
        )
    # Booleans and unsigned numbers are bits, not signs; not all floats are NumPy's.
    if values.dtype.kind not in "fiV" or not np.all(np.isfinite(values.astype(float))):
        raise ValueError(
            f"start of {name} must hold finite numbers, whose signs are compared. "
            f"Received: {values.dtype}"
        )
    fixed = isinstance(getattr(kernel, "quantizer", None), lq.quantizers.NoOp)
    if fixed and not np.all(values):
        raise ValueError(
            f"start of {name} must hold -1 and +1, as its kernel does; a 0 has no sign."
        )
    return values


@dataclasses.dataclass(frozen=True)
class KernelEpoch:
    """Statistics of the weights of one kernel over an epoch.

    Attributes:
        positive: Share of weights that are positive, or 0, at its end.
        dead: Share of weights that had no gradient in any of its steps, `None` where
            the training does not apply gradients. Of an embedding the share among the
            rows that were used.
        never_flipped: Share of weights that kept their sign since the training began.
        flips: Number of flips of each weight in this epoch, float32 (weights,), or
            `None` if they were not counted.
        unused: Share of rows that no batch used, `None` if this is no embedding.
    """

    positive: float
    dead: float | None
    never_flipped: float
    flips: np.ndarray | None
    unused: float | None = None


@dataclasses.dataclass(frozen=True)
class Signs:
    """The history of a kernel's signs since the training began.

    Attributes:
        start: Which weights were negative when the training began, bool.
        flipped: Which weights flipped since then, bool.
    """

    start: np.ndarray
    flipped: np.ndarray


class AppliedGradients:
    """Records the gradients that are passed to an optimizer during a step.

    Args:
        optimizer: An optimizer of Keras.
    """

    def __init__(self, optimizer: Optimizer):
        self._optimizer = optimizer
        # The replicas of a strategy are traced in threads that take turns.
        self._recorded = threading.local()
        self._own = vars(optimizer).get("apply_gradients")
        apply = optimizer.apply_gradients

        def recording(
            grads_and_vars: Iterable[tuple[tf.Tensor | None, tf.Variable]],
            *arguments: Any,
            **named: Any,
        ) -> tf.Operation:
            pairs = list(grads_and_vars)
            gradients = getattr(self._recorded, "gradients", {})
            gradients.update((id(v), g) for g, v in pairs if g is not None)
            return apply(pairs, *arguments, **named)

        optimizer.apply_gradients = recording

    def during(
        self, step: Callable[[], Logs]
    ) -> tuple[Logs, dict[int, tf.Tensor | tf.IndexedSlices]]:
        """Returns a step's result, and its gradients by the `id` of their variable."""
        gradients: dict[int, tf.Tensor | tf.IndexedSlices] = {}
        self._recorded.gradients = gradients
        try:
            return step(), gradients
        finally:
            del self._recorded.gradients

    def detach(self) -> None:
        """Restores the optimizer's own method."""
        if self._own is None:
            del self._optimizer.apply_gradients
        else:
            self._optimizer.apply_gradients = self._own


class FlipCounter:
    """Counts the flips of each kernel in each training step of a model.

    The model's `train_step` compares signs before and after the update, in the graph:
    no copy of a weight leaves the device, and every step counts, also the first one of
    an epoch and each one inside `steps_per_execution`. The counts stay on the device
    until `fetch`.

    Args:
        model: A built and compiled model.
        kernels: Kernels to watch, by name.
        capacity: Number of steps whose counts the device can hold.
        per_weight: Whether to count the flips of each weight. Defaults to `False`.
        recorder: Records in the same steps. Defaults to `None`.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        kernels: dict[str, tf.Variable],
        capacity: int,
        per_weight: bool = False,
        recorder: ProbeRecorder | None = None,
    ):
        self._model = model
        self._recorder = recorder
        self._kernels = list(kernels.values())
        self.capacity = capacity
        # Whether the training applies gradients, which tracing a step shows.
        self._has_gradients = False
        with model.distribute_strategy.scope():
            self._counts = step_variable(
                (capacity, len(kernels)), tf.int64, "flip_counts"
            )
            shapes = [kernel.shape for kernel in self._kernels]
            self._flipped = [step_variable(s, tf.bool, "flipped") for s in shapes]
            # Floats, because TensorFlow keeps no int32 variables on a GPU.
            self._flips = [
                step_variable(s, tf.float32, "flips") for s in shapes if per_weight
            ]
            self._had_gradient = [HadGradient(kernel) for kernel in self._kernels]
        self._start = [is_negative(kernel) for kernel in self._kernels]

    def attach(self, fit: object) -> None:
        """Makes the model's training step count.

        Args:
            fit: An object of this training alone. The counter of an interrupted
                training has another one, and is removed.

        Raises:
            ValueError: If another counter counts for the same training.
        """
        model = self._model
        if getattr(model.train_step, "counts_for", None) is fit:
            raise ValueError(f"{model.name} is watched by a FlipMonitor already.")
        self.detach()
        step: Callable[[Any], Logs] = model.train_step
        applied = AppliedGradients(model.optimizer)
        recorder = self._recorder
        if recorder is not None:
            recorder.attach()

        def counting_step(data: Any) -> Logs:
            before = [is_negative(kernel) for kernel in self._kernels]
            steps = None if recorder is None else recorder.steps_taken()
            logs, gradients = applied.during(lambda: step(data))
            differences = _differences(before, self._kernels)
            # The newest count is the last.
            flips = tf.stack([tf.math.count_nonzero(d) for d in differences])
            self._counts.assign(tf.concat([self._counts[1:], flips[None]], axis=0))
            for flipped, difference in zip(self._flipped, differences):
                flipped.assign(flipped | difference)
            for total, difference in zip(self._flips, differences):
                total.assign_add(tf.cast(difference, tf.float32))
            for marks, kernel in zip(self._had_gradient, self._kernels):
                if id(kernel) in gradients:
                    marks.mark(gradients[id(kernel)])
            self._has_gradients |= bool(gradients)
            if recorder is not None:
                recorder.record(steps)
            return logs

        marks: Any = counting_step
        marks.counts_for = fit
        marks.applied = applied
        marks.recorder = recorder
        marks.replaces = vars(model).get("train_step")
        model.train_step = counting_step
        model.make_train_function(force=True)

    def detach(self) -> None:
        """Restores the model's own training step, if a counter replaces it."""
        step = vars(self._model).get("train_step")
        if not hasattr(step, "counts_for"):
            return
        if step.recorder is not None:
            step.recorder.detach()
        step.applied.detach()
        if step.replaces is None:
            del self._model.train_step
        else:
            self._model.train_step = step.replaces
        self._model.train_function = None

    def fetch(self, steps: int) -> np.ndarray:
        """Returns the counts of the last steps, int64 (steps, kernels)."""
        return self._counts.numpy()[self.capacity - steps :]

    def begin_epoch(self) -> None:
        """Resets the counts of an epoch."""
        # In its scope the strategy reaches the variables of all replicas.
        with self._model.distribute_strategy.scope():
            for total in self._flips:
                total.assign(tf.zeros(total.shape, total.dtype))
            for marks in self._had_gradient:
                marks.reset()

    def epoch(self) -> list[KernelEpoch]:
        """Returns the statistics of each kernel since `begin_epoch`."""
        flips = [total.numpy().ravel() for total in self._flips]
        result = []
        for index, kernel in enumerate(self._kernels):
            dead = unused = None
            if self._has_gradients:
                with self._model.distribute_strategy.scope():
                    marks = self._had_gradient[index]
                    dead, unused = marks.dead(), marks.unused()
            result.append(
                KernelEpoch(
                    positive=1.0 - _share(is_negative(kernel)),
                    dead=dead,
                    never_flipped=1.0 - _share(self._flipped[index]),
                    flips=flips[index] if flips else None,
                    unused=unused,
                )
            )
        return result

    def state(self) -> list[Signs]:
        """Returns the history of each kernel, for a training that is resumed."""
        return [
            Signs(start.numpy(), flipped.numpy())
            for start, flipped in zip(self._start, self._flipped)
        ]

    def restore(self, state: Sequence[Signs]) -> None:
        """Sets the history of each kernel to the result of `state`."""
        self._start = [tf.constant(signs.start) for signs in state]
        for flipped, signs in zip(self._flipped, state):
            flipped.assign(signs.flipped)

    def set_start(self, kernels: Sequence[np.ndarray]) -> None:
        """Sets the kernels that the training started from."""
        self._start = [
            is_negative(kernel, values)
            for kernel, values in zip(self._kernels, kernels)
        ]

    def changed_since_start(self) -> int:
        """Returns the number of weights with another sign than at the start."""
        differences = _differences(self._start, self._kernels)
        return int(tf.add_n([tf.math.count_nonzero(d) for d in differences]))


def _share(booleans: tf.Tensor | tf.Variable) -> float:
    """Returns the share of the values that are true."""
    values = tf.convert_to_tensor(booleans)
    return int(tf.math.count_nonzero(values)) / values.shape.num_elements()


def is_negative(
    kernel: tf.Variable, values: tf.Tensor | np.ndarray | None = None
) -> tf.Tensor:
    """Returns which of a kernel's binary weights are -1.

    Args:
        kernel: The kernel, whose quantizer takes signs about 0, or about the `center`
            that it says.
        values: Other values of it. Defaults to `None`: those that it has.
    """
    values = tf.convert_to_tensor(kernel if values is None else values)
    center = getattr(getattr(kernel, "quantizer", None), "center", None)
    if center is None:
        return values < 0
    threshold = center(values)
    return tf.cast(values, threshold.dtype) < threshold


def _differences(
    before: list[tf.Tensor], kernels: list[tf.Variable]
) -> list[tf.Tensor]:
    return [old != is_negative(kernel) for old, kernel in zip(before, kernels)]
