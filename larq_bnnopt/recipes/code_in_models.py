"""What the file of a model would run or read while it is loaded, found before Keras.

The configuration is read as plain JSON and every object that it names must be one of
Keras, Larq or this package, or one that this process has registered. What is unknown
is refused: a list of what is bad would never end.
"""

from __future__ import annotations

import inspect
import json
import os
import pathlib
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import tensorflow as tf
from tensorflow.python.framework import op_def_registry
from tensorflow.python.util import dispatch, tf_export

from larq_bnnopt.optimizers import registry

_CURE = (
    "If you trust where it comes from, load it with "
    "recipes.load_model(path, safe_mode=False), or give the command --trust."
)
_BRINGS_CODE = "runs Python code that the file brings"
_READS_FILE = ("vocabulary", "idf_weights", "vocabulary_file", "filepath")

# The files in a .keras archive. Keras unpickles others, as model.weights.npz.
_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
_ASSETS = "assets/"

# What is written like an object and is data: Keras looks up no class for it.
_DATA = {"__tensor__", "__numpy__", "__bytes__"}
# And what is data as long as it has no "config".
_ENCODED = {"__tuple__", "__ellipsis__", "TensorShape", "TypeSpec", "CompositeTensor"}
_SPECS = {"TensorSpec", "RaggedTensorSpec", "SparseTensorSpec"}
_TENSOR_CLASSES = {"RaggedTensor", "SparseTensor"}

# Texts of ours in the place of a class, which larq's CaseOptimizer shows.
_TEXTS = [
    entry
    for package in ("larq_bnnopt.optimizers", "larq_bnnopt.optimizers.legacy")
    for entry in registry.trap(package)
]

# Keras's classes that are no part of a model that was saved: some open other files.
_NO_PART = ("export.", "saving.", "testing_infra.")
_NO_PARTS = {"ModuleWrapper", "RestoredOptimizer", "DistributedCallbackModel"}
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

# A stored file holds its content once; deflated weights of one sign shrink a lot.
_RATIO = 200
_SMALL = 1 << 26
_LONGEST = 120


class UntrustedModelError(ValueError):
    """A file of a model would run or read more than its weights."""


