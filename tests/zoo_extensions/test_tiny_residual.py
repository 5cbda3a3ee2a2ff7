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


def test_options_of_larq_zoo(tmp_path):
    headless = zx.TinyResidualBNN(include_top=False)
    assert headless.output_shape == (None, 4, 4, 128)
    logits = zx.TinyResidualBNN(classifier_activation=None)
    assert logits.layers[-1].name == "top_dense"
    tensor = tf.keras.Input((28, 28, 1))
    assert zx.TinyResidualBNN(input_tensor=tensor).input is tensor
    logits.save_weights(tmp_path / "weights.h5")
    copy = zx.TinyResidualBNN(
        classifier_activation=None, weights=str(tmp_path / "weights.h5")
    )
    for ours, expected in zip(copy.get_weights(), logits.get_weights()):
        np.testing.assert_array_equal(ours, expected)
    with pytest.raises(ValueError, match="No ImageNet weights"):
        zx.TinyResidualBNN(weights="imagenet")


def test_every_kernel_gets_a_gradient():
    model = zx.TinyResidualBNN(latent_weights=False)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.random.normal((4, 28, 28, 1)))[:, 0])
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables)
    ):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.name


def test_saves_and_loads(tmp_path):
    model = zx.TinyResidualBNN(latent_weights=False)
    model.save(tmp_path / "model.keras")
    copy = tf.keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(4, 28, 28, 1)).astype(np.float32)
    np.testing.assert_array_equal(
        copy.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    initializer = binary_layers(copy)[0].kernel_initializer
    assert isinstance(initializer, zx.initializers.BernoulliSign)


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
