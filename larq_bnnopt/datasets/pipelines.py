"""tf.data pipelines whose order, crops and augmentation are functions of a seed.

The seed pair of an epoch is `(seed of the run, epoch)`. Shuffling uses it as it is;
batches, windows and crops get pairs of their own from it, see `batch_seed` and
`crop_seed`.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.colors import Colors
from larq_bnnopt.datasets.crops import Crops
from larq_bnnopt.datasets.dataset import Arrays, Batch, ImageShape, Source

LARGEST_IN_MEMORY = 1 << 30
# Encoded photographs, about 100 kB each.
ENCODED_WINDOW = 4_096
# Number of stored images from which size and colours are estimated.
SAMPLES = 32
_IMAGE_SHAPE = (224, 224, 3)
# Each epoch has 2**32 numbers. Batches and windows take the lower half, crops the upper
# one, so that no crop shares its seed with the augmentation of a batch.
_NUMBERS_OF_AN_EPOCH = 1 << 32
_FIRST_CROP = 1 << 31


# Crops and color jitter of training images of any size.
LARGE_SET = {"min_area": 0.08, "color_jitter": 0.4}
# A network overfits few images sooner, if it sees small crops of them.
SMALL_SET = {"min_area": 0.35, "color_jitter": 0.2}
_LARGE = 50_000


def batch_seed(seeds: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns the seed pair of a batch, or of a window, in an epoch.

    Args:
        seeds: The seed pair of the epoch.
        index: The number of the batch or window, below 2**31.
    """
    return tf.stack([seeds[0], seeds[1] * _NUMBERS_OF_AN_EPOCH + index])


def crop_seed(seeds: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns the seed pair of the crop of an image in an epoch.

    Args:
        seeds: The seed pair of the epoch.
        index: The number of the image, below 2**31.
    """
    return batch_seed(seeds, _FIRST_CROP + index)


def augmented(
    batches: tf.data.Dataset,
    seeds: tf.Tensor,
    augmentation: Augmentation | None,
    colors: Colors,
    cast: Callable[[tf.Tensor, tf.Tensor], Batch],
) -> tf.data.Dataset:
    """Casts the training batches of an epoch, and augments them if there is how.

    Args:
        batches: Stored inputs and labels.
        seeds: The seed pair of the epoch.
        augmentation: The augmentation, or `None`.
        colors: Random colors.
        cast: Returns what a model takes of a stored batch: `scaled` or `as_numbers`.
    """

    def process(index: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> Batch:
        images, labels = cast(*batch)
        if augmentation is not None:
            images = augmentation(images, batch_seed(seeds, index))
        return colors(images, batch_seed(seeds, index)), labels

    return batches.enumerate().map(process, num_parallel_calls=tf.data.AUTOTUNE)


def scaled(images: tf.Tensor, labels: tf.Tensor) -> Batch:
    """Scales pixels from [0, 255] to [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0, tf.cast(labels, tf.int64)


def as_numbers(inputs: tf.Tensor, labels: tf.Tensor) -> Batch:
    """Returns inputs as they are, with classes or the numbers of a regression."""
    kind = tf.float32 if labels.dtype.is_floating else tf.int64
    return tf.cast(inputs, tf.float32), tf.cast(labels, kind)


def as_tokens(inputs: dict[str, tf.Tensor], labels: tf.Tensor) -> Batch:
    """Returns tokens, which are stored in fewer bytes, as a model takes them."""
    kind = tf.float32 if labels.dtype.is_floating else tf.int64
    tokens = {name: tf.cast(one, tf.int32) for name, one in inputs.items()}
    return tokens, tf.cast(labels, kind)


def in_memory(
    train: tuple[Arrays, np.ndarray],
    test: tuple[Arrays, np.ndarray],
    class_names: tuple[str, ...],
    name: str,
) -> Source:
    """Returns the source of inputs of one shape that are held in memory.

    Args:
        train: Training inputs and labels.
        test: Test inputs and labels.
        class_names: Names of the classes.
        name: The fingerprint of the data.
    """
    stored = tf.nest.map_structure(tf.constant, train)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(train[1]), dtype=tf.int64), seeds
        )

        def take(batch: tf.Tensor) -> Batch:
            return tf.nest.map_structure(lambda one: tf.gather(one, batch), stored)

        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(take)

    inputs = train[0]
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    return Source(
        input_shape=first.shape[1:],
        class_names=class_names,
        train_size=len(train[1]),
        test_size=len(test[1]),
        test=tf.data.Dataset.from_tensor_slices(test),
        shuffled=shuffled,
        fingerprint=lambda: name,
    )


