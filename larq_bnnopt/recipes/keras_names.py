"""Keras and TensorFlow objects by name, and whether they only compute."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry
from tensorflow.python.util import dispatch, tf_export

# Keras's classes that are no part of a model that was saved: some open other files.
_NO_PART = ("export.", "saving.", "testing_infra.")
_NO_PARTS = {"ModuleWrapper", "RestoredOptimizer", "DistributedCallbackModel"}

# TensorFlow's functions that only compute, by the start of their names.
_COMPUTES = (
    "__operators__.",
    "bitwise.",
    "debugging.",
    "dtypes.",
    "image.",
    "keras.activations.",
    "keras.backend.",
    "keras.losses.",
    "keras.metrics.",
    "linalg.",
    "math.",
    "nn.",
    "quantization.",
    "ragged.",
    "random.",
    "sets.",
    "signal.",
    "sparse.",
    "strings.",
)
_FINDS_OBJECTS = ("get", "serialize", "deserialize")
# Of those without a dot in their names, what calls Python, reads or writes.
_DOES_MORE = {
    "Print",
    "matching_files",
    "numpy_function",
    "print",
    "py_func",
    "py_function",
    "read_file",
    "write_file",
}
# Stateless operators that nevertheless read, write or call.
_OPERATORS = ("Call", "Dataset", "Debug", "File", "Func", "Lookup", "Reader", "Shard")


def keras_package() -> str:
    """The package of this TensorFlow's Keras: keras, from 2.16 on tf_keras."""
    return str(tf.keras.Model.__module__.split(".")[0])


def in_module(module: Any, name: str, registered: Any) -> Any:
    """The object that Keras takes from a module; None if the module is not loaded.

    Keras would import it, whatever it is.
    """
    if not isinstance(module, str):
        return None
    package = keras_package()
    if module.split(".")[0] in ("keras", package):
        version = "compat.v1." if "__internal__.legacy" in f"{module}.{name}" else ""
        found = tf_export.get_symbol_from_name(f"{version}{module}.{name}")
        if found is not None:
            return found
    if module.startswith("keras"):
        module = module.replace("keras", package, 1)
    content = getattr(sys.modules.get(module), "__dict__", {})
    found = content.get(name)
    if found is None and isinstance(registered, str):
        found = content.get(registered)
    if name.count(".") == 1 and name not in content:
        outer, inner = name.split(".")
        found = inspect.getattr_static(content.get(outer), inner, None)
    return found


def only_computes(name: Any) -> bool:
    """Whether a function of TensorFlow's interface computes and does nothing else."""
    if not isinstance(name, str):
        return False
    symbol = tf_export.get_symbol_from_name(name)
    # What a functional model can hold at all.
    if not hasattr(symbol, dispatch.FALLBACK_DISPATCH_ATTR):
        return False
    short = name.removeprefix("compat.v1.")
    if short.rpartition(".")[2] in _FINDS_OBJECTS:
        return False
    if short.startswith(_COMPUTES):
        return True
    # Of tf.io, what turns bytes into numbers and numbers into bytes.
    if short.startswith(("io.decode_", "io.encode_", "io.parse_")):
        return True
    where = tf.compat.v1 if short != name else tf
    return "." not in short and hasattr(where, short) and short not in _DOES_MORE


def operator_of(node: Any) -> str:
    """The operator of a node, which old files hold as JSON or as protobuf."""
    if isinstance(node, str):
        try:
            return str(json.loads(node)["op"])
        except (ValueError, KeyError, TypeError):
            return "?"
    return "?"


def is_pure(operator: str) -> bool:
    """Whether an operator of TensorFlow computes and does nothing else."""
    definition = op_def_registry.get(operator)
    if definition is None or definition.is_stateful:
        return False
    return not any(part in operator for part in _OPERATORS)


def keras_classes() -> Iterator[type]:
    """Yields the loaded classes that Keras can make from a configuration."""
    keras = tf.keras
    waiting = [
        keras.layers.Layer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
        keras.optimizers.legacy.Optimizer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.mixed_precision.Policy,
    ]
    while waiting:
        kind = waiting.pop()
        if not _is_no_part(kind):
            yield kind
        waiting += type.__subclasses__(kind)


def _is_no_part(kind: type) -> bool:
    """Whether a class, or a base class of it, is no part of a model."""
    start = f"{keras_package()}.src."
    for base in kind.__mro__:
        where = base.__module__
        if where.startswith(start) and (
            where.removeprefix(start).startswith(_NO_PART) or base.__name__ in _NO_PARTS
        ):
            return True
    return False


def keras_functions() -> Iterator[tuple[str, Any]]:
    """Yields Keras's functions that a configuration may hold, by their names."""
    keras = tf.keras
    for module in (
        keras.activations,
        keras.constraints,
        keras.initializers,
        keras.losses,
        keras.metrics,
        keras.regularizers,
    ):
        for name, value in vars(module).items():
            if callable(value) and name not in _FINDS_OBJECTS:
                yield name, value
