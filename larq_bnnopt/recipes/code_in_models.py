"""Refuses files of models that would run code or read other files when loaded.

The configuration is read as plain JSON and every object that it names must be one of
Keras, Larq or this package, or one that this process has registered. What is unknown
is refused: a list of what is bad would never end.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.util import tf_export

from larq_bnnopt.optimizers import registry
from larq_bnnopt.recipes.keras_names import (
    in_module,
    is_pure,
    keras_classes,
    keras_functions,
    keras_package,
    only_computes,
    operator_of,
)
from larq_bnnopt.recipes.model_files import (
    UntrustedModelError,
    configs,
    refusal,
    short,
)

_BRINGS_CODE = "runs Python code that the file brings"
_READS_FILE = ("vocabulary", "idf_weights", "vocabulary_file", "filepath")

# What is written like an object and is data: Keras looks up no class for it.
_DATA = {"__tensor__", "__numpy__", "__bytes__"}
# And what is data as long as it has no "config".
_ENCODED = {"__tuple__", "__ellipsis__", "TensorShape", "TypeSpec", "CompositeTensor"}
_SPECS = {"TensorSpec", "RaggedTensorSpec", "SparseTensorSpec"}
_TENSOR_CLASSES = {"RaggedTensor", "SparseTensor"}

# Hints of ours in the place of a class, for larq's CaseOptimizer to show.
_TEXTS = [
    entry
    for package in ("larq_bnnopt.optimizers", "larq_bnnopt.optimizers.legacy")
    for entry in registry.collision_hint(package)
]

# Where Keras looks for a function of its own that has only a name.
_BUILTIN = (
    "activations",
    "constraints",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
)


def refuse_code(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> None:
    """Refuses the file of a model that does more than store layers and weights.

    Args:
        path: A `.keras` or HDF5 file, or the folder of a SavedModel.
        custom_objects: Classes and functions by name that are trusted, too. Defaults to
            `None`.

    Raises:
        UntrustedModelError: By the layer and what it would do, in one line.
        ValueError: If it is damaged.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise UntrustedModelError(
                f"{path} is a folder and no file of a model. Of a run, name "
                f"{path / 'model.keras'}."
            )
        raise refusal(
            path,
            "it is a SavedModel, whose graph may read and write files and whose "
            "layers may hold Python code",
        )
    check = _Check(custom_objects or {})
    for config in configs(path):
        for layer, reason in check.problems(config):
            raise refusal(path, f"{layer} {reason}")