def digest_of(folder: str, paths: tuple[str, ...]) -> str:
    """Returns a digest of files that does not change when their folder is moved."""
    digest = hashlib.sha256()
    fits = sum(os.path.getsize(path) for path in paths) <= LARGEST_IN_MEMORY
    for path in paths:
        line = f"{os.path.relpath(path, folder)} {os.path.getsize(path)}\n"
        digest.update(os.fsencode(line))
        if fits:
            digest.update(pathlib.Path(path).read_bytes())
    return digest.hexdigest()


def reader(paths: tuple[str, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from an index to the file's content, in memory if all fit."""
    if sum(os.path.getsize(path) for path in paths) <= LARGEST_IN_MEMORY:
        contents = tf.constant([pathlib.Path(path).read_bytes() for path in paths])
        return lambda index: contents[index]
    names = tf.constant([*map(os.fsencode, paths)])
    return lambda index: tf.io.read_file(names[index])


def center_cropped(
    encoded: tf.data.Dataset, crops: Crops, size: int
) -> tf.data.Dataset:
    """Decodes and crops test images; caches them if they fit into memory."""
    images = encoded.map(
        lambda image, label: (crops.center(image), label),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    needed = 4 * size * int(np.prod(crops.size)) * crops.channels
    return images.cache() if needed <= LARGEST_IN_MEMORY else images


def crops_for(
    image_shape: ImageShape | None, train_size: int, color_jitter: float | None
) -> Crops:
    """Returns what crops images of any size to one shape.

    Args:
        image_shape: `(height, width, channels)`; `None` for `(224, 224, 3)`, also in
            the place of a single number.
        train_size: Number of training images; small data sets get milder crops.
        color_jitter: As for `load`. A number is applied to batches, after the crops.
    """
    height, width, channels = (
        default if given is None else given
        for given, default in zip(image_shape or _IMAGE_SHAPE, _IMAGE_SHAPE)
    )
    changes = LARGE_SET if train_size >= _LARGE else SMALL_SET
    if color_jitter is not None:
        changes = {**changes, "color_jitter": 0.0}
    return Crops((height, width), channels, **changes)


def cropped(
    examples: tf.data.Dataset, crops: Crops, seeds: tf.Tensor, augment: bool
) -> tf.data.Dataset:
    """Decodes training images and crops them, at random if they are augmented.

    Args:
        examples: Encoded images with their labels.
        crops: What crops them.
        seeds: The seed pair of the epoch.
        augment: Whether to crop at random.
    """

    def crop(index: tf.Tensor, example: Batch) -> Batch:
        encoded, label = example
        if not augment:
            return crops.center(encoded), label
        return crops.random(encoded, crop_seed(seeds, index)), label

    return examples.enumerate().map(crop, num_parallel_calls=tf.data.AUTOTUNE)


def shuffled_in_windows(
    examples: tf.data.Dataset, seeds: tf.Tensor, size: int
) -> tf.data.Dataset:
    """Shuffles examples within windows, for data that were shuffled when written.

    `Dataset.shuffle` takes no tensor as its seed.

    Args:
        examples: The examples.
        seeds: The seed pair of the epoch.
        size: Examples in a window.
    """

    def shuffle(index: tf.Tensor, window: Batch) -> Batch:
        images, labels = window
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.shape(labels)[0]), batch_seed(seeds, index)
        )
        return tf.gather(images, order), tf.gather(labels, order)

    return examples.batch(size).enumerate().map(shuffle).unbatch()
