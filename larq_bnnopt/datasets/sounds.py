"""Data sets of sound files: a folder with a folder for each class."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import os
import pathlib
import stat
from collections.abc import Mapping, Sequence

import numpy as np

from larq_bnnopt.datasets.dataset import SOUNDS, Source
from larq_bnnopt.datasets.facts import named
from larq_bnnopt.datasets.folders import holds_images
from larq_bnnopt.datasets.pipelines import LARGEST_IN_MEMORY, digest_of, in_memory
from larq_bnnopt.datasets.records import holds_records
from larq_bnnopt.datasets.sound_features import (
    SETTINGS,
    SoundSettings,
    cut,
    read_samples,
)

SUFFIXES = (".wav", ".flac", ".ogg")
TEST_LIST = "test.txt"
_TRAINING = ("train", "training")
_TEST = ("test", "val", "valid", "validation")
_TEST_SHARE = 0.2
_NAMED = 5
_ByClass = dict[str, list[pathlib.Path]]


def holds_sounds(folder: pathlib.Path) -> bool:
    """Whether a folder is one of sounds.

    There is a sound file in a folder of a class, and no image in any and no TFRecord
    file: a sound file beside images is a stray one. A `sound.json` says that a folder
    is one of sounds, whatever else lies there, unless all that lies there are images.
    """
    says_so = (folder / SETTINGS).is_file()
    if says_so and any(_is_sound(path) for path in folder.rglob("*")):
        return True
    if not says_so and not _sounds_of_classes(folder):
        return False
    return not holds_records(folder) and not holds_images(folder)


def _sounds_of_classes(folder: pathlib.Path) -> bool:
    for part in _folders(folder):
        inner = [part, *(_folders(part) if part.name in (*_TRAINING, *_TEST) else ())]
        if any(_is_sound(path) for one in inner for path in one.iterdir()):
            return True
    return False


def sound_files(
    folder: pathlib.Path, settings: SoundSettings
) -> tuple[tuple[str, ...], _ByClass, _ByClass]:
    """Lists the sound files of a folder.

    It holds `train` and `test` (or `val`), each with a folder for each class, or the
    folders of the classes itself. Then `test.txt` may name what is kept for the test, a
    file or folder a line, from the folder on. Without it a fifth is kept: files, chosen
    by their names, so that a file stays in its split and equal names of two classes are
    in the same; or with the split `"speaker"` whole speakers, which are folders in the
    folders of the classes.

    Args:
        folder: The folder.
        settings: Its settings.

    Returns:
        Names of the classes, training and test files by class.

    Raises:
        ValueError: If classes, files or speakers are missing; it names the folder.
    """
    parts = {path.name: path for path in _folders(folder)}
    training = [parts[name] for name in _TRAINING if name in parts]
    test = [parts[name] for name in _TEST if name in parts]
    if training and test:
        train, held = _by_class(training[0]), _by_class(test[0])
        if set(train) != set(held):
            raise ValueError(
                f"{training[0]} has the classes {', '.join(sorted(train))}, {test[0]} "
                f"has {', '.join(sorted(held))}. They must be equal."
            )
    elif training or test:
        other = "test or val" if training else "train"
        raise ValueError(
            f"{folder} has {(training or test)[0].name}, but no {other} beside it."
        )
    else:
        train, held = _split(folder, _by_class(folder), settings)
    names = tuple(sorted(train))
    if len(names) < 2:
        raise ValueError(
            f"{folder} needs a folder of sounds for each of two classes or more. "
            f"Received: {', '.join(names) or 'none'}"
        )
    for name in names:
        if not train[name] or not held[name]:
            which = "the training" if not train[name] else "the test"
            raise ValueError(
                f"{folder / name} has no file for {which}. Add files or speakers, or "
                f"name those of the test in {TEST_LIST}."
            )
    return names, train, held


def from_sounds(name: str) -> Source:
    """Returns the source of a folder of sound files.

    All files are read, and their windows computed, once when the data are loaded.

    Args:
        name: The folder, as for `sound_files`.

    Raises:
        ValueError: If files are missing or cannot be read; it names them.
        ImportError: If soundfile is not installed.
    """
    folder = pathlib.Path(name)
    settings = SoundSettings.of(folder)
    names, train, held = sound_files(folder, settings)
    paths = [*itertools.chain(*train.values(), *held.values())]
    samples = _read(folder, paths, settings)
    count = sum(map(len, samples.values()))
    needed = 4 * count * math.prod(settings.shape)
    if needed > LARGEST_IN_MEMORY:
        raise ValueError(
            f"The {count:,} windows of {folder} take {needed / 2**30:.1f} GiB, and "
            f"{LARGEST_IN_MEMORY >> 30} GiB are the most. Give fewer files, or write "
            "larq_bnnopt.datasets.sound_windows of each into TFRecords of arrays."
        )
    parts = [_windows(names, files, samples, settings) for files in (train, held)]
    known = (*map(os.fspath, paths), *_beside(folder))
    return dataclasses.replace(
        in_memory(parts[0], parts[1], named(names, folder), name),
        kind=SOUNDS,
        settings=dataclasses.asdict(settings),
        fingerprint=lambda: digest_of(name, known),
    )


def _read(
    folder: pathlib.Path, paths: Sequence[pathlib.Path], settings: SoundSettings
) -> dict[pathlib.Path, np.ndarray]:
    """Returns the windows of samples of all files; names those that are bad."""
    found, problems = {}, []
    for path in paths:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ValueError("is no file")
            found[path] = cut(read_samples(path, settings.rate), settings)
        except (ValueError, OSError) as error:
            problems.append(f"{path} {error}")
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise ValueError(
            f"{len(problems):,} of the {len(paths):,} sounds of {folder} cannot be "
            f"read: {'; '.join(problems[:_NAMED])}{more}. Replace or remove them."
        )
    return found


def _windows(
    names: tuple[str, ...],
    files: _ByClass,
    samples: Mapping[pathlib.Path, np.ndarray],
    settings: SoundSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the inputs of files, with the classes of the files."""
    listed = [(path, label) for label, n in enumerate(names) for path in files[n]]
    labels = [np.full(len(samples[path]), label, np.int64) for path, label in listed]
    windows = np.concatenate([samples[path] for path, _ in listed])
    return settings.inputs(windows), np.concatenate(labels)


