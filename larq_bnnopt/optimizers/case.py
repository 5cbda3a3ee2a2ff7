"""One optimizer for the binary variables of a model, another for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
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
from larq_bnnopt.optimizers.flip_optimizer import FlipOptimizer
from larq_bnnopt.optimizers.naming import name_apart, set_all
from larq_bnnopt.optimizers.predicates import Predicate
from larq_bnnopt.optimizers.rebuilding import Rebuilder
from larq_bnnopt.optimizers.sparse_rows import Gradient

Optimizer: TypeAlias = tf.keras.optimizers.Optimizer


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class CaseOptimizer(CaseBase, Optimizer):
    """Trains each variable with the optimizer whose predicate claims it.

    It follows `larq.optimizers.CaseOptimizer`, for the optimizers of
    `tf.keras.optimizers`. A loaded model trains on, because every process asks the
    predicates again. `.keras` and `.h5` files, `tf.train.Checkpoint`, `save_weights` in
    TensorFlow's format and `BackupAndRestore` keep the state of every optimizer;
    training continues as if it had never stopped. A SavedModel does not hold that
    state, nor that of Keras's own optimizers; then a warning names what was lost.

    Layers that are unfrozen later are trained from the next `compile` on, and the
    optimizer can continue with another model. A file holds the state of the variables
    for which a step was last traced (or taken eagerly); the state of others waits in
    memory until they come back. So take a step after freezing layers before you save.

    `clipnorm`, `global_clipnorm` and `clipvalue`, as attributes, clip the gradients of
    all variables together, before each optimizer gets its own; `jit_compile` is set on
    all optimizers. Weight decay and averages of weights belong to one of the
    optimizers.

    Args:
        *predicates_and_optimizers: Pairs `(predicate, optimizer)`. A predicate takes a
            variable and returns whether the optimizer trains it. To save the model,
            a predicate must be registered with
            `tf.keras.saving.register_keras_serializable`, as `is_binary_variable` of
            our classes and of larq's Bop are; a warning names others at once.
        default_optimizer: Trains the variables that no predicate claims. Its learning
            rate is also the learning rate of the CaseOptimizer. Defaults to `None`:
            then every variable must be claimed.
        accumulate_steps: Number k of batches whose mean gradient makes one step, so
            that a batch fits into memory that is k times smaller; Diode wants batches
            of 128 and more. Costs a float32 for each weight. `iterations` counts steps,
            not batches; a batch without a gradient for a variable counts as zero, and
            a group may continue over the end of an epoch. Defaults to `1`.
        name: Name of the optimizer. Defaults to `"CaseOptimizer"`.

    Raises:
        TypeError: If a predicate is not callable or an optimizer not one of
            `tf.keras.optimizers`.
        ValueError: On the first step, by name, for a variable that nobody or more than
            one optimizer claims, and for an optimizer that claims none.

    Example:
        >>> from larq_bnnopt.optimizers import Diode
        >>> optimizer = CaseOptimizer(
        ...     (Diode.is_binary_variable, Diode(alpha=0.9, beta=0.999)),
        ...     default_optimizer=tf.keras.optimizers.Adam(0.01),
        ... )
        >>> round(float(optimizer.learning_rate), 6)
        0.01
    """

    _keras = tf.keras.optimizers
    _registry_name = "larq_bnnopt.optimizers"
    _formats = '".keras" or ".h5",'

    def __init__(
        self,
        *predicates_and_optimizers: tuple[Predicate, Optimizer],
        default_optimizer: Optimizer | None = None,
        accumulate_steps: int = 1,
        name: str = "CaseOptimizer",
    ):
        super().__init__(name=name, weight_decay=None, jit_compile=False)
        predicates.check_pairs(predicates_and_optimizers)
        for index, (_, optimizer) in enumerate(predicates_and_optimizers):
            _check_optimizer(f"pair {index}", optimizer)
        if default_optimizer is not None:
            _check_optimizer("default_optimizer", default_optimizer)
        self.predicates = tuple(predicate for predicate, _ in predicates_and_optimizers)
        self.default_optimizer = default_optimizer
        self.optimizers = [optimizer for _, optimizer in predicates_and_optimizers]
        if default_optimizer is not None:
            self.optimizers.append(default_optimizer)
        check_optimizers(self.optimizers, self.predicates)
        self.accumulator = Accumulator(accumulate_steps)
        # Not lists, which Keras would track and save.
        self._rebuilders = tuple(Rebuilder(optimizer) for optimizer in self.optimizers)
        self._before: dict[str, Any] = {}

    def _key(self, variable: tf.Variable) -> str:
        return self._var_key(variable)

    def build(self, var_list: Iterable[tf.Variable]) -> None:
        """Asks who trains which variable and creates the state of every optimizer."""
        variables = list(var_list)
        keys = tuple(self._key(variable) for variable in variables)
        if keys == self._keys:
            return
        owners = self._claim(variables, keys)
        for rebuilder, group in zip(self._rebuilders, self._split(variables, owners)):
            rebuilder.rebuild_for(group)
        self._record(variables, keys, owners)
        self._build_index_dict(variables)
        self._built = True
        name_apart(self.variables)
        # TensorFlow 2.19 caches what an optimizer saved the first time.
        self.__dict__.pop("_coalesced_children", None)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[GradientAndVariable],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> tf.Variable:
        """Passes every gradient to the optimizer of its variable."""
        pairs = list(grads_and_vars)
        if not pairs:  # As Keras.
            return self.iterations
        with tf.init_scope():
            self.build([variable for _, variable in pairs])
            self._warn_if_reset([variable for _, variable in pairs])
        aggregate = kwargs.pop("experimental_aggregate_gradients", True)
        if kwargs:
            raise TypeError(f"apply_gradients has no argument {', '.join(kwargs)}.")
        if aggregate and not skip_gradients_aggregation:
            pairs = self.aggregate_gradients(pairs)
        for optimizer, group in self._groups(pairs):
            # Keras itself would raise; here the other optimizers may take a step.
            if group and all(gradient is None for gradient, _ in group):
                unused = [variable for _, variable in group]
                checks.warn_of_no_gradient(unused, optimizer.name)
        name = name or self.name
        if self.accumulate_steps == 1:
            return self._step(pairs, name)
        gradients: list[Gradient | None] = [None] * len(self._index_dict)
        variables: list[tf.Variable] = [None] * len(self._index_dict)
        for gradient, variable in pairs:
            index = self._index_dict[self._var_key(variable)]
            gradients[index], variables[index] = gradient, variable
        self.accumulator.add(
            gradients,
            lambda means: self._step(
                [
                    (tf.cast(mean, variable.dtype), variable)
                    for mean, variable in zip(means, variables)
                ],
                name,
            ),
        )
        return self.iterations

    def _step(self, pairs: Sequence[GradientAndVariable], name: str) -> tf.Variable:
        with tf.name_scope(name):
            for optimizer, group in self._groups(self._clipped(pairs)):
                if any(gradient is not None for gradient, _ in group):
                    optimizer.apply_gradients(group, skip_gradients_aggregation=True)
            # Once for all replicas: outside of their scope there is one counter.
            return tf.__internal__.distribute.interim.maybe_merge_call(
                lambda distribution: self.iterations.assign_add(1),
                tf.distribute.get_strategy(),
            )

    def _clipped(
        self, pairs: Sequence[GradientAndVariable]
    ) -> list[GradientAndVariable]:
        """Clips the gradients of all variables together, as Keras does."""
        gradients = [gradient for gradient, _ in pairs]
        gradients = sparse_rows.summed_for_clipping(self, gradients)
        gradients = self._clip_gradients(gradients)
        return list(zip(gradients, [variable for _, variable in pairs]))

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Updates one variable alone, by its optimizer."""
        self.optimizers_of([variable])[0].update_step(gradient, variable)

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[tf.Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Excludes variables from the weight decay of the optimizers that have one.

        Args:
            var_list: Variables.
            var_names: Patterns of names of variables.

        Raises:
            ValueError: If a step was taken already.
        """
        super().exclude_from_weight_decay(var_list, var_names)
        for optimizer in self.optimizers:
            if not isinstance(optimizer, FlipOptimizer):
                optimizer.exclude_from_weight_decay(var_list, var_names)

    @property
    def iterations(self) -> tf.Variable:
        """Number of steps taken; each of the optimizers counts its own."""
        return self._iterations

    @iterations.setter
    def iterations(self, variable: tf.Variable) -> None:
        raise AttributeError(OWN_COUNTS)

    @property
    def jit_compile(self) -> bool | None:
        """Whether the optimizers compile updates with XLA, `None` if only some do."""
        found = {optimizer.jit_compile for optimizer in getattr(self, "optimizers", ())}
        return found.pop() if len(found) == 1 else None

    @jit_compile.setter
    def jit_compile(self, value: bool) -> None:
        for optimizer in getattr(self, "optimizers", ()):
            optimizer.jit_compile = value

    @property
    def variables(self) -> list[tf.Variable]:
        """The state of this optimizer and of its optimizers, by unique names."""
        inner = [v for optimizer in self.optimizers for v in optimizer.variables]
        return _Variables([*self._own(), *inner])

    def _own(self) -> list[tf.Variable]:
        """The state that its optimizers do not save themselves.

        With the variables that Keras leaves out of an optimizer's `variables`: its
        learning rate, and the product in Nadam.
        """
        known = {id(v) for optimizer in self.optimizers for v in optimizer.variables}
        left_out = [
            variable
            for optimizer in self.optimizers
            for _, variable in sorted(vars(optimizer).items())
            if isinstance(variable, tf.Variable) and id(variable) not in known
        ]
        return [*self._variables, *self.accumulator.state, *left_out]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Sets the state, in the order of `variables`.

        Raises:
            ValueError: If the number or the shapes do not fit.
        """
        set_all(self.name, self.variables, weights)

    def save_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Saves the state that its optimizers do not save themselves."""
        for i, variable in enumerate(self._own()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Loads the result of `save_own_variables`, if it is for these variables."""
        own = self._own()
        if len(own) == len(store.keys()):
            set_all(self.name, own, [store[str(i)] for i in range(len(own))])

    def finalize_variable_values(self, var_list: Iterable[tf.Variable]) -> None:
        """Finishes variables after `fit`, each by its optimizer."""
        variables = list(var_list)
        groups = self._split(variables, self._owners_of(variables))
        for optimizer, group in zip(self.optimizers, groups):
            optimizer.finalize_variable_values(group)


class _Variables(list[tf.Variable]):
    """A list that a call returns too, as Keras's own `variables` does."""

    def __call__(self) -> _Variables:
        return self


def _check_optimizer(role: str, optimizer: object) -> None:
    if isinstance(optimizer, tf.keras.optimizers.Optimizer):
        return
    hint = ""
    if isinstance(optimizer, lq.optimizers.Bop):
        hint = " Take larq_bnnopt.optimizers.Bop."
    elif isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        hint = (
            " Take the optimizer of the same name outside of `legacy`, or "
            "larq_bnnopt.optimizers.legacy.CaseOptimizer."
        )
    elif isinstance(optimizer, type):
        hint = f" Were the parentheses forgotten? {optimizer.__name__}()"
    raise TypeError(
        f"CaseOptimizer needs an instance of tf.keras.optimizers.Optimizer as {role}."
        f"{hint} Received: {optimizer!r}"
    )
