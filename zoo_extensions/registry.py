"""The models by name."""

from __future__ import annotations

import difflib
from typing import Any

import tensorflow as tf

from zoo_extensions import (
    audio,
    binary_densenet,
    birealnet,
    bnext,
    meliusnet,
    reactnet,
    resnet_e,
    tiny_residual,
)
from zoo_extensions.binary_factory import ModelFunction
from zoo_extensions.figures import plain

_FAMILIES = (
    tiny_residual,
    meliusnet,
    resnet_e,
    binary_densenet,
    birealnet,
    reactnet,
    audio,
    bnext,
)

_MODELS: dict[str, ModelFunction] = {
    value.architecture["name"]: value
    for family in _FAMILIES
    for value in vars(family).values()
    if hasattr(value, "architecture")
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
        name: One of `list_models()`, or the name of its function.
        **kwargs: Arguments of the model's function.

    Returns:
        A Keras model.

    Raises:
        ValueError: If there is no such model; the message names near ones.

    Example:
        >>> create_model("tiny_residual_bnn", num_classes=5).output_shape
        (None, 5)
    """
    for known, function in _MODELS.items():
        if plain(name) == plain(known):
            return function(**kwargs)
    near = [known for known in list_models() if name and name.lower() in known]
    near = near or difflib.get_close_matches(name, _MODELS, cutoff=0.6)
    hint = f"Nearest: {', '.join(near)}." if near else "`bnnopt models` shows all."
    raise ValueError(f"No model {name!r}. {hint}")
