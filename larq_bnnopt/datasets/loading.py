"""`load`: a data set by name."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.resources
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets.augmentation import Augmentation

_Batch = tuple[tf.Tensor, tf.Tensor]

EMBEDDED = "fashion_mnist_mini"
_EMBEDDED_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_AUGMENTATIONS = {
    "cifar10": Augmentation(padding=4, mirror=True),
    "cifar100": Augmentation(padding=4, mirror=True),
    "fashion_mnist": Augmentation(mirror=True),
    EMBEDDED: Augmentation(mirror=True),
}
_LARGEST_IN_MEMORY = 1 << 30
_SHUFFLE_WINDOW = 10_000


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with labels, split into training and test.

    Images are float32 in [-1, 1] (`pixel / 127.5 - 1`), labels int64. The order of the
    training images and their augmentation are functions of the seed and the epoch
    alone, so that an interrupted training can go on exactly.

    Attributes:
        name: Name given to `load`.
        input_shape: `(height, width, channels)`.
        class_names: Names of the classes, in the order of the labels.
        train_size: Number of training images.
        test_size: Number of test images.
        batch_size: Images in a batch.
        seed: Seed of order and augmentation.
        augmentation: What is done to training images, or `None`.
        test: Batches of test images, in the order of the data set.
    """

    name: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    batch_size: int
    seed: int
    augmentation: Augmentation | None
    test: tf.data.Dataset = dataclasses.field(repr=False)
    _epoch: Callable[[tf.Tensor], tf.data.Dataset] = dataclasses.field(repr=False)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def steps_per_epoch(self) -> int:
        """Number of training batches in an epoch; the last may be smaller."""
        return -(-self.train_size // self.batch_size)

    @property
    def train(self) -> tf.data.Dataset:
        """Batches of one epoch, in another order at each pass, for `model.fit`."""
        passes = tf.data.Dataset.random(self.seed, rerandomize_each_iteration=True)
        epochs = passes.take(1).map(lambda seed: tf.stack([seed, 0]))
        batches = epochs.flat_map(self._epoch).prefetch(tf.data.AUTOTUNE)
        cardinality = tf.data.experimental.assert_cardinality(self.steps_per_epoch)
        return batches.apply(cardinality)

    def train_from(self, epoch: int) -> tf.data.Dataset:
        """Endless batches that start at an epoch, for a training that can be resumed.

        Pass `steps_per_epoch` to `model.fit` with it.

        Args:
            epoch: First epoch, counted from 0.

        Returns:
            The batches of that epoch, then of the following ones.
        """
        epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
        seeds = epochs.map(lambda e: tf.stack([tf.constant(self.seed, tf.int64), e]))
        return seeds.flat_map(self._epoch).prefetch(tf.data.AUTOTUNE)

    def test_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns all test images and labels as NumPy arrays."""
        batches = list(self.test.as_numpy_iterator())
        images, labels = zip(*batches)
        return np.concatenate(images), np.concatenate(labels)

    def train_arrays(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns training images and labels as NumPy arrays, as the model sees them.

        Args:
            count: How many: the first ones of epoch 0, augmented as in training.

        Raises:
            ValueError: If there are fewer.
        """
        if not 0 < count <= self.train_size:
            raise ValueError(
                f"count must be from 1 to {self.train_size}. Received: {count}"
            )
        batches = self.train_from(0).unbatch().batch(count)
        return next(batches.as_numpy_iterator())


def load(
    name: str,
    *,
    batch_size: int = 64,
    seed: int = 0,
    augment: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Loads a data set for image classification.

    `"fashion_mnist_mini"` comes with the package: 6,000 training and 1,000 test images,
    the first of each class of Fashion-MNIST. Every other name goes to
    tensorflow-datasets, which downloads the data on first use.

    Args:
        name: `"fashion_mnist_mini"` or a name of tensorflow-datasets with images of one
            size and labels, such as `"fashion_mnist"`, `"mnist"`, `"cifar10"`.
        batch_size: Images in a batch. Defaults to `64`.
        seed: Seed of order and augmentation. Defaults to `0`.
        augment: Whether to augment training images where that suits the data: mirror
            images for Fashion-MNIST; mirror images and crops for CIFAR; nothing for
            others, such as digits. Defaults to `True`.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own default.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such data set, with the nearest names, if it has no
            images of one size with labels, or fewer than fill a batch.
        OSError: If it cannot be downloaded.

    Example:
        >>> data = load("fashion_mnist_mini", batch_size=100)
        >>> data.input_shape, data.num_classes, data.train_size, data.test_size
        ((28, 28, 1), 10, 6000, 1000)
        >>> images, labels = next(iter(data.train))
        >>> images.shape, labels.dtype
        (TensorShape([100, 28, 28, 1]), tf.int64)
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: {batch_size}")
    source = _embedded() if name == EMBEDDED else _from_tfds(name, data_dir)
    if batch_size > source.train_size:
        raise ValueError(
            f"batch_size {batch_size} is larger than the {source.train_size} training "
            f"images of {name!r}."
        )
    # "cifar10:3.0.2" names the same images.
    bare = name.partition(":")[0].partition("/")[0]
    augmentation = _AUGMENTATIONS.get(bare) if augment else None
    return Dataset(
        name=name,
        input_shape=source.input_shape,
        class_names=source.class_names,
        train_size=source.train_size,
        test_size=source.test_size,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        test=source.test.batch(batch_size).map(_scaled).prefetch(tf.data.AUTOTUNE),
        _epoch=lambda seeds: _augmented(
            source.shuffled(seeds, batch_size), seeds, augmentation
        ),
    )


@dataclasses.dataclass(frozen=True)
class _Source:
    """Images as they are stored.

    `shuffled(seed pair, batch size)` gives the batches of one epoch.
    """

    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    test: tf.data.Dataset
    shuffled: Callable[[tf.Tensor, int], tf.data.Dataset]


def _augmented(
    batches: tf.data.Dataset, seeds: tf.Tensor, augmentation: Augmentation | None
) -> tf.data.Dataset:
    def process(index: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> _Batch:
        images, labels = _scaled(*batch)
        if augmentation is not None:
            # The first half of the pair tells runs apart, the second epochs, batches.
            step = seeds[1] * (1 << 32) + index
            images = augmentation(images, tf.stack([seeds[0], step]))
        return images, labels

    return batches.enumerate().map(process, num_parallel_calls=tf.data.AUTOTUNE)


def _scaled(images: tf.Tensor, labels: tf.Tensor) -> _Batch:
    return tf.cast(images, tf.float32) / 127.5 - 1.0, tf.cast(labels, tf.int64)


def _in_memory(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    class_names: tuple[str, ...],
) -> _Source:
    images, labels = (tf.constant(array) for array in train)
    height, width, channels = train[0].shape[1:]

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(labels), dtype=tf.int64), seeds
        )
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .batch(batch_size)
            .map(lambda batch: (tf.gather(images, batch), tf.gather(labels, batch)))
        )

    return _Source(
        input_shape=(height, width, channels),
        class_names=class_names,
        train_size=len(train[1]),
        test_size=len(test[1]),
        test=tf.data.Dataset.from_tensor_slices(test),
        shuffled=shuffled,
    )


