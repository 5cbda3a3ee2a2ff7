"""Which Keras `tf.keras` is: larq needs Keras 2.

It lies outside the three packages because each calls it before all else and none may
import another. It imports no TensorFlow.
"""

import importlib.util
import os
import pathlib
import sys
from importlib import metadata

_VARIABLE = "TF_USE_LEGACY_KERAS"
_TRUE = ("1", "true", "True")


def use_keras_2() -> None:
    """Sets TF_USE_LEGACY_KERAS=1 where tf.keras would otherwise be Keras 3.

    Where `tf.keras` is already resolved, or where the installed Keras is version 2 and
    no `tf_keras` exists (TensorFlow 2.15 then refuses the variable), nothing changes.

    Raises:
        ImportError: If Keras 3 is already active as `tf.keras`, or would become so.
    """
    active = _active_keras()
    if active == 2:
        return
    if active == 3:
        raise ImportError(
            "larq needs Keras 2, but this process already uses Keras 3 as tf.keras. "
            f"Import larq_bnnopt before using tf.keras, or set {_VARIABLE}=1 before "
            "TensorFlow is imported."
        )
    if importlib.util.find_spec("tf_keras") is not None:
        os.environ.setdefault(_VARIABLE, "1")
        if os.environ[_VARIABLE] in _TRUE:
            _reroute_imports()
            return
    installed = _installed_version("keras")
    if installed is None or not installed.startswith("3."):
        return
    if _installed_version("tf_keras") is None:
        needed = ".".join((_installed_version("tensorflow") or "2.19").split(".")[:2])
        raise ImportError(
            f"larq needs Keras 2, but Keras {installed} is installed. "
            f"Run: pip install 'tf-keras~={needed}.0'"
        )
    raise ImportError(
        f"larq needs Keras 2, but {_VARIABLE}={os.environ[_VARIABLE]} selects Keras "
        f"{installed}. Unset it or set it to 1."
    )


def _reroute_imports() -> None:
    """Makes `import tensorflow.keras`, too, find Keras 2.

    TensorFlow reads the variable twice: when tf.keras is first used, and when
    TensorFlow is imported, for the path on which `tensorflow.keras` is looked for. If
    it was imported before the variable was set, that path leads to Keras 3.
    """
    tensorflow = sys.modules.get("tensorflow")
    keras_3 = _folder("keras", "_tf_keras")
    keras_2 = _folder("tf_keras", "api", "_v2")
    if tensorflow is None or keras_3 is None or keras_2 is None:
        return
    tensorflow.__path__ = [
        keras_2 if os.path.normpath(path) == keras_3 else path
        for path in tensorflow.__path__
    ]


def _folder(package: str, *inner: str) -> str | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return os.path.join(os.path.dirname(os.path.normpath(spec.origin)), *inner)


def _active_keras() -> int | None:
    """Returns the major version that tf.keras has resolved to, None if it has not."""
    tensorflow = sys.modules.get("tensorflow")
    keras = vars(tensorflow).get("keras") if tensorflow is not None else None
    if keras is None:
        return None
    if type(keras).__name__ == "KerasLazyLoader":
        known = vars(keras)
        # The name of the attribute differs between versions of TensorFlow.
        resolved = known.get("_tfll_keras_version", known.get("_keras_version"))
        return None if resolved is None else 3 if resolved == "keras_3" else 2
    return 3 if "_tf_keras" in pathlib.Path(keras.__file__).parts else 2


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
