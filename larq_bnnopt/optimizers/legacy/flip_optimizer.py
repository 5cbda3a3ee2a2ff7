"""The shell that turns an `Update` into a `tf.keras.optimizers.legacy` optimizer."""

from __future__ import annotations

import warnings
from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers.updates import Update, warn_if_not_binary


class FlipOptimizer(Update, tf.keras.optimizers.legacy.Optimizer):
    """Base of the optimizers that train weights in {-1, +1} by flipping them."""

    _HAS_AGGREGATE_GRAD = True

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self._positions: dict[str, int] = {}

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        for variable in var_list:
            key = _key(variable)
            if key in self._positions:
                continue
            self._positions[key] = len(self._positions)
            warn_if_not_binary(variable, self._name)
            if variable.dtype.base_dtype != tf.float32:
                # Slots take the dtype of their variable in this API.
                warnings.warn(
                    f"{self._name} keeps averages of {variable.name} in "
                    f"{variable.dtype.base_dtype.name}, where small changes are lost. "
                    "Use float32 variables, as the policy mixed_float16 does.",
                    stacklevel=2,
                )
            for name in self.state_names:
                start = self.start(name, tf.convert_to_tensor(variable), self._eta())
                self.add_slot(variable, name, tf.cast(start, variable.dtype))

    def _eta(self) -> Any:
        """The size of a vote, for the updates that have one."""
        return 1.0

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
    ) -> tf.Operation:
        slots = [self.get_slot(var, name) for name in self.state_names]
        theta, state = self.step(
            grad,
            tf.convert_to_tensor(var),
            tuple(tf.convert_to_tensor(slot) for slot in slots),
            eta=self._eta(),
            iteration=self.iterations,
            seed=tf.stack(
                [tf.cast(self.iterations, tf.int32), self._positions[_key(var)]]
            ),
        )
        assignments = [slot.assign(value) for slot, value in zip(slots, state)]
        return tf.group(*assignments, var.assign(theta))

    def _resource_apply_sparse(
        self,
        grad: tf.Tensor,
        var: tf.Variable,
        indices: tf.Tensor,
        apply_state: Any = None,
    ) -> tf.Operation:
        # The averages of rows without a gradient decay as well, as in the papers.
        slices = tf.IndexedSlices(grad, indices, tf.shape(var))
        return self._resource_apply_dense(tf.convert_to_tensor(slices), var)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), **self.hyperparameters()}


def _key(variable: tf.Variable) -> str:
    if hasattr(variable, "_distributed_container"):
        variable = variable._distributed_container()
    return variable._unique_id
