"""Atomic writes: a file is on the disk, whole, before it gets its name."""

from __future__ import annotations

import os
import pathlib


def write_synced(path: pathlib.Path, content: bytes) -> None:
    """Writes a file and waits until the disk has it.

    Raises:
        OSError: If it cannot be written; the error names the file.
    """
    try:
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_atomic(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        OSError: If it cannot be written; a file of that name is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.part{os.getpid()}")
    try:
        write_synced(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
