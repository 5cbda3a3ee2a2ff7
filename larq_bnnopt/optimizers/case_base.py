"""Base of both CaseOptimizers: who trains which variable, names, configuration."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar, Union

import tensorflow as tf

from larq_bnnopt.optimizers import checks, predicates, registry, switches
from larq_bnnopt.optimizers.accumulation import Accumulator
from larq_bnnopt.optimizers.naming import AnyOptimizer, optimizer_name
from larq_bnnopt.optimizers.predicates import Predicate
from larq_bnnopt.optimizers.sparse_rows import Gradient
from larq_bnnopt.optimizers.updates.base import Hyperparameter, ScheduledValue

GradientAndVariable: TypeAlias = tuple[Union[Gradient, None], tf.Variable]
T = TypeVar("T")


def check_optimizers(
    optimizers: Sequence[AnyOptimizer], claims: Sequence[Predicate]
) -> None:
    """Raises a ValueError unless there are optimizers, each another object.

    Warns of predicates that cannot be saved.
    """
    if not optimizers:
        raise ValueError("CaseOptimizer needs at least one optimizer.")
    if len({id(optimizer) for optimizer in optimizers}) < len(optimizers):
        raise ValueError("The same optimizer object was given more than once.")
    registry.warn_of_nameless(claims)


# Averages and counts are built for these.
_FIXED = ("default_optimizer", "optimizers", "predicates", "accumulator")
_OF_ONE = (
    "leaves decays and averages of weights to its optimizers, since binary weights can "
    "have none. Give it to the one it is for, before the first step, as in "
    "default_optimizer=tf.keras.optimizers.AdamW(weight_decay=1e-4, use_ema=True)"
)

OWN_COUNTS = (
    "Each optimizer in a CaseOptimizer counts its own steps. To continue from a step "
    "n: for o in (optimizer, *optimizer.optimizers): o.iterations.assign(n)"
)


class CaseBase:
    """A mixin for an optimizer of optimizers, each with a predicate.

    Attributes:
        predicates: The predicates.
        optimizers: Their optimizers, and after them the default one.
        default_optimizer: That one, or `None`.
        accumulator: Sums gradients over batches.
    """

    # Where Keras has the optimizers of this API, which package a collision hint names,
    # and which formats keep the state.
    _keras: ClassVar[types.ModuleType]
    _registry_name: ClassVar[str]
    _formats: ClassVar[str]

    predicates: tuple[Predicate, ...]
    optimizers: list[AnyOptimizer]
    default_optimizer: AnyOptimizer
    accumulator: Accumulator
    # Of the variables that are trained now: their keys, the index of the optimizer of
    # each, and their names.
    _keys: tuple[str, ...] | None = None
    _owners: tuple[int, ...] = ()
    _trained_names: Sequence[str] = ()
    # The state that a loaded optimizer should have found.
    _before: dict[str, Any]

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, if anything reads it.

        Raises:
            TypeError: If clipping is no number.
            ValueError: If clipping is negative, and for a decay or an average of
                weights, which belong to one of the optimizers.
            AttributeError: For the optimizers, which stay.
        """
        if name in _FIXED and name in vars(self):
            raise AttributeError(
                f"The {name} of a {type(self).__name__} cannot be changed, because "
                "their state is built. Make a new one, with the optimizers you want, "
                "and compile the model with it."
            )
        switches.check(type(self).__name__, name, value, _OF_ONE)
        super().__setattr__(name, value)

    @property
    def accumulate_steps(self) -> int:
        """Number of batches whose mean gradient makes one step."""
        return self.accumulator.steps

    @property
    def _names(self) -> list[str]:
        return [optimizer_name(optimizer) for optimizer in self.optimizers]

    def _key(self, variable: tf.Variable) -> str:
        """Returns the key by which this Keras API knows a variable."""
        raise NotImplementedError

    def _route(self, variables: Sequence[tf.Variable]) -> list[int]:
        """Returns the index of the optimizer of each variable, asking predicates."""
        return predicates.route(variables, self.predicates, self._names)

    def _claim(
        self, variables: Sequence[tf.Variable], keys: tuple[str, ...]
    ) -> list[int]:
        """Returns the index of the optimizer of each variable, before a build.

        The predicates are asked here, once for each set of variables; every step reads
        the recorded answers.

        Raises:
            ValueError: By name, for a variable that nobody or more than one optimizer
                claims, and, at first, for an optimizer that claims none.
        """
        owners = self._route(variables)
        if self._keys is None:
            predicates.check_claims(owners, self.predicates, self._names)
        by_rows = [
            getattr(self.optimizers[index], "embedding_updates", "") == "seen_rows"
            for index in owners
        ]
        self.accumulator.rebuild_for(keys, variables, by_rows)
        if self._keys and not set(self._keys) & set(keys):
            steps = int(self.iterations.numpy())
            checks.warn_of_another_model(optimizer_name(self), steps)
        return owners

    def _record(
        self,
        variables: Sequence[tf.Variable],
        keys: tuple[str, ...],
        owners: Sequence[int],
    ) -> None:
        """Remembers who trains which variable, after a build."""
        self._keys, self._owners = keys, tuple(owners)
        self._trained_names = [variable.name for variable in variables]

    def _owners_of(self, variables: Sequence[tf.Variable]) -> Sequence[int]:
        """Returns the recorded index of each optimizer, and asks if one is unknown."""
        recorded = dict(zip(self._keys or (), self._owners))
        keys = [self._key(variable) for variable in variables]
        if recorded.keys() >= set(keys):
            return [recorded[key] for key in keys]
        return self._route(variables)

    def _groups(
        self, pairs: Sequence[GradientAndVariable]
    ) -> list[tuple[AnyOptimizer, list[GradientAndVariable]]]:
        """Returns each optimizer with the pairs of the variables that it trains."""
        owners = self._owners_of([variable for _, variable in pairs])
        return list(zip(self.optimizers, self._split(pairs, owners)))

    def _split(self, items: Sequence[T], owners: Sequence[int]) -> list[list[T]]:
        """Returns the items of each optimizer."""
        groups: list[list[T]] = [[] for _ in self.optimizers]
        for item, owner in zip(items, owners):
            groups[owner].append(item)
        return groups

    def optimizers_of(self, variables: Sequence[tf.Variable]) -> list[AnyOptimizer]:
        """Returns the optimizer that trains each of some variables."""
        return [self.optimizers[index] for index in self._owners_of(variables)]

    @property
    def iterations(self) -> tf.Variable:
        """Number of steps taken; each of the optimizers counts its own."""
        raise NotImplementedError

    @property
    def learning_rate(self) -> ScheduledValue:
        """The learning rate of the default optimizer."""
        return self._default().learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Hyperparameter) -> None:
        self._default().learning_rate = value

    def _default(self) -> AnyOptimizer:
        if self.default_optimizer is None:
            raise AttributeError(
                "CaseOptimizer without a default_optimizer has no learning rate."
            )
        return self.default_optimizer

    def _steps_taken(self) -> dict[str, int]:
        return {optimizer_name(o): int(o.iterations.numpy()) for o in self.optimizers}

    def _warn_if_reset(self, variables: Sequence[tf.Variable]) -> None:
        """Warns once, by name, if a loaded optimizer starts without its state."""
        before, self._before = self._before, {}
        if before and tf.executing_eagerly():
            keep = f"To keep them, save as {self._formats} or with a checkpoint."
            checks.warn_of_lost_state(before["iterations"], self._steps_taken(), keep)
            checks.warn_of_exchange(
                before["variables"], variables, optimizer_name(self)
            )

    def get_config(self) -> dict[str, Any]:
        """Returns the configurations of the optimizers and the predicates' names.

        A loaded optimizer reads in `before` which state it should have found.
        """

        def save(optimizer: AnyOptimizer) -> dict[str, Any]:
            return registry.serialize(optimizer, self._keras)

        default = self.default_optimizer
        return {
            "name": optimizer_name(self),
            "predicates": [registry.predicate_name(p) for p in self.predicates],
            "optimizers": [save(o) for o in self.optimizers[: len(self.predicates)]],
            "default_optimizer": None if default is None else save(default),
            "accumulate_steps": self.accumulate_steps,
            **{name: getattr(self, name) for name in switches.CLIPS},
            "before": self._before
            or {
                "iterations": self._steps_taken(),
                "variables": list(self._trained_names),
            },
            "optimizer_configs": registry.collision_hint(self._registry_name),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """Makes the optimizer of a configuration, without state."""

        def load(value: dict[str, Any]) -> AnyOptimizer:
            return registry.deserialize(value, cls._keras, custom_objects)

        claims = [
            registry.find_predicate(n, custom_objects) for n in config["predicates"]
        ]
        default = config["default_optimizer"]
        optimizer: Any = cls(
            *zip(claims, map(load, config["optimizers"])),  # type: ignore[call-arg]
            default_optimizer=None if default is None else load(default),
            accumulate_steps=config["accumulate_steps"],
            name=config["name"],
        )
        for name in switches.CLIPS:
            setattr(optimizer, name, config.get(name))
        optimizer._before = dict(config["before"])
        return optimizer
