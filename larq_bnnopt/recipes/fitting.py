"""Data sets that fit a trained model: its image size, channels and classes."""

from __future__ import annotations

import os

import tensorflow as tf

from larq_bnnopt import datasets


def load_data_for(
    model: tf.keras.Model,
    name: str,
    *,
    batch_size: int = 64,
    data_dir: str | os.PathLike[str] | None = None,
) -> datasets.Dataset:
    """Loads a data set with images in the shape that a model takes.

    For a run, `recipe.load_data(model)` loads the data that it was trained on.

    Args:
        model: A classifier of images.
        name: As for `larq_bnnopt.datasets.load`.
        batch_size: Images in a batch. Defaults to `64`.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own default.

    Returns:
        The data set. Images of any size are resized, and decoded to the channels of the
        model.

    Raises:
        ValueError: If there is no such data set, or the model takes no images, images
            of another size, or has other classes.

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
        image_shape=image_shape_of(model),
    )
    require_classes(model, data)
    return data


def image_shape_of(model: tf.keras.Model) -> tuple[int | None, int | None, int]:
    """Returns the shape of the images that a model takes, `None` for any size.

    Args:
        model: A model of one input.

    Raises:
        ValueError: If it does not take one grey or colour image.
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        raise ValueError(
            f"The model {model.name} takes no grey or colour images, but {shape}."
        )
    return shape[1:]


def require_classes(model: tf.keras.Model, data: datasets.Dataset) -> None:
    """Raises a ValueError unless a model has exactly one output for each class."""
    shape = getattr(model, "output_shape", None)
    outputs = shape[-1] if isinstance(shape, tuple) and shape else None
    if outputs is not None and outputs != data.num_classes:
        raise ValueError(
            f"The model {model.name} has {outputs} outputs, and {data.name} "
            f"{data.num_classes} classes ({', '.join(data.class_names[:3])}, ...). "
            "They must be as many."
        )
