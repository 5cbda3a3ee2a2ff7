"""The sign and its straight-through gradient, as the networks use them.

Paper 002, eq. 1-3, and paper 003, eq. 1-3.
"""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx

VALUES = np.array([-1.5, -1.2, -1.0, -0.3, 0.0, 0.3, 1.0, 1.2, 1.5], np.float32)
BLOCKS = {"blocks": (1, 1, 1, 1), "transitions": (32, 32, 32), "growth": 32}
NETWORKS = {
    1.3: ("meliusnet22", {**BLOCKS, "stem_filters": 32}),
    1.0: ("reactnet_bireal18", {"blocks": (1, 1, 1, 1), "filters": (8, 8, 8, 8)}),
}


@pytest.mark.parametrize("clip_value", NETWORKS)
def test_a_sign_passes_gradients_within_the_clip_value(clip_value):
    quantizer = lq.quantizers.SteSign(clip_value)
    x, scale = tf.Variable(VALUES), tf.constant(np.arange(1.0, 10.0), tf.float32)
    with tf.GradientTape() as tape:
        signs = quantizer(x)
        loss = tf.reduce_sum(scale * signs)
    np.testing.assert_array_equal(signs, np.where(VALUES >= 0, 1, -1))
    passes = np.abs(VALUES) <= np.float32(clip_value)
    np.testing.assert_array_equal(tape.gradient(loss, x), scale * passes)
    assert 0 < passes.sum() < len(VALUES)


@pytest.mark.parametrize("clip_value", NETWORKS)
def test_the_networks_have_the_published_clip_values(clip_value):
    name, narrow = NETWORKS[clip_value]
    factory = zx.registry._MODELS[name].factory
    arguments = {**narrow, "input_shape": (32, 32, 3), "num_classes": 2}
    model = factory(latent_weights=True, **arguments).build()
    layers = [one for one in model.layers if isinstance(one, lq.layers.QuantConv2D)]
    binary = [one for one in layers if one.kernel_quantizer is not None]
    assert binary
    for layer in binary:
        assert layer.kernel_quantizer.get_config()["clip_value"] == clip_value
