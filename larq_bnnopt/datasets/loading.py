"""Loads an image classification data set by its name."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf

from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.crops import CENTER
from larq_bnnopt.datasets.dataset import EMBEDDED, Dataset, ImageShape
from larq_bnnopt.datasets.embedded import embedded
from larq_bnnopt.datasets.folders import from_folder
from larq_bnnopt.datasets.pipelines import augmented, scaled
from larq_bnnopt.datasets.records import from_records, holds_records
from larq_bnnopt.datasets.tfds import from_tfds

_AUGMENTATIONS = {
    "cifar10": Augmentation(padding=4, mirror=True),
    "cifar100": Augmentation(padding=4, mirror=True),
    "fashion_mnist": Augmentation(mirror=True),
    EMBEDDED: Augmentation(mirror=True),
}


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
    the first of each class of Fashion-MNIST. A folder holds your own images, in a
    folder for each class: see `larq_bnnopt.datasets.folders.image_files`; or TFRecord
    files, see `larq_bnnopt.datasets.records.record_files`. Every other name is passed
    to tensorflow-datasets, which downloads the data on first use.

    Images of any size, in folders and in sets such as `"imagenet2012"`, are cropped and
    resized: random crops for training, center crops for the test. What fits into 1 GiB
    is kept in memory: images of one size, the files of a folder, resized test images.

    Args:
        name: `"fashion_mnist_mini"`, a folder, or a name of tensorflow-datasets with
            images and labels, such as `"fashion_mnist"`, `"mnist"`, `"cifar10"`.
        batch_size: Images in a batch. Defaults to `64`.
        seed: Seed of order and augmentation. Defaults to `0`.
        augment: Whether to augment training images where that suits the data: mirror
            images for Fashion-MNIST; mirror images and crops for CIFAR; mirror images,
            random resized crops and color jitter for images of any size; nothing for
            others, such as digits. Defaults to `True`.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own default.
        image_shape: `(height, width, channels)` that images of any size are resized to.
            Defaults to `None`, `(224, 224, 3)`, also in the place of a single number.
        download: Whether to download the data if they are missing. Defaults to `True`.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such data set (it names the nearest ones), if it has
            no images with labels, or fewer than fill a batch, or if `image_shape` is
            given for images that have a size.
        OSError: If it cannot be downloaded, or a folder cannot be read.
        NotDownloadedError: If it is missing, and not to be downloaded.

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
        source = embedded()
    elif os.path.isdir(name):
        records = holds_records(pathlib.Path(name))
        read = from_records if records else from_folder
        source = read(name, image_shape, augment)
    else:
        source = from_tfds(name, data_dir, image_shape, augment, download)
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
        test=source.test.batch(batch_size).map(scaled).prefetch(tf.data.AUTOTUNE),
        _epoch=lambda seeds: augmented(
            source.shuffled(seeds, batch_size), seeds, augmentation
        ),
        _fingerprint=source.fingerprint,
        _check=source.check,
        _samples=source.samples,
        middle=CENTER if source.is_cropped else 1.0,
    )
