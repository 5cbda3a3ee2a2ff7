"""Arrays of any shape as data sets: files, records, orders, and bad ones by name."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets import array_record


def numbers(count, shape=(4,), seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape))


@pytest.fixture
def folder(tmp_path):
    """Twelve and six arrays of two classes."""
    for name, count in (("train", 12), ("test", 6)):
        inputs = numbers(count, (2, 3, 5), seed=count)
        save(tmp_path, name, inputs=inputs, labels=np.arange(count) % 2)
    return tmp_path


def save(folder, name, **arrays):
    np.savez(folder / f"{name}.npz", **arrays)


def load(folder, **options):
    return datasets.load(os.fspath(folder), **{"batch_size": 5, **options})


def test_arrays_of_any_shape_are_taken_as_they_are(folder):
    data = load(folder)
    assert (data.kind, data.task) == ("arrays", "classification")
    assert data.input_shape == (2, 3, 5) and data.class_names == ("0", "1")
    assert (data.train_size, data.test_size, data.steps_per_epoch) == (12, 6, 3)
    inputs, labels = data.test_arrays()
    expected = numbers(6, (2, 3, 5), seed=6)
    np.testing.assert_array_equal(inputs, expected.astype(np.float32))
    assert labels.tolist() == [0, 1] * 3 and labels.dtype == np.int64
    # An epoch holds every array once, with its label.
    seen = [(x.numpy(), y.numpy()) for x, y in data.train]
    flat = np.concatenate([x for x, _ in seen]).reshape(12, -1)
    stored = numbers(12, (2, 3, 5), seed=12).astype(np.float32).reshape(12, -1)
    places = [int(np.flatnonzero((stored == x).all(axis=1))[0]) for x in flat]
    assert sorted(places) == list(range(12)) and places != list(range(12))
    assert [p % 2 for p in places] == np.concatenate([y for _, y in seen]).tolist()


def test_the_order_of_arrays_is_a_function_of_seed_and_epoch(folder):
    straight = list(load(folder, seed=3).train_from(0).take(9).as_numpy_iterator())
    resumed = list(load(folder, seed=3).train_from(2).take(3).as_numpy_iterator())
    for (x, y), (same_x, same_y) in zip(straight[6:], resumed):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)
    other = next(load(folder, seed=4).train_from(0).as_numpy_iterator())
    assert not np.array_equal(straight[0][0], other[0])


def test_floats_are_numbers_to_predict(tmp_path):
    for name, count in (("train", 8), ("test", 5)):
        save(tmp_path, name, inputs=numbers(count), labels=numbers(count, ()))
    data = load(tmp_path)
    assert data.task == "regression" and data.num_classes == 1
    assert data.test_arrays()[1].shape == (5, 1)
    assert data.test_arrays()[1].dtype == np.float32
    # Integers are numbers if that is said.
    for name, count in (("train", 8), ("test", 5)):
        labels = np.arange(2 * count).reshape(count, 2)
        save(tmp_path, name, inputs=numbers(count), labels=labels)
    facts = {"task": "regression", "class_names": ["age", "height"]}
    (tmp_path / "data.json").write_text(json.dumps(facts))
    data = load(tmp_path)
    assert data.class_names == ("age", "height")
    assert data.test_arrays()[1].tolist()[1] == [2, 3]


def test_the_fingerprint_changes_with_the_files(folder):
    before = load(folder).fingerprint
    assert load(folder).fingerprint == before
    (folder / "data.json").write_text('{"class_names": ["no", "yes"]}')
    named = load(folder)
    after = named.fingerprint
    assert named.class_names == ("no", "yes") and after != before
    save(folder, "test", inputs=numbers(6, (2, 3, 5)), labels=np.arange(6) % 2)
    assert load(folder).fingerprint not in (before, after)


def with_nan(place):
    inputs = numbers(12, (2, 3, 5))
    inputs[place, 0, 0, 0] = np.nan
    return {"inputs": inputs}


@pytest.mark.parametrize(
    "changed, message",
    [
        (with_nan(7), r"train.npz: inputs\[7\] holds NaN, infinity"),
        ({"inputs": np.full((12, 2, 3, 5), 1e300)}, r"inputs\[4\] and 7 more hold"),
        ({"inputs": numbers(12, (3, 2, 5))}, r"have the shape \(3, 2, 5\), those of"),
        ({"inputs": np.full((12, 2), "a")}, "inputs are of the type <U1. Give numbers"),
        ({"inputs": np.full((12, 2), None)}, "without Python objects"),
        ({"inputs": np.zeros(12)}, r"inputs are \(inputs, ...\).*shape \(12,\)"),
        ({"labels": np.arange(11)}, r"has 12 inputs and labels of the shape \(11,\)"),
        ({"labels": np.arange(12) - 1}, r"labels\[0\] is -1, and classes are from 0"),
        ({"labels": np.arange(12) % 2 * 2}, "a label is 2, and no label is 1. Number"),
        ({"labels": np.arange(12) % 2 * 10**6}, "label is 1000000, and no label is 1"),
        ({"labels": np.zeros(12, int)}, "all labels are 0. Give two classes"),
        ({"labels": np.zeros((12, 2), int)}, r"are classes.*the shape \(12, 2\)"),
        ({"labels": np.ones(12)}, "labels of .*train.npz are float64, those of"),
        ({"class_names": np.array(["a", "a"])}, "class_names holds a name twice"),
        ({"class_names": np.array([1, 2])}, "class_names must be texts"),
    ],
)
def test_bad_arrays_are_named(folder, changed, message):
    good = {"inputs": numbers(12, (2, 3, 5)), "labels": np.arange(12) % 2}
    save(folder, "train", **{**good, **changed})
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value) and "train.npz" in str(error.value)


def test_labels_beyond_the_names_are_named(folder):
    labels = np.arange(12) % 2
    labels[4] = 3
    names = np.array(["no", "yes"])
    inputs = numbers(12, (2, 3, 5))
    save(folder, "train", inputs=inputs, labels=labels, class_names=names)
    with pytest.raises(
        ValueError, match=r"labels\[4\] is 3, and classes are from 0 to"
    ):
        load(folder)


def test_a_class_that_was_not_trained_is_no_class_of_the_test(folder):
    save(
        folder,
        "test",
        inputs=numbers(6, (2, 3, 5)),
        labels=np.array([0, 1] * 2 + [9, 1]),
    )
    with pytest.raises(
        ValueError, match=r"test.npz: labels\[4\] is 9, and classes are from 0 to 1"
    ):
        load(folder)


def test_missing_and_damaged_files_are_named(folder):
    content = (folder / "test.npz").read_bytes()
    (folder / "test.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"test.npz cannot be read as arrays of NumPy"):
        load(folder)
    save(folder, "test", x=numbers(3), labels=np.arange(3))
    with pytest.raises(ValueError, match=r"has no array 'inputs'. It has: x, labels"):
        load(folder)
    (folder / "test.npz").unlink()
    with pytest.raises(ValueError, match=r"has train\.npz, but no test.npz beside it"):
        load(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "data.json is no JSON"),
        ("[]", "must hold an object"),
        ('{"tasks": "regression"}', "No entry of .*'tasks'. Nearest: task"),
        ('{"task": "regresion"}', "No task in .*'regresion'. Nearest: regression"),
        ('{"task": 1}', "task must be a text. Received: 1"),
        ('{"shape": [0]}', r"shape must be a list of positive integers.*\[0\]"),
        ('{"shape": [4]}', r"says that an input has the shape \(4,\)"),
        ('{"class_names": "ab"}', "class_names must be a list of texts"),
        ('{"class_names": ["a", " "]}', "needs a name without line breaks"),
    ],
)
def test_damaged_facts_are_one_line(folder, content, message):
    (folder / "data.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_arrays_have_no_image_size(folder):
    with pytest.raises(ValueError, match="holds arrays, which have no image_size"):
        load(folder, image_shape=(32, 32, 3))


FACTS = {"shape": [2, 3], "dtype": "float64", "class_names": ["a", "b", "c"]}


def write(folder, facts=FACTS, counts=(9, 4), record=None):
    (folder / "data.json").write_text(json.dumps(facts))
    for name, count in zip(("train", "test"), counts):
        inputs = numbers(count, (2, 3), seed=count)
        with tf.io.TFRecordWriter(f"{folder}/{name}-0.tfrecord") as writer:
            for index in range(count):
                made = record(inputs[index], index) if record else None
                writer.write(made or array_record(inputs[index], index % 3))
    return folder


def test_records_of_arrays_are_read_in_an_order_that_repeats(tmp_path):
    data = load(write(tmp_path))
    assert data.input_shape == (2, 3) and data.class_names == ("a", "b", "c")
    assert (data.kind, data.train_size, data.test_size) == ("arrays", 9, 4)
    data.check()
    inputs, labels = data.test_arrays()
    np.testing.assert_array_equal(inputs, numbers(4, (2, 3), seed=4).astype("f4"))
    assert labels.tolist() == [0, 1, 2, 0]
    straight = list(data.train_from(0).take(6).as_numpy_iterator())
    resumed = list(load(tmp_path).train_from(2).take(2).as_numpy_iterator())
    for one, other in zip(straight[4:], resumed):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    epoch = np.concatenate([x for x, _ in straight[:2]]).reshape(9, -1)
    stored = numbers(9, (2, 3), seed=9).astype("f4").reshape(9, -1)
    np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(stored, axis=0))


def test_records_may_hold_numbers_to_predict(tmp_path):
    facts = {**FACTS, "task": "regression", "class_names": ["x", "y"]}
    write(tmp_path, facts, record=lambda x, i: array_record(x, [i, i / 2]))
    data = load(tmp_path)
    data.check()
    assert data.task == "regression"
    assert data.test_arrays()[1].tolist() == [[i, i / 2] for i in range(4)]


def other(key, *values, kind="int64"):
    """A record with another feature."""
    example = tf.train.Example()
    example.features.feature["inputs"].bytes_list.value.append(b"\0" * 48)
    example.features.feature["label"].int64_list.value.append(1)
    feature = example.features.feature[key]
    feature.Clear()
    getattr(feature, f"{kind}_list").value.extend(values)
    return example.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "bad, message",
    [
        (lambda x: array_record(x * np.nan, 0), "hold NaN, infinity or more"),
        (lambda x: array_record(x.astype("f4"), 0), "has 24 bytes .* which are 48"),
        (
            lambda x: array_record(x, 3),
            "has the label 3, and data.json names 3 classes",
        ),
        (lambda x: array_record(x, [1.0]), "needs one class .* Received: 0"),
        (lambda x: other("inputs", 1), "needs the feature 'inputs'.* Received: 0"),
        (lambda x: other("label", 1, 2), "needs one class .* Received: 2"),
        (lambda x: b"nothing", "holds no tf.train.Example"),
    ],
)
def test_bad_records_are_named(tmp_path, bad, message):
    write(tmp_path, record=lambda x, i: bad(x) if i == 2 else None)
    data = load(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        data.check()
    first = f"2 of the 13 arrays of {tmp_path} cannot be read: "
    assert f"{first}{tmp_path}/train-0.tfrecord, record 3, " in str(error.value)
    assert "\n" not in str(error.value)
    # What reads it without a check names it, too.
    with pytest.raises(ValueError, match=message):
        data.test_arrays()


@pytest.mark.parametrize("content", ['{"images": []}', "[]", "{"])
def test_records_of_images_may_have_another_data_json(tmp_path, content):
    write(tmp_path)
    assert datasets.kind_of(os.fspath(tmp_path)) == "arrays"
    (tmp_path / "data.json").write_text(content)
    assert datasets.kind_of(os.fspath(tmp_path)) == "images"


@pytest.mark.parametrize(
    "facts, message",
    [
        ({"dtype": None}, "has no dtype. It needs shape and dtype"),
        ({"class_names": None}, "has no class_names"),
        ({"class_names": ["a"]}, r"two classes or more.*\['a'\]"),
        ({"dtype": "float31"}, "No dtype in .*'float31'. Nearest: float32"),
    ],
)
def test_records_need_facts(tmp_path, facts, message):
    write(tmp_path, {**FACTS, **facts})
    with pytest.raises(ValueError, match=message):
        load(tmp_path)
