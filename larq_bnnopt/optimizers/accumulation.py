"""Gradient accumulation over several batches, for both CaseOptimizers."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers.sparse_rows import Gradient


class Accumulator(tf.Module):
    """Adds up gradients and passes on their mean after every `steps` batches.

    Args:
        steps: Number of batches, at least 1.

    Raises:
        ValueError: If `steps` is below 1.
    """

    def __init__(self, steps: int):
        super().__init__(name="accumulator")
        if steps != int(steps) or steps < 1:
            raise ValueError(
                "accumulate_steps must be a whole number, at least 1. Received: "
                f"{steps}"
            )
        self.steps = int(steps)
        # Not tracked: its keys mean nothing in another process.
        self._known = types.SimpleNamespace(sums={}, keys=())
        if self.steps > 1:
            with tf.init_scope():
                self.count = tf.Variable(
                    0,
                    dtype=tf.int64,
                    trainable=False,
                    name="accumulated",
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )

    @property
    def state(self) -> list[tf.Variable]:
        """The number of batches in the sums, and the sums."""
        # No list before there are sums: a checkpoint would be restored into it.
        return [self.count, *getattr(self, "sums", [])] if self.steps > 1 else []

    def rebuild_for(
        self, keys: Sequence[str], variables: Sequence[tf.Variable]
    ) -> None:
        """Keeps a sum for each of these variables, in this order.

        Raises:
            ValueError: If batches were summed for other variables alone.
        """
        if self.steps == 1:
            return
        known = self._known
        waiting = int(self.count.numpy())
        if known.keys and not set(known.keys) & set(keys) and waiting:
            raise ValueError(
                f"{waiting} of {self.steps} batches were summed for other "
                "variables. An optimizer with accumulate_steps trains one model; give "
                "every step all of its variables."
            )
        strategy = tf.distribute.get_strategy()
        for number, (key, variable) in enumerate(zip(keys, variables)):
            if key not in known.sums:
                wide = variable.dtype.base_dtype == tf.float64
                with strategy.extended.colocate_vars_with(variable):
                    known.sums[key] = tf.Variable(
                        tf.zeros(variable.shape, tf.float64 if wide else tf.float32),
                        trainable=False,
                        name=f"sum_{number}/{variable._shared_name}",
                    )
        known.keys = tuple(keys)
        self.sums = [known.sums[key] for key in keys]

    def add(
        self,
        gradients: Sequence[Gradient | None],
        apply: Callable[[list[tf.Tensor]], object],
    ) -> tf.Operation:
        """Adds gradients, and calls `apply` with the means when the batches are full.

        Args:
            gradients: A gradient for each variable of `rebuild_for`, already summed
                over the replicas. `None` adds nothing: it is a gradient of zero.
            apply: Called in the replicas, with a mean for each variable.

        Returns:
            The same operation in all replicas.
        """
        no_merge_call = tf.__internal__.distribute.strategy_supports_no_merge_call()
        sums = list(self.sums)
        present = [i for i, gradient in enumerate(gradients) if gradient is not None]

        def mean(values: Sequence[tf.Variable]) -> list[tf.Tensor]:
            return [tf.convert_to_tensor(value) / self.steps for value in values]

        def across_replicas(
            distribution: tf.distribute.Strategy, gradients: Sequence[Gradient]
        ) -> tf.Operation:
            def step() -> None:
                if no_merge_call:
                    apply(mean(sums))
                else:
                    distribution.extended.call_for_each_replica(
                        lambda values: apply(mean(values)), args=(tuple(sums),)
                    )
                _change(distribution, sums, _clear, (0.0,) * len(sums))
                self.count.assign(0)

            _change(distribution, [sums[i] for i in present], _add, tuple(gradients))
            self.count.assign_add(1)
            # In a cross-replica context: no replica may merge inside of a branch.
            tf.cond(self.count >= self.steps, step, lambda: None)
            return tf.no_op()

        return tf.__internal__.distribute.interim.maybe_merge_call(
            across_replicas,
            tf.distribute.get_strategy(),
            tuple(gradients[index] for index in present),
        )


def _change(
    distribution: tf.distribute.Strategy,
    variables: Sequence[tf.Variable],
    change: Callable[[tf.Variable, Any], None],
    values: tuple[Any, ...],
) -> None:
    """Changes each variable by its value, on every device."""

    def on_device(
        first: tf.Variable, others: Sequence[tf.Variable], values: Sequence[Any]
    ) -> None:
        for variable, value in zip((first, *others), values):
            change(variable, value)

    distribution.extended.update(
        variables[0], on_device, args=(tuple(variables[1:]), values), group=False
    )


def _add(variable: tf.Variable, gradient: Gradient) -> None:
    variable.assign_add(tf.cast(tf.convert_to_tensor(gradient), variable.dtype))


def _clear(variable: tf.Variable, _: float) -> None:
    variable.assign(tf.zeros(variable.shape, variable.dtype))
