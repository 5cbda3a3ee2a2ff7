"""Data sets of images in TFRecord files."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
import shutil
import stat
import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets import checking
from larq_bnnopt.datasets.checking import Entry, Progress, check_files, image_problem
from larq_bnnopt.datasets.dataset import ImageShape, Source
from larq_bnnopt.datasets.folders import image_files
from larq_bnnopt.datasets.pipelines import (
    ENCODED_WINDOW,
    SAMPLES,
    center_cropped,
    cropped,
    crops_for,
    digest_of,
    shuffled_in_windows,
)

IMAGE, LABEL = "image/encoded", "image/class/label"
_LABELS = "labels.txt"
_NAME = re.compile(r"(train|training|test|val|valid|validation)(?![a-z]).*\.tfrecords?")
# Bytes before a record (its length with a checksum) and after it (a checksum).
_BEFORE, _AFTER = 12, 4


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """The TFRecord files of a folder.

    Attributes:
        class_names: Names of the classes, in the order of the labels.
        train_files: Paths of the training files, sorted.
        train_size: Number of images in them.
        test_files: Paths of the test files, sorted.
        test_size: Number of images in them.
    """

    class_names: tuple[str, ...]
    train_files: tuple[str, ...]
    train_size: int
    test_files: tuple[str, ...]
    test_size: int


def holds_records(folder: pathlib.Path) -> bool:
    """Whether there are TFRecord files in a folder."""
    return any(_NAME.fullmatch(path.name) for path in folder.iterdir())


def record_files(folder: pathlib.Path) -> RecordFiles:
    """Lists the TFRecord files of a folder.

    They are called `train*.tfrecord` and `test*.tfrecord`, or `val*` if there is none
    of the latter. Each record is a `tf.train.Example` with the content of an image
    file in `image/encoded` and its class, from 0, in `image/class/label`. `labels.txt`
    has the name of each class in a line of its own.

    Args:
        folder: The folder.

    Returns:
        The files.

    Raises:
        ValueError: If files, names or features are missing, or a file is damaged.
    """
    train, test = named_files(folder)
    labels = folder / _LABELS
    if not labels.exists():
        raise ValueError(
            f"{labels} is missing. It has the name of each class in a line, in the "
            "order of the labels."
        )
    names = tuple(labels.read_text(encoding="utf-8").rstrip().split("\n"))
    if not all(name.strip() for name in names):
        raise ValueError(f"{labels} has an empty line. Give each class a name.")
    sizes = [sum(map(count_records, paths)) for paths in (train, test)]
    for paths in (train, test):
        _check(paths[0], len(names))
    return RecordFiles(
        names,
        tuple(map(str, train)),
        sizes[0],
        tuple(map(str, test)),
        sizes[1],
    )


def named_files(
    folder: pathlib.Path,
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the TFRecord files of training and test of a folder, by their names.

    Raises:
        ValueError: If there are none of either.
    """
    named: dict[str, list[pathlib.Path]] = {"train": [], "test": [], "val": []}
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            (word,) = (word for word in named if match[1].startswith(word))
            named[word].append(path)
    train, test = named["train"], named["test"] or named["val"]
    for paths, word in ((train, "train"), (test, "test")):
        if not paths:
            raise ValueError(f"{folder} has no files {word}*.tfrecord.")
    return train, test


