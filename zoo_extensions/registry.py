"""The models by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo_extensions.tiny_residual import TinyResidualBNN

_MODELS: dict[str, Callable[..., tf.keras.Model]] = {
    "tiny_residual_bnn": TinyResidualBNN,
}


def list_models() -> list[str]:
    """Returns the names that `create_model` knows, sorted.

    Example:
        >>> "tiny_residual_bnn" in list_models()
        True
    """
    return sorted(_MODELS)


def create_model(name: str, **kwargs: Any) -> tf.keras.Model:
    """Makes a model by name.

    Args:
        name: One of `list_models()`.
        **kwargs: Arguments of the model's function.

    Returns:
        A Keras model.

    Raises:
        ValueError: If there is no such model; the message names the nearest ones.

    Example:
        >>> create_model("tiny_residual_bnn", num_classes=5).output_shape
        (None, 5)
    """
    if name not in _MODELS:
        near = difflib.get_close_matches(name, _MODELS, cutoff=0.4) or list_models()
        raise ValueError(f"No model {name!r}. Nearest: {', '.join(near)}.")
    return _MODELS[name](**kwargs)
