"""Atomic writes: a file is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from larq_bnnopt.texts import printable


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path whose content replaces a file at the end.

    A process that is killed at any moment leaves the old file or the new one. The
    content reaches the disk before the name does, so this also holds when the machine
    loses power, if the file system keeps the promise of `fsync`.

    Args:
        path: The file. Its folder exists.

    Yields:
        A path beside it, with the same suffix, of this process alone.

    Raises:
        OSError: If it cannot be written; the old file is then unchanged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "page.html")
        ...     with replacing(file) as new:
        ...         _ = new.write_text("whole")
        ...     file.read_text(), [path.name for path in file.parent.iterdir()]
        ('whole', ['page.html'])
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    except BaseException:
        # If this fails, too, the first error is the one to raise.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes bytes whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Writes a text whole or not at all, in UTF-8 and made `printable`."""
    write_bytes(path, printable(content).encode())


def unfinished(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Returns the files of a folder that a killed process was writing."""
    return sorted(pathlib.Path(folder).glob(".*.part*"))


def _flush(path: pathlib.Path) -> None:
    """Flushes a file, or the names in a folder, to the disk if that supports it."""
    if os.name == "nt" and path.is_dir():
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
