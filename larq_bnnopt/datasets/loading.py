"""`load`: a data set by name."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import hashlib
import importlib.resources
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets import checking
from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.checking import (
    Progress,
    declared_size,
    has_colours,
    image_problem,
)
from larq_bnnopt.datasets.downloads import prepare
from larq_bnnopt.datasets.folders import image_files, unused_images
from larq_bnnopt.datasets.photographs import MIDDLE, Photographs
from larq_bnnopt.datasets.records import (
    entries_of,
    examples_of,
    holds_records,
    record_files,
)

_Batch = tuple[tf.Tensor, tf.Tensor]
ImageShape = tuple[int | None, int | None, int]

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
# Encoded photographs, of 100 kB or so each.
_ENCODED_WINDOW = 4_096
# How many are looked at to tell what they are like.
_SAMPLES = 32
_IMAGE_SHAPE = (224, 224, 3)
# What is done to training images of any size.
_LARGE_SET = {"least_area": 0.08, "jitter": 0.4}
# Fewer images are learned by heart sooner from small parts.
_SMALL_SET = {"least_area": 0.35, "jitter": 0.2}
_LARGE = 50_000


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
        middle: The share of the largest part of a test image with their shape that is
            looked at; 1.0 where they are of that size.
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
    _fingerprint: Callable[[], str] = dataclasses.field(repr=False)
    _check: Callable[[Progress | None, bool], None] = dataclasses.field(repr=False)
    _samples: Callable[[], list[bytes]] = dataclasses.field(repr=False)
    middle: float = 1.0

    @property
    def stored_size(self) -> tuple[int, int] | None:
        """The median height and width of a few images as they are stored.

        `None` for data sets whose images have one size, which is that of `input_shape`.
        """
        sizes = [size for one in self._samples() if (size := declared_size(one))]
        if not sizes:
            return None
        height, width = np.median(np.array(sizes), axis=0)
        return int(height), int(width)

    @property
    def is_stored_in_colour(self) -> bool | None:
        """Whether a few images as they are stored have colours; `None` as above."""
        samples = [one for one in self._samples() if not image_problem(one, 3)]
        return any(map(has_colours, samples)) if samples else None

    def check(self, progress: Progress | None = None, again: bool = False) -> None:
        """Looks at every image of a folder or of TFRecord files, once.

        What was good and has not changed since is not looked at again, in later
        processes neither. Other data sets are taken as they are.

        Args:
            progress: Called with how many were looked at, and how many there are.
                Defaults to `None`.
            again: Whether to look again in any case. Defaults to `False`.

        Raises:
            ValueError: If an image or a label cannot be used, by file and record.
        """
        self._check(progress, again)

    @property
    def fingerprint(self) -> str:
        """What changes with the data; computed anew each time it is asked for.

        Of files it is their content or, where that is more than 1 GiB, their sizes.
        """
        return self._fingerprint()

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
        with self.faults_named():
            images, labels = zip(*self.test.as_numpy_iterator())
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
        with self.faults_named():
            return next(batches.as_numpy_iterator())

    @contextlib.contextmanager
    def faults_named(self) -> Iterator[None]:
        """Names the image or record behind an error of TensorFlow, which does not."""
        try:
            yield
        except tf.errors.OpError:
            self.check(again=True)
            raise


def load(
    name: str,
    *,
    batch_size: int = 64,
    seed: int = 0,
    augment: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
    image_shape: ImageShape | None = None,
    download: bool = True,
) -> Dataset:
    """Loads a data set for image classification.

    `"fashion_mnist_mini"` comes with the package: 6,000 training and 1,000 test images,
    the first of each class of Fashion-MNIST. A folder holds images of one's own, in a
    folder for each class: see `larq_bnnopt.datasets.folders.image_files`; or TFRecord
    files, see `larq_bnnopt.datasets.records.record_files`. Every other name goes to
    tensorflow-datasets, which downloads the data on first use.

    Images of any size, of folders and of sets such as `"imagenet2012"`, are resized:
    for training a random part of each, for the test its middle. What fits into 1 GiB is
    kept in memory: images of one size, the files of a folder, resized test images.

    Args:
        name: `"fashion_mnist_mini"`, a folder, or a name of tensorflow-datasets with
            images and labels, such as `"fashion_mnist"`, `"mnist"`, `"cifar10"`.
        batch_size: Images in a batch. Defaults to `64`.
        seed: Seed of order and augmentation. Defaults to `0`.
        augment: Whether to augment training images where that suits the data: mirror
            images for Fashion-MNIST; mirror images and crops for CIFAR; mirror images,
            random parts and colours for images of any size; nothing for others, such as
            digits. Defaults to `True`.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own default.
        image_shape: What images of any size become, `(height, width, channels)`.
            Defaults to `None`, `(224, 224, 3)`, as do single numbers that are `None`.
        download: Whether to download what is not here. Defaults to `True`.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such data set, with the nearest names, if it has no
            images with labels, or fewer than fill a batch, or if `image_shape` is given
            for images that have a size.
        OSError: If it cannot be downloaded, or a folder cannot be read.
        NotDownloadedError: If it is not here, and not to be downloaded.

    Example:
        >>> data = load("fashion_mnist_mini", batch_size=100)
        >>> data.input_shape, data.num_classes, data.train_size, data.test_size
        ((28, 28, 1), 10, 6000, 1000)
        >>> images, labels = next(iter(data.train))
        >>> images.shape, labels.dtype
        (TensorShape([100, 28, 28, 1]), tf.int64)
    """
    if data_dir is not None and (name == EMBEDDED or os.path.isdir(name)):
        raise ValueError(
            f"data_dir is a folder of tensorflow-datasets, and {name!r} is none of its "
            "data sets. Leave it out."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: {batch_size}")
    if name == EMBEDDED:
        source = _embedded()
    elif os.path.isdir(name):
        records = holds_records(pathlib.Path(name))
        source = (_from_records if records else _from_folder)(
            name, image_shape, augment
        )
    else:
        source = _from_tfds(name, data_dir, image_shape, augment, download)
    if any(n not in (None, m) for n, m in zip(image_shape or (), source.input_shape)):
        raise ValueError(
            f"The images of {name!r} are {source.input_shape}. Received as "
            f"image_shape: {tuple(image_shape or ())}"
        )
    if batch_size > source.train_size:
        raise ValueError(
            f"batch_size {batch_size} is larger than the {source.train_size} training "
            f"images of {name!r}."
        )
    # "cifar10:3.0.2" names the same images.
    bare = name.partition(":")[0].partition("/")[0]
    known = Augmentation(mirror=True) if source.is_cropped else _AUGMENTATIONS.get(bare)
    augmentation = known if augment else None
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
        _fingerprint=source.fingerprint,
        _check=source.check,
        _samples=source.samples,
        middle=MIDDLE if source.is_cropped else 1.0,
    )


@dataclasses.dataclass(frozen=True)
class _Source:
    """Images as they are stored.

    `shuffled(seed pair, batch size)` gives the batches of one epoch. `is_cropped` says
    that they are parts of photographs, `fingerprint()` what they are; `check(progress,
    again)` looks at each of them, `samples()` gives a few as they are stored.
    """

    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    test: tf.data.Dataset
    shuffled: Callable[[tf.Tensor, int], tf.data.Dataset]
    fingerprint: Callable[[], str]
    is_cropped: bool = False
    check: Callable[[Progress | None, bool], None] = lambda progress, again: None
    samples: Callable[[], list[bytes]] = list


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
    name: str,
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
        fingerprint=lambda: name,
    )


def _embedded() -> _Source:
    folder = importlib.resources.files("larq_bnnopt.datasets") / "data"
    with (folder / f"{EMBEDDED}.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        train, test = (
            (arrays[f"x_{split}"][..., np.newaxis], arrays[f"y_{split}"])
            for split in ("train", "test")
        )
    return _in_memory(train, test, _EMBEDDED_CLASSES, EMBEDDED)


def _from_folder(
    name: str,
    image_shape: ImageShape | None,
    augment: bool,
) -> _Source:
    files = image_files(pathlib.Path(name))
    changes = _changes(len(files.train_paths)) if augment else None
    photographs = _photographs(image_shape, changes)
    labels = tf.constant(files.train_labels)
    read = _reader(files.train_paths)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(files.train_paths), dtype=tf.int64), seeds
        )
        examples = tf.data.Dataset.from_tensor_slices(order).map(
            lambda index: (read(index), labels[index]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return _parts(examples, photographs, changes, seeds).batch(batch_size)

    test = tf.data.Dataset.from_tensor_slices(
        (list(map(os.fsencode, files.test_paths)), files.test_labels)
    )

    def check(progress: Progress | None, again: bool) -> None:
        paths = (*files.train_paths, *files.test_paths)
        _warn_of_unused(pathlib.Path(name))
        checking.check_files(name, paths, photographs.channels, progress, again)

    return _Source(
        input_shape=(*photographs.size, photographs.channels),
        class_names=files.class_names,
        train_size=len(files.train_paths),
        test_size=len(files.test_paths),
        test=_tested(
            test.map(lambda path, label: (tf.io.read_file(path), label)),
            photographs,
            len(files.test_paths),
        ),
        shuffled=shuffled,
        fingerprint=lambda: _digest(name, (*files.train_paths, *files.test_paths)),
        is_cropped=True,
        check=check,
        samples=lambda: [
            pathlib.Path(path).read_bytes()
            for path in files.train_paths[:: -(-len(files.train_paths) // _SAMPLES)]
        ],
    )


def _warn_of_unused(folder: pathlib.Path) -> None:
    unused = unused_images(folder)
    if unused:
        warnings.warn(
            f"{len(unused):,} images of {folder} are not used, such as {unused[0]}: "
            "they lie in no folder of a class, or are no JPEG, PNG, GIF or BMP.",
            stacklevel=5,
        )


def _digest(folder: str, paths: tuple[str, ...]) -> str:
    """Returns a digest of files, which stays where the folder is moved."""
    digest = hashlib.sha256()
    fits = sum(os.path.getsize(path) for path in paths) <= _LARGEST_IN_MEMORY
    for path in paths:
        line = f"{os.path.relpath(path, folder)} {os.path.getsize(path)}\n"
        digest.update(os.fsencode(line))
        if fits:
            digest.update(pathlib.Path(path).read_bytes())
    return digest.hexdigest()


def _reader(paths: tuple[str, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from an index to a file's content, in memory if all fit."""
    if sum(os.path.getsize(path) for path in paths) <= _LARGEST_IN_MEMORY:
        contents = tf.constant([pathlib.Path(path).read_bytes() for path in paths])
        return lambda index: contents[index]
    names = tf.constant([*map(os.fsencode, paths)])
    return lambda index: tf.io.read_file(names[index])


