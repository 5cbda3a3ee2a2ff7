"""Checks of files and records before a training.

Errors name each image that cannot be read; files that were good are remembered.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import re
import struct
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

# Pillow also refuses more: a file of kilobytes may declare gigabytes.
MOST_PIXELS = 178_956_970
_LARGEST_FILE = 1 << 29
_NAMED = 5
_CHUNK = 256
# Part of the digests of checked files: raise it when the check itself changes.
_VERSION = "1"
_OTHER_FORMATS = (
    (b"RIFF", "a WebP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0", "an image of another format, such as HEIC or AVIF"),
    (b"<", "a text such as SVG or HTML"),
)
_READABLE = "JPEG, PNG, GIF or BMP image"

Progress = Callable[[int, int], None]
# A name, and a function that returns the problem or `None`.
Entry = tuple[str, Callable[[], "str | None"]]


def check(
    place: str,
    entries: Iterable[Entry],
    total: int,
    progress: Progress | None = None,
    called: str = "images",
) -> None:
    """Checks all entries of a data set, in parallel.

    Args:
        place: Name of the data set, for errors.
        entries: Its entries.
        total: Number of entries.
        progress: Called with the number of checked entries, and `total`. Defaults to
            `None`.
        called: What the entries are. Defaults to `"images"`.

    Raises:
        ValueError: If some cannot be read: their number, and the first ones by name.
    """
    found: list[str] = []
    bad = done = 0
    entries = iter(entries)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        while chunk := list(itertools.islice(entries, _CHUNK)):
            problems = pool.map(lambda entry: entry[1](), chunk)
            for (name, _), problem in zip(chunk, problems):
                if problem is not None:
                    bad += 1
                    found += [f"{name} {problem}"][: max(0, _NAMED - len(found))]
            done += len(chunk)
            if progress is not None:
                progress(min(done, total), total)
    if bad:
        more = f"; and {bad - len(found)} more" if bad > len(found) else ""
        raise ValueError(
            f"{bad:,} of the {total:,} {called} of {place} cannot be read: "
            f"{'; '.join(found)}{more}. Replace or remove them."
        )


def check_files(
    place: str,
    paths: Sequence[str],
    channels: int,
    progress: Progress | None = None,
    again: bool = False,
) -> None:
    """Checks image files, unless they were checked before and have not changed.

    Args:
        place: Name of the data set, for errors.
        paths: Paths of the files.
        channels: Number of channels to decode, 1 or 3.
        progress: As for `check`. Defaults to `None`.
        again: Whether to check them in any case. Defaults to `False`.

    Raises:
        ValueError: If some cannot be read.
    """
    entries = (
        (path, functools.partial(file_problem, path, channels)) for path in paths
    )
    look = functools.partial(check, place, entries, len(paths), progress)
    look() if again else once(paths, str(channels), look)


def once(
    files: Sequence[str | os.PathLike[str]], salt: str, look: Callable[[], None]
) -> None:
    """Checks files unless they were checked before and have not changed since.

    Changes are found by size and time of the last change. What was good is remembered
    in the user's cache folder, if that can be written to.

    Args:
        files: Paths of the files.
        salt: A text with what else the result depends on.
        look: Raises an error unless the files are good.
    """
    digest = hashlib.sha256(f"{_VERSION} {salt}\n".encode())
    for file in files:
        with contextlib.suppress(OSError):  # `look` reports it.
            stat = os.stat(file)
            line = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n"
            digest.update(os.fsencode(os.path.abspath(file)) + b"\0" + line.encode())
    parent = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    known = pathlib.Path(parent, "larq_bnnopt", "checked", digest.hexdigest())
    if known.exists():
        return
    look()
    with contextlib.suppress(OSError):
        known.parent.mkdir(parents=True, exist_ok=True)
        known.touch()


def file_problem(path: str, channels: int) -> str | None:
    """Returns the problem of an image file, `None` if there is none.

    Args:
        path: The file, a regular one.
        channels: Number of channels to decode, 1 or 3.
    """
    try:
        if os.path.getsize(path) > _LARGEST_FILE:
            return f"has more than {_LARGEST_FILE >> 20} MiB"
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    return image_problem(content, channels)


def image_problem(content: bytes, channels: int) -> str | None:
    """Returns the problem of an encoded image, `None` if there is none.

    Args:
        content: The content of its file.
        channels: Number of channels to decode, 1 or 3.

    Example:
        >>> image_problem(b"hello", 3)
        'is no JPEG, PNG, GIF or BMP image'
    """
    if not content:
        return "is empty"
    if kind_of(content) is None:
        for start, name in _OTHER_FORMATS:
            if content.startswith(start):
                return f"is {name}, and no {_READABLE}"
        return f"is no {_READABLE}"
    size = declared_size(content)
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        return f"declares {size[1]} x {size[0]} pixels, more than {MOST_PIXELS:,}"
    if channels == 1 and kind_of(content) == "jpeg" and _components(content) == 4:
        return "is a CMYK JPEG, which TensorFlow cannot decode to grey"
    if has_color_palette(content):
        return "is a BMP with a palette, whose colors TensorFlow ignores"
    try:
        decoded(content, channels)
    except (tf.errors.OpError, ValueError) as error:
        return f"is damaged ({_short(error)})"
    return None


def decoded(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes an image, the first one of an animation.

    Args:
        encoded: The content of a JPEG, PNG, GIF or BMP file.
        channels: 1 or 3.

    Returns:
        The image, uint8, (height, width, channels).
    """

    def plain() -> tf.Tensor:
        # Accurate, so that other decoders, such as Pillow on a board, give the same.
        return tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: tf.io.decode_jpeg(encoded, channels, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_image(encoded, channels, expand_animations=False),
        )

    def grey() -> tf.Tensor:
        image = tf.io.decode_image(encoded, 3, expand_animations=False)
        return tf.image.rgb_to_grayscale(tf.ensure_shape(image, (None, None, 3)))

    if channels != 1:
        return plain()
    # TensorFlow cannot decode a GIF or a BMP to grey.
    start = tf.strings.substr(encoded, 0, 2)
    return tf.cond((start == b"GI") | (start == b"BM"), grey, plain)


