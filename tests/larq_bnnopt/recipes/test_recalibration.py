"""Re-estimated batch-norm statistics: means over batches; nothing else changes."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes import OneStep, Run, recalibrate

layers = tf.keras.layers
IMAGES = np.random.default_rng(0).normal(2, 3, size=(60, 4, 4, 3)).astype(np.float32)


def network():
    tf.keras.utils.set_random_seed(0)
    inner = tf.keras.Sequential(
        [
            tf.keras.Input((4, 4, 5)),
            layers.BatchNormalization(name="second", momentum=0.9),
        ]
    )
    return tf.keras.Sequential(
        [
            tf.keras.Input((4, 4, 3)),
            layers.BatchNormalization(name="first"),
            layers.Conv2D(5, 1, name="conv"),
            inner,
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def norms(model):
    found = [m for m in model.submodules if isinstance(m, layers.BatchNormalization)]
    return {layer.name: layer for layer in found}


def moments(x):
    """Mean and variance of a batch; Keras keeps the unbiased one of images."""
    flat = x.reshape(-1, x.shape[-1])
    return flat.mean(axis=0), flat.var(axis=0), flat.var(axis=0, ddof=1)


def test_statistics_are_the_means_over_batches():
    model = network()
    norms(model)["first"].moving_mean.assign([9, 9, 9])
    before = [w.numpy() for w in model.trainable_weights]
    batches = np.split(IMAGES, 4)
    assert recalibrate(model, iter(batches)) == 4
    kernel, bias = (w.astype(np.float64) for w in model.get_layer("conv").get_weights())
    expected = {"first": [], "second": []}
    for batch in batches:
        x = batch.astype(np.float64)
        mean, biased, unbiased = moments(x)
        expected["first"].append((mean, unbiased))
        y = ((x - mean) / np.sqrt(biased + 1e-3)) @ kernel[0, 0] + bias
        mean, _, unbiased = moments(y)
        expected["second"].append((mean, unbiased))
    for name, layer in norms(model).items():
        mean, variance = np.mean(expected[name], axis=0)
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)
    for weights, old in zip(model.trainable_weights, before):
        np.testing.assert_array_equal(weights, old)
    assert [norms(model)[n].momentum for n in ("first", "second")] == [0.99, 0.9]


def test_frozen_layers_keep_their_statistics():
    model = network()
    norms(model)["first"].trainable = False
    recalibrate(model, [IMAGES])
    np.testing.assert_array_equal(norms(model)["first"].moving_mean, np.zeros(3))
    assert np.abs(norms(model)["second"].moving_mean).max() > 0.1


def test_errors_are_raised_and_keep_the_momenta():
    model = network()
    with pytest.raises(ValueError, match="needs at least one batch"):
        recalibrate(model, [])
    with pytest.raises(ValueError, match="incompatible with the layer"):
        recalibrate(model, [IMAGES, IMAGES[..., :2]])
    assert norms(model)["first"].momentum == 0.99
    for layer in norms(model).values():
        layer.trainable = False
    with pytest.raises(ValueError, match="no batch normalization that trains"):
        recalibrate(model, [IMAGES])


@pytest.mark.slow
def test_statistics_of_a_run_are_re_estimated_once(images, tmp_path):
    recipe = OneStep(
        dataset=images, image_size=16, epochs=1, batch_size=24, recalibrate=3
    )
    model = recipes.train(recipe, tmp_path / "run")
    run = Run(tmp_path / "run")
    result = run.read_recalibration()
    data = recipe.load_data()
    accuracy = model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]
    assert result.batches == 3 and result.after == pytest.approx(accuracy)
    assert (
        "Batch-norm statistics re-estimated from 3 batches"
        in (run.folder / "report.html").read_text()
    )
    saved = recipes.load_model(run.model)
    for ours, expected in zip(saved.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(ours, expected)
    # It is not done twice, and is made up for.
    content = run.model.read_bytes()
    recipes.resume(run)
    assert run.model.read_bytes() == content
    # A damaged file is replaced by the model before it, and that recalibrated.
    run.model.write_bytes(content[:2000])
    with pytest.warns(UserWarning, match=r"Resuming from .*previous\.keras"):
        mended = recipes.resume(run)
    for network in (mended, recipes.load_model(run.model)):
        for ours, expected in zip(network.get_weights(), model.get_weights()):
            np.testing.assert_array_equal(ours, expected)
    assert run.read_recalibration() == result
    run.recalibration.unlink()
    again = recipes.resume(run)
    assert run.read_recalibration().before == pytest.approx(accuracy)
    for ours, expected in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_other_threads_are_warned_of(images, tmp_path):
    recipe = OneStep(dataset=images, image_size=16, epochs=1, batch_size=24)
    run = Run.create(tmp_path / "run")
    run.write_config(recipe.as_dict())
    content = json.loads(run.config.read_text())
    assert content["threads"]["cores"] >= 1
    run.warn_of_other_threads()
    content["threads"]["cores"] += 1
    run.config.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="no longer equals, in every bit"):
        run.warn_of_other_threads()


def test_batches_of_pairs_are_batches_of_images():
    one, other = network(), network()
    for model in (one, other):
        model.set_weights(one.get_weights())
    recalibrate(one, [IMAGES])
    recalibrate(other, [(IMAGES, np.zeros(len(IMAGES)))])
    for ours, expected in zip(other.get_weights(), one.get_weights()):
        np.testing.assert_array_equal(ours, expected)


def test_a_negative_number_of_batches_is_refused():
    with pytest.raises(ValueError, match="recalibrate must be at least 0"):
        dataclasses.replace(OneStep(), recalibrate=-1)