def _embedded() -> _Source:
    folder = importlib.resources.files("larq_bnnopt.datasets") / "data"
    with (folder / f"{EMBEDDED}.npz").open("rb") as file:
        arrays = np.load(file)
        train, test = (
            (arrays[f"x_{split}"][..., np.newaxis], arrays[f"y_{split}"])
            for split in ("train", "test")
        )
    return _in_memory(train, test, _EMBEDDED_CLASSES)


def _from_tfds(name: str, data_dir: str | os.PathLike[str] | None) -> _Source:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError):
        names = [EMBEDDED, *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name, names, cutoff=0.5) or [EMBEDDED]
        raise ValueError(f"No data set {name!r}. Nearest: {', '.join(near)}.") from None
    features = builder.info.features
    shape = features["image"].shape if "image" in features else None
    if shape is None or None in shape or "label" not in features:
        raise ValueError(
            f"{name!r} has no features 'image', of one size, and 'label'. "
            f"Received: {', '.join(features)}"
        )
    missing = {"train", "test"} - set(builder.info.splits or ("train", "test"))
    if missing:
        raise ValueError(
            f"{name!r} has no split {', '.join(sorted(missing))}. It has: "
            f"{', '.join(builder.info.splits)}."
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # Downloads fail in many ways.
        raise OSError(
            f"tensorflow-datasets could not prepare {name!r} in {builder.data_dir}: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    sizes = {
        split: builder.info.splits[split].num_examples for split in ("train", "test")
    }
    class_names = tuple(features["label"].names)
    if sum(sizes.values()) * int(np.prod(shape)) <= _LARGEST_IN_MEMORY:
        train, test = (
            tfds.as_numpy(
                builder.as_dataset(split=split, as_supervised=True, batch_size=-1)
            )
            for split in ("train", "test")
        )
        return _in_memory(train, test, class_names)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        # Dataset.shuffle takes no seed that is a tensor. Tfds has shuffled the data
        # when it prepared them, so windows are enough to vary the epochs.
        def shuffle(index: tf.Tensor, window: _Batch) -> _Batch:
            seed = tf.stack([seeds[0], seeds[1] * (1 << 32) + index])
            images, labels = window
            order = tf.random.experimental.stateless_shuffle(
                tf.range(tf.shape(labels)[0]), seed
            )
            return tf.gather(images, order), tf.gather(labels, order)

        examples = builder.as_dataset(split="train", as_supervised=True)
        windows = examples.batch(_SHUFFLE_WINDOW).enumerate().map(shuffle)
        return windows.unbatch().batch(batch_size)

    return _Source(
        input_shape=tuple(shape),
        class_names=class_names,
        train_size=sizes["train"],
        test_size=sizes["test"],
        test=builder.as_dataset(split="test", as_supervised=True),
        shuffled=shuffled,
    )
