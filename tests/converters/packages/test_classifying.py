"""Classes and their scores, of whatever gives answers."""

import json

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters import Classifier, Preprocessing

from ..conftest import conv
from .test_packaging import resign

PIXELS = np.full((4, 4, 1), 255, np.uint8)


def classifier(answers, names=("a", "b", "c"), steps=0.0):
    answers = np.array([answers])
    return Classifier(lambda x: answers, names, Preprocessing((2, 2), 1), "test", steps)


@pytest.mark.parametrize(
    "answers, expected, steps",
    [
        ([0.2, 0.5, 0.3], [0.5, 0.3, 0.2], 0.0),
        ([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], 0.0),
        # Logits: the softmax of them.
        ([0.0, np.log(2), np.log(5)], [5 / 8, 2 / 8, 1 / 8], 0.0),
        ([-1000.0, 1000.0, 0.0], [1.0, 0.0, 0.0], 0.0),
        ([1.0, 1.0, 1.0], [1 / 3] * 3, 0.0),
        # Scores that were rounded to steps of 1/256.
        ([0.33203125, 0.3359375, 0.32421875], [0.3359375, 0.33203125, 0.32421875],
         1 / 256),
    ],
)  # fmt: skip
def test_scores_are_shares_of_one(answers, expected, steps):
    found = classifier(answers, steps=steps).predict(PIXELS, top=3)
    np.testing.assert_allclose(found.scores, expected, atol=1e-12)
    assert found.as_dict()["class"] == found.classes[0]


def test_what_is_no_answer_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        classifier([np.nan, 0, 1]).predict(PIXELS)
    with pytest.raises(ValueError, match="has 2 answers, and there are 3 classes"):
        classifier([0.5, 0.5]).predict(PIXELS)
    with pytest.raises(ValueError, match="top must be at least 1"):
        classifier([0.2, 0.5, 0.3]).predict(PIXELS, top=0)
    with pytest.raises(ValueError, match="has 3 channels; the model takes 1 channel"):
        classifier([0.2, 0.5, 0.3]).predict(np.zeros((4, 4, 3), np.uint8))


def network(inputs=1, outputs=1, units=3, shape=(8, 8, 3)):
    tf.keras.utils.set_random_seed(0)
    given = [tf.keras.Input(shape, name=f"in{i}") for i in range(inputs)]
    x = given[0] if inputs == 1 else tf.keras.layers.Concatenate()(given)
    x = tf.keras.layers.Conv2D(32, 1)(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(conv()(x))
    made = [tf.keras.layers.Dense(units, name=f"out{i}")(x) for i in range(outputs)]
    return tf.keras.Model(given, made)


def packaged(model, folder, **options):
    arrays = [
        np.random.default_rng(i).random((2, *one.shape[1:]), np.float32)
        for i, one in enumerate(model.inputs)
    ]
    inputs = arrays if len(arrays) > 1 else arrays[0]
    content = converters.convert(model, inputs=inputs).content
    return converters.package(content, folder, inputs=inputs, **options)


NAMED = {"class_names": ["a", "b", "c"]}


@pytest.mark.parametrize(
    "model, options, match",
    [
        ({"inputs": 2}, NAMED, "no classifier of images: it has 2 inputs"),
        ({"outputs": 2}, NAMED, "no classifier of images: it has 2 outputs"),
        ({"units": 1}, {}, r"no classifier: its output is \(1,\)"),
        ({"units": 4}, {}, "packaged without class_names"),
        ({"shape": (8, 8, 2)}, NAMED, "no classifier of images: its input is"),
        ({}, NAMED, "does not say how a photograph becomes its input"),
        ({}, {**NAMED, "preprocessing": "in words"}, "does not say how a photograph"),
    ],
)
def test_a_package_of_no_classifier_is_one_line(model, options, match, tmp_path):
    folder = packaged(network(**model), tmp_path / "device", **options)
    with pytest.raises(ValueError, match=match) as error:
        Classifier.of_package(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_damaged_metadata_are_named(tmp_path):
    options = {**NAMED, "preprocessing": Preprocessing((8, 8), 3)}
    folder = packaged(network(), tmp_path / "device", **options)
    assert len(Classifier.of_package(folder).class_names) == 3
    path = folder / "metadata.json"
    content = json.loads(path.read_text())
    for image, match in (
        ({**content["image"], "height": "tall"}, "is damaged"),
        ({**content["image"], "channels": 7}, "is damaged"),
        ([], "is damaged|does not say"),
        ({**content["image"], "height": 9}, "do not belong together"),
    ):
        path.write_text(json.dumps({**content, "image": image}))
        resign(folder)
        with pytest.raises(ValueError, match=match):
            Classifier.of_package(folder)
    path.write_text("[]")
    resign(folder)
    with pytest.raises(ValueError, match=r"metadata\.json of .* is damaged"):
        Classifier.of_package(folder)
