"""Temperature annealing: kernels of BNext are signs when a recipe ends."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import recipes
from larq_bnnopt.recipes import FineTune, OneStep, TwoStep
from larq_bnnopt.recipes.temperature import annealing, copy_weights
from larq_bnnopt.recipes.two_step import with_real_kernels

SMALL = {"filters": (8, 16), "blocks": (1, 1), "input_shape": (32, 32, 3)}


def small(**options):
    tf.keras.utils.set_random_seed(0)
    return zx.BNext18.factory(**SMALL, num_classes=3, **options).build()


def quantizers(model):
    return [part for part in model.submodules if isinstance(part, zx.TemperatureSign)]


@pytest.mark.parametrize("epochs", [2, 3, 4, 7, 12, 100, 200, 512])
def test_kernels_are_signs_in_the_last_quarter(epochs):
    (callback,) = annealing(small(), epochs, first_epoch=5)
    threshold = np.float32(1e-5)
    temperatures = [
        np.float32(callback.decay ** (epoch - callback.first_epoch))
        for epoch in range(5, 5 + epochs)
    ]
    assert temperatures[0] == 1
    last = max(1, epochs - epochs * 3 // 4)
    assert max(temperatures[-last:]) < threshold
    assert callback.decay <= 0.9
    # Not sooner than it has to be, unless by the 0.9 of the authors.
    assert callback.decay == 0.9 or epochs < 4 or temperatures[epochs // 2] >= threshold


def test_only_kernels_with_a_temperature_are_annealed():
    assert annealing(small(latent_weights=False), 9) == []
    assert annealing(zx.TinyResidualBNN(), 1) == []
    with pytest.raises(ValueError, match=r"at least 2 epochs\. Received: 1"):
        annealing(small(), 1)


def test_temperatures_begin_with_a_stage():
    model = small()
    model.compile("sgd", "sparse_categorical_crossentropy")
    images, labels = np.ones((2, 32, 32, 3), np.float32), np.zeros(2)
    seen = []
    record = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(
            [float(quantizer.temperature) for quantizer in quantizers(model)]
        )
    )
    options = {"callbacks": [zx.TemperatureDecay(0.5, first_epoch=3), record]}
    model.fit(images, labels, initial_epoch=3, epochs=6, verbose=0, **options)
    number = len(quantizers(model))
    assert seen == [[1.0] * number, [0.5] * number, [0.25] * number]
    with pytest.raises(ValueError, match="Epoch 0 is before first_epoch=3"):
        model.fit(images, labels, epochs=1, verbose=0, **options)


def test_weights_are_copied_between_annealed_and_real_kernels():
    annealed = small()
    real = with_real_kernels(annealed)
    assert quantizers(annealed) and not quantizers(real)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    # At temperature 1 a kernel inside [-1, 1] is what it is.
    np.testing.assert_allclose(real(images), annealed(images), rtol=1e-5, atol=1e-6)
    for variable in real.trainable_variables:
        variable.assign(variable + 0.01)
    quantizers(annealed)[0].temperature.assign(0.25)
    copy_weights(real, annealed)
    assert float(quantizers(annealed)[0].temperature) == 0.25
    for one, other in zip(real.trainable_variables, annealed.trainable_variables):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def create_small(monkeypatch):
    """`bnext18` names a small one."""

    def create(name, latent_weights, **options):
        assert name == "bnext18"
        return small(latent_weights=latent_weights)

    monkeypatch.setattr(zx, "create_model", create)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [OneStep, TwoStep])
def test_a_run_ends_with_signs(kind, images, create_small, tmp_path):
    recipe = kind(
        model="bnext18",
        dataset=images,
        image_size=32,
        optimizer="adam",
        epochs=2,
        batch_size=48,
        **({"first_epochs": 1} if kind is TwoStep else {}),
    )
    with pytest.raises(ValueError, match="at least 2 epochs"):
        recipes.train(dataclasses.replace(recipe, epochs=1), tmp_path / "short")
    assert not (tmp_path / "short").exists()
    model = recipes.train(recipe, tmp_path / "run")
    assert all(float(q.temperature) < q.threshold for q in quantizers(model))
    forced = zx.force_sign(model)
    pictures = recipe.load_data().test_arrays()[0][:8]
    np.testing.assert_array_equal(forced(pictures), model(pictures))


@pytest.mark.slow
def test_stage_2_by_diode_has_signs(images, create_small):
    recipe = TwoStep(
        model="bnext18", dataset=images, image_size=32, optimizer="diode", epochs=1
    )
    data = recipe.load_data()
    first = recipe.build(0, data)
    assert not quantizers(first)
    second = recipe.build(1, data, first)
    assert not quantizers(second)
    kernels = recipes.recipe.binary_kernels(second)
    assert len(kernels) == len(quantizers(small()))
    for kernel in kernels.values():
        np.testing.assert_array_equal(np.abs(kernel), 1)


@pytest.mark.slow
def test_fine_tuning_needs_binarized_kernels(images, tmp_path):
    model = small()
    path = str(tmp_path / "half.keras")
    quantizers(model)[0].temperature.assign(0.25)
    model.save(path)
    recipe = FineTune(start=path, dataset=images, optimizer="adam", epochs=1)
    data = recipe.load_data()
    with pytest.raises(ValueError, match=r"still real \(temperature 1\)"):
        recipe.build(0, data)
    zx.force_sign(model).save(path)
    tuned = recipe.build(0, data)
    assert recipe.annealing(tuned, 1) == []
    assert all(float(q.temperature) == 0 for q in quantizers(tuned))
