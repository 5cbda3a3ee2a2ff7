"""Lookup of models by name."""

from __future__ import annotations

import fnmatch
from typing import Any

import tensorflow as tf

from zoo_extensions import (
    audio,
    bert,
    binary_densenet,
    birealnet,
    bnext,
    meliusnet,
    pokebnn,
    reactnet,
    resnet_e,
    tiny_residual,
)
from zoo_extensions.model_function import ModelFunction
from zoo_extensions.names import nearest, plain

_FAMILIES = (
    tiny_residual,
    meliusnet,
    resnet_e,
    binary_densenet,
    birealnet,
    reactnet,
    audio,
    bnext,
    pokebnn,
    bert,
)

_MODELS: dict[str, ModelFunction] = {
    value.architecture["name"]: value
    for family in _FAMILIES
    for value in vars(family).values()
    if hasattr(value, "architecture")
}


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names that `create_model` knows, sorted.

    Args:
        pattern: A pattern of `fnmatch`, such as `"melius*"`; case does not matter.
            Defaults to `"*"`, all names.

    Returns:
        The names that match the whole pattern. If none does, the list is empty, as in
        timm.

    Example:
        >>> list_models("ReActNet_?")
        ['reactnet_a', 'reactnet_b', 'reactnet_c']
        >>> list_models("vgg*")
        []
    """
    return sorted(fnmatch.filter(_MODELS, pattern.lower()))


def create_model(name: str, **kwargs: Any) -> tf.keras.Model:
    """Makes a model by name.

    Args:
        name: One of `list_models()`, or the name of its function.
        **kwargs: Arguments of the model's function.

    Returns:
        A Keras model.

    Raises:
        ValueError: If there is no such model; the message names the nearest ones.

    Example:
        >>> create_model("tiny_residual_bnn", num_classes=5).output_shape
        (None, 5)
    """
    for known, function in _MODELS.items():
        if plain(name) == plain(known):
            return function(**kwargs)
    hint = nearest(name, list_models(), otherwise="`bnnopt models` shows all.")
    raise ValueError(f"No model {name!r}. {hint}")