class _Check:
    """Compares the names in a configuration with those that this process knows.

    Args:
        custom: Classes and functions by name that are trusted, too.
    """

    def __init__(self, custom: Mapping[str, Any]):
        self._custom = dict(custom)
        self._classes: dict[str, list[Any]] = {}
        for kind in keras_classes():
            self._classes.setdefault(kind.__name__, []).append(kind)
        self._functions = list(keras_functions())

    def problems(self, config: Any) -> Iterator[tuple[str, str]]:
        """Yields the places where a configuration does more than compute, with why."""
        waiting: list[tuple[Any, str]] = [(config, "its configuration")]
        while waiting:
            value, place = waiting.pop()
            if isinstance(value, list):
                waiting += [(item, place) for item in reversed(value)]
            if not isinstance(value, dict):
                continue
            place = _place(value, place)
            reason = self._reason(value)
            if reason is not None:
                yield place, reason
            waiting += [(item, place) for item in reversed(value.values())]

    def _reason(self, value: dict[str, Any]) -> str | None:
        if any(v == "lambda" for k, v in value.items() if k.endswith("_type")):
            return _BRINGS_CODE
        for key in _READS_FILE:
            if isinstance(value.get(key), str):
                return f"reads the file {short(value[key])}"
        if "class_name" not in value:
            return None
        name = value["class_name"]
        if name == "__lambda__":
            return _BRINGS_CODE
        if name == "__typespec__":
            return self._spec(value)
        if name == "function":
            return self._function(value.get("config"), value)
        if not isinstance(name, str):
            return self._unknown("class", name, value)
        if name in _DATA or (name in _ENCODED and "config" not in value):
            return None
        if value in _TEXTS:
            return None
        return self._object(name, value)

    def _registered(self, name: Any) -> Any:
        if not isinstance(name, str):
            return None
        return tf.keras.saving.get_registered_object(name, self._custom)

    def _is_registered(self, found: Any) -> bool:
        try:
            name = tf.keras.saving.get_registered_name(found)
        except (AttributeError, TypeError):  # It has no name, or no hash.
            return False
        return self._registered(name) is found

    def _object(self, name: str, value: dict[str, Any]) -> str | None:
        """Returns the problem of a class that is to be made, or `None`.

        HDF5 files and the functions of Keras's modules look for "class_name" alone,
        .keras files for "registered_name" and then in "module".
        """
        older, newer = self._by_name(name), self._by_module(name, value)
        if newer is None and ("module" in value or not older):
            return self._unknown("class", name, value)
        if newer is not None and newer.__name__ != name and newer not in older:
            return (
                f"is {short(name)} by its name and {short(newer.__name__)} by what "
                "it is registered as"
            )
        config = value.get("config")
        if not isinstance(config, dict):
            return None
        reasons = (self._does_more(kind, config) for kind in (*older, newer))
        return next((reason for reason in reasons if reason is not None), None)

    def _by_name(self, name: str) -> list[Any]:
        """Returns the classes that the older format may make of a name."""
        registered = self._registered(name)
        return self._classes.get(name, []) if registered is None else [registered]

    def _by_module(self, name: str, value: dict[str, Any]) -> Any:
        """Returns the class that the newer format makes, or None where it is unknown.

        It follows Keras's `_retrieve_class_or_fn`, and imports nothing.
        """
        registered = value.get("registered_name", name)
        found = self._registered(registered)
        if found is None:
            found = in_module(value.get("module"), name, registered)
            if not self._is_registered(found) and not any(
                found is kind for kind in self._classes.get(_name_of(found), [])
            ):
                return None
        return found if isinstance(_name_of(found), str) else None

    @staticmethod
    def _unknown(what: str, name: Any, value: dict[str, Any]) -> str:
        module = value.get("module")
        source = f" of the module {short(module)}" if module else ""
        return (
            f"needs the {what} {short(name)}{source}, which this process has not "
            "registered (import what defines it, with "
            "tf.keras.saving.register_keras_serializable)"
        )

    def _spec(self, value: dict[str, Any]) -> str | None:
        name, module = value.get("spec_name"), value.get("module")
        registered = value.get("registered_name")
        if name in _SPECS and registered in (None, name):
            found = self._registered(registered) or in_module(module, name, registered)
            if found is not None and found is getattr(tf, name):
                return None
        return self._unknown("type", name, value)

    def _function(self, name: Any, value: Mapping[str, Any]) -> str | None:
        """Returns the problem of a function that is to be found by its name."""
        module, registered = value.get("module"), value.get("registered_name")
        found = self._named(name, module, registered)
        # Functions of Keras's modules look for the registered name first.
        other = None if module == "builtins" else registered
        other = self._named(other, module, registered)
        if self._computes(found) and (other is None or self._computes(other)):
            return None
        return self._unknown("function", name, dict(value))

    def _named(self, name: Any, module: Any, registered: Any) -> Any:
        """Returns the function that Keras takes for a name, or None."""
        if not isinstance(name, str):
            return None
        found = self._registered(name)
        if found is None and module is None:
            found = next((v for k, v in self._functions if k == name), None)
        if found is None and module == "builtins":
            found = self._builtin(name)
        return in_module(module, name, registered) if found is None else found

    def _computes(self, found: Any) -> bool:
        if self._is_registered(found):
            return True
        if found is None or any(found is function for _, function in self._functions):
            return found is not None
        api = callable(found) and tf_export.get_canonical_name_for_symbol(found)
        return bool(api) and only_computes(api)

    def _builtin(self, name: str) -> Any:
        """Returns Keras's function of a name, or one that is registered in a package.

        The latter by the end of its name, and only up to Keras 2.15.
        """
        for part in _BUILTIN:
            found = tf_export.get_symbol_from_name(f"keras.{part}.{name}")
            if found is not None:
                return found
        if keras_package() != "keras":
            return None
        objects = {**self._custom, **tf.keras.saving.get_custom_objects()}
        return next((v for k, v in objects.items() if k.endswith(name)), None)

    def _does_more(self, kind: Any, config: dict[str, Any]) -> str | None:
        """Returns the action beyond computing of an object, by its class."""
        name = getattr(kind, "__name__", "")
        if isinstance(kind, type) and issubclass(kind, tf.keras.layers.Lambda):
            return self._lambda(config)
        if name in ("TFOpLambda", "SlicingOpLambda"):
            function = config.get("function")
            if not only_computes(function):
                return f"calls TensorFlow's function {short(function)}"
        elif name == "ClassMethod":
            symbol, method = config.get("cls_symbol"), str(config.get("method_name"))
            if symbol not in _TENSOR_CLASSES or method.startswith("_"):
                return f"calls the method {short(method)} of {short(symbol)}"
        elif name in ("InstanceProperty", "InstanceMethod"):
            if str(config.get("attr_name")).startswith("_"):
                return f"uses the attribute {short(config.get('attr_name'))}"
        elif name == "TensorFlowOpLayer":
            operator = operator_of(config.get("node_def"))
            if not is_pure(operator):
                return f"runs TensorFlow's operator {short(operator)}"
        return None

    def _lambda(self, config: dict[str, Any]) -> str | None:
        """Returns the problem of a Lambda layer around a named function."""
        for key in ("function", "output_shape", "mask"):
            function = config.get(key)
            if config.get(f"{key}_type") == "function" and isinstance(function, str):
                reason = self._function(function, {})
                if reason is not None:
                    return reason
        return None


def _place(value: dict[str, Any], outer: str) -> str:
    """Returns a name for the object that a dictionary describes."""
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    if "class_name" not in value or not isinstance(name, str):
        return outer
    return f"its layer {short(name)} ({short(value['class_name'])[1:-1]})"


def _name_of(found: Any) -> Any:
    return getattr(found, "__name__", None)
