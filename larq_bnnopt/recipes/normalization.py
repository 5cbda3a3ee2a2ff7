"""Normalization of inputs by the first layer of a model.

The layer is saved, converted and packaged with the model, so that whatever runs it
takes the same inputs as with every other model.
"""

from __future__ import annotations

import tensorflow as tf

from larq_bnnopt.datasets import Dataset, channel_statistics


def normalized_input(plain: Dataset) -> tf.Tensor:
    r"""Returns the input of a model with mean 0 and standard deviation 1 by channel.

    \[ y_c = (x_c - \mu_c) / \sigma_c \]

    Args:
        plain: The data set, loaded without augmentation, whose training inputs have
            the means and standard deviations.

    Returns:
        A Keras tensor, to give as `input_tensor` to a network of `zoo_extensions`.

    Example:
        >>> from larq_bnnopt import datasets
        >>> data = datasets.load("fashion_mnist_mini", augment=False)
        >>> normalized_input(data).shape
        TensorShape([None, 28, 28, 1])
    """
    mean, deviation = channel_statistics(plain)
    layer = tf.keras.layers.Normalization(
        axis=-1,
        mean=mean.tolist(),
        variance=(deviation**2).tolist(),
        # 16 bits would not hold the pixels.
        dtype="float32",
        name="normalization",
    )
    return layer(tf.keras.Input(plain.input_shape))
