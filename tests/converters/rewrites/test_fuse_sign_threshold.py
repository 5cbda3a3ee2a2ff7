"""What is left before a sign is one sum, of which it is the threshold."""

import logging

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.graph.freezing import freeze
from converters.graph.patterns import sign
from converters.rewrites import rewrite

from ..conftest import conv

layers = tf.keras.layers
CHANNELS = 32
# Sums and products of eighths are exact, so that ties are ties.
GRID = np.random.default_rng(0).integers(-24, 25, (6, 3, 4, CHANNELS)) / 8
BELOW = -np.random.default_rng(1).integers(1, 9, CHANNELS) / 8
MIXED = np.random.default_rng(2).integers(-8, 9, CHANNELS) / 8
SCALES = np.random.default_rng(3).choice([0.25, 0.5, 2, 4], CHANNELS)


def binary(x, filters=CHANNELS):
    """A binary convolution whose kernel is signs, of the signs of a tensor."""
    kernel = np.where(
        np.random.default_rng(4).random((1, 1, CHANNELS, filters)) < 0.5, -1, 1
    )
    return tf.nn.conv2d(sign(x), kernel.astype(np.float32), 1, "VALID")


def sums(x, *constants):
    for constant in constants:
        x = x + np.asarray(constant, np.float32)
    return x


def in_rows(function):
    """A function of (batch, rows, channels), as layers of texts have."""
    return lambda x: tf.reshape(
        function(tf.reshape(x, (-1, 12, CHANNELS))), (-1, 3, 4, CHANNELS)
    )


def twice(x):
    y = tf.nn.relu(x)
    return tf.concat([sign(sums(y, BELOW)), y], axis=-1)


# The function; how many sums, products and ReLUs are left, and what the log says where
# there is something that stays.
CASES = {
    "relu_and_two_sums": (lambda x: sign(sums(tf.nn.relu(x), BELOW, -0.125)), 1, None),
    "reshaped_between": (
        in_rows(lambda x: sign(tf.expand_dims(sums(tf.nn.relu(x), BELOW), 1) - 0.5)),
        1,
        None,
    ),
    "always_after_a_binary_layer": (
        lambda x: sign(
            sums(tf.nn.relu(tf.nn.bias_add(binary(x), np.float32(MIXED))), MIXED)
        ),
        1,
        None,
    ),
    "always_of_any_values": (
        lambda x: sign(sums(tf.nn.relu(x), MIXED)),
        2,
        "nothing bounds what its ReLU takes",
    ),
    "scaled": (lambda x: sign(sums(x * np.float32(SCALES), MIXED) / 2), 1, None),
    "scaled_and_moved": (
        lambda x: sign(sums(tf.transpose(x * 0.25, (0, 2, 1, 3)), MIXED)),
        1,
        None,
    ),
    "two_sums": (lambda x: sign(sums(x, MIXED, 0.25)), 1, None),
    "one_sum": (lambda x: sign(sums(x, MIXED)), 1, None),
    "scaled_by_almost_nothing": (
        lambda x: sign(sums(x * np.float32(1e-38), MIXED)),
        2,
        "float32 has no room for its offset over its scale",
    ),
    "negated": (lambda x: sign(sums(x * -0.5, MIXED)), 2, None),
    "a_number_less_it": (lambda x: sign(0.5 - sums(x, MIXED)), 2, None),
    "used_elsewhere": (twice, 2, None),
    "of_pixels": (
        lambda x: sign(sums(x, GRID[0, ..., :1], 0.25)),
        2,
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_function_stays(name, caplog):
    function, left, reason = CASES[name]
    image = tf.keras.Input(GRID.shape[1:])
    outputs = layers.Lambda(function, name="function")(image)
    frozen = freeze(tf.keras.Model(image, outputs))
    changed = frozen.copy()
    with caplog.at_level(logging.DEBUG, "converters.rewrites"):
        rewrite(changed, ["fuse_sign_threshold"])
    assert reason is None or reason in caplog.text
    kinds = ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Relu", "BiasAdd")
    signs = {entry.sign for entry in changed.signs}
    assert len(signs) == len(frozen.signs)
    # Each sign of larq has a sum inside.
    assert len(list(changed.nodes(*kinds))) - len(signs) == left
    (tensor,) = frozen.inputs.values()
    results = [
        graph.run({tensor: GRID.astype(np.float32)}, [*frozen.outputs.values()])[0]
        for graph in (frozen, changed)
    ]
    np.testing.assert_array_equal(*results)
    assert 0 < (results[0] < 0).mean() < 1
    assert not rewrite(changed, ["fuse_sign_threshold"])


def test_a_binary_layer_writes_bits():
    image = x = tf.keras.Input((4, 4, 32))
    x = conv(filters=64, kernel_size=1, use_bias=True, bias_initializer="normal")(x)
    shift = np.random.default_rng(5).normal(size=64).astype(np.float32)
    x = layers.ReLU()(x) + shift - 0.25
    x = conv(filters=8, kernel_size=1, name="second")(x)
    model = tf.keras.Model(image, x)
    inputs = np.random.default_rng(6).normal(size=(8, 4, 4, 32)).astype(np.float32)
    report = converters.convert(model, inputs=inputs).report
    assert report.audit.operators == {"LceBconv2d": 2, "LceQuantize": 1}
    assert report.verification.passed and not report.verification.untraced
    assert [layer.layer for layer in report.verification.layers] == ["binary", "second"]
