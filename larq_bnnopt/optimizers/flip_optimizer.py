"""The shell that turns an `Update` into an optimizer of `tf.keras.optimizers`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers.updates import Update, warn_if_not_binary


class FlipOptimizer(Update, tf.keras.optimizers.Optimizer):
    """Base of the optimizers that train weights in {-1, +1} by flipping them."""

    def __init__(self, name: str, **kwargs: Any):
        refused = [k for k in ("use_ema", "weight_decay") if kwargs.pop(k, None)]
        if refused:
            raise ValueError(
                f"{type(self).__name__} trains weights in {{-1, +1}}, which an average "
                "or a decay of the weights would take out of that set. Received: "
                f"{', '.join(refused)}"
            )
        super().__init__(name=name, weight_decay=None, **kwargs)

    def build(self, var_list: list[tf.Variable]) -> None:
        """Creates the float32 state of every variable, once."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._state: list[tuple[tf.Variable, ...]] = []
        for variable in var_list:
            warn_if_not_binary(variable, self.name)
            self._state.append(
                tuple(self._add_state(name, variable) for name in self.state_names)
            )
        self._built = True

    def _add_state(self, name: str, variable: tf.Variable) -> tf.Variable:
        # Not add_variable_from_reference: that takes over the variable's dtype, and
        # averages in float16 stand still.
        strategy = tf.distribute.get_strategy()
        with strategy.extended.colocate_vars_with(variable):
            state = tf.Variable(
                self.start(name, tf.convert_to_tensor(variable), self._eta()),
                name=f"{name}/{variable._shared_name}",
                trainable=False,
            )
        self._variables.append(state)
        return state

    def _eta(self) -> Any:
        """The size of a vote, for the updates that have one."""
        return 1.0

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Replaces the variable and its state by the rule's result."""
        index = self._index_dict[self._var_key(variable)]
        state = self._state[index]
        theta, new_state = self.step(
            tf.convert_to_tensor(gradient),
            tf.convert_to_tensor(variable),
            tuple(tf.convert_to_tensor(s) for s in state),
            eta=self._eta(),
            iteration=self.iterations,
            seed=tf.stack([tf.cast(self.iterations, tf.int32), index]),
        )
        for target, value in zip(state, new_state):
            target.assign(value)
        variable.assign(theta)

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
        return {**config, **self.hyperparameters()}


class FlipOptimizerWithoutRate(FlipOptimizer):
    """Base of those that have no learning rate to schedule or to report."""

    @property
    def learning_rate(self) -> Any:
        """There is none: what decays is named by the optimizer itself."""
        raise AttributeError(self._no_rate())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(self._no_rate())

    def _no_rate(self) -> str:
        names = ", ".join(
            name
            for name in ("alpha", "gamma", "threshold")
            if name in self.hyperparameters()
        )
        hint = f" Give a LearningRateSchedule as one of: {names}." if names else ""
        return f"{type(self).__name__} has no learning rate.{hint}"

    def _compute_current_learning_rate(self) -> None:
        """Does nothing, where Keras would refresh the learning rate."""
