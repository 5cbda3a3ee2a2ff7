"""Windows of a sound file and what a network takes of them: log-mel or samples."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets.facts import read_json
from larq_bnnopt.texts import require_known

SETTINGS = "sound.json"
FEATURES = ("log_mel", "waveform")
SPLITS = ("file", "speaker")
_LARGEST_FILE = 1 << 29
# Of a log-mel spectrogram, in seconds.
_FRAME, _STEP = 0.032, 0.016
_LOWEST = 20.0
_FLOOR = 1e-6
_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class SoundSettings:
    """How a sound file becomes inputs, as `sound.json` of its folder says.

    Attributes:
        rate: Samples in a second, to which files are resampled. Defaults to `8000`, as
            in AudioMNIST's paper.
        seconds: Length of a window. Defaults to `1.0`.
        features: `"log_mel"`, (frames, bands, 1), or `"waveform"`, (samples,) in
            [-1, 1]. Defaults to `"log_mel"`.
        bands: Mel bands. Defaults to `40`.
        split: What is kept apart for the test, where the folder does not say it:
            `"file"` or `"speaker"`, the folder in the folder of a class. Defaults to
            `"file"`.

    Raises:
        ValueError: If a value is none of these.
    """

    rate: int = 8000
    seconds: float = 1.0
    features: str = "log_mel"
    bands: int = 40
    split: str = "file"

    def __post_init__(self) -> None:
        for name, kinds in (
            ("rate", int),
            ("bands", int),
            ("seconds", (int, float)),
            ("features", str),
            ("split", str),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"{name} has the wrong type. Received: {value!r}")
        require_known("features", self.features, FEATURES)
        require_known("split", self.split, SPLITS)
        for name, low, high in (
            ("rate", 1000, 192_000),
            ("seconds", 2 * _FRAME, 60),
            ("bands", 1, 512),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} must be from {low} to {high}. Received: "
                    f"{getattr(self, name)}"
                )
        if self.features == "log_mel" and self.bands > self._bins:
            raise ValueError(
                f"bands must be at most {self._bins}, the frequencies of a frame at "
                f"{self.rate} Hz. Received: {self.bands}"
            )

    @classmethod
    def of(cls, folder: pathlib.Path) -> SoundSettings:
        """Returns the settings in `sound.json` of a folder, the defaults without one.

        Raises:
            ValueError: If the file is damaged.
        """
        path = folder / SETTINGS
        if not path.exists():
            return cls()
        known = [field.name for field in dataclasses.fields(cls)]
        try:
            return cls(**read_json(path, known))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes `sound.json` into a folder."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        pathlib.Path(folder, SETTINGS).write_text(text, encoding="utf-8")

    def words(self) -> str:
        """Returns how a sound becomes inputs, as one line.

        Example:
            >>> SoundSettings(features="waveform").words()[:40]
            'one channel in [-1, 1] at 8000 Hz, in wi'
        """
        windows = (
            f"one channel in [-1, 1] at {self.rate} Hz, in windows of {self.seconds} s "
            f"({self.samples} samples; a shorter sound is filled up with zeros, a rest "
            "is dropped)"
        )
        means = "the scores of a sound are the means over its windows"
        if self.features == "waveform":
            return f"{windows}; float32, the samples; {means}"
        frames, bands, _ = self.shape
        return (
            f"{windows}; of each log-mel, float32 ({frames}, {bands}, 1): power "
            f"spectra of {frames} frames of {self._frame} samples, {self._step} apart, "
            f"under a Hann window, in {bands} triangular mel bands from {_LOWEST:g} to "
            f"{self.rate / 2:g} Hz, as ln(power + {_FLOOR:g}); {means}"
        )

    @property
    def samples(self) -> int:
        """Number of samples of a window."""
        return round(self.rate * self.seconds)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input that a window becomes."""
        if self.features == "waveform":
            return (self.samples,)
        frames = 1 + (self.samples - self._frame) // self._step
        return (frames, self.bands, 1)

    @property
    def _frame(self) -> int:
        return round(self.rate * _FRAME)

    @property
    def _step(self) -> int:
        return round(self.rate * _STEP)

    @property
    def _bins(self) -> int:
        return self._frame // 2 + 1

    def inputs(self, windows: np.ndarray) -> np.ndarray:
        r"""Returns what a network takes of windows.

        Of `"log_mel"`

        \[ y_{tb} = \ln \left( \sum_k M_{kb} |X_{tk}|^2 + 10^{-6} \right) \]

        with the spectrum X of frames of 32 ms, 16 ms apart, under a Hann window, and
        triangular mel filters M from 20 Hz to half of the rate (`tf.signal`).

        Args:
            windows: Samples in [-1, 1], float32 (windows, samples).

        Returns:
            Float32 (windows, *shape).

        Example:
            >>> settings = SoundSettings()
            >>> settings.inputs(np.zeros((2, 8000), np.float32)).shape
            (2, 61, 40, 1)
        """
        if self.features == "waveform":
            return windows
        filters = tf.signal.linear_to_mel_weight_matrix(
            self.bands, self._bins, self.rate, _LOWEST, self.rate / 2
        )
        parts = [
            self._log_mel(windows[start : start + _AT_ONCE], filters)
            for start in range(0, len(windows), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, *self.shape), "f4")

    def _log_mel(self, windows: np.ndarray, filters: tf.Tensor) -> np.ndarray:
        spectrum = tf.signal.stft(
            tf.constant(windows), self._frame, self._step, fft_length=self._frame
        )
        power = tf.square(tf.abs(spectrum))
        found = tf.math.log(tf.linalg.matmul(power, filters) + _FLOOR)
        return found.numpy()[..., np.newaxis]