def _tested(
    encoded: tf.data.Dataset, photographs: Photographs, size: int
) -> tf.data.Dataset:
    """Decodes test images; keeps them, if they fit, for the tests of later epochs."""
    images = encoded.map(
        lambda image, label: (photographs.for_test(image), label),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    needed = 4 * size * int(np.prod(photographs.size)) * photographs.channels
    return images.cache() if needed <= _LARGEST_IN_MEMORY else images


def _from_records(
    name: str,
    image_shape: ImageShape | None,
    augment: bool,
) -> _Source:
    files = record_files(pathlib.Path(name))
    changes = _changes(files.train_size) if augment else None
    photographs = _photographs(image_shape, changes)
    classes = len(files.class_names)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(files.train_files), dtype=tf.int64), seeds
        )
        examples = examples_of(files.train_files, order, classes)
        examples = _in_windows(examples, seeds, _ENCODED_WINDOW)
        return _parts(examples, photographs, changes, seeds).batch(batch_size)

    def check(progress: Progress | None, again: bool) -> None:
        paths = (*files.train_files, *files.test_files)
        entries = entries_of(paths, classes, photographs.channels)
        total = files.train_size + files.test_size
        look = functools.partial(checking.check, name, entries, total, progress)
        salt = f"{photographs.channels} {classes}"
        look() if again else checking.once(paths, salt, look)

    order = tf.range(len(files.test_files), dtype=tf.int64)
    return _Source(
        input_shape=(*photographs.size, photographs.channels),
        class_names=files.class_names,
        train_size=files.train_size,
        test_size=files.test_size,
        test=_tested(
            examples_of(files.test_files, order, classes), photographs, files.test_size
        ),
        shuffled=shuffled,
        fingerprint=lambda: _digest(name, (*files.train_files, *files.test_files)),
        is_cropped=True,
        check=check,
        samples=lambda: [
            image.numpy()
            for image, _ in examples_of(
                files.train_files[:1], tf.range(1), classes
            ).take(_SAMPLES)
        ],
    )