def kind_of(content: bytes) -> str | None:
    """Returns the format of an encoded image, `None` if TensorFlow cannot read it.

    Example:
        >>> kind_of(b"GIF89a")
        'gif'
    """
    for start, kind in (
        (b"\x89PNG", "png"),
        (b"\xff\xd8\xff", "jpeg"),
        (b"GIF8", "gif"),
        (b"BM", "bmp"),
    ):
        if content.startswith(start):
            return kind
    return None


def declared_size(content: bytes) -> tuple[int, int] | None:
    """Returns the height and width that an encoded image declares, without decoding.

    Args:
        content: The content of its file.

    Returns:
        Both, or `None` where the header is damaged.

    Example:
        >>> image = tf.io.encode_jpeg(tf.zeros((4, 6, 3), tf.uint8)).numpy()
        >>> declared_size(image)
        (4, 6)
    """
    kind = kind_of(content)
    try:
        if kind == "png":
            width, height = struct.unpack(">II", content[16:24])
        elif kind == "gif":
            width, height = struct.unpack("<HH", content[6:10])
        elif kind == "bmp":
            width, height = struct.unpack("<ii", content[18:26])
        elif kind == "jpeg":
            height, width, _ = tf.io.extract_jpeg_shape(content).numpy()
        else:
            return None
    except (struct.error, tf.errors.OpError):
        return None
    return abs(int(height)), abs(int(width))


def has_colors(content: bytes) -> bool:
    """Whether an encoded image has colors, not only shades of grey."""
    image = tf.cast(decoded(content, 3), tf.float32)
    spread = tf.reduce_max(image, axis=-1) - tf.reduce_min(image, axis=-1)
    # Grey JPEGs of some cameras have a trace of color.
    return float(tf.reduce_mean(spread)) > 4.0


def has_color_palette(content: bytes) -> bool:
    """Whether an image is a BMP whose pixels are indices of colors, not greys."""
    if kind_of(content) != "bmp" or len(content) < 54:
        return False
    header, bits = struct.unpack("<I", content[14:18])[0], content[28]
    palette = content[14 + header : 14 + header + 1024]
    if bits != 8:
        return False
    steps = [palette[4 * i : 4 * i + 3] for i in range(len(palette) // 4)]
    return any(step != bytes([i] * 3) for i, step in enumerate(steps))


def _components(content: bytes) -> int | None:
    try:
        return int(tf.io.extract_jpeg_shape(content)[2])
    except tf.errors.OpError:
        return None


def _short(error: Exception) -> str:
    """Returns the reason in TensorFlow's message, without the operation."""
    text = re.sub(r"\{\{[^}]*\}\}|\[Op:[^\]]*\]", "", str(error))
    return " ".join(text.split())[:120]
