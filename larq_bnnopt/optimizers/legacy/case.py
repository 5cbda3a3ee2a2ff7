"""larq's CaseOptimizer, made safe to save and load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import larq as lq
import numpy as np
import tensorflow as tf

from larq_bnnopt.optimizers import checks, predicates, sparse_rows
from larq_bnnopt.optimizers.accumulation import Accumulator
from larq_bnnopt.optimizers.case_base import (
    OWN_COUNTS,
    CaseBase,
    GradientAndVariable,
    check_optimizers,
)
from larq_bnnopt.optimizers.naming import legacy_key, name_apart, set_all
from larq_bnnopt.optimizers.predicates import Predicate
from larq_bnnopt.optimizers.sparse_rows import Gradient

Optimizer: TypeAlias = tf.keras.optimizers.legacy.Optimizer


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class CaseOptimizer(CaseBase, lq.optimizers.CaseOptimizer):
    """`larq.optimizers.CaseOptimizer` whose models train on after loading.

    larq's keeps a table of variables that means nothing in another process: a loaded
    model trains nothing, without a warning. This one asks its predicates again. `.h5`
    files, `tf.train.Checkpoint`, `save_weights` in TensorFlow's format and
    `BackupAndRestore` keep the state of every optimizer. `.keras` files and SavedModels
    cannot hold the state of any legacy optimizer: after loading one, all variables are
    trained from new averages, and a warning names what was lost.

    `clipnorm`, `global_clipnorm`, `clipvalue` and `gradient_transformers`, as
    attributes, work on the gradients of all variables together, before each optimizer
    gets its own.

    Args:
        *predicates_and_optimizers: Pairs `(predicate, optimizer)`, as for
            `larq_bnnopt.optimizers.CaseOptimizer`, of legacy optimizers.
        default_optimizer: Trains the variables that no predicate claims. Defaults to
            `None`: then every variable must be claimed.
        accumulate_steps: Number of batches whose mean gradient makes one step. Defaults
            to `1`.
        name: Name of the optimizer. Defaults to `"CaseOptimizer"`.

    Raises:
        TypeError: If a predicate is not callable or an optimizer not a legacy one.
        ValueError: On the first step, by name, for a variable that nobody or more than
            one optimizer claims, and for an optimizer that claims none.

    Example:
        >>> from larq_bnnopt.optimizers.legacy import Diode
        >>> optimizer = CaseOptimizer(
        ...     (Diode.is_binary_variable, Diode(alpha=0.9, beta=0.999)),
        ...     default_optimizer=tf.keras.optimizers.legacy.Adam(0.01),
        ... )
        >>> round(float(optimizer.learning_rate), 6)
        0.01
    """

    _keras = tf.keras.optimizers.legacy
    _registry_name = "larq_bnnopt.optimizers.legacy"
    _formats = '".h5"'

    def __init__(
        self,
        *predicates_and_optimizers: tuple[Predicate, Optimizer],
        default_optimizer: Optimizer | None = None,
        accumulate_steps: int = 1,
        name: str = "CaseOptimizer",
    ):
        predicates.check_pairs(predicates_and_optimizers)
        optimizers = [optimizer for _, optimizer in predicates_and_optimizers]
        for optimizer in (*optimizers, default_optimizer):
            legacy = tf.keras.optimizers.legacy.Optimizer
            if optimizer is not None and not isinstance(optimizer, legacy):
                raise TypeError(
                    "legacy.CaseOptimizer needs instances of "
                    "tf.keras.optimizers.legacy.Optimizer; for the others take "
                    f"larq_bnnopt.optimizers.CaseOptimizer. Received: {optimizer!r}"
                )
        super().__init__(
            *predicates_and_optimizers, default_optimizer=default_optimizer, name=name
        )
        self.predicates = tuple(predicate for predicate, _ in predicates_and_optimizers)
        check_optimizers(self.optimizers, self.predicates)
        self.accumulator = Accumulator(accumulate_steps)
        self._track_trackable(self.accumulator, "accumulator")
        self._trained: list[list[tf.Variable]] = [[] for _ in self.optimizers]
        self._variables_now: list[tf.Variable] = []
        self._before: dict[str, Any] = {}

    @property
    def default_optimizer(self) -> Optimizer | None:
        """Trains the variables that no predicate claims."""
        return self.default

    def _key(self, variable: tf.Variable) -> str:
        return legacy_key(variable)

    def _create_all_weights(self, var_list: Iterable[tf.Variable]) -> None:
        """Asks who trains which variable and creates the state of every optimizer."""
        variables = list(var_list)
        keys = tuple(self._key(variable) for variable in variables)
        if keys == self._keys:
            return
        owners = self._claim(variables, keys)
        # The first access creates the counter, before the state of the optimizers.
        _ = self.iterations
        for index, group in enumerate(self._split(variables, owners)):
            self._trained[index] = group
            # Some optimizers cannot be built for no variables.
            if group:
                self.optimizers[index]._create_all_weights(group)
        self._record(variables, keys, owners)
        self._variables_now = variables
        name_apart(self.weights)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[GradientAndVariable],
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> tf.Operation:
        """Passes every gradient to the optimizer of its variable."""
        pairs = list(grads_and_vars)
        if not pairs:  # As Keras.
            return tf.no_op()
        with tf.init_scope():
            self._create_all_weights([variable for _, variable in pairs])
            self._warn_if_reset(self._variables_now)
        present = [pair for pair in pairs if pair[0] is not None]
        if not present:
            names = ", ".join(variable.name for _, variable in pairs)
            raise ValueError(f"No gradients provided for any variable: {names}.")
        if experimental_aggregate_gradients:
            present = list(self._aggregate_gradients(present))
        for optimizer, own in zip(self.optimizers, self._trained):
            known = {legacy_key(variable) for _, variable in present}
            if own and not any(legacy_key(variable) in known for variable in own):
                checks.warn_of_no_gradient(own, optimizer._name)
        variables = [variable for _, variable in present]
        if self.accumulate_steps == 1:
            gradients = [gradient for gradient, _ in present]
            if tf.__internal__.distribute.strategy_supports_no_merge_call():
                return self._step(gradients, variables)

            def in_replicas(
                distribution: tf.distribute.Strategy, gradients: list[Gradient]
            ) -> tf.Operation:
                done = distribution.extended.call_for_each_replica(
                    lambda gradients: self._step(gradients, variables),
                    args=(gradients,),
                )
                # One operation for all replicas, which a branch can return.
                return tf.group(*distribution.experimental_local_results(done))

            return tf.distribute.get_replica_context().merge_call(
                in_replicas, args=(gradients,)
            )
        found = {legacy_key(variable): gradient for gradient, variable in present}
        return self.accumulator.add(
            [found.get(key) for key in self._keys or ()],
            lambda means: self._step(
                [
                    tf.cast(mean, variable.dtype)
                    for mean, variable in zip(means, self._variables_now)
                ],
                self._variables_now,
            ),
        )

    def _step(
        self, gradients: Sequence[Gradient], variables: Sequence[tf.Variable]
    ) -> tf.Operation:
        # Clips the gradients of all variables together, as Keras does.
        gradients = sparse_rows.summed_for_clipping(self, gradients)
        pairs = self._transform_gradients(list(zip(gradients, variables)))
        for optimizer, group in self._groups(pairs):
            if isinstance(optimizer, lq.optimizers.Bop):
                _refuse_sparse(optimizer._name, group)
        done = [
            optimizer.apply_gradients(group, experimental_aggregate_gradients=False)
            for optimizer, group in self._groups(pairs)
            if group
        ]
        done.append(self.iterations.assign_add(1, read_value=False))
        return tf.group(*[operation for operation in done if operation is not None])

    @property
    def iterations(self) -> tf.Variable:
        """Number of steps taken; each of the optimizers counts its own."""
        return Optimizer.iterations.fget(self)

    @iterations.setter
    def iterations(self, variable: tf.Variable) -> None:
        raise AttributeError(OWN_COUNTS)

    @property
    def weights(self) -> list[tf.Variable]:
        """The state of this optimizer and of its optimizers, by unique names.

        In the order of the variables that are trained now, whenever each was added.
        """
        weights = [self.iterations, *self.accumulator.state]
        for optimizer, variables in zip(self.optimizers, self._trained):
            slots = [
                optimizer.get_slot(variable, name)
                for variable in variables
                for name in optimizer.get_slot_names()
                if name in optimizer._slots.get(legacy_key(variable), {})
            ]
            every = {
                id(slot) for row in optimizer._slots.values() for slot in row.values()
            }
            rest = [v for v in optimizer.weights if id(v) not in every]
            weights += [*rest, *slots]
        return weights

    def variables(self) -> list[tf.Variable]:
        """Returns `weights`."""
        return self.weights

    def get_slot(self, var: tf.Variable, slot_name: str) -> tf.Variable:
        """Returns a slot of a variable, from its optimizer."""
        return self.optimizers_of([var])[0].get_slot(var, slot_name)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Sets the state, in the order of `weights`."""
        set_all(self._name, self.weights, weights)

    lr = CaseBase.learning_rate


def _refuse_sparse(optimizer: str, pairs: Iterable[GradientAndVariable]) -> None:
    for gradient, variable in pairs:
        if isinstance(gradient, tf.IndexedSlices):
            raise ValueError(
                f"{optimizer} is larq's Bop, which has no step for the sparse gradient "
                f"of {variable.name}, an embedding. Take larq_bnnopt.optimizers.Bop in "
                "larq_bnnopt.optimizers.CaseOptimizer."
            )