def _changes(images: int) -> dict[str, float]:
    """Returns what is done to that many training images of any size."""
    return _LARGE_SET if images >= _LARGE else _SMALL_SET


def _photographs(
    image_shape: ImageShape | None, changes: dict[str, float] | None
) -> Photographs:
    height, width, channels = (
        default if given is None else given
        for given, default in zip(image_shape or _IMAGE_SHAPE, _IMAGE_SHAPE)
    )
    return Photographs((height, width), channels, **(changes or {}))


def _parts(
    examples: tf.data.Dataset,
    photographs: Photographs,
    changes: dict[str, float] | None,
    seeds: tf.Tensor,
) -> tf.data.Dataset:
    """Decodes training images, and takes random parts of them if they are changed."""

    def part(index: tf.Tensor, example: _Batch) -> _Batch:
        encoded, label = example
        if changes is None:
            return photographs.for_test(encoded), label
        # The second half of the numbers of an epoch; `_augmented` has the first.
        step = seeds[1] * (1 << 32) + (1 << 31) + index
        return photographs.for_training(encoded, tf.stack([seeds[0], step])), label

    return examples.enumerate().map(part, num_parallel_calls=tf.data.AUTOTUNE)


def _from_tfds(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    image_shape: ImageShape | None,
    augment: bool,
    download: bool,
) -> _Source:
    import tensorflow_datasets as tfds

    if ":" in name.split("/")[0]:
        # tensorflow-datasets fetches the code of such a set, and runs it.
        raise ValueError(
            f"{name!r} is a data set of others, whose code would be run. Load it "
            "yourself, or write its images into folders or TFRecords."
        )
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError):
        names = [EMBEDDED, *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name, names, cutoff=0.5) or [EMBEDDED]
        raise ValueError(f"No data set {name!r}. Nearest: {', '.join(near)}.") from None
    features = builder.info.features
    shape = features["image"].shape if "image" in features else None
    if shape is None or shape[-1] is None or "label" not in features:
        raise ValueError(
            f"{name!r} has no features 'image' and 'label'. "
            f"Received: {', '.join(features)}"
        )
    splits = builder.info.splits or ("train", "test")
    # That of ImageNet has no labels.
    test_split = "test" if "test" in splits and name[:8] != "imagenet" else "validation"
    missing = {"train", test_split} - set(splits)
    if missing:
        raise ValueError(
            f"{name!r} has no split {', '.join(sorted(missing))}. It has: "
            f"{', '.join(builder.info.splits)}."
        )
    prepare(builder, download)
    sizes = {
        split: builder.info.splits[split].num_examples
        for split in ("train", test_split)
    }
    class_names = tuple(features["label"].names)
    if None in shape:
        return _any_size(builder, class_names, sizes, image_shape, augment)
    if sum(sizes.values()) * int(np.prod(shape)) <= _LARGEST_IN_MEMORY:
        train, test = (
            tfds.as_numpy(
                builder.as_dataset(split=split, as_supervised=True, batch_size=-1)
            )
            for split in sizes
        )
        return _in_memory(train, test, class_names, builder.info.full_name)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        examples = builder.as_dataset(split="train", as_supervised=True)
        return _in_windows(examples, seeds, _SHUFFLE_WINDOW).batch(batch_size)

    return _Source(
        input_shape=tuple(shape),
        class_names=class_names,
        train_size=sizes["train"],
        test_size=sizes[test_split],
        test=builder.as_dataset(split=test_split, as_supervised=True),
        shuffled=shuffled,
        fingerprint=lambda: builder.info.full_name,
    )


