"""Data sets by name: the embedded sample, and pipelines that repeat exactly."""

import collections
import hashlib
import importlib.resources
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from larq_bnnopt import datasets

TOOL = pathlib.Path(__file__).parents[3] / "tools" / "build_fashion_mnist_mini.py"


def batches(dataset, count):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset.take(count)]


def assert_equal(one, other):
    for (images, labels), (more_images, more_labels) in zip(one, other):
        np.testing.assert_array_equal(images, more_images)
        np.testing.assert_array_equal(labels, more_labels)


def test_the_sample_is_stratified_and_scaled():
    data = datasets.load("fashion_mnist_mini", augment=False)
    images, labels = data.test_arrays()
    assert images.shape == (1000, 28, 28, 1) and images.dtype == np.float32
    assert images.min() == -1 and images.max() == 1
    assert set(collections.Counter(labels).values()) == {100}
    train = np.concatenate([labels for _, labels in batches(data.train, -1)])
    assert set(collections.Counter(train).values()) == {600}
    assert data.class_names[9] == "Ankle boot"
    # The first test image of Fashion-MNIST is an ankle boot, the second a pullover.
    assert labels[:2].tolist() == [9, 2]


def test_the_sample_is_the_one_that_the_tool_builds():
    folder = importlib.resources.files("larq_bnnopt.datasets") / "data"
    content = (folder / "fashion_mnist_mini.npz").read_bytes()
    assert len(content) < 4_000_000
    assert hashlib.sha256(content).hexdigest() in TOOL.read_text()
    assert "MIT" in (folder / "LICENSE-fashion-mnist.txt").read_text()


def test_the_order_is_a_function_of_seed_and_epoch():
    data = datasets.load("fashion_mnist_mini", batch_size=500, seed=1)
    same = datasets.load("fashion_mnist_mini", batch_size=500, seed=1)
    other = datasets.load("fashion_mnist_mini", batch_size=500, seed=2)
    steps = data.steps_per_epoch
    assert steps == 12
    straight = batches(data.train_from(0), 3 * steps)
    assert_equal(straight[2 * steps :], batches(same.train_from(2), steps))
    assert not np.array_equal(straight[0][1], straight[steps][1])
    assert not np.array_equal(straight[0][1], batches(other.train_from(0), 1)[0][1])


def test_an_epoch_holds_every_image_once():
    data = datasets.load("fashion_mnist_mini", batch_size=700, augment=False)
    assert data.steps_per_epoch == 9
    for epoch in (data.train, data.train_from(3).take(9)):
        seen = np.concatenate([images for images, _ in batches(epoch, -1)])
        assert seen.shape == (6000, 28, 28, 1)
        sums = np.sort(seen.sum(axis=(1, 2, 3)))
        expected = np.concatenate([i for i, _ in batches(data.train, -1)])
        np.testing.assert_array_equal(sums, np.sort(expected.sum(axis=(1, 2, 3))))


def test_every_pass_has_another_order():
    train = datasets.load("fashion_mnist_mini", batch_size=6000).train
    first, second = batches(train, 1), batches(train, 1)
    assert not np.array_equal(first[0][1], second[0][1])


def test_augmentation_is_a_function_of_the_seed():
    images = tf.random.stateless_normal((64, 8, 8, 3), [1, 2])
    augment = datasets.Augmentation(padding=2, mirror=True)
    one, same, other = (augment(images, tf.constant([0, s])).numpy() for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any(axis=(1, 2, 3)).mean() > 0.5


def test_crops_move_images_by_at_most_the_padding():
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 4, 4] = 1
    images = tf.constant(np.repeat(image, 200, axis=0))
    cropped = datasets.Augmentation(padding=3)(images, tf.constant([0, 1])).numpy()
    positions = np.argwhere(cropped == 1)[:, 1:3]
    assert len(positions) == 200
    assert positions.min() == 1 and positions.max() == 7
    # The padding is black, which is -1.
    assert set(np.unique(cropped)) == {-1, 0, 1}


def test_mirror_images_are_half_of_all():
    image = np.zeros((1, 4, 4, 1), np.float32)
    image[0, 0, 0] = 1
    images = tf.constant(np.repeat(image, 1000, axis=0))
    mirrored = datasets.Augmentation(mirror=True)(images, tf.constant([0, 1])).numpy()
    share = mirrored[:, 0, 3, 0].mean()
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(1000)
    np.testing.assert_array_equal(mirrored[:, 0, 0, 0] + mirrored[:, 0, 3, 0], 1)


