"""Small models and real images for the tests of the converters."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import datasets, recipes
from larq_bnnopt.optimizers import is_binary_variable


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


def small_bert(**options):
    """A binary BERT of two layers, its numbers as training may leave them."""
    tf.keras.utils.set_random_seed(0)
    sizes = {
        "num_layers": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 100,
        "max_length": 16,
        "latent_weights": False,
    }
    model = zx.BinaryBert(input_shape=(8,), **{**sizes, **options})
    make_bert_trained_looking(model)
    return model


def make_bert_trained_looking(model):
    """Scales, shifts and biases of a binary BERT as training may leave them."""
    rows = model.get_layer("embeddings_word").input_dim
    # Sets the scales of the activations.
    model(list(tokens(model, vocab_size=rows).values()), training=True)
    generator = np.random.default_rng(0)
    for weight in model.trainable_weights:
        value = weight.numpy()
        if is_binary_variable(weight) or value.ndim > 2:
            continue
        factor = generator.uniform(0.7, 1.3, value.shape)
        # What starts at zero, and would let sums be zero but for rounding.
        offset = generator.normal(scale=0.1, size=value.shape) if value.ndim else 0
        weight.assign(value * factor + offset * (value.std() == 0))


def tokens(model, samples=16, vocab_size=100):
    """Inputs of a binary BERT, of texts and pairs of any length."""
    generator = np.random.default_rng(1)
    length = model.input_shape[0][1]
    ends = generator.integers(2, length + 1, (samples, 1))
    mask = np.arange(length) < ends
    ids = generator.integers(1, vocab_size, (samples, length))
    types = mask & (np.arange(length) > ends // 2) & (np.arange(samples)[:, None] % 2)
    named = {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}
    return {name: array.astype(np.int32) for name, array in named.items()}