def _any_size(
    builder: Any,
    class_names: tuple[str, ...],
    sizes: dict[str, int],
    image_shape: ImageShape | None,
    augment: bool,
) -> _Source:
    """Returns a set of tfds whose images have sizes of their own, as ImageNet's."""
    import tensorflow_datasets as tfds

    _, test_split = sizes
    changes = _changes(sizes["train"]) if augment else None
    photographs = _photographs(image_shape, changes)

    def encoded(split: str) -> tf.data.Dataset:
        # Decoded behind the shuffling, when the part to look at is known.
        decoders = {"image": tfds.decode.SkipDecoding()}
        return builder.as_dataset(split=split, as_supervised=True, decoders=decoders)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        examples = _in_windows(encoded("train"), seeds, _ENCODED_WINDOW)
        return _parts(examples, photographs, changes, seeds).batch(batch_size)

    return _Source(
        input_shape=(*photographs.size, photographs.channels),
        class_names=class_names,
        train_size=sizes["train"],
        test_size=sizes[test_split],
        test=_tested(encoded(test_split), photographs, sizes[test_split]),
        shuffled=shuffled,
        fingerprint=lambda: builder.info.full_name,
        is_cropped=True,
    )


def _in_windows(
    examples: tf.data.Dataset, seeds: tf.Tensor, size: int
) -> tf.data.Dataset:
    """Shuffles within windows: tfds has shuffled the data when it prepared them.

    Dataset.shuffle takes no seed that is a tensor.
    """

    def shuffle(index: tf.Tensor, window: _Batch) -> _Batch:
        seed = tf.stack([seeds[0], seeds[1] * (1 << 32) + index])
        images, labels = window
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.shape(labels)[0]), seed
        )
        return tf.gather(images, order), tf.gather(labels, order)

    return examples.batch(size).enumerate().map(shuffle).unbatch()
