"""Preprocessing of photographs for the input of a network, in NumPy."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".npy")
_FORMATS = ("JPEG", "PNG", "GIF", "BMP")
# Turns the content of an image file into pixels, uint8 (height, width, channels).
Decoder = Callable[[bytes, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The middle of an image, resized, as numbers.

    Of an image of H x W pixels, the middle of int(m min(H / h, W / w) h) x
    int(m min(H / h, W / w) w) pixels is resized to h x w: bilinear with antialiasing,
    as `tf.image.resize(..., antialias=True)`. A pixel p becomes
    `p * scale + offset`. It is computed in float32.

    Attributes:
        size: `(h, w)` of the input.
        channels: 1, grey, or 3, red, green and blue.
        middle: m, the share that is kept of the largest part with the proportions of
            the input, in (0, 1]. Defaults to `1.0`, all of it, so that an image of the
            size of the input stays as it is.
        scale: Defaults to `1 / 127.5`.
        offset: Defaults to `-1.0`.

    Raises:
        ValueError: If a value is none of these.

    Example:
        >>> import numpy as np
        >>> square = Preprocessing((2, 2), 1)
        >>> square(np.full((4, 6, 1), 255, np.uint8)).ravel().round(3)
        array([1., 1., 1., 1.], dtype=float32)
    """

    size: tuple[int, int]
    channels: int
    middle: float = 1.0
    scale: float = 1 / 127.5
    offset: float = -1.0

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(n > 0 for n in self.size):
            raise ValueError(f"size is (height, width). Received: {self.size}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3. Received: {self.channels}")
        if not 0 < self.middle <= 1:
            raise ValueError(f"middle must be in (0, 1]. Received: {self.middle}")
        if not np.isfinite([self.scale, self.offset]).all():
            raise ValueError(
                f"scale and offset must be finite. Received: {self.scale}, "
                f"{self.offset}"
            )

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Preprocessing:
        """Returns the preprocessing that `as_dict` described.

        Raises:
            ValueError: If that is damaged.
        """
        try:
            return cls(
                size=(int(facts["height"]), int(facts["width"])),
                channels=int(facts["channels"]),
                middle=float(facts["middle"]),
                scale=float(facts["scale"]),
                offset=float(facts["offset"]),
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"the preprocessing is damaged: {error!r}") from error

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data for JSON."""
        height, width = self.size
        return {
            "height": height,
            "width": width,
            "channels": self.channels,
            "middle": self.middle,
            "resize": "bilinear, antialiased",
            "scale": self.scale,
            "offset": self.offset,
        }

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the input without the batch."""
        return (*self.size, self.channels)

    @property
    def colours(self) -> str:
        """What the channels are, in a word."""
        return "RGB" if self.channels == 3 else "grey"

    @property
    def numbers(self) -> str:
        """What a pixel becomes, as a formula."""
        inverse = 1 / self.scale if self.scale else 0.0
        if inverse and abs(inverse - round(inverse, 3)) < 1e-9 * abs(inverse):
            factor = f"pixel / {inverse:.6g}" if inverse != 1 else "pixel"
        else:
            factor = f"pixel * {self.scale!r}"
        if not self.offset:
            return factor
        return f"{factor} {'+' if self.offset > 0 else '-'} {abs(self.offset):.6g}"

    def words(self) -> str:
        """Returns the preprocessing in words, as one line."""
        height, width = self.size
        part = "the middle" if self.middle == 1 else f"{self.middle:.4g} of the middle"
        return (
            f"{self.colours}, {part}, resized to {height}x{width}, "
            f"float32 {self.numbers}"
        )

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the input that an image becomes.

        Args:
            pixels: uint8 (height, width, channels), at least one pixel.

        Returns:
            Float32 (h, w, channels).

        Raises:
            ValueError: If it is no such image.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3:
            raise ValueError(
                f"has shape {pixels.shape} and type {pixels.dtype}; an image is uint8 "
                "(height, width, channels)"
            )
        if pixels.shape[-1] != self.channels:
            raise ValueError(
                f"has {_counted(pixels.shape[-1])}; the model takes "
                f"{_counted(self.channels)} ({self.colours})"
            )
        if not pixels.size:
            raise ValueError(f"has no pixel: its shape is {pixels.shape}")
        resized = _resized(pixels[self._middle(pixels.shape)], self.size)
        return resized * np.float32(self.scale) + np.float32(self.offset)

    def of_file(
        self, path: str | os.PathLike[str], decode: Decoder | None = None
    ) -> np.ndarray:
        """Returns the input that a file becomes.

        Args:
            path: A JPEG, PNG, GIF (its first picture) or BMP file; or an array of
                NumPy: the uint8 pixels of an image, or a float32 array of the shape of
                the input, which is taken as it is.
            decode: Function that decodes an image file. Defaults to `None`: Pillow, or
                TensorFlow if Pillow is not installed.

        Returns:
            Float32 (h, w, channels).

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no image, or has other channels.
            ImportError: If nothing that decodes images is installed.
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist.")
        if not path.is_file():
            raise ValueError(f"{path} is no file.")
        try:
            if path.suffix.lower() == ".npy":
                return self._of_array(_loaded(path))
            return self((decode or _decoded)(path.read_bytes(), self.channels))
        except ValueError as error:
            raise ValueError(f"{path} {error}.") from error

    def _of_array(self, array: np.ndarray) -> np.ndarray:
        if array.dtype == np.uint8 and array.ndim == 2:
            array = array[..., np.newaxis]
        if array.dtype.kind != "f" or array.shape != self.shape:
            if array.dtype.kind == "f":
                raise ValueError(
                    f"has shape {array.shape} and type {array.dtype}; give uint8 "
                    f"pixels, or an input of shape {self.shape} that is {self.numbers} "
                    "already"
                )
            return self(array)
        if not np.isfinite(array).all():
            raise ValueError("holds values that are not finite")
        return array.astype(np.float32)

    def _middle(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Returns the rows and columns of the part that is kept."""
        given, aim = (np.array(s, np.float32) for s in (shape[:2], self.size))
        share = np.float32(self.middle) * (given / aim).min()
        extents = np.maximum((share * aim).astype(np.int32), 1)
        starts = [(whole - part) // 2 for whole, part in zip(shape, extents)]
        rows, columns = (slice(a, a + n) for a, n in zip(starts, extents))
        return rows, columns


def _counted(channels: int) -> str:
    return f"{channels} {'channel' if channels == 1 else 'channels'}"


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image by triangle filters as wide as the step between results."""
    if pixels.shape[:2] == size:
        return pixels.astype(np.float32)
    rows = _along_rows(pixels, size[0])
    return _along_rows(rows.swapaxes(0, 1), size[1]).swapaxes(0, 1)


def _along_rows(image: np.ndarray, size: int) -> np.ndarray:
    """Returns `size` weighted means of neighbouring rows."""
    length = len(image)
    step = np.float32(length) / np.float32(size)
    width = max(step, np.float32(1))
    result = np.empty((size, *image.shape[1:]), np.float32)
    for index in range(size):
        centre = (np.float32(index) + np.float32(0.5)) * step
        first = max(int(np.ceil(centre - width - np.float32(0.5))), 0)
        last = min(int(np.floor(centre + width - np.float32(0.5))), length - 1)
        places = np.arange(first, last + 1, dtype=np.float32) + np.float32(0.5)
        weights = np.maximum(1 - np.abs(places - centre) / width, 0)
        part = image[first : last + 1].astype(np.float32)
        result[index] = np.tensordot(weights / weights.sum(), part, axes=1)
    return result


def _loaded(path: pathlib.Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # Readers of damaged files raise what they like.
        raise ValueError(f"is no array of NumPy ({_line(error)})") from error


def _decoded(content: bytes, channels: int) -> np.ndarray:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        try:
            import tensorflow  # noqa: F401
        except ImportError:
            raise ImportError(
                "Reading images needs Pillow, which is missing here. Install it (pip "
                "install Pillow), or give .npy files, each the uint8 pixels of an "
                "image (height, width, channels)."
            ) from error
        return decode_by_tensorflow(content, channels)
    return decode_by_pillow(content, channels)


def decode_by_pillow(content: bytes, channels: int) -> np.ndarray:
    """Decodes an image by Pillow.

    A rotation that a camera noted (EXIF) is not applied, as in TensorFlow.

    Args:
        content: A JPEG, PNG, GIF or BMP file.
        channels: 1 or 3.

    Returns:
        Pixels, uint8 (height, width, channels).

    Raises:
        ValueError: If it is none, or damaged.
    """
    import PIL.Image

    mode = "RGB" if channels == 3 else "L"
    try:
        with PIL.Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            # A JPEG stores its brightness.
            image.draft(mode, None)
            pixels = _of_mode(image, mode)
    except PIL.UnidentifiedImageError:
        raise ValueError("is no JPEG, PNG, GIF or BMP image") from None
    except Exception as error:  # Readers of damaged files raise what they like.
        raise ValueError(f"is no sound image ({_line(error)})") from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _of_mode(image: Any, mode: str) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode == "I":
        # TensorFlow keeps the upper 8 of 16 bits; Pillow would clip at 255.
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return grey if mode == "L" else np.repeat(grey[..., np.newaxis], 3, axis=-1)
    if mode == "L" and image.format == "PNG" and image.mode not in ("1", "L", "LA"):
        colours = np.asarray(image.convert("RGB"), np.int32)
        # 0.299, 0.587 and 0.114, as libpng computes for TensorFlow.
        return ((colours @ [9797, 19234, 3737]) >> 15).astype(np.uint8)
    if image.mode == "LA":
        image = image.getchannel("L")
    return np.asarray(image.convert(mode))


def decode_by_tensorflow(content: bytes, channels: int) -> np.ndarray:
    """Decodes an image by TensorFlow, as the data sets do.

    Args:
        content: A JPEG, PNG, GIF or BMP file.
        channels: 1 or 3.

    Returns:
        Pixels, uint8 (height, width, channels).

    Raises:
        ValueError: If it is none, or damaged.
    """
    import tensorflow as tf

    try:
        if tf.io.is_jpeg(content):
            image = tf.io.decode_jpeg(content, channels, dct_method="INTEGER_ACCURATE")
        else:
            image = tf.io.decode_image(content, channels, expand_animations=False)
    except tf.errors.OpError as error:
        raise ValueError(f"is no sound image ({_line(error)})") from error
    return image.numpy()


def _line(error: Exception) -> str:
    """Returns the gist of an error: TensorFlow's ends with the name of an operation."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.removeprefix("{{function_node __wrapped__DecodeImage_device_")
    return text.partition(" [Op:")[0].rpartition("}} ")[2][:200].rstrip(".")
