"""larq's CaseOptimizer, made safe to save and load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import larq as lq
import tensorflow as tf

from larq_bnnopt.optimizers import checks, predicates, registry
from larq_bnnopt.optimizers.accumulation import Accumulator
from larq_bnnopt.optimizers.naming import name_apart, set_all
from larq_bnnopt.optimizers.predicates import Predicate

Optimizer: TypeAlias = tf.keras.optimizers.legacy.Optimizer


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt.legacy")
class CaseOptimizer(lq.optimizers.CaseOptimizer):
    """`larq.optimizers.CaseOptimizer` whose models train on after loading.

    larq's keeps a table of variables that means nothing in another process: a loaded
    model trains nothing, and says nothing. This one asks its predicates again. `.h5`
    files, `tf.train.Checkpoint`, `save_weights` in TensorFlow's format and
    `BackupAndRestore` keep the state of every optimizer. `.keras` files and SavedModels
    cannot hold the state of any legacy optimizer: there all variables are trained on,
    and a warning says what was lost.

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
        if not self.optimizers:
            raise ValueError("CaseOptimizer needs at least one optimizer.")
        if len({id(optimizer) for optimizer in self.optimizers}) < len(self.optimizers):
            raise ValueError("The same optimizer object was given more than once.")
        self.predicates = tuple(predicate for predicate, _ in predicates_and_optimizers)
        self.accumulator = Accumulator(accumulate_steps)
        self._track_trackable(self.accumulator, "accumulator")
        self._keys: tuple[str, ...] | None = None
        self._trained: list[list[tf.Variable]] = [[] for _ in self.optimizers]
        self._variables_now: list[tf.Variable] = []
        self._before: dict[str, Any] = {}

    @property
    def accumulate_steps(self) -> int:
        """Number of batches whose mean gradient makes one step."""
        return self.accumulator.steps

    @property
    def _names(self) -> list[str]:
        return [optimizer._name for optimizer in self.optimizers]

    def _route(self, variables: Sequence[tf.Variable]) -> list[int]:
        return predicates.route(variables, self.predicates, self._names)

    def _create_all_weights(self, var_list: Iterable[tf.Variable]) -> None:
        """Routes the variables and creates the state of every optimizer."""
        variables = list(var_list)
        keys = tuple(_key(variable) for variable in variables)
        if keys == self._keys:
            return
        owners = self._route(variables)
        if self._keys is None:
            predicates.check_claims(owners, self.predicates, self._names)
        self.accumulator.follow(keys, variables)
        if self._keys and not set(self._keys) & set(keys):
            checks.warn_of_another_model(self._name)
        _ = self.iterations
        for index, optimizer in enumerate(self.optimizers):
            own = [v for v, owner in zip(variables, owners) if owner == index]
            self._trained[index] = own
            # Some optimizers cannot be built for no variables.
            if own:
                optimizer._create_all_weights(own)
        self._keys = keys
        self._variables_now = variables
        name_apart(self.weights)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[Any],
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """Hands every gradient to the optimizer of its variable."""
        pairs = list(grads_and_vars)
        with tf.init_scope():
            self._create_all_weights([variable for _, variable in pairs])
            self._warn_if_reset()
        present = [pair for pair in pairs if pair[0] is not None]
        if not present:
            names = ", ".join(variable.name for _, variable in pairs)
            raise ValueError(f"No gradients provided for any variable: {names}.")
        if experimental_aggregate_gradients:
            present = list(self._aggregate_gradients(present))
        for optimizer, own in zip(self.optimizers, self._trained):
            known = {_key(variable) for _, variable in present}
            if own and not any(_key(variable) in known for variable in own):
                checks.warn_of_no_gradient(own, optimizer._name)
        variables = [variable for _, variable in present]
        if self.accumulate_steps == 1:
            gradients = [gradient for gradient, _ in present]
            if tf.__internal__.distribute.strategy_supports_no_merge_call():
                return self._step(gradients, variables)

            def in_replicas(distribution: Any, gradients: Any) -> Any:
                done = distribution.extended.call_for_each_replica(
                    lambda gradients: self._step(gradients, variables),
                    args=(gradients,),
                )
                # One operation for all replicas, which a branch can return.
                return tf.group(*distribution.experimental_local_results(done))

            return tf.distribute.get_replica_context().merge_call(
                in_replicas, args=(gradients,)
            )
        found = {_key(variable): gradient for gradient, variable in present}
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

    def _step(self, gradients: Sequence[Any], variables: Sequence[tf.Variable]) -> Any:
        groups: list[list[Any]] = [[] for _ in self.optimizers]
        for gradient, variable, owner in zip(
            gradients, variables, self._route(variables)
        ):
            groups[owner].append((gradient, variable))
        done = [
            optimizer.apply_gradients(group, experimental_aggregate_gradients=False)
            for optimizer, group in zip(self.optimizers, groups)
            if group
        ]
        done.append(self.iterations.assign_add(1, read_value=False))
        return tf.group(*[operation for operation in done if operation is not None])

    @property
    def iterations(self) -> tf.Variable:
        """Number of steps taken."""
        return Optimizer.iterations.fget(self)

    @iterations.setter
    def iterations(self, variable: tf.Variable) -> None:
        Optimizer.iterations.fset(self, variable)

    @property
    def weights(self) -> list[tf.Variable]:
        """The state of this optimizer and of those in it, by unique names.

        In the order of the variables that are trained now, whenever each came.
        """
        weights = [self.iterations, *self.accumulator.state]
        for optimizer, variables in zip(self.optimizers, self._trained):
            slots = [
                optimizer.get_slot(variable, name)
                for variable in variables
                for name in optimizer.get_slot_names()
                if name in optimizer._slots.get(_key(variable), {})
            ]
            every = {
                id(slot) for row in optimizer._slots.values() for slot in row.values()
            }
            rest = [v for v in optimizer.weights if id(v) not in every]
            weights += [*rest, *slots]
        return weights

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the state, in the order of `weights`."""
        set_all(self._name, self.weights, weights)

    def _warn_if_reset(self) -> None:
        """Warns once, by name, if a loaded optimizer starts without its state."""
        before, self._before = self._before, {}
        if before and tf.executing_eagerly():
            now = {o._name: int(o.iterations) for o in self.optimizers}
            keep = 'To keep them, save as ".h5" or with a checkpoint.'
            checks.warn_of_lost_state(before["iterations"], now, keep)
            checks.warn_of_exchange(
                before["variables"], self._variables_now, self._name
            )

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the default optimizer."""
        return self._default().learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._default().learning_rate = value

    lr = learning_rate

    def _default(self) -> Optimizer:
        if self.default is None:
            raise AttributeError(
                "CaseOptimizer without a default_optimizer has no learning rate."
            )
        return self.default

    def get_config(self) -> dict[str, Any]:
        """Returns the configurations of the optimizers and the predicates' names."""
        return {
            "name": self._name,
            "predicates": [registry.predicate_name(p) for p in self.predicates],
            "optimizers": [
                registry.serialize(optimizer, tf.keras.optimizers.legacy)
                for optimizer in self.optimizers[: len(self.predicates)]
            ],
            "default_optimizer": self.default
            and registry.serialize(self.default, tf.keras.optimizers.legacy),
            "accumulate_steps": self.accumulate_steps,
            "before": self._before
            or {
                "iterations": {o._name: int(o.iterations) for o in self.optimizers},
                "variables": [variable.name for variable in self._variables_now],
            },
            "optimizer_configs": registry.trap("larq_bnnopt.optimizers.legacy"),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> CaseOptimizer:
        """Makes the optimizer of a configuration, without state."""

        def load(value: Any) -> Any:
            module = tf.keras.optimizers.legacy
            return registry.deserialize(value, module, custom_objects)

        claims = [
            registry.find_predicate(n, custom_objects) for n in config["predicates"]
        ]
        default = config["default_optimizer"]
        optimizer = cls(
            *zip(claims, map(load, config["optimizers"])),
            default_optimizer=default and load(default),
            accumulate_steps=config["accumulate_steps"],
            name=config["name"],
        )
        optimizer._before = dict(config["before"])
        return optimizer


def _key(variable: tf.Variable) -> str:
    if hasattr(variable, "_distributed_container"):
        variable = variable._distributed_container()
    return variable._unique_id
