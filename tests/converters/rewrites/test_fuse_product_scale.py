"""Scales of signs are multiplied by after products of two activations."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from converters.graph.freezing import freeze
from converters.graph.patterns import sign
from converters.rewrites import rewrite

layers = tf.keras.layers
SHAPE = (2, 6, 6)


def heads(x):
    return tf.transpose(tf.reshape(x, (-1, 2, 6, 3, 2)), (0, 1, 3, 2, 4))


def used(x):
    y = 0.3 * sign(x)
    return tf.matmul(y, sign(x), transpose_b=True) + y


# The function, how many products with numbers are left, and what the log says.
CASES = {
    "scores": (
        lambda x: (
            tf.matmul(0.3 * sign(x), tf.transpose(sign(-x) * 0.7, (0, 1, 3, 2))) * 0.5
        ),
        1,
        None,
    ),
    "zeros_and_ones": (
        lambda x: tf.matmul(0.15 * (sign(x) + 1), sign(x - 1) * 0.7),
        1,
        None,
    ),
    "one_of_two": (lambda x: tf.matmul(0.3 * sign(x), x), 1, None),
    "moved": (
        lambda x: tf.matmul(heads(0.3 * sign(x)), heads(x), transpose_b=True),
        1,
        None,
    ),
    "real_numbers": (lambda x: tf.matmul(0.3 * x, x), 1, None),
    "not_whole": (lambda x: tf.matmul(0.3 * (sign(x) + 0.5), x), 1, None),
    "used_elsewhere": (used, 1, None),
    "zero": (
        lambda x: tf.matmul(0.0 * sign(x), x),
        1,
        "its signs are multiplied by zero",
    ),
    "constant": (
        lambda x: tf.matmul(0.3 * sign(x), np.ones((2, 6, 5), np.float32)),
        1,
        "one of its operands is a constant",
    ),
}
CHANGED = {"scores", "zeros_and_ones", "one_of_two", "moved"}


@pytest.mark.parametrize("name", CASES)
def test_the_function_stays(name, caplog):
    function, left, reason = CASES[name]
    given = tf.keras.Input(SHAPE)
    model = tf.keras.Model(given, layers.Lambda(function, name="product")(given))
    frozen = freeze(model)
    changed = frozen.copy()
    with caplog.at_level(logging.DEBUG, "converters.rewrites"):
        done = rewrite(changed, ["fuse_product_scale"])
    assert bool(done) == (name in CHANGED)
    assert reason is None or reason in caplog.text
    assert len(list(changed.nodes("Mul"))) == left
    inputs = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)
    (tensor,) = frozen.inputs.values()
    (result,) = changed.run({tensor: inputs}, [*frozen.outputs.values()])
    np.testing.assert_allclose(result, model(inputs), rtol=1e-5, atol=1e-6)
    assert not rewrite(changed, ["fuse_product_scale"])


def test_products_of_signs_are_exact():
    """Where plus and minus are as many, a zero is a zero."""
    given = tf.keras.Input(SHAPE)
    product = layers.Lambda(lambda x: tf.matmul(0.37 * sign(x), 0.13 * sign(x - 0.1)))
    graph = freeze(tf.keras.Model(given, product(given)))
    rewrite(graph, ["fuse_product_scale"])
    inputs = np.random.default_rng(1).normal(size=(50, *SHAPE)).astype(np.float32)
    (tensor,) = graph.inputs.values()
    (result,) = graph.run({tensor: inputs}, [*graph.outputs.values()])
    one, other = (np.where(x < 0, -1, 1) for x in (inputs, inputs - np.float32(0.1)))
    expected = one @ other * np.float32(0.37 * 0.13)
    np.testing.assert_array_equal(result == 0, expected == 0)
    assert (expected == 0).any()
