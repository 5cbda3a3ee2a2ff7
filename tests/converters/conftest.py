"""Small models and real images for the tests of the converters."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets, recipes


@pytest.fixture(scope="session")
def trained(one_epoch):
    """The quickstart's network after one epoch on real images, with 250 of the test."""
    images, labels = datasets.load("fashion_mnist_mini").test_arrays()
    return recipes.load_model(one_epoch.model), images[::4], labels[::4]


@pytest.fixture(scope="session")
def images():
    return datasets.load("fashion_mnist_mini").test_arrays()[0]


def one_layer(layer, shape=(8, 8, 64), after=()):
    """A model of one layer with quantizers, its batch norm far from the identity."""
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [tf.keras.Input(shape), layer, tf.keras.layers.BatchNormalization(), *after]
    )
    generator = np.random.default_rng(0)
    norm = model.layers[1]
    channels = norm.gamma.shape[0]
    norm.set_weights(
        [
            generator.uniform(0.5, 2, channels) * generator.choice([-1, 1], channels),
            generator.normal(size=channels),
            generator.normal(size=channels) * 5,
            generator.uniform(1, 30, channels),
        ]
    )
    return model


def conv(**options):
    """A binary convolution that Larq Compute Engine knows, unless an option differs."""
    defaults = {
        "filters": 32,
        "kernel_size": 3,
        "padding": "same",
        "pad_values": 1.0,
        "use_bias": False,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "name": "binary",
    }
    return lq.layers.QuantConv2D(**{**defaults, **options})


def noise(model, samples=16):
    """Random inputs of a model's shape."""
    shape = model.input_shape[1:]
    return np.random.default_rng(1).normal(size=(samples, *shape)).astype(np.float32)
