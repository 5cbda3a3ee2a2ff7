"""The shell that turns an `Update` into a `tf.keras.optimizers.legacy` optimizer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers import storage
from larq_bnnopt.optimizers.checks import warn_of_penalties, warn_of_start
from larq_bnnopt.optimizers.fusing import FusedUpdate
from larq_bnnopt.optimizers.naming import legacy_key


class FlipOptimizer(FusedUpdate, tf.keras.optimizers.legacy.Optimizer):
    """Base of the optimizers that train weights in {-1, +1} by flipping them."""

    _HAS_AGGREGATE_GRAD = True

    def __init__(
        self,
        name: str,
        state_dtype: str = "float32",
        jit_compile: bool = True,
        **kwargs: Any,
    ):
        for refused in ("lr", "decay"):
            if refused in kwargs:
                raise ValueError(
                    f"{type(self).__name__} has no argument {refused!r}. What decays "
                    "takes a LearningRateSchedule."
                )
        super().__init__(name=name, **kwargs)
        self.jit_compile = jit_compile
        self._positions: dict[str, int] = {}
        self.set_state_dtype(state_dtype)
        # Of what it was warned.
        self._told: set[str] = set()

    def remember(self, name: str, variable: tf.Variable) -> None:
        """Adds the variable of a hyperparameter to those of a checkpoint."""
        self._track_trackable(variable, name)

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        dtype = self.kept_as()
        for variable in var_list:
            key = legacy_key(variable)
            if key in self._positions:
                continue
            self._positions[key] = len(self._positions)
            warn_of_start(variable, self._name)
            for name in self.state_names:
                start = self.start(name, tf.convert_to_tensor(variable))
                self.add_slot(variable, name, storage.write(start, dtype))

    def add_slot(
        self, var: tf.Variable, slot_name: str, *args: Any, **kwargs: Any
    ) -> tf.Variable:
        """Adds a slot of the type of the averages, not of the variable's."""
        dtype = self.kept_as()

        def creator(create: Any, **options: Any) -> tf.Variable:
            return create(**{**options, "dtype": dtype})

        with tf.variable_creator_scope(creator):
            return super().add_slot(var, slot_name, *args, **kwargs)

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        """Takes a step."""
        grads_and_vars = list(grads_and_vars)
        variables = [variable for _, variable in grads_and_vars]
        warn_of_penalties(variables, self._name, self._told)
        return super().apply_gradients(grads_and_vars, *args, **kwargs)

    def _distributed_apply(
        self, distribution: Any, grads_and_vars: Any, apply_state: Any, name: Any
    ) -> Any:
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
            "state_dtype": self.state_dtype,
            "jit_compile": self.jit_compile,
        }
