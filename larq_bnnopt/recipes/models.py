"""Loading of trained models, without running code from their files."""

from __future__ import annotations

import contextlib
import contextvars
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

# Imported to register their classes with Keras.
import larq_bnnopt.optimizers
import larq_bnnopt.recipes.losses
import larq_bnnopt.recipes.r2
import larq_bnnopt.recipes.text_metrics  # noqa: F401
from larq_bnnopt.recipes.code_in_models import refuse_code
from larq_bnnopt.recipes.model_files import UntrustedModelError
from larq_bnnopt.recipes.runs import model_file

_trusted = contextvars.ContextVar("_trusted", default=False)


@contextlib.contextmanager
def trusted_models(trusted: bool = True) -> Iterator[None]:
    """Lets models that are loaded in this context run the code in their files.

    Recipes load models themselves, such as a teacher or a checkpoint. Trust is not a
    field of the recipe, since its configuration may be a foreign file, too.

    Args:
        trusted: Whether models are trusted. Defaults to `True`.

    Example:
        >>> from larq_bnnopt import recipes
        >>> with trusted_models():
        ...     recipe = recipes.OneStep(teacher="mine.h5")
    """
    token = _trusted.set(trusted)
    try:
        yield
    finally:
        _trusted.reset(token)


def load_model(
    path: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool | None = None,
) -> tf.keras.Model:
    """Loads a Keras model with its optimizer; code in its file is not run.

    Args:
        path: A file that `model.save` wrote, or the folder of a run.
        custom_objects: Classes and functions by name, as for Keras's `load_model`.
            Defaults to `None`.
        safe_mode: Whether to refuse files that would run code or read other files:
            Lambda layers, classes that are not registered, SavedModels. Defaults to
            `None`, `True` except in `trusted_models`.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or would run code; one line.
    """
    import zoo_extensions  # noqa: F401  (registers its layers)

    path = model_file(path)
    safe = not _trusted.get() if safe_mode is None else safe_mode
    try:
        if safe:
            refuse_code(path, custom_objects)
        with _in_utf_8(path) as readable:
            model = tf.keras.models.load_model(
                readable, custom_objects=custom_objects, safe_mode=safe
            )
    except UntrustedModelError:
        raise
    except Exception as error:  # A damaged file fails in many ways.
        raise ValueError(
            f"{os.fspath(path)} cannot be read as a Keras model. (One of another "
            f"TensorFlow cannot.) {' '.join(str(error).split())[:600]}"
        ) from error
    if not isinstance(model, tf.keras.Model):
        raise ValueError(
            f"{os.fspath(path)} holds no Keras model, but {type(model).__name__}."
        )
    return model


@contextlib.contextmanager
def _in_utf_8(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a path that TensorFlow can read, also if the name is not UTF-8."""
    if os.fsencode(path).decode("utf-8", "ignore") == os.fspath(path):
        yield os.fspath(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = pathlib.Path(folder, f"model{pathlib.Path(path).suffix}")
        link.symlink_to(pathlib.Path(path).absolute())
        yield os.fspath(link)
