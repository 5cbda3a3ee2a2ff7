"""One step of all variables as one XLA computation, for both Keras APIs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from larq_bnnopt.optimizers import checks, noise, sparse_rows, storage
from larq_bnnopt.optimizers.sparse_rows import Gradient
from larq_bnnopt.optimizers.updates.base import Update

State: TypeAlias = tuple[tf.Variable, ...]


def decoded_state(
    names: Sequence[str], state: Sequence[tf.Variable]
) -> dict[str, tf.Tensor]:
    """Returns the stored averages of a variable by name, float32."""
    values = (storage.decode(tf.convert_to_tensor(value)) for value in state)
    return dict(zip(names, values))


class FusedUpdate(Update):
    """Base of the shells: an `Update` of many variables at once.

    One operation after the other, a rule would read and write memory a dozen times. A
    sparse gradient never becomes a dense one: the compiled step looks its rows up.

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

    def check_step(
        self, pairs: Sequence[tuple[Gradient | None, tf.Variable]], name: str
    ) -> None:
        """Warns of what a step cannot train well, once each.

        Args:
            pairs: Gradients and their variables.
            name: Name of the optimizer.
        """
        checks.warn_of_penalties([v for _, v in pairs], name, self._warned)
        if self.embedding_updates == "seen_rows":
            checks.warn_of_dense_gradients([g for g, _ in pairs], name, self._warned)

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
            compute = self._fused if self.jit_compile else self._compute
            if self.jit_compile:
                gradients = [
                    sparse_rows.padded(g) if isinstance(g, tf.IndexedSlices) else g
                    for g in gradients
                ]
            return compute(
                tuple(gradients), (first, *others), states, hyperparameters, seeds
            )

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
        gradients: Sequence[Gradient],
        variables: Sequence[tf.Variable],
        states: Sequence[State],
        hyperparameters: dict[str, tf.Tensor],
        seeds: Sequence[tf.Tensor],
    ) -> tf.Tensor:
        for gradient, variable, state, seed in zip(gradients, variables, states, seeds):
            stored = (variable, *state)
            if not isinstance(gradient, tf.IndexedSlices):
                self._step_all(gradient, stored, hyperparameters, seed)
            elif self.jit_compile and self.embedding_updates == "dense":
                dense = sparse_rows.expanded(gradient, variable.shape[0])
                self._step_all(dense, stored, hyperparameters, seed)
            else:
                self._step_rows(gradient, stored, hyperparameters, seed)
        # A result that the legacy API can wait for.
        return tf.zeros(())

    def _step_all(
        self,
        gradient: tf.Tensor,
        stored: Sequence[tf.Variable],
        hyperparameters: dict[str, tf.Tensor],
        seed: tf.Tensor,
    ) -> None:
        """Replaces a variable and its state; the gradient may be one number for all."""
        old = [tf.convert_to_tensor(one) for one in stored]
        new = self._stored_step(gradient, old, hyperparameters, seed)
        for target, value in zip(stored, new):
            target.assign(value)

    def _step_rows(
        self,
        gradient: tf.IndexedSlices,
        stored: Sequence[tf.Variable],
        hyperparameters: dict[str, tf.Tensor],
        seed: tf.Tensor,
    ) -> None:
        """Replaces the rows of a sparse gradient, and with "dense" the others, too."""
        indices = gradient.indices
        first = sparse_rows.first_positions(indices, stored[0].shape[0])
        new = self._stored_step(
            sparse_rows.summed(gradient, first).values,
            [tf.gather(one, indices) for one in stored],
            hyperparameters,
            noise.seed_of_rows(seed, indices),
        )
        if self.embedding_updates == "dense":
            none = tf.zeros((), gradient.dtype)
            self._step_all(none, stored, hyperparameters, seed)
        # Where a row stands again, too, it gets the value of its sum.
        same = tf.gather(first, indices)
        for target, rows in zip(stored, new):
            target.scatter_update(tf.IndexedSlices(tf.gather(rows, same), indices))

    def _stored_step(
        self,
        gradient: tf.Tensor,
        old: Sequence[tf.Tensor],
        hyperparameters: dict[str, tf.Tensor],
        seed: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Returns weights and averages after a step, as they are stored."""
        theta, *stored = old
        averages = tuple(storage.decode(value) for value in stored)
        theta, averages = self.step(gradient, theta, averages, hyperparameters, seed)
        new = [theta]
        for index, (before, average) in enumerate(zip(stored, averages)):
            rounded = before.dtype == tf.uint16
            bits = noise.random_bits(average, seed, index) if rounded else None
            new.append(storage.encode(average, before.dtype, bits))
        return new
