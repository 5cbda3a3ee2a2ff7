"""Early checks of image files, before a network is loaded."""

from __future__ import annotations

import os
import pathlib

_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")
_OF_NUMPY = b"\x93NUMPY"


def image_error(path: str | os.PathLike[str]) -> ValueError | OSError | None:
    """Returns the error of a file that cannot be an image, `None` if it may be one.

    Only the first bytes are read: the decoder reports damage after them.

    Args:
        path: The file.

    Example:
        >>> image_error("no_such.png")
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
