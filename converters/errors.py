"""The errors of a conversion, and checks of what was given as model and file."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any


class ConversionError(Exception):
    """A model cannot be converted, or a file does not compute what its model computes.

    The message names the layer or the figure at fault and what to do.
    """

    @property
    def report(self) -> Any:
        """`None`; only `converters.NotEquivalentError` has a report."""
        warnings.warn(
            "ConversionError.report is deprecated and is None: catch "
            "converters.NotEquivalentError, which has a report.",
            DeprecationWarning,
            stacklevel=2,
        )
        return None


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Turns unexpected exceptions into a ConversionError that names the stage.

    Arguments are checked before. Any other exception inside is a fault of this package
    or of what it calls.

    Args:
        what: The stage, such as `"The rewriting of model_1"`.

    Raises:
        ConversionError: For any other exception but warnings and those of memory.
    """
    try:
        yield
    except (ConversionError, MemoryError, Warning):
        raise
    except Exception as error:
        raise ConversionError(
            f"{what} failed, which is a fault of this package: "
            f"{type(error).__name__}: {error}. Please report it with the model."
        ) from error


def check_model(model: Any) -> None:
    """Raises a TypeError unless a Keras model was given.

    Args:
        model: The argument to check.

    Raises:
        TypeError: If it is none.
    """
    import tensorflow as tf

    if not isinstance(model, tf.keras.Model):
        raise TypeError(
            f"A Keras model is needed, not {type(model).__name__}. Read a file with "
            "larq_bnnopt.recipes.load_model."
        )


def check_model_and_file(model: Any, tflite: Any) -> None:
    """Raises a TypeError unless a Keras model and then a .tflite were given.

    Args:
        model: The argument that should be the model.
        tflite: The argument that should be the file.

    Raises:
        TypeError: If one of them is something else, or both are swapped.
    """
    import tensorflow as tf

    if isinstance(tflite, tf.keras.Model):
        raise TypeError("The Keras model comes first, then the .tflite.")
    check_model(model)
    if not isinstance(tflite, (bytes, str, os.PathLike)):
        raise TypeError(
            "The content of a .tflite, as bytes, or its path is needed, not "
            f"{type(tflite).__name__}."
        )