def sound_windows(
    path: str | os.PathLike[str], settings: SoundSettings | None = None
) -> np.ndarray:
    """Returns the windows of a sound file, one after another, as a network takes them.

    Channels are averaged, and other rates resampled (`scipy.signal.resample_poly`).
    What is left after the last whole window is dropped; a file shorter than a window is
    filled up with zeros.

    Args:
        path: A WAV, FLAC or OGG file.
        settings: How it becomes inputs. Defaults to `None`, the defaults.

    Returns:
        Float32 (windows, ...).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no sound, or empty.
        ImportError: If soundfile, or for other rates SciPy, is not installed.

    Example:
        >>> sound_windows("no_such.wav")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no_such.wav does not exist.
    """
    settings = settings or SoundSettings()
    if not os.path.exists(path):
        raise FileNotFoundError(f"{os.fspath(path)} does not exist.")
    try:
        return settings.inputs(cut(read_samples(path, settings.rate), settings))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} {error}.") from error


def read_samples(path: str | os.PathLike[str], rate: int) -> np.ndarray:
    """Returns the samples of a sound file, float32 in [-1, 1], at a rate.

    Raises:
        ValueError: If it is no sound, or empty.
    """
    soundfile = _library("soundfile")
    if os.path.getsize(path) > _LARGEST_FILE:
        raise ValueError(f"has more than {_LARGEST_FILE >> 20} MiB")
    try:
        with open(path, "rb") as file:
            samples, own = soundfile.read(file, dtype="float32", always_2d=True)
    except Exception as error:  # Readers of damaged files raise what they like.
        text = " ".join(str(error).split())[:120].rstrip(".")
        raise ValueError(f"is no sound that can be read ({text})") from error
    if not len(samples):
        raise ValueError("holds no sample")
    if not np.isfinite(samples).all():
        raise ValueError("holds samples that are NaN or infinite")
    mono = samples.mean(axis=1)
    if own == rate:
        return mono
    common = math.gcd(int(own), rate)
    resample = _library("scipy.signal").resample_poly
    return resample(mono, rate // common, int(own) // common).astype(np.float32)


def cut(samples: np.ndarray, settings: SoundSettings) -> np.ndarray:
    """Returns whole windows of a sound, at least one, (windows, samples).

    Example:
        >>> one = SoundSettings(rate=1000, features="waveform")
        >>> cut(np.ones(2500, np.float32), one).shape, cut(np.ones(5, "f4"), one).sum()
        ((2, 1000), 5.0)
    """
    size = settings.samples
    if len(samples) < size:
        return np.pad(samples, (0, size - len(samples)))[np.newaxis]
    return samples[: len(samples) // size * size].reshape(-1, size)


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # soundfile without libsndfile.
        raise ImportError(
            f"Reading sounds needs {name.partition('.')[0]}, which is missing here "
            f"({error}). Install it: pip install 'larq-bnnopt[sound]'"
        ) from error
