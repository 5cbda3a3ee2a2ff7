"""One step of all variables as one XLA computation, for both Keras APIs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, Union

import tensorflow as tf

from larq_bnnopt.optimizers import storage
from larq_bnnopt.optimizers.updates.base import Update

Gradient: TypeAlias = Union[tf.Tensor, tf.IndexedSlices]
State: TypeAlias = tuple[tf.Variable, ...]


def decoded_state(
    names: Sequence[str], state: Sequence[tf.Variable]
) -> dict[str, tf.Tensor]:
    """Returns the stored averages of a variable by name, float32."""
    values = (storage.decode(tf.convert_to_tensor(value)) for value in state)
    return dict(zip(names, values))


class FusedUpdate(Update):
    """Base of the shells: an `Update` of many variables at once.

    One operation after the other, a rule would read and write memory a dozen times.

    Attributes:
        jit_compile: Whether XLA fuses the computation.
        iterations: Number of steps taken, of the Keras optimizer.
    """

    iterations: tf.Variable

    def storage_dtype(self) -> tf.DType:
        """Returns the type of the variables that hold averages.

        Raises:
            ValueError: If they cannot be sent to the other processes.
        """
        dtype = storage.storage_dtype(self.state_dtype)
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
        gradients: Sequence[Gradient],
        variables: Sequence[tf.Variable],
        states: Sequence[State],
        positions: Sequence[int],
    ) -> Any:
        """Replaces variables and states by the rule's results, on every device.

        Args:
            distribution: Strategy under which the variables were made.
            gradients: Gradients, summed over the replicas; dense or `IndexedSlices`.
            variables: The binary weights.
            states: The averages of each, as `storage` encodes them.
            positions: The number of each variable, for its seed.
        """
        iteration = tf.convert_to_tensor(self.iterations)
        # Evaluated here and passed on, so that no device reads from another one.
        hyperparameters = self.step_hyperparameters(iteration)
        step = tf.cast(iteration, tf.int32)
        seeds = tuple(tf.stack([step, position]) for position in positions)

        def on_device(
            first: tf.Variable,
            others: Sequence[tf.Variable],
            gradients: Sequence[Gradient],
            states: Sequence[State],
        ) -> tf.Tensor:
            # Sparse gradients become dense: the averages of rows without a gradient
            # decay as well, as in the papers.
            dense = tuple(tf.convert_to_tensor(gradient) for gradient in gradients)
            compute = self._fused if self.jit_compile else self._compute
            return compute(dense, (first, *others), states, hyperparameters, seeds)

        return distribution.extended.update(
            variables[0],
            on_device,
            args=(
                tuple(variables[1:]),
                tuple(gradients),
                # Plain tuples, not the wrappers in which Keras tracks attributes.
                tuple(tuple(state) for state in states),
            ),
            group=False,
        )

    # Captures no variables, so a second model gets its own trace.
    @tf.function(jit_compile=True, autograph=False)
    def _fused(self, *arguments: Any) -> tf.Tensor:
        return self._compute(*arguments)

    def _compute(
        self,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[tf.Variable],
        states: Sequence[State],
        hyperparameters: dict[str, tf.Tensor],
        seeds: Sequence[tf.Tensor],
    ) -> tf.Tensor:
        for gradient, variable, stored, seed in zip(
            gradients, variables, states, seeds
        ):
            theta, averages = self.step(
                gradient,
                tf.convert_to_tensor(variable),
                tuple(storage.decode(tf.convert_to_tensor(value)) for value in stored),
                hyperparameters,
                seed,
            )
            for index, (target, average) in enumerate(zip(stored, averages)):
                bits = None
                if target.dtype == tf.uint16:
                    bits = storage.random_bits(theta.shape, seed, index)
                target.assign(storage.encode(average, target.dtype, bits))
            variable.assign(theta)
        # A result that the legacy API can wait for.
        return tf.zeros(())
