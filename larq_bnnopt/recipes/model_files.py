"""Contents of a Keras model file: its configurations, and no more.

Archives and HDF5 files that swell, link to other files or hold what Keras does not
write are refused before Keras reads them.
"""

from __future__ import annotations

import json
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py

_CURE = (
    "If you trust where it comes from, load it with "
    "recipes.load_model(path, safe_mode=False), or give the command --trust."
)

# The files in a .keras archive. Keras unpickles others, as model.weights.npz.
_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
_ASSETS = "assets/"

# A stored file holds its content once; deflated weights of one sign shrink a lot.
_RATIO = 200
_SMALL = 1 << 26
_LONGEST = 120


class UntrustedModelError(ValueError):
    """A file of a model would run or read more than its weights."""


def refusal(path: pathlib.Path, reason: str) -> UntrustedModelError:
    """The error for a file that holds more than layers and weights."""
    return UntrustedModelError(f"{path} is not loaded: {reason}. {_CURE}")


def configs(path: pathlib.Path) -> Iterator[Any]:
    """Yields the configurations in a file, as Keras would find them."""
    if path.name.endswith(".keras") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_archive(path, archive)
            yield json.loads(archive.read("config.json"))
        return
    with h5py.File(path, "r") as file:
        _check_storage(path, file, path.stat().st_size)
        for name in ("model_config", "training_config"):
            text = file.attrs.get(name)
            if isinstance(text, bytes):
                text = text.decode("utf-8")
            if isinstance(text, str):
                yield json.loads(text)


def _check_archive(path: pathlib.Path, archive: zipfile.ZipFile) -> None:
    """Refuses files that Keras does not write, or twice, and files that swell."""
    names = archive.namelist()
    for name in names:
        parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",):
            raise refusal(path, f"it holds a file outside of its folder, {name!r}")
        if names.count(name) > 1:
            raise refusal(path, f"it holds {name!r} twice")
        if name not in _MEMBERS and not name.startswith(_ASSETS):
            raise refusal(path, f"it holds {short(name)}, which Keras does not write")
    size = path.stat().st_size
    _check_size(path, sum(info.file_size for info in archive.infolist()), size)
    for name in names:
        if name.endswith(".h5"):
            with archive.open(name) as stream, h5py.File(stream, "r") as file:
                _check_storage(path, file, size)


def _check_size(path: pathlib.Path, unpacked: int, packed: int) -> None:
    if unpacked > _RATIO * packed + _SMALL:
        raise refusal(path, f"its {packed:,} bytes would become {unpacked:,} in memory")


def _check_storage(path: pathlib.Path, file: h5py.File, packed: int) -> None:
    """Refuses HDF5 that takes its numbers from other files, or from nothing."""
    unpacked, seen, groups = 0, set(), [file["/"]]
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise refusal(path, f"{name!r} is a link to {link.filename!r}")
            if not isinstance(link, h5py.HardLink):
                continue
            member = group[name]
            place = h5py.h5o.get_info(member.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                if member.external or member.is_virtual:
                    raise refusal(path, f"{name!r} is read from another file")
                unpacked += member.nbytes
    _check_size(path, unpacked, packed)


def short(text: Any) -> str:
    """A foreign text, quoted and cut to a length that can be shown."""
    shown = repr(str(text))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...'"
