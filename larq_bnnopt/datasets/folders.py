"""One's own images: a folder with a folder for each class."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
_TRAINING = ("train", "training")
_TEST = ("test", "val", "valid", "validation")
_TEST_SHARE = 0.2


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """The images of a folder.

    Attributes:
        class_names: Names of the classes, sorted.
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


def image_files(folder: pathlib.Path) -> ImageFiles:
    """Lists the images of a folder.

    It holds either `train` and `test` (or `val`), each with a folder of images for each
    class, or these folders itself. Then a fifth of each class is kept for the test,
    chosen by the names of the files, so that an image stays where it is when others
    come.

    Args:
        folder: The folder.

    Returns:
        The images.

    Raises:
        ValueError: If classes or images are missing, by the name of what lacks them.
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
        (one,) = training or test
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
    return ImageFiles(names, *_listed(names, train), *_listed(names, held))


def _by_class(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    found = {}
    for part in sorted(folder.iterdir()):
        if not part.is_dir() or part.name.startswith("."):
            continue
        images = [p for p in sorted(part.rglob("*")) if p.suffix.lower() in SUFFIXES]
        if not images:
            raise ValueError(f"{part} holds no image ({', '.join(SUFFIXES)}).")
        found[part.name] = images
    return found


def _is_held(path: pathlib.Path) -> bool:
    digest = hashlib.sha256(path.name.encode()).digest()
    return int.from_bytes(digest[:4], "big") < _TEST_SHARE * 2**32


def _listed(
    names: tuple[str, ...], images: dict[str, list[pathlib.Path]]
) -> tuple[tuple[str, ...], np.ndarray]:
    paths = [str(path) for name in names for path in images[name]]
    labels = [index for index, name in enumerate(names) for _ in images[name]]
    return tuple(paths), np.array(labels, np.int64)
