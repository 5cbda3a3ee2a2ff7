"""The model of the quickstart, as every model of larq-zoo is tested."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx


def binary_layers(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_quantizer")]


@pytest.mark.parametrize("latent", [True, False])
def test_kernels(latent):
    model = zx.TinyResidualBNN(latent_weights=latent)
    layers = binary_layers(model)
    assert [layer.filters for layer in layers] == [32, 32, 64, 64, 128, 128]
    for layer in layers:
        values = set(np.unique(layer.kernel.numpy()))
        assert (values == {-1.0, 1.0}) is not latent
        assert layer.kernel_quantizer.precision == 1
        assert layer.pad_values == 1.0
    # 9 * (32*32*2 + 32*64 + 64*64 + 64*128 + 128*128) binary weights.
    assert sum(int(tf.size(layer.kernel)) for layer in layers) == 294912
    assert model.count_params() == 309418


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (17, 23, 2)])
def test_shapes(shape):
    model = zx.create_model("tiny_residual_bnn", input_shape=shape, num_classes=7)
    output = model.predict(np.zeros((2, *shape), np.float32), verbose=0)
    assert output.shape == (2, 7)
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)


def test_bernoulli_sign_is_fair_and_seeded():
    draw = zx.initializers.BernoulliSign(seed=3)((200, 100)).numpy()
    assert set(np.unique(draw)) == {-1.0, 1.0}
    assert abs(draw.mean()) < 5 / np.sqrt(draw.size)
    again = zx.initializers.BernoulliSign(seed=3)((200, 100)).numpy()
    np.testing.assert_array_equal(draw, again)
    tf.keras.utils.set_random_seed(1)
    first = zx.initializers.BernoulliSign()((50,)).numpy()
    tf.keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(zx.initializers.BernoulliSign()((50,)), first)
    shared = zx.initializers.BernoulliSign()
    assert (shared((50,)).numpy() != shared((50,)).numpy()).any()
    half = zx.initializers.BernoulliSign()((50,), dtype="float16")
    assert half.dtype == tf.float16


def test_its_kernels_are_the_binary_variables():
    model = zx.TinyResidualBNN(latent_weights=False)
    claimed = [
        v for v in model.trainable_variables if lq.optimizers.Bop.is_binary_variable(v)
    ]
    assert len(claimed) == 6
