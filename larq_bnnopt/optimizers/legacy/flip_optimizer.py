"""Base class that turns an `Update` into a `tf.keras.optimizers.legacy` optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers import sparse_rows, storage
from larq_bnnopt.optimizers.checks import warn_of_start
from larq_bnnopt.optimizers.fusing import FusedUpdate, decoded_state
from larq_bnnopt.optimizers.naming import legacy_key
from larq_bnnopt.optimizers.sparse_rows import Gradient
from larq_bnnopt.optimizers.updates.base import Hyperparameter


class FlipOptimizer(FusedUpdate, tf.keras.optimizers.legacy.Optimizer):
    """Base of the optimizers that train weights in {-1, +1} by flipping them."""

    _HAS_AGGREGATE_GRAD = True

    def __init__(self, **kwargs: Any):
        for refused in ("lr", "decay"):
            if refused in kwargs:
                raise ValueError(
                    f"{type(self).__name__} has no argument {refused!r}. What decays "
                    "takes a LearningRateSchedule."
                )
        super().__init__(**kwargs)
        self._positions: dict[str, int] = {}

    def track_variable(self, name: str, variable: tf.Variable) -> None:
        """Adds the variable of a hyperparameter to the checkpoint."""
        self._track_trackable(variable, name)

    def set_learning_rate(self, value: Hyperparameter) -> None:
        """Validates a learning rate and hands it to Keras, in the constructor."""
        self._set_hyper("learning_rate", self.validated_rate("learning_rate", value))

    def current_learning_rate(self) -> tf.Tensor:
        """Returns the learning rate of this step, float32."""
        return tf.cast(self._decayed_lr(tf.float32), tf.float32)

    def serialized_learning_rate(self) -> float | dict[str, Any]:
        """Returns the learning rate for `get_config`."""
        return self._serialize_hyperparameter("learning_rate")

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        dtype = self.storage_dtype()
        for variable in var_list:
            key = legacy_key(variable)
            if key in self._positions:
                continue
            self._positions[key] = len(self._positions)
            warn_of_start(variable, self._name)
            for name in self.state_names:
                value = self.initial_state(name, tf.convert_to_tensor(variable))
                self.add_slot(variable, name, storage.encode(value, dtype))

    def add_slot(
        self, var: tf.Variable, slot_name: str, *args: Any, **kwargs: Any
    ) -> tf.Variable:
        """Adds a slot of the type of the averages, not of the variable's."""
        dtype = self.storage_dtype()

        def creator(create: Any, **options: Any) -> tf.Variable:
            return create(**{**options, "dtype": dtype})

        with tf.variable_creator_scope(creator):
            return super().add_slot(var, slot_name, *args, **kwargs)

    def averages_of(self, variable: tf.Variable) -> dict[str, tf.Tensor]:
        """Returns the averages of a variable by name, float32, after the last step."""
        state = [self.get_slot(variable, name) for name in self.state_names]
        return decoded_state(self.state_names, state)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Gradient, tf.Variable]],
        *args: Any,
        **kwargs: Any,
    ) -> tf.Operation:
        """Takes a step."""
        grads_and_vars = list(grads_and_vars)
        self.check_step(grads_and_vars, self._name)
        return super().apply_gradients(grads_and_vars, *args, **kwargs)

    def _transform_gradients(
        self, grads_and_vars: Iterable[tuple[Gradient, tf.Variable]]
    ) -> Iterable[tuple[Gradient, tf.Variable]]:
        gradients, variables = zip(*grads_and_vars)
        summed = sparse_rows.summed_for_clipping(self, gradients)
        return super()._transform_gradients(list(zip(summed, variables)))

    def _distributed_apply(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Iterable[tuple[Gradient, tf.Variable]],
        apply_state: dict[Any, Any],
        name: str | None,
    ) -> tf.Operation:
        gradients, variables = zip(*grads_and_vars)
        states = [
            tuple(self.get_slot(variable, name) for name in self.state_names)
            for variable in variables
        ]
        positions = [self._positions[legacy_key(variable)] for variable in variables]
        done = self.update_all(distribution, gradients, variables, states, positions)
        with tf.control_dependencies(tf.nest.flatten(done)):
            for variable in variables:
                if variable.constraint is not None:
                    distribution.extended.update(
                        variable, lambda v: v.assign(v.constraint(v)), group=False
                    )
            return self.iterations.assign_add(1, read_value=False)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            **self.hyperparameters(),
            **self.shared_arguments(),
            "jit_compile": self.jit_compile,
        }
