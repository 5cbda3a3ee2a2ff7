"""Synced writes: a file is on the disk before it gets its name."""

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