def from_records(
    name: str,
    image_shape: ImageShape | None,
    augment: bool,
    color_jitter: float | None = None,
) -> Source:
    """Returns the source of a folder of TFRecord files.

    Args:
        name: The folder, as for `record_files`.
        image_shape: What the images become, as for `load`.
        augment: Whether to crop training images at random.
        color_jitter: As for `load`. Defaults to `None`.
    """
    files = record_files(pathlib.Path(name))
    crops = crops_for(image_shape, files.train_size, color_jitter)
    classes = len(files.class_names)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(files.train_files), dtype=tf.int64), seeds
        )
        examples = examples_of(files.train_files, order, classes)
        examples = shuffled_in_windows(examples, seeds, ENCODED_WINDOW)
        return cropped(examples, crops, seeds, augment).batch(batch_size)

    def check(progress: Progress | None, again: bool) -> None:
        paths = (*files.train_files, *files.test_files)
        entries = entries_of(paths, classes, crops.channels)
        total = files.train_size + files.test_size
        look = functools.partial(checking.check, name, entries, total, progress)
        salt = f"{crops.channels} {classes}"
        look() if again else checking.once(paths, salt, look)

    order = tf.range(len(files.test_files), dtype=tf.int64)
    return Source(
        input_shape=(*crops.size, crops.channels),
        class_names=files.class_names,
        train_size=files.train_size,
        test_size=files.test_size,
        test=center_cropped(
            examples_of(files.test_files, order, classes), crops, files.test_size
        ),
        shuffled=shuffled,
        fingerprint=lambda: digest_of(name, (*files.train_files, *files.test_files)),
        is_cropped=True,
        check=check,
        samples=lambda: [
            image.numpy()
            for image, _ in examples_of(
                files.train_files[:1], tf.range(1), classes
            ).take(SAMPLES)
        ],
    )


