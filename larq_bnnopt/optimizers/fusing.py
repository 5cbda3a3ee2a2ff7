"""One step of all variables as one computation, for the shells of both Keras APIs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers import storage
from larq_bnnopt.optimizers.updates import Update


class FusedUpdate(Update):
    """Base of the shells: an `Update` of many variables at once.

    One operation after the other, a rule would run through memory a dozen times.

    Attributes:
        jit_compile: Whether XLA fuses the computation.
        iterations: Number of steps taken, of the Keras optimizer.
    """

    jit_compile: bool
    iterations: tf.Variable

    def kept_as(self) -> tf.DType:
        """Returns the type of the variables that keep averages.

        Raises:
            ValueError: If they cannot be sent to the other processes.
        """
        dtype = storage.kept_as(self.state_dtype)
        if dtype == tf.uint16 and isinstance(
            tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy
        ):
            raise ValueError(
                "TensorFlow cannot send 16-bit state between processes. With "
                'MultiWorkerMirroredStrategy take state_dtype="float32".'
            )
        return dtype

    def update_all(
        self,
        distribution: tf.distribute.Strategy,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable],
        states: Sequence[tuple[tf.Variable, ...]],
        positions: Sequence[int],
    ) -> Any:
        """Replaces variables and states by the rule's results, on every device.

        Args:
            distribution: Strategy under which the variables were made.
            gradients: Gradients, summed over the replicas; dense or `IndexedSlices`.
            variables: The binary weights.
            states: What is kept for each, as `storage` keeps it.
            positions: The number of each variable, for its seed.
        """
        iteration = tf.convert_to_tensor(self.iterations)
        # Evaluated here and handed on, so that no device reads from another one.
        values = self.values(iteration)
        step = tf.cast(iteration, tf.int32)
        seeds = tuple(tf.stack([step, position]) for position in positions)

        def on_device(
            first: tf.Variable, others: Any, gradients: Any, states: Any
        ) -> tf.Tensor:
            # Sparse gradients become dense: the averages of rows without a gradient
            # decay as well, as in the papers.
            dense = tuple(tf.convert_to_tensor(gradient) for gradient in gradients)
            compute = self._fused if self.jit_compile else self._compute
            return compute(dense, (first, *others), states, values, seeds)

        return distribution.extended.update(
            variables[0],
            on_device,
            args=(
                tuple(variables[1:]),
                tuple(gradients),
                # Plain tuples, not the wrappers in which Keras tracks attributes.
                tuple(tuple(kept) for kept in states),
            ),
            group=False,
        )

    # Without variables among its captures: a second model gets its own trace.
    @tf.function(jit_compile=True, autograph=False)
    def _fused(self, *arguments: Any) -> tf.Tensor:
        return self._compute(*arguments)

    def _compute(
        self, gradients: Any, variables: Any, states: Any, values: Any, seeds: Any
    ) -> tf.Tensor:
        for gradient, variable, kept, seed in zip(gradients, variables, states, seeds):
            theta, state = self.step(
                gradient,
                tf.convert_to_tensor(variable),
                tuple(storage.read(tf.convert_to_tensor(value)) for value in kept),
                values,
                seed,
            )
            for number, (target, average) in enumerate(zip(kept, state)):
                chance = None
                if target.dtype == tf.uint16:
                    chance = storage.chances(theta.shape, seed, number)
                target.assign(storage.write(average, target.dtype, chance))
            variable.assign(theta)
        # Something that the legacy API can wait for.
        return tf.zeros(())
