"""TFRecord files: the same images as a folder, read in a fixed order."""

import collections
import shutil

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets import pipelines
from larq_bnnopt.datasets.crops import Crops
from larq_bnnopt.datasets.folders import image_files
from larq_bnnopt.datasets.records import count_records, record_files, write_records


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The class is the brightness, and each image its own shade."""
    folder = tmp_path_factory.mktemp("images")
    for label, name in enumerate(("bright", "dark")):
        (folder / name).mkdir()
        for index in range(40):
            shade = np.full((9, 12, 3), 200 - 150 * label + index, np.uint8)
            (folder / name / f"{index}.png").write_bytes(
                tf.io.encode_png(shade).numpy()
            )
    return folder


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("new") / "records"
    return write_records(folder, target, images_per_file=20)


def test_records_hold_the_images_of_the_folder(folder, records):
    files, images = record_files(records), image_files(folder)
    assert files.class_names == images.class_names
    assert files.train_size == len(images.train_paths)
    assert files.test_size == len(images.test_paths)
    assert len(files.train_files) == -(-files.train_size // 20) > 1
    options = {"image_shape": (9, 12, 3), "augment": False, "batch_size": 8}
    ours, theirs = (datasets.load(str(f), **options) for f in (records, folder))
    for expected, got in zip(theirs.test_arrays(), ours.test_arrays()):
        np.testing.assert_array_equal(got, expected)
    shades = [
        collections.Counter(
            (round(float(image[0, 0, 0]), 4), int(label))
            for image, label in data.train.unbatch().as_numpy_iterator()
        )
        for data in (ours, theirs)
    ]
    assert shades[0] == shades[1] and len(shades[0]) == files.train_size


def test_records_are_cropped_as_the_folder_is(folder, records, monkeypatch):
    seen = []
    monkeypatch.setattr(
        pipelines,
        "Crops",
        lambda size, channels, **changes: (
            seen.append(changes) or Crops(size, channels, **changes)
        ),
    )
    for place in (folder, records):
        datasets.load(str(place), image_shape=(9, 12, 3), batch_size=8)
    small, large = pipelines.SMALL_SET, pipelines.LARGE_SET
    monkeypatch.setattr(pipelines, "_LARGE", 10)
    datasets.load(str(records), image_shape=(9, 12, 3), batch_size=8)
    assert seen == [small, small, large]


def test_a_fingerprint_changes_with_the_content(folder, records, tmp_path):
    def fingerprint(place):
        options = {"image_shape": (9, 12, 3), "batch_size": 8}
        return datasets.load(str(place), **options).fingerprint

    for place in (folder, records):
        copy = tmp_path / place.name
        shutil.copytree(place, copy)
        assert fingerprint(copy) == fingerprint(place)
    # Two classes change their images, which are as many and as large as before.
    one, other = copies = [tmp_path / folder.name / name for name in ("bright", "dark")]
    one.rename(tmp_path / "away")
    other.rename(one)
    (tmp_path / "away").rename(copies[1])
    assert fingerprint(tmp_path / folder.name) != fingerprint(folder)


def test_test_images_come_from_one_kind_of_file(records, tmp_path):
    shutil.copytree(records, tmp_path / "both")
    (one, *_) = sorted((tmp_path / "both").glob("test*"))
    shutil.copy(one, tmp_path / "both" / one.name.replace("test", "val"))
    assert record_files(tmp_path / "both").test_size == record_files(records).test_size


def test_names_of_classes_are_not_empty(records, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(records, copy)
    (copy / "labels.txt").write_text("bright\ndark\n\n")
    assert record_files(copy).class_names == ("bright", "dark")
    (copy / "labels.txt").write_text("bright\n\ndark\n")
    with pytest.raises(ValueError, match=r"labels\.txt has an empty line"):
        record_files(copy)
    with pytest.raises(ValueError, match=r"images_per_file must be positive"):
        write_records(folder, tmp_path / "none", images_per_file=0)
    assert not (tmp_path / "none").exists()


def batches(data, epoch):
    found = data.train_from(epoch).take(data.steps_per_epoch)
    return [(x.numpy(), y.numpy()) for x, y in found]


def test_order_and_crops_of_records_are_functions_of_seed_and_epoch(records):
    def load():
        return datasets.load(str(records), seed=3, batch_size=16, image_shape=(8, 8, 3))

    first, second = batches(load(), 0), batches(load(), 1)
    for (x, y), (again, labels) in zip(second, batches(load(), 1)):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, labels)
    # A resumed training reads the second epoch like an uninterrupted one.
    data = load()
    whole = data.train_from(0).skip(data.steps_per_epoch).take(data.steps_per_epoch)
    for (x, _), (images, _) in zip(second, whole):
        np.testing.assert_array_equal(images, x)
    assert any((x != z).any() for (x, _), (z, _) in zip(first, second))
    labels = np.concatenate([y for _, y in first])
    assert len(labels) == data.train_size and 0 < labels[:16].mean() < 1


def test_damage_is_named(records, tmp_path):
    path = sorted(records.glob("train*"))[0]
    assert count_records(path) == 20
    cut = tmp_path / "train.tfrecord"
    for size in (len(path.read_bytes()) - 3, 5):
        cut.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ValueError, match=r"train\.tfrecord ends within record"):
            count_records(cut)


def example(**features):
    content = tf.train.Features(feature=features)
    return tf.train.Example(features=content).SerializeToString(deterministic=True)


def integer(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def text(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def write(path, *contents):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)


def test_what_is_missing_is_named(tmp_path):
    good = example(**{"image/encoded": text(b"x"), "image/class/label": integer(0)})
    write(tmp_path / "training-0.tfrecords", good)
    with pytest.raises(ValueError, match=r"has no files test\*\.tfrecord"):
        record_files(tmp_path)
    write(tmp_path / "validation.tfrecord", good)
    # Not one of the test.
    write(tmp_path / "testimonials.tfrecord", b"text")
    with pytest.raises(ValueError, match=r"labels\.txt is missing"):
        record_files(tmp_path)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    assert record_files(tmp_path).class_names == ("a", "b")
    for wrong, message in (
        (example(image=text(b"x")), "Received: image"),
        (b"\xff\xff", r"holds no tf\.train\.Example"),
        (
            example(**{"image/encoded": text(b"x"), "image/class/label": integer(2)}),
            "has the label 2, and labels.txt has 2 classes, from 0 to 1",
        ),
    ):
        write(tmp_path / "validation.tfrecord", wrong)
        with pytest.raises(ValueError, match=message):
            record_files(tmp_path)
    write(tmp_path / "validation.tfrecord")
    with pytest.raises(ValueError, match="holds no record"):
        record_files(tmp_path)


def test_a_label_out_of_range_ends_a_training(folder, tmp_path):
    target = write_records(folder, tmp_path / "records")
    image = (folder / "dark" / "0.png").read_bytes()
    path = next(target.glob("train*"))
    old = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    label = {"image/encoded": text(image), "image/class/label": integer(7)}
    write(path, *old, example(**label))
    data = datasets.load(str(target), batch_size=16, image_shape=(8, 8, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 1"):
        batches(data, 0)


def test_nothing_is_overwritten(folder, records, tmp_path):
    with pytest.raises(FileExistsError, match="is not overwritten"):
        write_records(folder, records)
    with pytest.raises(ValueError, match="Received: none"):
        write_records(tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