def count_records(path: pathlib.Path) -> int:
    """Returns the number of records in a file, without reading them.

    Raises:
        ValueError: If the file ends within a record.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file. Remove it.")
    size, count, place = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            length = file.read(8)
            if len(length) == 8:
                place += _BEFORE + struct.unpack("<Q", length)[0] + _AFTER
                count += 1
            if len(length) < 8 or place > size:
                file.seek(0)
                is_packed = file.read(3) == b"\x1f\x8b\x08"
                what = "compressed; write it uncompressed" if is_packed else "damaged"
                raise ValueError(f"{path} ends within record {count}: it is {what}.")
    return count


def _check(path: pathlib.Path, classes: int) -> None:
    """Checks the first record, which shows files of another kind early."""
    first = next(iter(tf.data.TFRecordDataset(os.fsencode(path)).take(1)), None)
    if first is None:
        raise ValueError(f"{path} holds no record.")
    problem = _parsed(first.numpy(), classes)
    if isinstance(problem, str):
        raise ValueError(f"{path} {problem}")


def entries_of(files: Sequence[str], classes: int, channels: int) -> Iterator[Entry]:
    """Yields the records of files, for `check`.

    Args:
        files: Paths of the files.
        classes: Number of classes.
        channels: Number of channels to decode.
    """
    return records_of(files, lambda content: _problem(content, classes, channels))


def records_of(
    files: Sequence[str], problem: Callable[[bytes], str | None]
) -> Iterator[Entry]:
    """Yields the records of files with a function that looks for their problem.

    Args:
        files: Paths of the files.
        problem: Returns the problem of the content of a record, `None` if there is
            none.
    """
    for file in files:
        number = 0
        records = iter(tf.data.TFRecordDataset(os.fsencode(file)))
        while True:
            name = f"{file}, record {number + 1:,},"
            try:
                record = next(records, None)
            except tf.errors.OpError as error:
                text = f"and all after it: {error.message}"
                yield name, functools.partial(str, text)
                break
            if record is None:
                break
            content = record.numpy()
            yield name, functools.partial(problem, content)
            number += 1


def _problem(record: bytes, classes: int, channels: int) -> str | None:
    """Returns the problem of a record, `None` if there is none."""
    image = _parsed(record, classes)
    return image if isinstance(image, str) else image_problem(image, channels)


def _parsed(record: bytes, classes: int) -> bytes | str:
    """Returns the encoded image of a record, or the problem of the record."""
    example = tf.train.Example()
    try:
        example.ParseFromString(record)
    except Exception:  # Protocol buffers have an error of each version.
        return "holds no tf.train.Example."
    given = example.features.feature
    images, labels = given[IMAGE].bytes_list.value, given[LABEL].int64_list.value
    if given[LABEL].float_list.value:
        return f"has a float as {LABEL!r}. Classes are integers (int64) from 0."
    if len(images) != 1 or len(labels) != 1:
        others = ", ".join(sorted(set(given) - {IMAGE, LABEL}))
        return (
            f"needs the features {IMAGE!r} (bytes) and {LABEL!r} (int64), one of each. "
            f"Received: {others or f'{len(images)} and {len(labels)} of them'}"
        )
    if not 0 <= labels[0] < classes:
        return _outside(labels[0], classes)
    return images[0]


def _outside(label: object, classes: int) -> str:
    return (
        f"has the label {label}, and {_LABELS} has {classes} classes, from 0 to "
        f"{classes - 1}."
    )


def examples_of(
    files: tuple[str, ...], order: tf.Tensor, classes: int
) -> tf.data.Dataset:
    """Returns encoded images and labels, interleaved from files in a fixed order.

    Args:
        files: Paths of the files.
        order: Indices of the files, in the order to read them.
        classes: Number of classes; another label is an error.
    """

    def parsed(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wanted = {
            IMAGE: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64),
        }
        example = tf.io.parse_single_example(record, wanted)
        label = example[LABEL]
        known = tf.debugging.Assert(
            (label >= 0) & (label < classes), ["A file " + _outside("", classes), label]
        )
        with tf.control_dependencies([known]):
            return example[IMAGE], tf.identity(label)

    return interleaved(files, order).map(parsed, num_parallel_calls=tf.data.AUTOTUNE)


def interleaved(files: tuple[str, ...], order: tf.Tensor) -> tf.data.Dataset:
    """Returns the records of files, interleaved in a fixed order.

    Args:
        files: Paths of the files.
        order: Indices of the files, in the order to read them.
    """
    names = tf.constant([*map(os.fsencode, files)])
    return (
        tf.data.Dataset.from_tensor_slices(order)
        .map(lambda index: names[index])
        .interleave(
            tf.data.TFRecordDataset,
            cycle_length=8,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    )


def write_records(
    folder: str | os.PathLike[str],
    target: str | os.PathLike[str],
    images_per_file: int = 1024,
) -> pathlib.Path:
    """Writes a folder of images as TFRecord files, which disks read faster.

    Training images are shuffled once, with the same result each time.

    Args:
        folder: A folder of images, as `load` takes one.
        target: Folder to make.
        images_per_file: Most images in a file. Defaults to `1024`.

    Returns:
        The new folder.

    Raises:
        ValueError: If the folder lacks classes or images, one of them cannot be read,
            or no image fits a file.
        FileExistsError: If the target exists.

    Example:
        >>> write_records("no_such_folder", "records")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no_such_folder is no folder.
    """
    folder, target = pathlib.Path(folder), pathlib.Path(target)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder.")
    if target.exists():
        raise FileExistsError(f"{target} exists and is not overwritten.")
    if images_per_file < 1:
        raise ValueError(
            f"images_per_file must be positive. Received: {images_per_file}"
        )
    files = image_files(folder)
    check_files(str(folder), (*files.train_paths, *files.test_paths), channels=3)
    order = np.random.default_rng(0).permutation(len(files.train_paths))
    parts = {
        "train": [(files.train_paths[i], files.train_labels[i]) for i in order],
        "test": list(zip(files.test_paths, files.test_labels)),
    }
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for part, examples in parts.items():
        number = -(-len(examples) // images_per_file)
        for index in range(number):
            path = unfinished / f"{part}-{index:05}-of-{number:05}.tfrecord"
            with tf.io.TFRecordWriter(os.fspath(path)) as writer:
                start = index * images_per_file
                for image, label in examples[start : start + images_per_file]:
                    writer.write(_example(image, int(label)))
    lines = "".join(f"{name}\n" for name in files.class_names)
    (unfinished / _LABELS).write_text(lines, encoding="utf-8")
    os.replace(unfinished, target)
    return target


def _example(path: str, label: int) -> bytes:
    image = tf.train.BytesList(value=[pathlib.Path(path).read_bytes()])
    number = tf.train.Int64List(value=[label])
    features = {
        IMAGE: tf.train.Feature(bytes_list=image),
        LABEL: tf.train.Feature(int64_list=number),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    content: bytes = example.SerializeToString(deterministic=True)
    return content
