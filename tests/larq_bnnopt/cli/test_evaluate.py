"""`bnnopt evaluate`, and the figures of an evaluation by hand."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import converters
from larq_bnnopt import recipes
from larq_bnnopt.recipes import Evaluation, Run

from .test_commands import bnnopt


@pytest.fixture(scope="module")
def trained(one_epoch, tmp_path_factory):
    parent = tmp_path_factory.mktemp("evaluate")
    run = Run(shutil.copytree(one_epoch.folder, parent / "run"))
    few = recipes.recipe_of(run).load_data().test_arrays()[0][:50]
    converters.convert(recipes.load_model(run.model), run.tflite, inputs=few)
    return parent


def test_precision_recall_and_mistakes_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    predicted = np.array([0, 1, 1, 1, 1, 0, 2, 1])
    result = Evaluation.of(labels, np.eye(4)[predicted], ("a", "b", "c", "d"))
    assert result.accuracy == 4 / 8 and result.images == 8
    a, b, c, d = result.per_class()
    assert (a.count, a.predicted, a.right) == (3, 2, 1)
    assert (a.precision, a.recall) == (1 / 2, 1 / 3)
    assert (b.precision, b.recall) == (3 / 5, 3 / 5)
    # Taken for it once, and wrongly; of the last there is nothing.
    assert (c.precision, c.recall) == (0.0, None)
    assert (d.precision, d.recall) == (None, None)
    assert result.confusions() == [("a", "b", 2), ("b", "a", 1), ("b", "c", 1)]
    assert result.confusions(most=1) == [("a", "b", 2)]
    assert json.loads(json.dumps(result.as_dict()))["classes"][2]["recall"] is None


@pytest.mark.parametrize(
    "scores, match",
    [
        (np.zeros((2, 3)), r"gives \(3,\) scores for an image, and the data has 2"),
        (np.zeros((2,)), r"gives \(\) scores"),
        (np.zeros((2, 4, 2)), r"gives \(4, 2\) scores"),
        (np.array([[np.nan, 0], [0, 1]]), "scores of 1 images are not finite"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, match):
    with pytest.raises(ValueError, match=match):
        Evaluation.of(np.array([0, 1]), scores, ("a", "b"))


def test_a_run_and_its_file(trained):
    words = ("evaluate", "run", "--tflite", "--json")
    content = json.loads(bnnopt(*words, cwd=trained).stdout)
    model = recipes.load_model(trained / "run" / "model.keras")
    images, labels = recipes.recipe_of(Run(trained / "run")).load_data().test_arrays()
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    keras = content["keras"]
    assert keras["accuracy"] == (predicted == labels).mean() and keras["images"] == 1000
    for index, one in enumerate(keras["classes"]):
        of_it = labels == index
        taken = predicted == index
        assert one["count"] == of_it.sum() == 100
        assert one["recall"] == (of_it & taken).sum() / 100
        if taken.any():
            assert one["precision"] == (of_it & taken).sum() / taken.sum()
    # The file predicts the same, except where a sign flips near zero.
    differing = np.abs(np.subtract(keras["confusion"], content["tflite"]["confusion"]))
    assert differing.sum() <= 4
    shown = bnnopt("evaluate", "run", "--tflite", cwd=trained).stdout
    for text in (f"{keras['accuracy']:.2%} of 1,000 test images", "recall, .tflite",
                 "Ankle boot", "taken for"):  # fmt: skip
        assert text in shown


def test_a_file_with_a_data_set(trained, tmp_path):
    shutil.copy(trained / "run" / "model.keras", tmp_path)
    words = ("evaluate", "model.keras", "--dataset", "fashion_mnist_mini")
    shown = bnnopt(*words, cwd=tmp_path).stdout
    assert "precision" in shown and ".tflite" not in shown
    tflite = trained / "run" / "model.tflite"
    shown = bnnopt(*words, "--tflite", tflite, cwd=tmp_path).stdout
    assert "recall, .tflite" in shown


def test_wrong_words_are_one_line(trained, images, tmp_path):
    keras = trained / "run" / "model.keras"
    tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=(4,))]).save(
        tmp_path / "other.keras"
    )
    shutil.copy(keras, tmp_path / "alone.keras")
    data = ("--dataset", "fashion_mnist_mini")
    for words, match in (
        (("nowhere",), "nowhere does not exist"),
        ((tmp_path,), "is no run"),
        ((keras,), "name a --dataset"),
        ((trained / "run", *data), "is a run, which has its own data"),
        ((trained / "run" / "model.tflite",), "is evaluated beside its model"),
        (("alone.keras", *data, "--tflite"), "alone.tflite does not exist. Make it"),
        (("alone.keras", *data, "--tflite", keras), "is not a .tflite"),
        (
            ("other.keras", *data),
            "takes no grey or colour images",
        ),
        (("alone.keras", "--dataset", "fashion"), "Nearest"),
    ):
        run = bnnopt("evaluate", *words, cwd=tmp_path, code=2)
        assert match in run.stderr and run.stderr.count("\n") == 1, run.stderr
