"""Registered names of predicates and optimizers, for configurations and files."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

import larq as lq
import tensorflow as tf

from larq_bnnopt.optimizers.naming import AnyOptimizer
from larq_bnnopt.optimizers.predicates import Predicate

# larq's own predicate, which larq does not register.
_LARQ = {"larq.optimizers.Bop.is_binary_variable": lq.optimizers.Bop.is_binary_variable}


def predicate_name(predicate: Predicate) -> str:
    """Returns the registered name of a predicate.

    Raises:
        ValueError: If there is none.
    """
    for known, function in _LARQ.items():
        if predicate is function:
            return known
    try:
        name = tf.keras.saving.get_registered_name(predicate)
    except (AttributeError, TypeError):  # Of a functools.partial, or without a hash.
        name = ""
    if tf.keras.saving.get_registered_object(name) is not predicate:
        raise ValueError(
            f"The predicate {predicate!r} has no registered name, so the optimizer "
            "cannot be saved. Write it as a function with the decorator "
            "@tf.keras.saving.register_keras_serializable(). To keep the weights of "
            "this model now: model.save_weights(path)."
        )
    return name


def warn_of_nameless(predicates: Iterable[Predicate]) -> None:
    """Warns, before training, of predicates with which no model can be saved."""
    for predicate in predicates:
        try:
            predicate_name(predicate)
        except ValueError:
            warnings.warn(
                f"The predicate {predicate!r} has no registered name: it trains, and "
                "model.save will fail. Write it as a function of a module with the "
                "decorator @tf.keras.saving.register_keras_serializable(), or save "
                "with model.save_weights alone.",
                stacklevel=4,
            )


def find_predicate(name: str, custom_objects: dict[str, Any] | None) -> Predicate:
    """Returns the predicate of a registered name."""
    found = tf.keras.saving.get_registered_object(name, custom_objects)
    return _found(_LARQ.get(name, found), "predicate", name)


def serialize(optimizer: AnyOptimizer, module: types.ModuleType) -> dict[str, Any]:
    """Returns the registered name of an optimizer's class, and its configuration.

    Keras's own function leaves out the package in HDF5 files, and cannot load them.

    Args:
        optimizer: The optimizer.
        module: Where Keras's own optimizers are: `tf.keras.optimizers` or its `legacy`.
    """
    kind = type(optimizer)
    keras = getattr(module, kind.__name__, None) is kind
    return {
        "class_name": kind.__name__
        if keras
        else tf.keras.saving.get_registered_name(kind),
        "keras": keras,
        "config": optimizer.get_config(),
    }


def deserialize(
    value: dict[str, Any],
    module: types.ModuleType,
    custom_objects: dict[str, Any] | None,
) -> AnyOptimizer:
    """Makes an optimizer, without state, of its serialized form.

    Args:
        value: The result of `serialize`.
        module: Where Keras's own optimizers are: `tf.keras.optimizers` or its `legacy`.
        custom_objects: Classes by name, as Keras takes them.

    Raises:
        ValueError: If its class is not registered.
    """
    name = value["class_name"]
    if value["keras"]:
        kind = getattr(module, name)
    else:
        kind = tf.keras.saving.get_registered_object(name, custom_objects)
    # In a scope, and not as an argument: classes of others may not take it.
    with tf.keras.saving.custom_object_scope(
        {**_schedules_without_package(), **(custom_objects or {})}
    ):
        return _found(kind, "optimizer", name).from_config(dict(value["config"]))


def _schedules_without_package() -> dict[str, type]:
    """Returns the registered schedules by the short names that HDF5 files hold.

    Keras leaves out the package of a schedule there and then does not find it. A name
    that two packages have registered is left out.
    """
    schedule = tf.keras.optimizers.schedules.LearningRateSchedule
    found: dict[str, list[type]] = {}
    for name, kind in tf.keras.saving.get_custom_objects().items():
        package, _, short = name.rpartition(">")
        if package and isinstance(kind, type) and issubclass(kind, schedule):
            found.setdefault(short, []).append(kind)
    return {short: kinds[0] for short, kinds in found.items() if len(kinds) == 1}


def collision_hint(package: str) -> list[dict[str, Any]]:
    """Returns a configuration that larq's CaseOptimizer refuses with a hint.

    Inside of Keras's LossScaleOptimizer an HDF5 file names classes without their
    package, and larq has registered a class of the same name, which Keras prefers to
    the `custom_objects` of `load_model`. larq's then reads this entry, and its error
    shows the name of a class that explains the collision.
    """
    hint = (
        f"CaseOptimizer (that of {package}, in an HDF5 file with mixed precision; "
        "before loading it, set tf.keras.utils.get_custom_objects()['CaseOptimizer'] = "
        f"{package}.CaseOptimizer)"
    )
    return [{"class_name": hint, "config": {}}]


def _found(thing: Any, role: str, name: str) -> Any:
    if thing is None:
        raise ValueError(
            f"The model was saved with the {role} {name!r}, which is not registered in "
            "this process. Import the module that defines it first."
        )
    return thing
