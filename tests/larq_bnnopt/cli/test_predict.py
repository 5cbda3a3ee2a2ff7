"""`bnnopt predict`: classes of images, with a run, a file or a package."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import converters
from larq_bnnopt import recipes
from larq_bnnopt.datasets.folders import image_files
from larq_bnnopt.recipes import OneStep, Run

from .test_commands import bnnopt


@pytest.fixture(scope="module")
def folders(images, made_once):
    """Trained on a folder of images: a run, which is converted, and its package."""

    def fill(folder):
        recipe = OneStep(dataset=images, image_size=28, epochs=2, batch_size=16)
        recipes.train(recipe, folder / "run")
        bnnopt("convert", "run", cwd=folder)
        bnnopt("package", "run", "device", "--samples", 3, cwd=folder)

    return made_once("predict", fill)


@pytest.fixture
def picture(images):
    return sorted(pathlib.Path(images, "bags").iterdir())[0]


def expected(folder, images):
    """The predictions of the run for its own test images, by path."""
    run = Run(folder / "run")
    model = recipes.load_model(run.model)
    data = recipes.recipe_of(run).load_data(model)
    paths = image_files(pathlib.Path(images)).test_paths
    scores = model.predict(data.test_arrays()[0], verbose=0)
    return {
        path: (data.class_names[row.argmax()], row.max())
        for path, row in zip(paths, scores)
    }


@pytest.mark.parametrize("source", ["run", "run/model.keras", "run/model.tflite",
                                    "device", "device/model.tflite"])  # fmt: skip
def test_predictions_equal_those_of_the_run_for_its_test_images(
    source, folders, images
):
    answers = expected(folders, images)
    words = ("predict", source, *answers, "--json")
    content = json.loads(bnnopt(*words, cwd=folders).stdout)
    assert len(content["images"]) == len(answers) > 20
    for found in content["images"]:
        name, score = answers[found["image"]]
        assert found["class"] == name
        assert abs(found["score"] - score) < 1e-3
    assert content["preprocessing"]["middle"] == 224 / 256


def test_a_folder_is_a_table(folders, images, picture):
    shown = bnnopt("predict", "device", images, cwd=folders).stdout
    # Of one class 60 images, of all 180.
    assert shown.count(".png") == 180 and shown.count("%") == 180
    assert "milliseconds" in shown and "Computed by" in shown
    shown = bnnopt("predict", "run", picture, "--top", 5, cwd=folders).stdout
    # The path names one of them, too.
    assert shown.count("%") == 3
    assert [shown.count(name) for name in ("bags", "sneakers", "trousers")] == [2, 1, 1]


def test_a_run_predicts_after_its_images_are_gone(folders, images, picture, tmp_path):
    shutil.copytree(folders / "run", tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace(images, "/no/images/any/more"))
    shown = bnnopt("predict", tmp_path / "run", picture, cwd=folders).stdout
    assert any(name in shown for name in ("bags", "sneakers", "trousers"))


def test_bad_images_are_named_and_the_others_predicted(
    folders, images, picture, tmp_path
):
    (tmp_path / "bad.png").write_bytes(picture.read_bytes()[:60])
    shutil.copy(picture, tmp_path / "good.png")
    run = bnnopt("predict", "device", tmp_path, cwd=folders, code=2)
    assert run.stdout.count("%") == 1 and "not read" in run.stdout
    assert "bad.png is no " in run.stderr and run.stderr.count("\n") == 1
    run = bnnopt("predict", "device", tmp_path, "--json", cwd=folders, code=2)
    bad, good = json.loads(run.stdout)["images"]
    assert "bad.png is no " in bad["error"] and good["score"] > 1 / 3


@pytest.mark.parametrize("source", ["run", "device"])
@pytest.mark.parametrize(
    "make, match",
    [
        (lambda f: f / "none.jpg", "none.jpg does not exist"),
        (lambda f: f / "empty", "empty holds no image"),
        (lambda f: f / "text.jpg", "text.jpg is no "),
        (lambda f: f / "nothing.png", "nothing.png is no "),
        (lambda f: f / "pipe.png", "pipe.png is no file"),
        (lambda f: f / "four.npy", "four.npy has 4 channels; the model takes 3"),
        (lambda f: f / "floats.npy", "floats.npy has shape (5, 5, 1)"),
    ],
)
def test_a_file_that_is_no_image_is_one_line(source, make, match, folders, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "nothing.png").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.png")
    np.save(tmp_path / "four.npy", np.zeros((5, 5, 4), np.uint8))
    np.save(tmp_path / "floats.npy", np.zeros((5, 5, 1)))
    run = bnnopt("predict", source, make(tmp_path), cwd=folders, code=2)
    assert match in run.stderr and run.stderr.count("\n") == 1


def test_a_file_without_classes_is_warned_of(folders, picture, tmp_path):
    for name in ("model.tflite", "model.keras"):
        shutil.copy(folders / "run" / name, tmp_path)
        run = bnnopt("predict", tmp_path / name, picture, "--json", cwd=folders)
        (found,) = json.loads(run.stdout)["images"]
        assert found["class"] in ("0", "1", "2")
        assert run.stderr.count("\n") == 1
        assert "names neither its classes, which are numbers here, nor" in run.stderr


@pytest.mark.parametrize(
    "shape, units, match",
    [
        ((8, 8, 3), 1, "is no classifier: its output is (1,)"),
        ((8, 8, 5), 3, "is no classifier of images: its input is (8, 8, 5)"),
        ((8,), 3, "is no classifier of images: its input is (8,)"),
        ((None, None, 3), 3, "takes images of any size"),
    ],
)
def test_a_model_of_no_classifier_is_one_line(shape, units, match, picture, tmp_path):
    x = inputs = tf.keras.Input(shape)
    if len(shape) == 3:
        x = tf.keras.layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(units)(x))
    model.save(tmp_path / "other.keras")
    run = bnnopt("predict", "other.keras", picture, cwd=tmp_path, code=2)
    assert match in run.stderr and run.stderr.count("\n") == 1


def test_wrong_words_are_one_line(folders, picture, tmp_path):
    for words, match in (
        (("nowhere", picture), "nowhere does not exist"),
        ((tmp_path, picture), "is no run"),
        (("device",), "Name images to predict"),
        (("device", picture, "--top", "0"), "needs a positive integer"),
        (("device", picture, "--tops", "2"), "unknown option '--tops'. Nearest: --top"),
    ):
        run = bnnopt("predict", *words, cwd=folders, code=2)
        assert match in run.stderr and run.stderr.count("\n") == 1
    shutil.copytree(folders / "device", tmp_path / "damaged")
    with (tmp_path / "damaged" / "model.tflite").open("ab") as file:
        file.write(b"x")
    run = bnnopt("predict", tmp_path / "damaged", picture, cwd=folders, code=2)
    assert "model.tflite of" in run.stderr and "is damaged" in run.stderr


def test_without_pillow_arrays_are_taken(folders, picture, tmp_path, monkeypatch):
    import sys

    classifier = converters.Classifier.of_package(folders / "device")
    pixels = tf.io.decode_png(picture.read_bytes(), 3).numpy()
    np.save(tmp_path / "x.npy", pixels)
    from_file = classifier.predict(picture)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert classifier.predict(picture).scores == from_file.scores  # By TensorFlow.
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert classifier.predict(tmp_path / "x.npy").scores == from_file.scores
    with pytest.raises(ImportError, match=r"pip install Pillow\), or give \.npy"):
        classifier.predict(picture)
