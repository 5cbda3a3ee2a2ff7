"""Two-step training: weight decay, the start of stage 2, resuming between stages."""

import dataclasses
import shutil

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import recipes
from larq_bnnopt.recipes import Run, TwoStep
from larq_bnnopt.recipes.two_step import decayed, with_real_kernels

from .test_training import StopAfter, rows

SHORT = TwoStep(epochs=2, first_epochs=1, batch_size=24, weight_decay=1e-3)


@pytest.fixture(scope="module")
def recipe(images):
    return dataclasses.replace(SHORT, dataset=images, image_size=16)


def test_real_kernels_are_used_as_they_are_under_binary_activations():
    tf.keras.utils.set_random_seed(0)
    latent = tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 3)),
            lq.layers.QuantConv2D(
                5,
                3,
                input_quantizer="ste_sign",
                kernel_quantizer="ste_sign",
                kernel_constraint="weight_clip",
            ),
        ]
    )
    real = with_real_kernels(latent)
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    kernel, bias = real.get_weights()
    expected = tf.nn.conv2d(np.sign(images), kernel, 1, "VALID") + bias
    np.testing.assert_allclose(real(images), expected, atol=1e-6)
    assert real.layers[0].kernel_constraint is None
    np.testing.assert_array_equal(kernel, latent.get_weights()[0])
    assert latent.layers[0].kernel_quantizer is not None


def test_the_same_variables_decay_as_in_adambnns_code():
    model = zx.ReActNetBiReal18(input_shape=(32, 32, 3), num_classes=5)
    names = {variable.name for variable in decayed(model)}
    for variable in model.trainable_variables:
        name = variable.name
        # There, shifts are of shape (1, channels, 1, 1), and slopes of (channels,).
        is_shift = "shift_" in name or ("sign" in name and "bias" in name)
        assert (name in names) == (len(variable.shape) == 4 or is_shift), name
    assert any("shift_in" in name for name in names)


def test_the_decay_adds_to_the_gradient(recipe):
    data = recipe.load_data()
    model = recipe.build(0, data)
    recipe.prepare(model, 0)
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.losses)
    variables = list(decayed(model))
    assert len(variables) == len(model.losses) > 6
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        np.testing.assert_allclose(gradient, 1e-3 * variable, rtol=1e-6)
    second = recipe.build(1, data, model)
    recipe.prepare(second, 1)
    assert not second.losses


@pytest.mark.parametrize(
    "optimizer", [pytest.param("adam", marks=pytest.mark.slow), "diode"]
)
def test_stage_2_starts_from_the_weights_of_stage_1(optimizer, recipe):
    recipe = dataclasses.replace(recipe, optimizer=optimizer)
    data = recipe.load_data()
    first = recipe.build(0, data)
    weights = [np.random.default_rng(i).normal(size=w.shape) * 0.1 + 0.2
               for i, w in enumerate(first.get_weights())]  # fmt: skip
    first.set_weights(weights)
    second = recipe.build(1, data, first)
    latent = recipe.create_model(data, latent_weights=True)
    latent.set_weights(weights)
    images = data.test_arrays()[0][:50]
    np.testing.assert_allclose(
        second.predict(images, verbose=0), latent.predict(images, verbose=0), atol=1e-5
    )
    kernel = second.get_layer("stage1_1_conv").kernel.numpy()
    assert set(np.unique(kernel)) == {-1, 1} or optimizer == "adam"
    with pytest.raises(ValueError, match="starts from the model of stage 1"):
        recipe.build(1, data)


def test_the_last_epoch_is_trained():
    """In AdamBNN's code it has the rate zero."""
    rate = SHORT.build_optimizer(20)._learning_rate
    assert float(rate(19)) == pytest.approx(0.01 / 20) and float(rate(20)) == 0


@pytest.fixture(scope="module")
def straight(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "straight"
    return recipes.train(recipe, folder), folder


@pytest.mark.slow
@pytest.mark.parametrize("place", [(0, 4), (1, 2), (2, 5)])
def test_a_stopped_run_resumes_exactly(place, recipe, straight, tmp_path):
    model, folder = straight
    with pytest.raises(KeyboardInterrupt):
        recipes.train(recipe, tmp_path / "run", [StopAfter(*place)])
    assert (tmp_path / "run" / "step1.keras").exists() == (place[0] > 0)
    resumed = recipes.resume(Run(tmp_path / "run"))
    for ours, expected in zip(resumed.weights, model.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)
    for name in ("history.csv", "flips.csv"):
        assert rows(tmp_path / "run" / name) == rows(folder / name), name


@pytest.mark.slow
def test_a_run_that_ended_between_the_stages_resumes(recipe, straight, tmp_path):
    model, folder = straight
    run = Run(shutil.copytree(folder, tmp_path / "run"))
    run.step(1).replace(run.model)
    for path in (run.flips, run.picture):
        path.unlink()
    resumed = recipes.resume(run)
    for ours, expected in zip(resumed.weights, model.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())
    assert [row[0] for row in rows(run.history)] == ["epoch", "0", "1", "2"]
    data = recipe.load_data()
    assert recipes.trained_epochs(run, recipe, resumed, data) == 3


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"first_epochs": 0}, "first_epochs must be at least 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"first_epochs": 2, "warmup_epochs": 2}, "below the 2 epochs"),
    ],
)
def test_wrong_recipes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TwoStep(**wrong)
