"""Base class that turns an `Update` into an optimizer of `tf.keras.optimizers`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import tensorflow as tf

from larq_bnnopt.optimizers import sparse_rows, storage
from larq_bnnopt.optimizers.checks import warn_of_start
from larq_bnnopt.optimizers.fusing import FusedUpdate, decoded_state
from larq_bnnopt.optimizers.sparse_rows import Gradient
from larq_bnnopt.optimizers.updates.base import Hyperparameter


class FlipOptimizer(FusedUpdate, tf.keras.optimizers.Optimizer):
    """Base of the optimizers that train weights in {-1, +1} by flipping them."""

    def __init__(self, **kwargs: Any):
        for ignored in ("lr", "mesh"):
            if ignored in kwargs:
                raise TypeError(f"{type(self).__name__} has no argument {ignored!r}.")
        super().__init__(**{"weight_decay": None, **kwargs})

    def track_variable(self, name: str, variable: tf.Variable) -> None:
        """Adds the variable of a hyperparameter to those that Keras saves."""
        self._variables.append(variable)

    def set_learning_rate(self, value: Hyperparameter) -> None:
        """Validates a learning rate and hands it to Keras, in the constructor."""
        rate = self.validated_rate("learning_rate", value)
        self._learning_rate = self._build_learning_rate(rate)

    def current_learning_rate(self) -> tf.Tensor:
        """Returns the learning rate of this step, float32."""
        return tf.cast(self.learning_rate, tf.float32)

    def serialized_learning_rate(self) -> float | dict[str, Any]:
        """Returns the learning rate for `get_config`."""
        return self._serialize_hyperparameter(self._learning_rate)

    def build(self, var_list: list[tf.Variable]) -> None:
        """Creates the state of every variable, once."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._state: list[tuple[tf.Variable, ...]] = []
        for variable in var_list:
            if self._var_key(variable) not in self._warned:
                self._warned.add(self._var_key(variable))
                warn_of_start(variable, self.name)
            self._state.append(
                tuple(self._add_state(name, variable) for name in self.state_names)
            )
        self._built = True

    def _add_state(self, name: str, variable: tf.Variable) -> tf.Variable:
        # Not add_variable_from_reference: that takes over the variable's dtype, and
        # averages in float16 do not move.
        strategy = tf.distribute.get_strategy()
        with strategy.extended.colocate_vars_with(variable):
            value = self.initial_state(name, tf.convert_to_tensor(variable))
            state = tf.Variable(
                storage.encode(value, self.storage_dtype()),
                name=f"{name}/{variable._shared_name}",
                trainable=False,
            )
        self._variables.append(state)
        return state

    def averages_of(self, variable: tf.Variable) -> dict[str, tf.Tensor]:
        """Returns the averages of a variable by name, float32, after the last step."""
        state = self._state[self._index_dict[self._var_key(variable)]]
        return decoded_state(self.state_names, state)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Gradient, tf.Variable]],
        *args: Any,
        **kwargs: Any,
    ) -> tf.Variable:
        """Takes a step."""
        grads_and_vars = list(grads_and_vars)
        self.check_step(grads_and_vars, self.name)
        return super().apply_gradients(grads_and_vars, *args, **kwargs)

    def _clip_gradients(self, grads: list[Gradient]) -> list[Gradient]:
        grads = sparse_rows.summed_for_clipping(self, grads)
        return super()._clip_gradients(grads)

    def _deduplicate_sparse_grad(self, grads: list[Gradient]) -> list[Gradient]:
        # Keras's way has a new shape for each number of rows, and XLA would compile
        # each one.
        return grads

    def _distributed_apply_gradients_fn(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Iterable[tuple[Gradient, tf.Variable]],
        **kwargs: Any,
    ) -> tf.Variable:
        gradients, variables = zip(*grads_and_vars)
        indices = [self._index_dict.get(self._var_key(v)) for v in variables]
        if None in indices:
            raise KeyError(
                f"{self.name} was built without {variables[indices.index(None)].name}. "
                "Build it with all variables, or train through a CaseOptimizer, which "
                "adds variables that come later."
            )
        states = [self._state[index] for index in indices]
        self.update_all(distribution, gradients, variables, states, indices)
        return self.iterations.assign_add(1)

    def exclude_from_weight_decay(self, *arguments: Any, **named: Any) -> None:
        """Raises a ValueError: binary weights have no weight decay."""
        raise ValueError(f"{type(self).__name__} has no weight decay to exclude from.")

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Updates one variable alone, where Keras asks for it."""
        index = self._index_dict[self._var_key(variable)]
        self.update_all(
            self._distribution_strategy,
            [gradient],
            [variable],
            [self._state[index]],
            [index],
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = super().get_config()
        for fixed in (
            "weight_decay",
            "use_ema",
            "ema_momentum",
            "ema_overwrite_frequency",
        ):
            del config[fixed]
        return {**config, **self.hyperparameters(), **self.shared_arguments()}


class FlipOptimizerWithoutRate(FlipOptimizer):
    """Base of those that have no learning rate to schedule or to report."""

    @property
    def learning_rate(self) -> NoReturn:
        """Raises an AttributeError that names the hyperparameters that decay."""
        raise AttributeError(self._no_rate())

    @learning_rate.setter
    def learning_rate(self, value: object) -> None:
        raise AttributeError(self._no_rate())

    def _compute_current_learning_rate(self) -> None:
        """Does nothing, where Keras would refresh the learning rate."""
