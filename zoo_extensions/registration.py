"""Registration with Keras, so that saved files load without `custom_objects`."""

from __future__ import annotations

from typing import TypeVar

import tensorflow as tf

_Class = TypeVar("_Class", bound=type)


def register(cls: _Class) -> _Class:
    """Registers a class, so that files with its objects load without `custom_objects`.

    HDF5 files name classes without their package, under which larq's are found too.

    Args:
        cls: A class that Keras serializes.

    Returns:
        The same class.
    """
    tf.keras.utils.get_custom_objects()[cls.__name__] = cls
    return tf.keras.saving.register_keras_serializable(package="zoo_extensions")(cls)
