"""Files that cannot be images, known before a network is loaded."""

from __future__ import annotations

import os
import pathlib

_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")
_OF_NUMPY = b"\x93NUMPY"


def image_fault(path: str | os.PathLike[str]) -> ValueError | OSError | None:
    """Returns what is wrong with a file that is to be an image, `None` if it may be.

    It looks at the first bytes alone: what is damaged behind them is told by the
    decoder.

    Args:
        path: The file.

    Example:
        >>> image_fault("no_such.png")
        FileNotFoundError('no_such.png does not exist.')
    """
    path = pathlib.Path(path)
    if not path.exists():
        why = (
            "is a link that leads to no file" if path.is_symlink() else "does not exist"
        )
        return FileNotFoundError(f"{path} {why}.")
    if not path.is_file():
        return ValueError(f"{path} is no file.")
    try:
        with path.open("rb") as file:
            begin = file.read(8)
    except OSError as error:
        return OSError(f"{path} cannot be read: {error.strerror}.")
    if path.suffix.lower() == ".npy":
        if begin.startswith(_OF_NUMPY):
            return None
        return ValueError(f"{path} is no array of NumPy.")
    if begin.startswith(_BEGINNINGS):
        return None
    return ValueError(f"{path} is no JPEG, PNG, GIF or BMP image.")
