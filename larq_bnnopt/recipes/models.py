"""Reading a trained model, with all that a model of ours may hold."""

from __future__ import annotations

import os

import tensorflow as tf

import larq_bnnopt.optimizers
import larq_bnnopt.recipes.losses  # noqa: F401  (likewise)


def load_model(path: str | os.PathLike[str]) -> tf.keras.Model:
    """Loads a Keras model with its optimizer.

    Args:
        path: A file that `model.save` wrote.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, in one line.
    """
    import zoo_extensions  # noqa: F401  (likewise)

    if not os.path.exists(path):
        raise FileNotFoundError(f"{os.fspath(path)} does not exist.")
    try:
        return tf.keras.models.load_model(path)
    except Exception as error:  # A damaged file fails in many ways.
        raise ValueError(
            f"{os.fspath(path)} cannot be read as a Keras model. (One of another "
            f"TensorFlow cannot.) {' '.join(str(error).split())[:600]}"
        ) from error