def _beside(folder: pathlib.Path) -> list[str]:
    paths = (folder / SETTINGS, folder / TEST_LIST)
    return [os.fspath(path) for path in paths if path.exists()]


def _split(
    folder: pathlib.Path, files: _ByClass, settings: SoundSettings
) -> tuple[_ByClass, _ByClass]:
    """Returns the training and the test files of a folder of classes."""
    if (folder / TEST_LIST).exists():
        held = _listed(folder, files)
    elif settings.split == "speaker":
        held = _of_speakers(folder, files)
    else:
        held = {p for paths in files.values() for p in paths if _share(p.name) < 1}
    return (
        {name: [p for p in paths if p not in held] for name, paths in files.items()},
        {name: [p for p in paths if p in held] for name, paths in files.items()},
    )


def _listed(folder: pathlib.Path, files: _ByClass) -> set[pathlib.Path]:
    """Returns the files that `test.txt` names."""
    path = folder / TEST_LIST
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise ValueError(f"{path} is no text ({error}).") from error
    held: set[pathlib.Path] = set()
    every = [*itertools.chain(*files.values())]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        one = folder / line.strip()
        found = [p for p in every if p == one or one in p.parents]
        if not found:
            raise ValueError(
                f"{path}, line {number}: {line.strip()!r} is no file or folder of a "
                "class here."
            )
        held.update(found)
    return held


def _of_speakers(folder: pathlib.Path, files: _ByClass) -> set[pathlib.Path]:
    """Returns the files of a fifth of the speakers, of each class at least one.

    A speaker of several classes is either in all of their trainings or in all tests.
    """
    spoken: dict[str, dict[str, list[pathlib.Path]]] = {}
    for name, paths in files.items():
        for path in paths:
            inner = path.relative_to(folder / name).parts
            if len(inner) < 2:
                raise ValueError(
                    f"{path} lies in no folder of a speaker, which the split "
                    f"'speaker' of {SETTINGS} needs: CLASS/SPEAKER/FILE."
                )
            spoken.setdefault(inner[0], {}).setdefault(name, []).append(path)
    speakers = {name: 0 for name in files}
    for classes in spoken.values():
        for name in classes:
            speakers[name] += 1
    wanted = {name: max(1, round(_TEST_SHARE * n)) for name, n in speakers.items()}
    kept = {name: 0 for name in files}
    held: set[pathlib.Path] = set()
    for speaker in sorted(spoken, key=_share):
        classes = spoken[speaker]
        lacks = any(kept[name] < wanted[name] for name in classes)
        leaves = all(speakers[name] - kept[name] > 1 for name in classes)
        if lacks and leaves:
            for name, paths in classes.items():
                kept[name] += 1
                held.update(paths)
    return held


def _share(name: str) -> float:
    """Returns a number by which names are kept for the test, below 1 for a fifth."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 / _TEST_SHARE


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    ]


def _is_sound(path: pathlib.Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _by_class(folder: pathlib.Path) -> _ByClass:
    found = {}
    for part in _folders(folder):
        paths = sorted(path for path in part.rglob("*") if _is_sound(path))
        if not paths:
            raise ValueError(f"{part} holds no sound ({', '.join(SUFFIXES)}).")
        found[part.name] = paths
    return found
