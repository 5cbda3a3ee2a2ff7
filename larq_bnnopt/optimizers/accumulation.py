"""Sums of gradients over several batches, for the CaseOptimizers of both Keras APIs."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


class Accumulator(tf.Module):
    """Adds up gradients and hands on their mean after every so many batches.

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
        self._memory = types.SimpleNamespace(known={}, keys=())
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

    def follow(self, keys: Sequence[str], variables: Sequence[tf.Variable]) -> None:
        """Keeps a sum for each of these variables, in this order.

        Raises:
            ValueError: If batches were summed for other variables alone.
        """
        if self.steps == 1:
            return
        memory = self._memory
        waiting = int(self.count.numpy())
        if memory.keys and not set(memory.keys) & set(keys) and waiting:
            raise ValueError(
                f"{waiting} of {self.steps} batches were summed for other "
                "variables. An optimizer with accumulate_steps trains one model; give "
                "every step all of its variables."
            )
        strategy = tf.distribute.get_strategy()
        for number, (key, variable) in enumerate(zip(keys, variables)):
            if key not in memory.known:
                wide = variable.dtype.base_dtype == tf.float64
                with strategy.extended.colocate_vars_with(variable):
                    memory.known[key] = tf.Variable(
                        tf.zeros(variable.shape, tf.float64 if wide else tf.float32),
                        trainable=False,
                        name=f"sum_{number}/{variable._shared_name}",
                    )
        memory.keys = tuple(keys)
        self.sums = [memory.known[key] for key in keys]

    def add(
        self, gradients: Sequence[Any], apply: Callable[[list[tf.Tensor]], Any]
    ) -> tf.Operation:
        """Adds gradients, and calls `apply` with the means when the batches are full.

        Args:
            gradients: A gradient for each variable that is followed, already summed
                over the replicas. `None` adds nothing: it is a gradient of zero.
            apply: Called in the replicas, with a mean for each variable.

        Returns:
            The same operation in all replicas.
        """
        free = tf.__internal__.distribute.strategy_supports_no_merge_call()
        sums = list(self.sums)
        present = [i for i, gradient in enumerate(gradients) if gradient is not None]

        def turn(distribution: Any, gradients: Any) -> tf.Operation:
            def on_device(
                variables: Sequence[Any], change: Callable[[Any, Any], Any], values: Any
            ) -> None:
                def update(first: Any, others: Any, values: Any) -> None:
                    for variable, value in zip((first, *others), values):
                        change(variable, value)

                distribution.extended.update(
                    variables[0],
                    update,
                    args=(tuple(variables[1:]), values),
                    group=False,
                )

            def add(variable: Any, value: Any) -> None:
                value = tf.cast(tf.convert_to_tensor(value), variable.dtype)
                variable.assign_add(value)

            def clear(variable: Any, _: Any) -> None:
                variable.assign(tf.zeros(variable.shape, variable.dtype))

            def mean(values: Any) -> list[tf.Tensor]:
                return [tf.convert_to_tensor(value) / self.steps for value in values]

            def step() -> None:
                if free:
                    apply(mean(sums))
                else:
                    distribution.extended.call_for_each_replica(
                        lambda values: apply(mean(values)), args=(tuple(sums),)
                    )
                on_device(sums, clear, (0.0,) * len(sums))
                self.count.assign(0)

            on_device([sums[index] for index in present], add, tuple(gradients))
            self.count.assign_add(1)
            # In a cross-replica context: no replica may merge inside of a branch.
            tf.cond(self.count >= self.steps, step, lambda: None)
            return tf.no_op()

        return tf.__internal__.distribute.interim.maybe_merge_call(
            turn,
            tf.distribute.get_strategy(),
            tuple(gradients[index] for index in present),
        )
