"""What comes before the packages: the choice of Keras 2, and the command `bnnopt`.

It lies outside the three packages because each calls it first and none of them may
import another. It imports no TensorFlow.
"""

import importlib.util
import os
import pathlib
import runpy
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


def main() -> int:
    """Runs the command `bnnopt`; returns its exit code."""
    try:
        from larq_bnnopt.cli import main as command
    except ImportError as error:
        if sys.argv[1:2] != ["doctor"]:
            print(f"bnnopt: {error}", file=sys.stderr)
            return 1
        # The doctor explains what the import of the package does not survive.
        package = importlib.util.find_spec("larq_bnnopt")
        if package is None or package.origin is None:
            raise
        doctor = pathlib.Path(package.origin).parent / "cli" / "doctor.py"
        return runpy.run_path(os.fspath(doctor))["doctor"]()
    return command()


def _active_keras() -> int | None:
    """Returns the major version that tf.keras has resolved to, None if it has not."""
    tensorflow = sys.modules.get("tensorflow")
    keras = vars(tensorflow).get("keras") if tensorflow is not None else None
    if keras is None:
        return None
    if type(keras).__name__ == "KerasLazyLoader":
        resolved = vars(keras).get("_keras_version")
        return None if resolved is None else 3 if resolved == "keras_3" else 2
    return 3 if keras.__name__.startswith("keras._tf_keras") else 2


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
