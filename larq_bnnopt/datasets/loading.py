"""Loads a data set by its name."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf

from larq_bnnopt.datasets.array_records import from_array_records, holds_array_records
from larq_bnnopt.datasets.arrays import from_arrays, holds_arrays
from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.colors import Colors
from larq_bnnopt.datasets.crops import CENTER
from larq_bnnopt.datasets.dataset import (
    ARRAYS,
    EMBEDDED,
    IMAGES,
    SOUNDS,
    TEXTS,
    Dataset,
    ImageShape,
    Source,
)
from larq_bnnopt.datasets.embedded import embedded
from larq_bnnopt.datasets.folders import from_folder
from larq_bnnopt.datasets.glue import from_glue, is_glue
from larq_bnnopt.datasets.pipelines import as_numbers, as_tokens, augmented, scaled
from larq_bnnopt.datasets.records import from_records, holds_records
from larq_bnnopt.datasets.sounds import from_sounds, holds_sounds
from larq_bnnopt.datasets.texts import from_texts, holds_texts
from larq_bnnopt.datasets.tfds import from_tfds
from larq_bnnopt.datasets.token_source import TextOptions

_AUGMENTATIONS = {
    "cifar10": Augmentation(padding=4, mirror=True),
    "cifar100": Augmentation(padding=4, mirror=True),
    "fashion_mnist": Augmentation(mirror=True),
    EMBEDDED: Augmentation(mirror=True),
}
# What a model takes of a stored batch.
_CASTS = {
    IMAGES: scaled,
    ARRAYS: as_numbers,
    SOUNDS: as_numbers,
    TEXTS: as_tokens,
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
    color_jitter: float | None = None,
    pca_noise: float = 0.0,
    hsv_jitter: float = 0.0,
    text_length: int | None = None,
    vocab_size: int | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    held_out: str = "test",
) -> Dataset:
    """Loads a data set.

    `"fashion_mnist_mini"` comes with the package: 6,000 training and 1,000 test images,
    the first of each class of Fashion-MNIST. A folder holds your own images, in a
    folder for each class: see `larq_bnnopt.datasets.folders.image_files`; or TFRecord
    files, see `larq_bnnopt.datasets.records.record_files`; or arrays of any shape for
    classification or regression, see `larq_bnnopt.datasets.arrays.array_files` and
    `larq_bnnopt.datasets.array_records.from_array_records`; or sound files, in a folder
    for each class, see `larq_bnnopt.datasets.sounds.sound_files`; or texts with labels,
    see `larq_bnnopt.datasets.texts.text_rows`. `"glue/sst2"` is a task of GLUE, see
    `larq_bnnopt.datasets.glue.from_glue`. Every other name is passed to
    tensorflow-datasets, which downloads the data on first use.

    Images of any size, in folders and in sets such as `"imagenet2012"`, are cropped and
    resized: random crops for training, center crops for the test. What fits into 1 GiB
    is kept in memory: images of one size, the files of a folder, resized test images.

    Args:
        name: `"fashion_mnist_mini"`, a folder, or a name of tensorflow-datasets with
            images and labels, such as `"fashion_mnist"`, `"mnist"`, `"cifar10"`.
        batch_size: Inputs in a batch. Defaults to `64`.
        seed: Seed of order and augmentation. Defaults to `0`.
        augment: Whether to augment training images where that suits the data: mirror
            images for Fashion-MNIST; mirror images and crops for CIFAR; mirror images,
            random resized crops and color jitter for images of any size; nothing for
            others, such as digits. Defaults to `True`.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own default.
        image_shape: `(height, width, channels)` that images of any size are resized to.
            Defaults to `None`, `(224, 224, 3)`, also in the place of a single number.
        download: Whether to download the data if they are missing. Defaults to `True`.
        color_jitter: How far brightness, contrast and saturation of training images
            may change, as a share, also without `augment`. Defaults to `None`: with
            `augment` 0.4 for images of any size, of which there are 50,000 or more,
            0.2 for fewer; nothing for others.
        pca_noise: Standard deviation of noise along the principal components of
            ImageNet's colors, see `larq_bnnopt.datasets.colors.with_pca_noise`.
            Defaults to `0.0`.
        hsv_jitter: How far hue, saturation and value may change, see
            `larq_bnnopt.datasets.colors.Colors`. Defaults to `0.0`.
        text_length: Number of tokens of a text; longer ones are truncated, with a
            warning. Defaults to `None`, 128.
        vocab_size: Rows of the model's embedding of tokens. Defaults to `None`: what
            the tokenizer has, or the most tokens (8192) of one that is trained.
        tokenizer: A `tokenizer.json`, or a `vocab.txt` of WordPiece. Defaults to
            `None`: the one in the folder, or else one that is trained on the training
            texts, always the same.
        held_out: What is the test of a folder of texts: `"test"`, or `"validation"` to
            choose settings by. Defaults to `"test"`.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such data set (it names the nearest ones), if it has
            no inputs with labels, or fewer than fill a batch, or if `image_shape` is
            given for images that have a size, or for arrays; or if colors are to
            change that the inputs do not have; or if `text_length`, `vocab_size`,
            `tokenizer` or `held_out` are given for what are no texts.
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
    options = TextOptions(text_length, vocab_size, tokenizer)
    kind = kind_of(name)
    _require_texts(name, kind, options, held_out)
    if name == EMBEDDED:
        source = embedded()
    elif kind == TEXTS and os.path.isdir(name):
        source = from_texts(name, options, held_out)
    elif kind == TEXTS:
        if held_out != "test":
            raise ValueError(
                f"The test of {name!r} is its validation split already, since GLUE "
                f"publishes no other labels. Leave out held_out={held_out!r}."
            )
        source = from_glue(name, options, data_dir, download)
    elif os.path.isdir(name):
        source = _in_folder(name, image_shape, augment, color_jitter)
    else:
        source = from_tfds(name, data_dir, image_shape, augment, download, color_jitter)
    colors = Colors(color_jitter or 0.0, hsv_jitter, pca_noise)
    _require_colors(name, source, colors)
    if source.kind != IMAGES and image_shape is not None:
        raise ValueError(
            f"{name!r} holds {source.kind}, which have no image_size. Leave it out."
        )
    if any(n not in (None, m) for n, m in zip(image_shape or (), source.input_shape)):
        raise ValueError(
            f"The images of {name!r} are {source.input_shape}. Received as "
            f"image_shape: {tuple(image_shape or ())}"
        )
    if batch_size > source.train_size:
        raise ValueError(
            f"batch_size {batch_size} is larger than the {source.train_size} training "
            f"{source.kind} of {name!r}."
        )
    # "cifar10:3.0.2" names the same images.
    bare = name.partition(":")[0].partition("/")[0]
    known = Augmentation(mirror=True) if source.is_cropped else _AUGMENTATIONS.get(bare)
    augmentation = known if augment else None
    cast = _CASTS[source.kind]
    return Dataset(
        name=name,
        input_shape=source.input_shape,
        class_names=source.class_names,
        train_size=source.train_size,
        test_size=source.test_size,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        test=source.test.batch(batch_size).map(cast).prefetch(tf.data.AUTOTUNE),
        _epoch=lambda seeds: augmented(
            source.shuffled(seeds, batch_size), seeds, augmentation, colors, cast
        ),
        _fingerprint=source.fingerprint,
        _check=source.check,
        _samples=source.samples,
        middle=CENTER if source.is_cropped else 1.0,
        kind=source.kind,
        task=source.task,
        settings=source.settings,
        metrics=source.metrics,
    )


