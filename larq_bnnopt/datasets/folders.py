"""Data sets of image files: a folder with a folder for each class."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import pathlib
import stat
import warnings
from collections.abc import Iterable, Iterator
from typing import NoReturn

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets import checking
from larq_bnnopt.datasets.checking import Progress
from larq_bnnopt.datasets.dataset import ImageShape, Source
from larq_bnnopt.datasets.pipelines import (
    SAMPLES,
    center_cropped,
    cropped,
    crops_for,
    digest_of,
    reader,
)
from larq_bnnopt.texts import printable

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
_TRAINING = ("train", "training")
_TEST = ("test", "val", "valid", "validation")
_TEST_SHARE = 0.2
# Images that TensorFlow does not read, or with unusual suffixes.
_OTHER_SUFFIXES = (".webp", ".tif", ".tiff", ".heic", ".avif", ".jfif", ".jpe")
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """The images of a folder.

    Attributes:
        class_names: Names of the classes, sorted, as texts that can be printed.
        train_paths: Paths of the training images.
        train_labels: Their classes, int64.
        test_paths: Paths of the test images.
        test_labels: Their classes, int64.
    """

    class_names: tuple[str, ...]
    train_paths: tuple[str, ...]
    train_labels: np.ndarray
    test_paths: tuple[str, ...]
    test_labels: np.ndarray


def holds_images(folder: pathlib.Path) -> bool:
    """Whether there is an image in a folder of a folder, hidden ones aside."""
    parts = (path for path in folder.iterdir() if path.is_dir())
    return any(
        path.suffix.lower() in SUFFIXES
        for part in parts
        if not part.name.startswith(".")
        for path in _below(part)
    )


def image_files(folder: pathlib.Path) -> ImageFiles:
    """Lists the images of a folder.

    It holds either `train` and `test` (or `val`), each with a folder of images for each
    class, or the folders of the classes itself. Then a fifth of each class is kept for
    the test, chosen by the names of the files, so that an image stays in its split when
    others are added. Images may lie in subfolders; names that start with a dot, such as
    the files that macOS puts beside each image, are left out.

    Args:
        folder: The folder.

    Returns:
        The images.

    Raises:
        ValueError: If classes or images are missing, or if something is called like an
            image and is no file; it names the folder or path.
        OSError: If a folder cannot be read.
    """
    parts = {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    }
    training = [parts[name] for name in _TRAINING if name in parts]
    test = [parts[name] for name in _TEST if name in parts]
    if training and test:
        train = _by_class(training[0])
        held = _by_class(test[0])
        if set(train) != set(held):
            raise ValueError(
                f"{training[0]} has the classes {', '.join(sorted(train))}, {test[0]} "
                f"has {', '.join(sorted(held))}. They must be equal."
            )
    elif training or test:
        one = (training or test)[0]
        raise ValueError(
            f"{folder} has {one.name}, but no "
            f"{'test or val' if training else 'train'} beside it."
        )
    else:
        everything = _by_class(folder)
        train, held = {}, {}
        for name, paths in everything.items():
            held[name] = [path for path in paths if _is_held(path)]
            train[name] = [path for path in paths if not _is_held(path)]
            if not held[name] or not train[name]:
                raise ValueError(
                    f"{folder / name} has {len(paths)} images, too few to keep some "
                    "for the test. Add more, or make folders train and test."
                )
    names = tuple(sorted(train))
    if len(names) < 2:
        raise ValueError(
            f"{folder} needs a folder of images for each of two classes or more. "
            f"Received: {', '.join(names) or 'none'}"
        )
    _require_files(itertools.chain(*train.values(), *held.values()))
    shown = tuple(map(printable, names))
    if any("\n" in name or "\r" in name for name in shown):
        raise ValueError(
            f"{folder} has a class whose name has a line break. Rename it."
        )
    return ImageFiles(shown, *_listed(names, train), *_listed(names, held))


def from_folder(
    name: str,
    image_shape: ImageShape | None,
    augment: bool,
    color_jitter: float | None = None,
) -> Source:
    """Returns the source of a folder of images.

    Args:
        name: The folder, as for `image_files`.
        image_shape: What the images become, as for `load`.
        augment: Whether to crop training images at random.
        color_jitter: As for `load`. Defaults to `None`.
    """
    files = image_files(pathlib.Path(name))
    crops = crops_for(image_shape, len(files.train_paths), color_jitter)
    labels = tf.constant(files.train_labels)
    read = reader(files.train_paths)

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(files.train_paths), dtype=tf.int64), seeds
        )
        examples = tf.data.Dataset.from_tensor_slices(order).map(
            lambda index: (read(index), labels[index]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return cropped(examples, crops, seeds, augment).batch(batch_size)

    test = tf.data.Dataset.from_tensor_slices(
        (list(map(os.fsencode, files.test_paths)), files.test_labels)
    )

    def check(progress: Progress | None, again: bool) -> None:
        paths = (*files.train_paths, *files.test_paths)
        _warn_of_unused(pathlib.Path(name))
        checking.check_files(name, paths, crops.channels, progress, again)

    return Source(
        input_shape=(*crops.size, crops.channels),
        class_names=files.class_names,
        train_size=len(files.train_paths),
        test_size=len(files.test_paths),
        test=center_cropped(
            test.map(lambda path, label: (tf.io.read_file(path), label)),
            crops,
            len(files.test_paths),
        ),
        shuffled=shuffled,
        fingerprint=lambda: digest_of(name, (*files.train_paths, *files.test_paths)),
        is_cropped=True,
        check=check,
        samples=lambda: [
            pathlib.Path(path).read_bytes()
            for path in files.train_paths[:: -(-len(files.train_paths) // SAMPLES)]
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


def unused_images(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the images of a folder that are not used.

    They lie beside the folders of the classes, or have another format.
    """
    parts = [path for path in _below(folder) if _is_image(path)]
    used = {folder / name for name in (*_TRAINING, *_TEST)}
    beside = {folder, *used}
    return sorted(
        path
        for path in parts
        if path.parent in beside or path.suffix.lower() in _OTHER_SUFFIXES
    )


