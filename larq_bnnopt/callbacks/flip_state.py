"""Saves and restores the state of `FlipMonitor`, for a training that is resumed."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from larq_bnnopt.callbacks.flips import Signs
from larq_bnnopt.writing import replacing


def write(path: pathlib.Path, epochs: int, state: Mapping[str, Signs]) -> None:
    """Writes the state after a number of epochs, and keeps the previous state.

    The model of the newest epoch may not have been saved yet: a training that is killed
    now resumes from the epoch before.

    Args:
        path: An `.npz` file.
        epochs: Number of finished epochs.
        state: The signs of each kernel, by name.
    """
    content = _arrays(path, epochs - 1) or {}
    for name, signs in state.items():
        key = f"{epochs}/{name}"
        content[f"{key}/shape"] = np.array(signs.start.shape)
        content[f"{key}/start"] = np.packbits(signs.start)
        content[f"{key}/flipped"] = np.packbits(signs.flipped)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)


def read(path: pathlib.Path, epochs: int) -> dict[str, Signs] | None:
    """Returns the state after a number of epochs, `None` if the file has none.

    Args:
        path: The file; it may be damaged or missing.
        epochs: Number of finished epochs.
    """
    arrays = _arrays(path, epochs)
    if arrays is None:
        return None
    state = {}
    for key in [key for key in arrays if key.endswith("/shape")]:
        shape, stem = tuple(arrays[key]), key.removesuffix("/shape")
        bits = (arrays[f"{stem}/start"], arrays[f"{stem}/flipped"])
        start, flipped = (
            np.unpackbits(packed, count=int(np.prod(shape))).astype(bool).reshape(shape)
            for packed in bits
        )
        state[stem.removeprefix(f"{epochs}/")] = Signs(start, flipped)
    return state


def _arrays(path: pathlib.Path, epochs: int) -> dict[str, np.ndarray] | None:
    """Returns the arrays after a number of epochs, `None` if there are none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in file.files if name.startswith(f"{epochs}/")]
            return {name: file[name] for name in names} or None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
