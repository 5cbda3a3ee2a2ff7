"""A data set: its batches for training and test, and what is known of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.checking import (
    Progress,
    declared_size,
    has_colors,
    image_problem,
)

# Inputs and labels; of texts the inputs are a dictionary.
Batch = tuple[tf.Tensor, tf.Tensor]
Arrays = np.ndarray | dict[str, np.ndarray]
ImageShape = tuple[int | None, int | None, int]
"""Height, width and channels of an image; a size of `None` may vary."""

EMBEDDED = "fashion_mnist_mini"
# What the inputs of a data set are, and what a model learns of them.
IMAGES, ARRAYS, SOUNDS, TEXTS = "images", "arrays", "sounds", "texts"
CLASSIFICATION, REGRESSION = "classification", "regression"


@dataclasses.dataclass(frozen=True)
class Source:
    """Inputs as they are stored, before they are scaled and batched for a model.

    Attributes:
        input_shape: Shape of an input: of images `(height, width, channels)`.
        class_names: Names of the classes, in the order of the labels; of a regression
            the names of the numbers of a label.
        train_size: Number of training inputs.
        test_size: Number of test inputs.
        test: The test inputs with their labels, one by one.
        shuffled: Takes the seed pair of an epoch (see `pipelines.batch_seed`) and the
            batch size; returns the training batches of that epoch.
        fingerprint: Returns a text that changes with the data.
        is_cropped: Whether the inputs are crops of images of any size.
        check: Looks at each input: takes what to report progress to, and whether to
            look again in any case.
        samples: Returns a few encoded images.
        kind: `"images"`, uint8 pixels; `"arrays"` or `"sounds"`, numbers that a model
            takes as they are; `"texts"`, a dictionary of tokens.
        task: `"classification"` or `"regression"`.
        settings: How a raw input, such as a sound file, becomes an input, as plain data
            for JSON; empty if it is nothing that a run must keep.
        metrics: Names of what measures a task on texts, the first first.
    """

    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    test: tf.data.Dataset
    shuffled: Callable[[tf.Tensor, int], tf.data.Dataset]
    fingerprint: Callable[[], str]
    is_cropped: bool = False
    check: Callable[[Progress | None, bool], None] = lambda progress, again: None
    samples: Callable[[], list[bytes]] = list
    kind: str = IMAGES
    task: str = CLASSIFICATION
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Inputs with labels, split into training and test.

    Images are float32 in [-1, 1] (`pixel / 127.5 - 1`), texts the dictionary of
    `Tokenizer.encode`, int32, other inputs float32 as they are. Labels are int64
    classes, or of a regression float32 vectors. The order of the training inputs and
    their augmentation are functions of the seed and the epoch alone, so that an
    interrupted training can be resumed exactly.

    Attributes:
        name: Name given to `load`.
        input_shape: Shape of an input: of images `(height, width, channels)`, of texts
            `(tokens,)`.
        class_names: Names of the classes, in the order of the labels; of a regression
            the names of the numbers of a label.
        train_size: Number of training inputs.
        test_size: Number of test inputs.
        batch_size: Inputs in a batch.
        seed: Seed of order and augmentation.
        augmentation: The augmentation of training batches, or `None`.
        test: Batches of test inputs, in the order of the data set.
        middle: The side of the center crop of a test image, as a share of the largest
            crop with the shape of the input; 1.0 where images are not cropped.
        kind: What the inputs are: `"images"`, `"arrays"`, `"sounds"` or `"texts"`.
        task: `"classification"` or `"regression"`.
        settings: How a sound or a text becomes an input, as plain data for JSON: of
            sounds `SoundSettings`, of texts `text_length`, `vocab_size`, whether they
            are `pairs` and `tokenizer`, for `Tokenizer`; of images and arrays empty.
        metrics: Names of what measures the task, the first first: of texts some of
            `"accuracy"`, `"f1"`, `"matthews"`, `"pearson"`, `"spearman"`; of others
            empty.
    """

    name: str
    input_shape: tuple[int, ...]
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
    kind: str = IMAGES
    task: str = CLASSIFICATION
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    metrics: tuple[str, ...] = ()

    @property
    def stored_size(self) -> tuple[int, int] | None:
        """The median height and width of a few stored images.

        `None` for data sets whose images all have the size in `input_shape`.
        """
        sizes = [size for one in self._samples() if (size := declared_size(one))]
        if not sizes:
            return None
        height, width = np.median(np.array(sizes), axis=0)
        return int(height), int(width)

    @property
    def is_stored_in_colour(self) -> bool | None:
        """Whether a few stored images have colors; `None` as for `stored_size`."""
        samples = [one for one in self._samples() if not image_problem(one, 3)]
        return any(map(has_colors, samples)) if samples else None

    def check(self, progress: Progress | None = None, again: bool = False) -> None:
        """Looks at every input of a folder or of TFRecord files, once.

        Files that were good and have not changed since are not looked at again, in
        later processes either. Other data sets are not checked.

        Args:
            progress: Called with the number of inputs checked so far, and of all.
                Defaults to `None`.
            again: Whether to look again in any case. Defaults to `False`.

        Raises:
            ValueError: If an input or a label cannot be used; it names file and
                record.
        """
        self._check(progress, again)

    @property
    def fingerprint(self) -> str:
        """A text that changes with the data; computed at each access.

        For files it is a digest of their content or, above 1 GiB, of their sizes.
        """
        return self._fingerprint()

    @property
    def num_classes(self) -> int:
        """Number of classes; of a regression the length of a label."""
        return len(self.class_names)

    @property
    def steps_per_epoch(self) -> int:
        """Number of training batches in an epoch; the last may be smaller."""
        return -(-self.train_size // self.batch_size)

    @property
    def train(self) -> tf.data.Dataset:
        """Batches of one epoch, in a new order at each pass, for `model.fit`."""
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

    def test_arrays(self) -> tuple[Any, np.ndarray]:
        """Returns all test inputs and labels as NumPy arrays, of texts by name."""
        with self.faults_named():
            inputs, labels = zip(*self.test.as_numpy_iterator())
        joined = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *inputs)
        return joined, np.concatenate(labels)

    def train_arrays(self, count: int) -> tuple[Any, np.ndarray]:
        """Returns training inputs and labels as NumPy arrays, as the model sees them.

        Args:
            count: Number of inputs, the first ones of epoch 0 with their augmentation.

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
        """Names the file or record that caused an error of TensorFlow.

        TensorFlow's own message does not name it.
        """
        try:
            yield
        except tf.errors.OpError:
            self.check(again=True)
            raise