def test_digits_are_not_mirrored():
    assert datasets.load("fashion_mnist_mini").augmentation.mirror
    from larq_bnnopt.datasets.loading import _AUGMENTATIONS

    assert "mnist" not in _AUGMENTATIONS


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r"No data set 'fashon_mnist'.*fashion_mnist"):
        datasets.load("fashon_mnist")


def test_data_without_images_is_refused():
    with pytest.raises(ValueError, match="has no features 'image' and 'label'"):
        datasets.load("imdb_reviews")


def test_a_wrong_batch_size_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        datasets.load("fashion_mnist_mini", batch_size=0)
    with pytest.raises(ValueError, match="larger than the 6000 training images"):
        datasets.load("fashion_mnist_mini", batch_size=6001)


class TinyStripes(tfds.core.GeneratorBasedBuilder):
    """Forty images, each of one brightness, as another data set of tfds."""

    VERSION = tfds.core.Version("1.0.0")
    # Tfds looks for the package that a builder comes in: take a module without one.
    __module__ = "_larq_bnnopt_start"

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 6, 3)),
            "label": tfds.features.ClassLabel(names=["dark", "bright"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._examples(range(32)), "test": self._examples(range(8))}

    def _generate_examples(self):
        raise NotImplementedError

    def _examples(self, numbers):
        for number in numbers:
            image = np.full((8, 6, 3), 8 * number, np.uint8)
            yield number, {"image": image, "label": int(number >= 16)}


@pytest.mark.parametrize("in_memory", [True, False])
def test_data_of_tfds_repeats_exactly(in_memory, tmp_path, monkeypatch):
    if not in_memory:
        monkeypatch.setattr("larq_bnnopt.datasets.tfds.LARGEST_IN_MEMORY", 0)

    def load():
        return datasets.load("tiny_stripes", batch_size=10, seed=3, data_dir=tmp_path)

    data = load()
    assert data.input_shape == (8, 6, 3) and data.class_names == ("dark", "bright")
    assert (data.train_size, data.test_size, data.steps_per_epoch) == (32, 8, 4)
    straight = batches(data.train_from(0), 12)
    assert_equal(straight[8:], batches(load().train_from(2), 4))
    epoch = np.concatenate([images for images, _ in straight[4:8]])
    brightness = np.sort((epoch[:, 0, 0, 0] + 1) * 127.5)
    np.testing.assert_allclose(brightness, 8 * np.arange(32), atol=1e-3)
    for images, labels in straight:
        np.testing.assert_array_equal(labels, images[:, 0, 0, 0] >= 2 * 64 / 127.5 - 1)
    images, labels = data.test_arrays()
    assert images.shape == (8, 8, 6, 3) and labels.tolist() == [0] * 8


def test_a_failed_download_is_one_clear_error(tmp_path):
    class Unreachable(TinyStripes):
        name = "unreachable"
        __module__ = "_larq_bnnopt_start"

        def _split_generators(self, dl_manager):
            raise ConnectionError("no route")

    with pytest.raises(OSError, match=r"could not prepare 'unreachable'.*no route"):
        datasets.load("unreachable", data_dir=tmp_path)


def test_training_arrays_are_the_first_of_epoch_0_as_the_model_sees_them():
    data = datasets.load("fashion_mnist_mini")
    images, labels = data.train_arrays(100)
    seen = batches(data.train_from(0), 2)
    expected = [np.concatenate(parts)[:100] for parts in zip(*seen)]
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(labels, expected[1])
    assert len(data.train_arrays(6000)[1]) == 6000
    for count in (0, 6001):
        with pytest.raises(ValueError, match=f"from 1 to 6000. Received: {count}"):
            data.train_arrays(count)


@pytest.mark.parametrize("download", [True, False])
def test_data_that_only_the_user_may_fetch_say_how(download, tmp_path):
    with pytest.raises(datasets.NotDownloadedError) as caught:
        datasets.load("imagenet2012", data_dir=tmp_path, download=download)
    message = str(caught.value)
    assert message.startswith("'imagenet2012' is not on this machine. Fetch its files")
    assert f"into {tmp_path / 'downloads' / 'manual'}," in message
    assert "--data-dir" in message and "\n" not in message
