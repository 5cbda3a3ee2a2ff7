"""One optimizer for the binary variables of a model, another for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import tensorflow as tf

Optimizer: TypeAlias = tf.keras.optimizers.Optimizer
Predicate = Callable[[tf.Variable], bool]


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class CaseOptimizer(Optimizer):
    """Trains each variable with the optimizer whose predicate claims it.

    It follows `larq.optimizers.CaseOptimizer`, for the optimizers of
    `tf.keras.optimizers`. A loaded model trains on: variables are routed anew in every
    process, by the predicates. `.keras` files, `tf.train.Checkpoint` and `save_weights`
    in TensorFlow's format keep the state of every optimizer.

    Args:
        *predicates_and_optimizers: Pairs `(predicate, optimizer)`. A predicate takes a
            variable and returns whether the optimizer trains it. To save the model,
            a predicate must be registered with
            `tf.keras.saving.register_keras_serializable`.
        default_optimizer: Trains the variables that no predicate claims. Defaults to
            `None`: then every variable must be claimed.
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

    def __init__(
        self,
        *predicates_and_optimizers: tuple[Predicate, Optimizer],
        default_optimizer: Optimizer | None = None,
        name: str = "CaseOptimizer",
    ):
        super().__init__(name=name, weight_decay=None, jit_compile=False)
        for index, (predicate, optimizer) in enumerate(predicates_and_optimizers):
            if not callable(predicate):
                raise TypeError(
                    f"Pair {index} needs a callable predicate. Received: {predicate!r}"
                )
            _check_optimizer(f"pair {index}", optimizer)
        if default_optimizer is not None:
            _check_optimizer("default_optimizer", default_optimizer)
        if not predicates_and_optimizers and default_optimizer is None:
            raise ValueError("CaseOptimizer needs at least one optimizer.")
        self.predicates = tuple(predicate for predicate, _ in predicates_and_optimizers)
        self.default_optimizer = default_optimizer
        self.optimizers = [optimizer for _, optimizer in predicates_and_optimizers]
        if default_optimizer is not None:
            self.optimizers.append(default_optimizer)
        if len({id(optimizer) for optimizer in self.optimizers}) < len(self.optimizers):
            raise ValueError("The same optimizer object was given more than once.")

    def build(self, var_list: Iterable[tf.Variable]) -> None:
        """Routes the variables and creates the state of every optimizer, once."""
        if getattr(self, "_built", False):
            return
        var_list = list(var_list)
        super().build(var_list)
        claimed: list[list[tf.Variable]] = [[] for _ in self.optimizers]
        for variable in var_list:
            claimed[self._owner(variable)].append(variable)
        for index, (optimizer, variables) in enumerate(zip(self.optimizers, claimed)):
            if not variables and index < len(self.predicates):
                raise ValueError(
                    f"{optimizer.name} claims no variable of this model. Its predicate "
                    f"is {self.predicates[index]!r}; binary layers need "
                    "kernel_quantizer=larq.quantizers.NoOp(precision=1)."
                )
            optimizer.build(variables)
        self._built = True

    def _owner(self, variable: tf.Variable) -> int:
        """Returns the index of the one optimizer that trains the variable."""
        owners = [i for i, claims in enumerate(self.predicates) if claims(variable)]
        if len(owners) > 1:
            names = ", ".join(self.optimizers[i].name for i in owners)
            raise ValueError(f"{variable.name} is claimed by several: {names}.")
        if owners:
            return owners[0]
        if self.default_optimizer is None:
            raise ValueError(
                f"{variable.name} is claimed by no optimizer. Give a "
                "default_optimizer, or make the variable untrainable."
            )
        return len(self.optimizers) - 1

    def apply_gradients(
        self, grads_and_vars: Iterable[Any], name: str | None = None, **kwargs: Any
    ) -> tf.Variable:
        """Hands every gradient to the optimizer of its variable."""
        grads_and_vars = list(grads_and_vars)
        with tf.init_scope():
            self.build([variable for _, variable in grads_and_vars])
        groups: list[list[Any]] = [[] for _ in self.optimizers]
        for gradient, variable in grads_and_vars:
            if self._var_key(variable) not in self._index_dict:
                raise KeyError(
                    f"{variable.name} is unknown to {self.name}, which was built for "
                    "other variables. Compile the model with a new optimizer."
                )
            groups[self._owner(variable)].append((gradient, variable))
        for optimizer, group in zip(self.optimizers, groups):
            if any(gradient is not None for gradient, _ in group):
                optimizer.apply_gradients(group, **kwargs)
            elif group:
                # Keras itself would raise; here the other optimizers may go on.
                names = ", ".join(variable.name for _, variable in group)
                warnings.warn(
                    f"No gradient for {names}: {optimizer.name} trains nothing. "
                    "Does the loss depend on these variables?",
                    stacklevel=2,
                )
        return self.iterations.assign_add(1)

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the default optimizer."""
        if self.default_optimizer is None:
            raise AttributeError(
                "CaseOptimizer without a default_optimizer has no learning rate."
            )
        return self.default_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.default_optimizer is None:
            raise AttributeError(
                "CaseOptimizer without a default_optimizer has no learning rate."
            )
        self.default_optimizer.learning_rate = value

    def finalize_variable_values(self, var_list: Iterable[tf.Variable]) -> None:
        """Lets every optimizer finish the variables that it trains, after `fit`."""
        var_list = list(var_list)
        for index, optimizer in enumerate(self.optimizers):
            optimizer.finalize_variable_values(
                [variable for variable in var_list if self._owner(variable) == index]
            )

    def get_config(self) -> dict[str, Any]:
        """Returns the configurations of the optimizers and the predicates' names."""
        default = self.default_optimizer
        serialize = tf.keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "predicates": [_registered_name(p) for p in self.predicates],
            "optimizers": [
                serialize(optimizer)
                for optimizer in self.optimizers[: len(self.predicates)]
            ],
            "default_optimizer": None if default is None else serialize(default),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> CaseOptimizer:
        """Makes the optimizer of a configuration, without state."""

        def load(value: Any) -> Any:
            return tf.keras.saving.deserialize_keras_object(value, custom_objects)

        predicates = [_registered(n, custom_objects) for n in config["predicates"]]
        optimizers = [load(optimizer) for optimizer in config["optimizers"]]
        default = config["default_optimizer"]
        return cls(
            *zip(predicates, optimizers),
            default_optimizer=None if default is None else load(default),
            name=config["name"],
        )


def _check_optimizer(role: str, optimizer: Any) -> None:
    if isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        hint = " For legacy optimizers take larq.optimizers.CaseOptimizer."
    elif isinstance(optimizer, tf.keras.optimizers.Optimizer):
        return
    else:
        hint = ""
    raise TypeError(
        f"CaseOptimizer needs an instance of tf.keras.optimizers.Optimizer as {role}."
        f"{hint} Received: {optimizer!r}"
    )


def _registered_name(predicate: Predicate) -> str:
    """Returns the name under which a predicate can be found again after loading."""
    name = tf.keras.saving.get_registered_name(predicate)
    if tf.keras.saving.get_registered_object(name) is not predicate:
        raise ValueError(
            f"The predicate {predicate!r} has no registered name, so the optimizer "
            "cannot be saved. Decorate it with "
            "@tf.keras.saving.register_keras_serializable()."
        )
    return name


def _registered(name: str, custom_objects: dict[str, Any] | None) -> Predicate:
    predicate = tf.keras.saving.get_registered_object(name, custom_objects)
    if predicate is None:
        raise ValueError(
            f"The optimizer was saved with the predicate {name!r}, which is not "
            "registered in this process. Import the module that defines it first."
        )
    return predicate