def _by_class(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    found = {}
    for part in sorted(folder.iterdir()):
        if not part.is_dir() or part.name.startswith("."):
            continue
        images = sorted(p for p in _below(part) if p.suffix.lower() in SUFFIXES)
        if not images:
            raise ValueError(f"{part} holds no image ({', '.join(SUFFIXES)}).")
        found[part.name] = images
    return found


def _below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the files in a folder and its subfolders, without hidden ones."""

    def refuse(error: OSError) -> NoReturn:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield pathlib.Path(parent, name)


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in (*SUFFIXES, *_OTHER_SUFFIXES)


def _require_files(paths: Iterable[pathlib.Path]) -> None:
    """Raises a ValueError if one is a pipe, a device or a link to nothing.

    Reading a pipe would wait for ever, and a device may have no end.
    """
    others = []
    for path in paths:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                others.append(f"{path} is a {_kind(path.stat().st_mode)}")
        except FileNotFoundError:
            others.append(f"{path} is a link to nothing")
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise ValueError(
            f"No files, but called like images: {'; '.join(others[:_NAMED])}{more}. "
            "Remove them."
        )


def _kind(mode: int) -> str:
    for is_one, name in (
        (stat.S_ISFIFO, "pipe"),
        (stat.S_ISSOCK, "socket"),
    ):
        if is_one(mode):
            return name
    return "device"


def _is_held(path: pathlib.Path) -> bool:
    digest = hashlib.sha256(os.fsencode(path.name)).digest()
    return int.from_bytes(digest[:4], "big") < _TEST_SHARE * 2**32


def _listed(
    names: tuple[str, ...], images: dict[str, list[pathlib.Path]]
) -> tuple[tuple[str, ...], np.ndarray]:
    paths = [str(path) for name in names for path in images[name]]
    labels = [index for index, name in enumerate(names) for _ in images[name]]
    return tuple(paths), np.array(labels, np.int64)
