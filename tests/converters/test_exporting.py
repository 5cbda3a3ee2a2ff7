"""Exported signs and scales are what the layers multiply by."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx

from .conftest import conv, one_layer


def inner_kernel(layer):
    """What a layer computes with, by convolving unit images."""
    size, _, channels, _ = layer.kernel.shape
    images = np.eye(size * size * channels, dtype=np.float32)
    images = images.reshape(-1, size, size, channels)
    plain = tf.keras.layers.Conv2D(
        layer.filters,
        size,
        use_bias=False,
        weights=[layer.kernel_quantizer(layer.kernel.numpy())],
    )
    return plain(images).numpy().reshape(size, size, channels, -1)


@pytest.mark.parametrize(
    "quantizer", ["ste_sign", "magnitude_aware_sign", lq.quantizers.NoOp(precision=1)]
)
def test_signs_times_scales_are_the_kernel(quantizer):
    start = zx.initializers.BernoulliSign(seed=0)
    if isinstance(quantizer, str):
        start = "glorot_normal"
    model = one_layer(conv(kernel_quantizer=quantizer, kernel_initializer=start))
    (weights,) = converters.export_binary_weights(model).values()
    assert weights.signs.dtype == np.int8 and set(np.unique(weights.signs)) == {-1, 1}
    assert weights.scales.shape == (1, 1, 1, 32)
    expected = inner_kernel(model.layers[0])
    np.testing.assert_array_equal(weights.signs * weights.scales, expected)


def test_zeros_of_latent_kernels_are_plus_one():
    model = one_layer(conv(kernel_initializer="zeros"))
    (weights,) = converters.export_binary_weights(model).values()
    assert (weights.signs == 1).all() and (weights.scales == 1).all()


def test_names_follow_the_model_and_what_is_not_binary_is_left_out():
    layers = [
        conv(name="first"),
        conv(name="ternary", kernel_quantizer="ste_tern"),
        lq.layers.QuantSeparableConv2D(
            8, 3, name="separable", depthwise_quantizer="ste_sign",
            pointwise_quantizer="magnitude_aware_sign",
        ),
        tf.keras.layers.Flatten(),
        lq.layers.QuantDense(4, name="dense", kernel_quantizer="ste_sign"),
    ]  # fmt: skip
    model = tf.keras.Sequential([tf.keras.Input((8, 8, 32)), *layers])
    weights = converters.export_binary_weights(model)
    assert [*weights] == [
        "first",
        "separable/depthwise",
        "separable/pointwise",
        "dense",
    ]
    assert weights["separable/depthwise"].signs.shape == (3, 3, 32, 1)
    with pytest.raises(ValueError, match="holds no kernel that is c and -c"):
        converters.export_binary_weights(one_layer(conv(kernel_quantizer="ste_tern")))
    with pytest.raises(ValueError, match="has no weights yet: build it"):
        converters.export_binary_weights(tf.keras.Sequential([conv()]))


def test_a_path_is_no_model():
    with pytest.raises(TypeError, match="A Keras model is needed, not str"):
        converters.export_binary_weights("model.keras")
