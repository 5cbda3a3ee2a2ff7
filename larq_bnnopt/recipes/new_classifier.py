"""A new last layer for a trained model, which learns other classes or numbers."""

from __future__ import annotations

import tensorflow as tf

CLASSIFIER = "new_classes"


def with_new_classifier(
    model: tf.keras.Model, num_classes: int, softmax: bool = True
) -> tf.keras.Model:
    """Returns a model with a new last dense layer, for other classes or numbers.

    Args:
        model: A functional or sequential classifier.
        num_classes: Number of classes, or of numbers.
        softmax: Whether it ends with a softmax. Defaults to `True`; a regression has
            none.

    Returns:
        The model, which shares all other layers with the given one.

    Raises:
        ValueError: If the model does not end with a dense layer.

    Example:
        >>> import zoo_extensions as zx
        >>> with_new_classifier(zx.TinyResidualBNN(), 3).output_shape
        (None, 3)
    """
    layers = list(model.layers)
    while layers and isinstance(
        layers[-1], (tf.keras.layers.Activation, tf.keras.layers.Softmax)
    ):
        layers.pop()
    if not layers or not isinstance(layers[-1], tf.keras.layers.Dense):
        raise ValueError(
            f"{model.name} does not end with a dense layer and a softmax, but with "
            f"{type(layers[-1]).__name__ if layers else 'nothing'}, so its classifier "
            "cannot be replaced. Give a model that does."
        )
    x = tf.keras.layers.Dense(num_classes, name=CLASSIFIER)(layers[-1].input)
    # 16 bits lose small probabilities.
    end = "softmax" if softmax else "linear"
    last = tf.keras.layers.Activation(end, dtype="float32", name=f"{CLASSIFIER}_{end}")
    return tf.keras.Model(model.inputs, last(x), name=model.name)
