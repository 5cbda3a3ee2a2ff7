"""AudioMLP: its inputs of any shape, scaling and clipping of latent weights."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx


def mlp(**arguments):
    defaults = {"units": 64, "num_classes": 7, "input_shape": (40,)}
    return zx.AudioMLP(**{**defaults, **arguments})


def binary_layers(model):
    return [one for one in model.layers if isinstance(one, lq.layers.QuantConv2D)]


def test_any_shape_is_one_vector():
    image, vector = mlp(input_shape=(5, 4, 2)), mlp()
    vector.set_weights(image.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(image(x), vector(x.reshape(3, 40)))


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("clipping", [False, True])
def test_latent_weights_are_scaled_and_clipped_as_asked(scaling, clipping):
    model = mlp(scaling=scaling, clipping=clipping, clip_value=0.5)
    layers = binary_layers(model)
    assert len(layers) == 3
    for layer in layers:
        values = np.random.default_rng(1).normal(size=layer.kernel.shape)
        kernel = tf.Variable(values.astype(np.float32))
        with tf.GradientTape() as tape:
            quantized = layer.kernel_quantizer(kernel)
            loss = tf.reduce_sum(quantized)
        scale = np.abs(values).mean(axis=(0, 1, 2)) if scaling else 1.0
        expected = scale * np.where(values >= 0, 1.0, -1.0)
        np.testing.assert_allclose(quantized, expected, rtol=1e-5)
        passes = np.abs(values) <= 0.5 if clipping else np.ones_like(values)
        np.testing.assert_allclose(
            tape.gradient(loss, kernel), scale * passes, rtol=1e-5
        )
        constrained = layer.kernel_constraint
        assert (constrained is not None) == clipping
        if clipping:
            assert np.abs(constrained(kernel)).max() == 0.5


def test_scaled_kernels_convert_to_binary_ones():
    model = mlp(scaling=True, clipping=False, input_shape=(8, 5))
    random = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            # As in a trained network, no sum is exactly zero.
            layer.beta.assign(random.normal(size=layer.beta.shape))
    inputs = random.normal(size=(8, 8, 5)).astype(np.float32)
    report = converters.convert(model, inputs=inputs).report
    assert report.verification.passed and not report.audit.stayed_float
    assert report.audit.operators["LceBconv2d"] == 3