def kind_of(name: str) -> str:
    """Returns what the inputs of a data set are, without reading them.

    Args:
        name: As for `load`.

    Returns:
        `"images"`, `"arrays"`, `"sounds"` or `"texts"`.

    Example:
        >>> kind_of("fashion_mnist_mini")
        'images'
    """
    if name == EMBEDDED or not os.path.isdir(name):
        return TEXTS if is_glue(name) else IMAGES
    folder = pathlib.Path(name)
    if holds_arrays(folder) or holds_array_records(folder):
        return ARRAYS
    if holds_sounds(folder):
        return SOUNDS
    return TEXTS if holds_texts(folder) else IMAGES


def _require_texts(name: str, kind: str, options: TextOptions, held_out: str) -> None:
    """Raises a ValueError if what is given has a meaning for texts alone."""
    given = {
        "text_length": options.length,
        "vocab_size": options.vocab_size,
        "tokenizer": options.tokenizer,
        "held_out": None if held_out == "test" else held_out,
    }
    wanted = [option for option, value in given.items() if value is not None]
    if wanted and kind != TEXTS:
        raise ValueError(
            f"{name!r} holds {kind}, and no texts. Leave out {', '.join(wanted)}."
        )


def _require_colors(name: str, source: Source, colors: Colors) -> None:
    """Raises a ValueError if colors are to change that the inputs do not have."""
    given = {"color_jitter": colors.jitter, "hsv_jitter": colors.hsv}
    given["pca_noise"] = colors.pca
    wanted = [option for option, value in given.items() if value]
    if wanted and source.kind != IMAGES:
        raise ValueError(
            f"{name!r} holds {source.kind}, which have no colors. Leave out "
            f"{', '.join(wanted)}."
        )
    if colors.needs_colors and source.input_shape[-1] != 3:
        raise ValueError(
            f"The images of {name!r} are grey. Leave out "
            f"{', '.join(set(wanted) - {'color_jitter'})}, which change colors."
        )


def _in_folder(
    name: str,
    image_shape: ImageShape | None,
    augment: bool,
    color_jitter: float | None,
) -> Source:
    """Returns the source of a folder, by what lies in it."""
    folder = pathlib.Path(name)
    if holds_arrays(folder):
        return from_arrays(name)
    if holds_array_records(folder):
        return from_array_records(name)
    if holds_sounds(folder):
        return from_sounds(name)
    read = from_records if holds_records(folder) else from_folder
    return read(name, image_shape, augment, color_jitter)
