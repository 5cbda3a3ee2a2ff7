"""Recipes on arrays: trained, resumed, converted, predicted; and normalized inputs."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx
from larq_bnnopt import datasets, recipes, tuning
from larq_bnnopt.cli import main
from larq_bnnopt.datasets import channel_statistics
from larq_bnnopt.recipes import OneStep, Run
from larq_bnnopt.recipes.normalization import normalized_input
from larq_bnnopt.recipes.two_step import with_real_kernels


def fill(folder, labels_of):
    """Arrays of 16 numbers with other means and deviations, and their labels."""
    folder.mkdir()
    random = np.random.default_rng(0)
    weights = random.normal(size=(16, 2))
    for name, count in (("train", 128), ("test", 32)):
        inputs = random.normal(size=(count, 16)) * np.arange(1, 17) + 30
        labels = labels_of((inputs - 30) / np.arange(1, 17) @ weights)
        np.savez(folder / f"{name}.npz", inputs=inputs, labels=labels)
    return os.fspath(folder)


def recipe(data, **options):
    fields = {"model": "audio_mlp", "batch_size": 32, "epochs": 2, **options}
    return OneStep(dataset=data, **fields)


class Stop(Exception):
    """What ends a training after an epoch."""


class StopAfter(tf.keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise Stop


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_network_for_images_refuses_arrays_in_one_line(dry, tmp_path, capsys):
    data = fill(tmp_path / "data", lambda z: (z[:, 0] > 0).astype(int))
    run = tmp_path / "run"
    assert main(["train", "--dataset", data, "--run", str(run), *dry]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "tiny_residual_bnn takes images, (height, width, channels)" in line
    assert f"the arrays of {data} have the shape (16,)" in line
    assert "--model audio_mlp" in line
    assert not run.exists()


def test_a_search_refuses_arrays_for_a_network_of_images(tmp_path):
    data = fill(tmp_path / "data", lambda z: (z[:, 0] > 0).astype(int))
    pytest.importorskip("optuna")
    with pytest.raises(ValueError, match=r"takes images.*shape \(16,\)"):
        tuning.tune({"dataset": data, "epochs": 1}, tmp_path / "search", trials=1)


@pytest.mark.parametrize(
    "size, options, message",
    [
        (
            28,
            {},
            "28x28, are too small for bnext18, which needs 32x32. Take --model-option "
            "stem=cifar, which keeps the size of small images, or larger images: "
            "--dataset cifar10, or a folder of images with --image-size 32.",
        ),
        (
            4,
            {"stem": "cifar"},
            "4x4, are too small for bnext18, which needs 8x8. Take larger images:",
        ),
    ],
)
def test_images_that_are_too_small_are_named(size, options, message):
    data = datasets.load("fashion_mnist_mini")
    data = dataclasses.replace(data, input_shape=(size, size, 1))
    small = OneStep(model="bnext18", model_options=options)
    with pytest.raises(ValueError, match=re.escape(message)):
        small.create_model(data, latent_weights=False)


@pytest.fixture(scope="module")
def run(made_once):
    """A run that classifies normalized arrays."""

    def train(at):
        data = fill(at / "data", lambda z: (z[:, 0] > 0).astype(int))
        recipes.train(recipe(data, normalize="per_channel"), at / "run")

    return Run(made_once("arrays", train) / "run")


@pytest.fixture
def copy(run, tmp_path):
    return Run(shutil.copytree(run.folder, tmp_path / "run"))


def bnnopt(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    return capsys.readouterr()


@pytest.mark.slow
def test_a_resumed_run_on_arrays_equals_the_uninterrupted_one(run, tmp_path):
    own = recipes.recipe_of(run)
    with pytest.raises(Stop):
        recipes.train(own, tmp_path / "stopped", [StopAfter()])
    resumed = recipes.resume(Run(tmp_path / "stopped"))
    whole = recipes.load_model(run.folder)
    for one, other in zip(resumed.get_weights(), whole.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_the_model_normalizes_its_inputs(run):
    model, data = recipes.load_model(run.folder), recipes.recipe_of(run).load_data()
    inputs, _ = data.train_arrays(128)
    layer = model.get_layer("normalization")
    assert model.layers.index(layer) == 1
    out = tf.keras.Model(model.input, layer.output)(inputs).numpy().astype(np.float64)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-5)


@pytest.mark.slow
def test_commands_take_a_run_on_arrays(copy, tmp_path, capsys):
    folder = copy.folder
    bnnopt(capsys, "convert", folder)
    report = json.loads((folder / "report.json").read_text())
    assert len(report["test"]["confusion"]) == 2
    assert not (folder / "samples.json").exists()
    content = json.loads(bnnopt(capsys, "evaluate", folder, "--tflite", "--json").out)
    assert content["keras"]["accuracy"] == content["tflite"]["accuracy"] > 0.5
    verified = json.loads(bnnopt(capsys, "verify", folder, "--json").out)
    assert verified["verification"]["passed"]
    # The file takes inputs as they are stored.
    data = recipes.recipe_of(copy).load_data()
    inputs, labels = data.test_arrays()
    scores = converters.Interpreter(copy.tflite).predict(inputs)
    assert (scores.argmax(axis=1) == labels).mean() == content["keras"]["accuracy"]
    np.save(tmp_path / "one.npy", inputs[0].astype(np.float64))
    words = ("predict", folder, tmp_path / "one.npy", "--json")
    (answer,) = json.loads(bnnopt(capsys, *words).out)["images"]
    assert answer["class"] == str(scores[0].argmax())
    np.save(tmp_path / "two.npy", inputs[:2])
    error = bnnopt(capsys, "predict", folder, tmp_path / "two.npy", code=2).err
    assert "the model takes numbers of (16,)" in error and error.count("\n") == 1
    bnnopt(capsys, "package", folder, tmp_path / "device", "--samples", 2)
    metadata = json.loads((tmp_path / "device" / "metadata.json").read_text())
    assert "float32, 16, the numbers of the arrays as they are" in str(metadata)
    words = ("predict", tmp_path / "device", tmp_path / "one.npy")
    error = bnnopt(capsys, *words, code=2).err
    assert "is no classifier of images" in error and error.count("\n") == 1


def test_a_regression_is_trained_and_measured(tmp_path, capsys):
    data = fill(tmp_path / "data", lambda z: z)
    folder = tmp_path / "run"
    own = recipe(data, normalize="per_channel", learning_rate=0.05)
    recipes.train(own, folder)
    bnnopt(capsys, "convert", folder)
    content = json.loads(bnnopt(capsys, "evaluate", folder, "--tflite", "--json").out)
    model = recipes.load_model(folder)
    inputs, labels = own.load_data().test_arrays()
    off = labels - model.predict(inputs, verbose=0).astype(np.float64)
    error = np.abs(off).mean()
    spread = np.square(labels - labels.mean(axis=0)).sum(axis=0)
    r2 = (1 - np.square(off).sum(axis=0) / spread).mean()
    for found in (content["keras"], content["tflite"]):
        assert abs(found["mean_absolute_error"] - error) < 1e-5 * error
        assert abs(found["r2"] - r2) < 1e-5
    last = recipes.History.of(Run(folder))
    assert abs(last.last("val_mean_absolute_error") - error) < 1e-4
    assert abs(last.last("val_r2") - r2) < 1e-4 and last.accuracy is None
    assert "R2 of the test" in (folder / "report.html").read_text()
    error = bnnopt(capsys, "predict", folder, tmp_path / "x.npy", code=2).err
    assert "does not exist" in error
    np.save(tmp_path / "x.npy", inputs[0])
    error = bnnopt(capsys, "predict", folder, tmp_path / "x.npy", code=2).err
    assert "predicts numbers (regression)" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"label_smoothing": 0.1}, "label_smoothing needs classes"),
        ({"recalibrate": 2}, "recalibrate compares accuracies"),
        ({"teacher": "x.keras"}, "a teacher gives classes"),
    ],
)
def test_what_needs_classes_is_refused(options, message, tmp_path):
    data = fill(tmp_path / "data", lambda z: z)
    with pytest.raises(ValueError, match=message):
        recipe(data, **options).load_data()


def test_a_model_of_other_inputs_is_refused(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("train", "test"):
        np.savez(other / f"{name}.npz", inputs=np.ones((4, 3)), labels=[0, 1, 0, 1])
    model = recipes.load_model(run.folder)
    with pytest.raises(ValueError, match=r"takes inputs of \(16,\), and .* arrays of"):
        recipes.load_data_for(model, os.fspath(other), batch_size=2)


def test_channel_statistics_in_float64():
    data = datasets.load("fashion_mnist_mini", augment=False, batch_size=700)
    images = next(data.train_from(0).unbatch().batch(6000).as_numpy_iterator())[0]
    mean, deviation = channel_statistics(data)
    np.testing.assert_allclose(mean, images.astype(np.float64).mean(), rtol=1e-12)
    np.testing.assert_allclose(deviation, images.astype(np.float64).std(), rtol=1e-12)


def test_a_channel_of_one_value_stays_finite(tmp_path):
    inputs = np.random.default_rng(0).normal(size=(9, 4, 3)) + 1e4
    inputs[..., 1] = 5.0
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", inputs=inputs, labels=np.arange(9) % 2)
    data = datasets.load(str(tmp_path), batch_size=4)
    mean, deviation = channel_statistics(data)
    seen = inputs.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(mean, seen.mean(axis=(0, 1)), rtol=1e-12)
    expected = np.where(seen.std(axis=(0, 1)) > 0, seen.std(axis=(0, 1)), 1)
    np.testing.assert_allclose(deviation, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["tiny_residual_bnn", "audio_mlp"])
@pytest.mark.parametrize("latent", [True, False])
def test_a_normalized_network_is_the_network_on_normalized_images(name, latent):
    data = datasets.load("fashion_mnist_mini", augment=False)
    mean, deviation = channel_statistics(data)
    options = {"num_classes": 10, "latent_weights": latent}
    tensor = normalized_input(data)
    model = zx.create_model(name, input_tensor=tensor, **options)
    plain = zx.create_model(name, input_shape=(28, 28, 1), **options)
    plain.set_weights(model.get_weights())
    images = data.test_arrays()[0][:4]
    normal = ((images - mean) / deviation).astype(np.float32)
    np.testing.assert_allclose(
        model(images, training=False), plain(normal, training=False), atol=1e-4
    )
    assert [layer.name for layer in plain.layers[1:]] == [
        layer.name for layer in model.layers[2:]
    ]
    assert zx.count_ops(model).ops == zx.count_ops(plain).ops


def test_stage_1_of_two_steps_keeps_the_normalization():
    data = datasets.load("fashion_mnist_mini", augment=False)
    model = zx.TinyResidualBNN(input_tensor=normalized_input(data))
    real = with_real_kernels(model)
    layers = [one.get_layer("normalization") for one in (model, real)]
    images = data.test_arrays()[0][:2]
    np.testing.assert_array_equal(*(layer(images) for layer in layers))


def test_fine_tuning_keeps_the_normalization_of_its_model():
    with pytest.raises(ValueError, match="normalize belongs to a new model"):
        recipes.FineTune(start="x.keras", normalize="per_channel")
