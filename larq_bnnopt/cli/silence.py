"""Suppresses messages of C++ libraries, which would hide the output of a command."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator

from larq_bnnopt.cli.doctor import NO_ROW, row_of


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discards what is written to the process's standard error, except exceptions."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, without its messages about both.

    C++ prints them before any logging level is read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tensorflow") is None:
        here = (
            NO_ROW
            if row_of(sys.version_info[:2]) is None
            else "To train here: pip install '.[train]' in the repository."
        )
        raise ImportError(
            "This needs TensorFlow, which is missing here. What runs without it: "
            "bnnopt verify PACKAGE, predict PACKAGE IMAGE, profile FILE or PACKAGE, "
            "doctor. A package is a folder that bnnopt package RUN FOLDER makes where "
            "the model was trained. "
            f"{here}"
        )
    with quiet():
        import tensorflow as tf

        tf.config.list_physical_devices()
    # The user of a command can do nothing about deprecations.
    tf.get_logger().setLevel("ERROR")


def start_xla() -> None:
    """Compiles something small, since XLA prints a message at its first compilation."""
    import tensorflow as tf

    with quiet():
        tf.function(tf.zeros, jit_compile=True, autograph=False)([])
