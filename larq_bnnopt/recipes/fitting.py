"""Data sets that fit a trained model: its inputs and its classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.model_options import has_argument
from larq_bnnopt.recipes.fitting_texts import (
    require_texts,
    rows_of,
    text_length_of,
)


def load_data_for(
    model: tf.keras.Model,
    name: str,
    *,
    batch_size: int = 64,
    data_dir: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
) -> datasets.Dataset:
    """Loads a data set with inputs in the shape that a model takes.

    For a run, `recipe.load_data(model)` loads the data that it was trained on.

    Args:
        model: A classifier, or a regression.
        name: As for `larq_bnnopt.datasets.load`.
        batch_size: Inputs in a batch. Defaults to `64`.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own default.
        tokenizer: Of texts the tokenizer of the model, which a run keeps as
            `tokenizer.json`. Defaults to `None`, that of the data.

    Returns:
        The data set. Images of any size are resized, and decoded to the channels of the
        model.

    Raises:
        ValueError: If there is no such data set, or the model takes other inputs, or
            has other classes.

    Example:
        >>> import zoo_extensions as zx
        >>> model = zx.TinyResidualBNN(num_classes=10)
        >>> load_data_for(model, "fashion_mnist_mini").input_shape
        (28, 28, 1)
    """
    data = datasets.load(
        name,
        batch_size=batch_size,
        data_dir=data_dir,
        image_shape=image_shape_of(model, name),
        **_of_texts(model, name, tokenizer),
    )
    require_classes(model, data)
    return data


def _of_texts(
    model: tf.keras.Model, name: str, tokenizer: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Returns how texts become inputs of a model, as `datasets.load` takes it."""
    if datasets.kind_of(name) != datasets.TEXTS:
        return {}
    own = [os.path.join(name, file) for file in ("tokenizer.json", "vocab.txt")]
    if tokenizer is None and not any(map(os.path.isfile, own)):
        raise ValueError(
            f"{name} holds texts, and the tokenizer of {model.name} is not known. Put "
            "its tokenizer.json beside the file of the model."
        )
    length, rows = text_length_of(model), rows_of(model)
    return {"text_length": length, "vocab_size": rows, "tokenizer": tokenizer}


def image_shape_of(
    model: tf.keras.Model, name: str
) -> tuple[int | None, int | None, int] | None:
    """Returns the shape that the images of a data set get for a model.

    Args:
        model: A model of one input.
        name: The data set, as for `larq_bnnopt.datasets.load`.

    Returns:
        Height, width and channels, `None` in the place of a size that may vary; `None`
        if the data set has no images, whose inputs keep their shape.

    Raises:
        ValueError: If the data set has images, and the model does not take one grey or
            colour image.
    """
    if datasets.kind_of(name) != datasets.IMAGES:
        return None
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        raise ValueError(
            f"The model {model.name} takes no grey or colour images, but {shape}."
        )
    return shape[1:]


def inputs_problem(
    model: str, options: Mapping[str, Any], data: datasets.Dataset, least: int | None
) -> str:
    """Returns the error text for data whose inputs a network does not take.

    Args:
        model: Name of the network.
        options: Its options.
        data: The data set.
        least: The least height and width, `None` if the inputs are no images at all.
    """
    if has_argument(model, "vocab_size"):
        return (
            f"{model} takes texts, and {data.name} has {data.kind} of the shape "
            f"{data.input_shape}. Take another model (`bnnopt models` shows all)."
        )
    if data.kind == datasets.TEXTS:
        return (
            f"{model} takes no texts, which {data.name} holds. Take a model for texts: "
            "binary_bert_tiny (--model binary_bert_tiny)."
        )
    if least is None or data.kind != datasets.IMAGES:
        images = "images" if least is None else f"images of at least {least}x{least}"
        return (
            f"{model} takes {images}, (height, width, channels), and the {data.kind} "
            f"of {data.name} have the shape {data.input_shape}. Take a model for any "
            "shape: audio_mlp (--model audio_mlp)."
        )
    larger = f"--image-size {least}"
    if data.stored_size is None:
        larger = f"--dataset cifar10, or a folder of images with {larger}"
    stem = ""
    if has_argument(model, "stem") and options.get("stem") != "cifar":
        stem = "--model-option stem=cifar, which keeps the size of small images, or "
    height, width, _ = data.input_shape
    return (
        f"The images of {data.name}, {width}x{height}, are too small for {model}, "
        f"which needs {least}x{least}. Take {stem}larger images: {larger}."
    )


def require_classes(model: tf.keras.Model, data: datasets.Dataset) -> None:
    """Raises a ValueError unless a model fits the inputs and classes of a data set.

    It must have exactly one output for each class, or for each number of a label.
    """
    require_texts(model, data)
    taken = getattr(model, "input_shape", None)
    if isinstance(taken, tuple) and data.kind != datasets.IMAGES:
        same = len(taken) == 1 + len(data.input_shape)
        if not same or any(
            n not in (None, m) for n, m in zip(taken[1:], data.input_shape)
        ):
            raise ValueError(
                f"The model {model.name} takes inputs of {taken[1:]}, and {data.name} "
                f"has {data.kind} of {data.input_shape}. They must be equal."
            )
    shape = getattr(model, "output_shape", None)
    outputs = shape[-1] if isinstance(shape, tuple) and shape else None
    if outputs is not None and outputs != data.num_classes:
        called = "classes" if data.task == datasets.CLASSIFICATION else "numbers"
        raise ValueError(
            f"The model {model.name} has {outputs} outputs, and {data.name} "
            f"{data.num_classes} {called} ({', '.join(data.class_names[:3])}, ...). "
            "They must be as many."
        )
