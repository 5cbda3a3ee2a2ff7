"""Downloads of tensorflow-datasets, refused or reported in one line."""

from __future__ import annotations

import os
import pathlib
import socket
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Seconds to wait for the answer of a host.
_TIMEOUT = 10.0


class NotDownloadedError(OSError):
    """The data set would have to be downloaded first."""


def prepare(builder: tfds.core.DatasetBuilder, download: bool) -> None:
    """Downloads and prepares a data set unless it was prepared before.

    Args:
        builder: Its builder of tensorflow-datasets.
        download: Whether to download it.

    Raises:
        NotDownloadedError: If it was not prepared and is not to be downloaded, with its
            size.
        OSError: If it cannot be downloaded or prepared, in one line; within seconds if
            there is no network.
    """
    if not download and not os.path.isdir(builder.data_dir):
        raise NotDownloadedError(
            f"{builder.name!r} is not on this machine. {_way(builder)}"
        )
    _require_fetched(builder)
    try:
        _require_network(builder)
        builder.download_and_prepare()
    except Exception as error:  # Downloads fail in many ways.
        raise OSError(
            f"tensorflow-datasets could not prepare {builder.name!r} in "
            f"{builder.data_dir}: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error


def _is_by_hand(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether nobody but the user may fetch the files, such as those of ImageNet."""
    return bool(getattr(builder, "MANUAL_DOWNLOAD_INSTRUCTIONS", None))


def _manual_folder(builder: tfds.core.DatasetBuilder) -> pathlib.Path:
    """Returns where tensorflow-datasets looks for files that were fetched by hand."""
    root = pathlib.Path(getattr(builder, "_data_dir_root", builder.data_dir))
    return root.expanduser() / "downloads" / "manual"


def _way(builder: tfds.core.DatasetBuilder) -> str:
    """Returns how the data come to this machine, as a sentence."""
    if not _is_by_hand(builder):
        return f"A training would download {_size(builder)}into {builder.data_dir}."
    words = " ".join(str(builder.MANUAL_DOWNLOAD_INSTRUCTIONS).split())
    return (
        f"Fetch its files by hand into {_manual_folder(builder)}, from which a "
        f"training prepares it, or name a folder of tensorflow-datasets that holds it "
        f"by data_dir (--data-dir), or train on a folder of images. {words:.300}"
    )


def _require_fetched(builder: tfds.core.DatasetBuilder) -> None:
    """Raises a NotDownloadedError if files must be fetched by hand, and none was."""
    if (
        _is_by_hand(builder)
        and not os.path.isdir(builder.data_dir)
        and not any(_manual_folder(builder).glob("*"))
    ):
        raise NotDownloadedError(
            f"{builder.name!r} is not on this machine. {_way(builder)}"
        )


def _size(builder: tfds.core.DatasetBuilder) -> str:
    """Returns the size of the download in words, empty if it is not known."""
    sizes = [int(info.size or 0) for info in _urls(builder).values()]
    return f"{sum(sizes) / (1 << 20):,.0f} MiB " if sum(sizes) else ""


def _urls(builder: tfds.core.DatasetBuilder) -> dict[str, Any]:
    return dict(getattr(builder, "url_infos", None) or {})


def _require_network(builder: tfds.core.DatasetBuilder) -> None:
    """Raises a ConnectionError if no host of a download answers.

    tensorflow-datasets itself would try each of them ten times, for minutes. Nothing is
    checked if it may not need a host: with a proxy, prepared files, or files that were
    fetched by hand.
    """
    fetched = pathlib.Path(builder.data_dir).parents[1] / "downloads"
    if (
        os.path.isdir(builder.data_dir)
        or urllib.request.getproxies()
        or getattr(builder, "MANUAL_DOWNLOAD_INSTRUCTIONS", None)
        or any(path.is_file() for path in fetched.glob("*"))
    ):
        return
    places = {
        (parts.hostname, parts.port or (80 if parts.scheme == "http" else 443))
        for parts in map(urllib.parse.urlsplit, _urls(builder))
        if parts.hostname and parts.scheme in ("http", "https")
    }
    if not places:
        return
    with ThreadPoolExecutor(len(places)) as pool:
        if not any(pool.map(_answers, places)):
            hosts = ", ".join(sorted({host for host, _ in places}))
            raise ConnectionError(
                f"{hosts} cannot be reached. Connect this machine to the network, or "
                "name a folder of tensorflow-datasets that holds the data by data_dir "
                "(--data-dir)."
            )


def _answers(place: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(place, timeout=_TIMEOUT):
            return True
    except OSError:
        return False
