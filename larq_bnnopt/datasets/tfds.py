"""Data sets of tensorflow-datasets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets.crops import Crops
from larq_bnnopt.datasets.dataset import EMBEDDED, ImageShape, Source
from larq_bnnopt.datasets.downloads import prepare
from larq_bnnopt.datasets.pipelines import (
    ENCODED_WINDOW,
    LARGEST_IN_MEMORY,
    center_cropped,
    cropped,
    crops_for,
    in_memory,
    shuffled_in_windows,
)
from larq_bnnopt.texts import nearest

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_SHUFFLE_WINDOW = 10_000


def from_tfds(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    image_shape: ImageShape | None,
    augment: bool,
    download: bool,
    color_jitter: float | None = None,
) -> Source:
    """Returns the source of a data set of tensorflow-datasets.

    Args:
        name: Its name.
        data_dir: Folder of tensorflow-datasets, `None` for its default.
        image_shape: What images of any size become, as for `load`.
        augment: Whether to crop training images of any size at random.
        download: Whether to download it where it is missing.
        color_jitter: As for `load`. Defaults to `None`.
    """
    import tensorflow_datasets as tfds

    if ":" in name.split("/")[0]:
        # tensorflow-datasets fetches the code of such a set, and runs it.
        raise ValueError(
            f"{name!r} is a community data set, whose code would be run. Load it "
            "yourself, or write its images into folders or TFRecords."
        )
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError):
        names = [EMBEDDED, *tfds.list_builders(with_community_datasets=False)]
        hint = nearest(name, names, f"In the package: {EMBEDDED}.")
        raise ValueError(f"No data set {name!r}. {hint}") from None
    features = builder.info.features
    shape = features["image"].shape if "image" in features else None
    if shape is None or shape[-1] is None or "label" not in features:
        raise ValueError(
            f"{name!r} has no features 'image' and 'label'. "
            f"Received: {', '.join(features)}"
        )
    # A set that is not prepared may not know its splits before.
    splits = builder.info.splits
    if not splits:
        prepare(builder, download)
        splits = builder.info.splits
    # The test split of ImageNet has no labels.
    test_split = "test" if "test" in splits and name[:8] != "imagenet" else "validation"
    missing = {"train", test_split} - set(splits)
    if missing:
        raise ValueError(
            f"{name!r} has no split {', '.join(sorted(missing))}. It has: "
            f"{', '.join(splits)}."
        )
    prepare(builder, download)
    sizes = {
        split: builder.info.splits[split].num_examples
        for split in ("train", test_split)
    }
    class_names = tuple(features["label"].names)
    if None in shape:
        crops = crops_for(image_shape, sizes["train"], color_jitter)
        return _any_size(builder, class_names, sizes, crops, augment)
    if sum(sizes.values()) * int(np.prod(shape)) <= LARGEST_IN_MEMORY:
        train, test = (
            tfds.as_numpy(
                builder.as_dataset(split=split, as_supervised=True, batch_size=-1)
            )
            for split in sizes
        )
        return in_memory(train, test, class_names, builder.info.full_name)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        examples = builder.as_dataset(split="train", as_supervised=True)
        return shuffled_in_windows(examples, seeds, _SHUFFLE_WINDOW).batch(batch_size)

    return Source(
        input_shape=tuple(shape),
        class_names=class_names,
        train_size=sizes["train"],
        test_size=sizes[test_split],
        test=builder.as_dataset(split=test_split, as_supervised=True),
        shuffled=shuffled,
        fingerprint=lambda: builder.info.full_name,
    )


def _any_size(
    builder: tfds.core.DatasetBuilder,
    class_names: tuple[str, ...],
    sizes: dict[str, int],
    crops: Crops,
    augment: bool,
) -> Source:
    """Returns the source of a data set with images of any size, such as ImageNet."""
    import tensorflow_datasets as tfds

    _, test_split = sizes

    def encoded(split: str) -> tf.data.Dataset:
        # Decoded after the shuffling, when the crop is known.
        decoders = {"image": tfds.decode.SkipDecoding()}
        return builder.as_dataset(split=split, as_supervised=True, decoders=decoders)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        examples = shuffled_in_windows(encoded("train"), seeds, ENCODED_WINDOW)
        return cropped(examples, crops, seeds, augment).batch(batch_size)

    return Source(
        input_shape=(*crops.size, crops.channels),
        class_names=class_names,
        train_size=sizes["train"],
        test_size=sizes[test_split],
        test=center_cropped(encoded(test_split), crops, sizes[test_split]),
        shuffled=shuffled,
        fingerprint=lambda: builder.info.full_name,
        is_cropped=True,
    )