def refuse_code(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> None:
    """Refuses the file of a model that does more than hold layers and weights.

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
        raise _refusal(
            path,
            "it is a SavedModel, whose graph may read and write files and whose "
            "layers may hold Python code",
        )
    check = _Check(custom_objects or {})
    for config in _configs(path):
        for layer, reason in check.problems(config):
            raise _refusal(path, f"{layer} {reason}")


def _refusal(path: pathlib.Path, reason: str) -> UntrustedModelError:
    return UntrustedModelError(f"{path} is not loaded: {reason}. {_CURE}")


def _configs(path: pathlib.Path) -> Iterator[Any]:
    """Yields the configurations in a file, as Keras would find them."""
    if path.name.endswith(".keras") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_archive(path, archive)
            yield json.loads(archive.read("config.json"))
        return
    with h5py.File(path, "r") as file:
        _check_storage(path, file, path.stat().st_size)
        for name in ("model_config", "training_config"):
            text = file.attrs.get(name)
            if isinstance(text, bytes):
                text = text.decode("utf-8")
            if isinstance(text, str):
                yield json.loads(text)


def _check_archive(path: pathlib.Path, archive: zipfile.ZipFile) -> None:
    """Refuses files that Keras does not write, or twice, and files that swell."""
    names = archive.namelist()
    for name in names:
        parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",):
            raise _refusal(path, f"it holds a file outside of its folder, {name!r}")
        if names.count(name) > 1:
            raise _refusal(path, f"it holds {name!r} twice")
        if name not in _MEMBERS and not name.startswith(_ASSETS):
            raise _refusal(path, f"it holds {_short(name)}, which Keras does not write")
    size = path.stat().st_size
    _check_size(path, sum(info.file_size for info in archive.infolist()), size)
    for name in names:
        if name.endswith(".h5"):
            with archive.open(name) as stream, h5py.File(stream, "r") as file:
                _check_storage(path, file, size)


def _check_size(path: pathlib.Path, unpacked: int, packed: int) -> None:
    if unpacked > _RATIO * packed + _SMALL:
        raise _refusal(
            path, f"its {packed:,} bytes would become {unpacked:,} in memory"
        )


def _check_storage(path: pathlib.Path, file: h5py.File, packed: int) -> None:
    """Refuses HDF5 that takes its numbers from other files, or from nothing."""
    unpacked, seen, groups = 0, set(), [file["/"]]
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _refusal(path, f"{name!r} is a link to {link.filename!r}")
            if not isinstance(link, h5py.HardLink):
                continue
            member = group[name]
            place = h5py.h5o.get_info(member.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                if member.external or member.is_virtual:
                    raise _refusal(path, f"{name!r} is read from another file")
                unpacked += member.nbytes
    _check_size(path, unpacked, packed)


class _Check:
    """What a process knows by name, and what a configuration asks for beyond it.

    Args:
        custom: Classes and functions by name that are trusted, too.
    """

    def __init__(self, custom: Mapping[str, Any]):
        self._custom = dict(custom)
        self._classes: dict[str, list[Any]] = {}
        for kind in _keras_classes():
            self._classes.setdefault(kind.__name__, []).append(kind)
        self._functions = list(_keras_functions())

    def problems(self, config: Any) -> Iterator[tuple[str, str]]:
        """Yields where a configuration does more than compute, and what it does."""
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
                return f"reads the file {_short(value[key])}"
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
        """Returns what is wrong with a class that is to be made.

        HDF5 files and the functions of Keras's modules look for "class_name" alone,
        .keras files for "registered_name" and then in "module".
        """
        older, newer = self._by_name(name), self._by_module(name, value)
        if newer is None and ("module" in value or not older):
            return self._unknown("class", name, value)
        if newer is not None and newer.__name__ != name and newer not in older:
            return (
                f"is {_short(name)} by its name and {_short(newer.__name__)} by what "
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
            found = _in_module(value.get("module"), name, registered)
            if not self._is_registered(found) and not any(
                found is kind for kind in self._classes.get(_name_of(found), [])
            ):
                return None
        return found if isinstance(_name_of(found), str) else None

    @staticmethod
    def _unknown(what: str, name: Any, value: dict[str, Any]) -> str:
        module = value.get("module")
        source = f" of the module {_short(module)}" if module else ""
        return (
            f"needs the {what} {_short(name)}{source}, which this process has not "
            "registered (import what defines it, with "
            "tf.keras.saving.register_keras_serializable)"
        )

    def _spec(self, value: dict[str, Any]) -> str | None:
        name, module = value.get("spec_name"), value.get("module")
        registered = value.get("registered_name")
        if name in _SPECS and registered in (None, name):
            found = self._registered(registered) or _in_module(module, name, registered)
            if found is not None and found is getattr(tf, name):
                return None
        return self._unknown("type", name, value)

    def _function(self, name: Any, value: Mapping[str, Any]) -> str | None:
        """Returns what is wrong with a function that is to be found by its name."""
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
        return _in_module(module, name, registered) if found is None else found

    def _computes(self, found: Any) -> bool:
        if self._is_registered(found):
            return True
        if found is None or any(found is function for _, function in self._functions):
            return found is not None
        api = callable(found) and tf_export.get_canonical_name_for_symbol(found)
        return bool(api) and _only_computes(api)

    def _builtin(self, name: str) -> Any:
        """Returns Keras's function of a name, or one that is registered in a package.

        The latter by the end of its name, and only up to Keras 2.15.
        """
        for part in _BUILTIN:
            found = tf_export.get_symbol_from_name(f"keras.{part}.{name}")
            if found is not None:
                return found
        if _keras_package() != "keras":
            return None
        objects = {**self._custom, **tf.keras.saving.get_custom_objects()}
        return next((v for k, v in objects.items() if k.endswith(name)), None)

    def _does_more(self, kind: Any, config: dict[str, Any]) -> str | None:
        """Returns what an object does beyond computing, by its class."""
        name = getattr(kind, "__name__", "")
        if isinstance(kind, type) and issubclass(kind, tf.keras.layers.Lambda):
            return self._lambda(config)
        if name in ("TFOpLambda", "SlicingOpLambda"):
            function = config.get("function")
            if not _only_computes(function):
                return f"calls TensorFlow's function {_short(function)}"
        elif name == "ClassMethod":
            symbol, method = config.get("cls_symbol"), str(config.get("method_name"))
            if symbol not in _TENSOR_CLASSES or method.startswith("_"):
                return f"calls the method {_short(method)} of {_short(symbol)}"
        elif name in ("InstanceProperty", "InstanceMethod"):
            if str(config.get("attr_name")).startswith("_"):
                return f"uses the attribute {_short(config.get('attr_name'))}"
        elif name == "TensorFlowOpLayer":
            operator = _operator(config.get("node_def"))
            if not _is_pure(operator):
                return f"runs TensorFlow's operator {_short(operator)}"
        return None

    def _lambda(self, config: dict[str, Any]) -> str | None:
        """Returns what is wrong with a Lambda layer around a function with a name."""
        for key in ("function", "output_shape", "mask"):
            function = config.get(key)
            if config.get(f"{key}_type") == "function" and isinstance(function, str):
                reason = self._function(function, {})
                if reason is not None:
                    return reason
        return None


def _place(value: dict[str, Any], outer: str) -> str:
    """Returns how to call what a dictionary describes."""
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    if "class_name" not in value or not isinstance(name, str):
        return outer
    return f"its layer {_short(name)} ({_short(value['class_name'])[1:-1]})"


def _short(text: Any) -> str:
    """Returns a text of somebody else, fit to be shown."""
    shown = repr(str(text))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...'"


def _name_of(found: Any) -> Any:
    return getattr(found, "__name__", None)


def _keras_package() -> str:
    """Returns where this TensorFlow's Keras lies: keras, from 2.16 on tf_keras."""
    return str(tf.keras.Model.__module__.split(".")[0])


def _in_module(module: Any, name: str, registered: Any) -> Any:
    """Returns what Keras takes out of a module, or None where it is not loaded.

    Keras would import it, whatever it is.
    """
    if not isinstance(module, str):
        return None
    package = _keras_package()
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


def _only_computes(name: Any) -> bool:
    """Returns whether a function of TensorFlow's interface does nothing else."""
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


def _operator(node: Any) -> str:
    """Returns the operator of a node, which old files hold as JSON or as protobuf."""
    if isinstance(node, str):
        try:
            return str(json.loads(node)["op"])
        except (ValueError, KeyError, TypeError):
            return "?"
    return "?"


def _is_pure(operator: str) -> bool:
    definition = op_def_registry.get(operator)
    if definition is None or definition.is_stateful:
        return False
    return not any(part in operator for part in _OPERATORS)


def _keras_classes() -> Iterator[type]:
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
    """Returns whether a class or one that it derives from is no part of a model."""
    start = f"{_keras_package()}.src."
    for base in kind.__mro__:
        where = base.__module__
        if where.startswith(start) and (
            where.removeprefix(start).startswith(_NO_PART) or base.__name__ in _NO_PARTS
        ):
            return True
    return False


def _keras_functions() -> Iterator[tuple[str, Any]]:
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
