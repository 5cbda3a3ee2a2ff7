"""Folders of images: which images are found, and how each is cropped."""

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets.crops import Crops
from larq_bnnopt.datasets.folders import image_files


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = tf.io.encode_png if path.suffix == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(tf.constant(image, tf.uint8)).numpy())


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images of other sizes in two formats; the class is the brightness."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for label, name in enumerate(("dark", "bright", "grey")):
        for index in range(40):
            height, width = generator.integers(20, 60, 2)
            image = generator.integers(0, 50, (height, width, 3)) + 90 * label
            suffix = ("png", "jpg")[index % 2]
            write(folder / name / f"{index}.{suffix}", image)
        (folder / name / "notes.txt").write_text("no image")
    return folder


def test_a_fifth_is_kept_for_the_test_and_stays_there(photographs, tmp_path):
    files = image_files(photographs)
    assert files.class_names == ("bright", "dark", "grey")
    assert len(files.train_paths) + len(files.test_paths) == 120
    assert 0.1 < len(files.test_paths) / 120 < 0.3
    assert not set(files.train_paths) & set(files.test_paths)
    for path, label in zip(files.train_paths, files.train_labels):
        assert f"/{files.class_names[label]}/" in path
    extra = photographs / "dark" / "new.png"
    write(extra, np.zeros((30, 30, 3)))
    again = image_files(photographs)
    extra.unlink()
    assert set(files.test_paths) <= set(again.test_paths)
    assert set(files.train_paths) <= set(again.train_paths)


@pytest.mark.parametrize("content", ['{"images": [], "shape": [4]}', "[]", "{", "7"])
def test_a_data_json_beside_images_is_none_of_arrays(content, tmp_path):
    folders_of_images(tmp_path)
    before = datasets.load(
        str(tmp_path), batch_size=2, image_shape=(4, 4, 3)
    ).fingerprint
    (tmp_path / "data.json").write_text(content)
    data = datasets.load(str(tmp_path), batch_size=2, image_shape=(4, 4, 3))
    assert (data.kind, data.train_size, data.fingerprint) == ("images", 6, before)
    assert datasets.kind_of(str(tmp_path)) == "images"


def test_arrays_beside_images_are_stray_ones(tmp_path):
    folders_of_images(tmp_path)
    np.savez(tmp_path / "train.npz", embeddings=np.zeros((3, 4)))
    assert datasets.kind_of(str(tmp_path)) == "images"
    data = datasets.load(str(tmp_path), batch_size=2, image_shape=(4, 4, 3))
    assert (data.kind, data.train_size) == ("images", 6)


@pytest.mark.parametrize("settings", [False, True])
def test_images_win_over_stray_sounds(settings, tmp_path):
    folders_of_images(tmp_path)
    if settings:  # Without any sound they say nothing.
        (tmp_path / "sound.json").write_text("{}")
    else:
        (tmp_path / "train" / "a" / "shutter.wav").write_bytes(b"RIFF")
    assert datasets.kind_of(str(tmp_path)) == "images"
    data = datasets.load(str(tmp_path), batch_size=2, image_shape=(4, 4, 3))
    assert (data.kind, data.train_size) == ("images", 6)


def folders_of_images(folder):
    for part, count in (("train", 3), ("val", 2)):
        for name in ("a", "b"):
            for index in range(count):
                write(folder / part / name / f"{index}.png", np.zeros((4, 4, 3)))


def test_folders_for_training_and_test_are_taken(tmp_path):
    folders_of_images(tmp_path)
    files = image_files(tmp_path)
    assert (len(files.train_paths), len(files.test_paths)) == (6, 4)
    assert files.test_labels.tolist() == [0, 0, 1, 1]
    write(tmp_path / "val" / "c" / "0.png", np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"classes a, b, .* has a, b, c"):
        image_files(tmp_path)
    (tmp_path / "val").rename(tmp_path / "other")
    with pytest.raises(ValueError, match="no test or val beside it"):
        image_files(tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="Received: none"):
        image_files(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="a holds no image"):
        image_files(tmp_path)
    write(tmp_path / "a" / "0.png", np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="a has 1 images, too few"):
        image_files(tmp_path)


def test_order_and_crops_are_functions_of_seed_and_epoch(photographs):
    options = {"batch_size": 16, "image_shape": (24, 32, 3)}
    data = datasets.load(str(photographs), seed=1, **options)
    assert data.input_shape == (24, 32, 3) and data.num_classes == 3
    steps = data.steps_per_epoch
    straight = list(data.train_from(0).take(2 * steps).as_numpy_iterator())
    again = datasets.load(str(photographs), seed=1, **options)
    for one, other in zip(straight[steps:], again.train_from(1).take(steps)):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert not np.array_equal(straight[0][0], straight[steps][0])
    images, labels = data.test_arrays()
    assert images.shape == (data.test_size, 24, 32, 3)
    assert images.min() >= -1 and images.max() <= 1
    # Each image is with its label: classes differ by their brightness.
    for chosen_images, chosen_labels in ((images, labels), straight[3]):
        means = chosen_images.mean(axis=(1, 2, 3))
        order = [means[chosen_labels == label].mean() for label in (1, 0, 2)]
        assert order == sorted(order)


def test_without_augmentation_training_images_are_center_crops(photographs):
    data = datasets.load(
        str(photographs), augment=False, image_shape=(16, 16, 3), batch_size=8
    )
    one, other = (
        np.concatenate([images for images, _ in data.train_from(epoch).take(12)])
        for epoch in (0, 1)
    )
    assert sorted(one.sum(axis=(1, 2, 3))) == sorted(other.sum(axis=(1, 2, 3)))


def test_a_center_crop_has_the_shape_of_the_result():
    image = np.zeros((80, 200, 3), np.uint8)
    # The largest square is 80 pixels wide; 7/8 of it are 70.
    image[5:75, 65:135] = 200
    encoded = tf.io.encode_png(image)
    test = Crops((35, 35)).center(encoded).numpy()
    np.testing.assert_allclose(test, 200, atol=1)
    assert Crops((35, 35), channels=1).center(encoded).shape == (35, 35, 1)


def test_random_crops_have_the_areas_that_are_asked_for():
    height = width = 100
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8)
    encoded = tf.io.encode_png(image)
    areas, corners = [], set()
    for number in range(60):
        part = Crops((50, 50), min_area=0.3).random(encoded, tf.constant([0, number]))
        part = part.numpy()
        tall, wide = (np.ptp(part[..., axis]) + 2 for axis in (0, 1))
        areas.append(tall * wide / 1e4)
        corners.add(int(part[0, 0, 0]))
    assert min(areas) > 0.27 and max(areas) <= 1.05 and np.ptp(areas) > 0.4
    assert len(corners) > 10


def test_colors_change_within_the_color_jitter():
    encoded = tf.io.encode_png(np.full((8, 8, 3), 100, np.uint8))
    means = [
        float(tf.reduce_mean(Crops((8, 8), color_jitter=0.4).random(
            encoded, tf.constant([0, number])
        )))
        for number in range(50)
    ]  # fmt: skip
    assert 59 < min(means) < 75 and 125 < max(means) < 141


def test_a_size_for_images_that_have_one_is_refused():
    with pytest.raises(ValueError, match=r"are \(28, 28, 1\). Received as image_shape"):
        datasets.load("fashion_mnist_mini", image_shape=(32, 32, 3))
