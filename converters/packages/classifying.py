"""Classification of photographs and texts, by a packaged network or any function."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, ItemsView, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from converters.packages.layout import LABELS, METADATA, MODEL
from converters.packages.preprocessing import Decoder, Preprocessing
from converters.packages.replaying import (
    check_sums,
    package_classes,
    read_metadata,
)
from converters.packages.text_input import Text, TextInput, shortened
from converters.renamed import with_old_names
from converters.runtime import Interpreter


class RawInput(Protocol):
    """What makes inputs of files, such as a `Preprocessing` or an `ArrayInput`."""

    def __call__(self, pixels: np.ndarray, /) -> np.ndarray:
        """Returns the input that an array becomes."""

    def of_file(
        self, path: str | os.PathLike[str], decode: Decoder | None = None
    ) -> np.ndarray:
        """Returns the input that a file becomes."""

    def words(self) -> str:
        """Returns what is done, as one line."""

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data for JSON."""


# How far the sum of scores may be from one, beside rounding to quant steps.
_SUM = 0.01


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The classes of an input, the likeliest first.

    Attributes:
        classes: Names of the likeliest classes.
        scores: Their scores, which add up to 1 over all classes.
        milliseconds: Time of the network, without reading the input.
    """

    classes: tuple[str, ...]
    scores: tuple[float, ...]
    milliseconds: float

    def as_dict(self) -> dict[str, Any]:
        """Returns the prediction as plain data for JSON."""
        pairs = zip(self.classes, self.scores)
        return {
            "class": self.classes[0],
            "score": self.scores[0],
            "top": [{"class": name, "score": score} for name, score in pairs],
            "milliseconds": self.milliseconds,
        }


@with_old_names(runner="backend_name")
class Classifier:
    """Classifies photographs, or texts.

    Image files are read by Pillow, or TensorFlow where that alone is installed; .npy
    files need neither. Texts need the library tokenizers.

    Args:
        answers: A function from inputs (1, h, w, channels), or of texts from a
            dictionary of arrays (1, tokens), to scores or logits (1, classes).
        class_names: Names of the classes.
        preprocessing: How a photograph becomes the input, an `ArrayInput` or a
            `TextInput`.
        runner: Name of what computes the answers, which is `backend_name` later.
        steps: The quant step that scores are rounded to. Defaults to `0.0`, none.

    Example:
        >>> import numpy as np
        >>> dark_or_light = Classifier(
        ...     lambda x: [[-x.sum(), x.sum()]],
        ...     ["dark", "light"],
        ...     Preprocessing((2, 2), 1),
        ...     "NumPy",
        ... )
        >>> dark_or_light.predict(np.full((4, 4, 1), 255, np.uint8)).classes
        ('light',)
    """

    def __init__(
        self,
        answers: Callable[[Any], Any],
        class_names: Sequence[str],
        preprocessing: RawInput | TextInput,
        runner: str,
        steps: float = 0.0,
    ):
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.backend_name = runner
        self._answers = answers
        self._steps = steps
        self._is_warm = False

    @classmethod
    def of_package(
        cls, folder: str | os.PathLike[str], num_threads: int = 1
    ) -> Classifier:
        """Returns the classifier of a package; it needs only NumPy and LiteRT.

        One of texts needs the library tokenizers, too.

        Args:
            folder: A folder of `package`, which must know its classes and how a
                photograph or a text becomes its input.
            num_threads: Threads of the interpreter. Defaults to `1`.

        Raises:
            FileNotFoundError: If the folder, or a file of it, is missing.
            ValueError: If a file is damaged, or the network classifies neither images
                nor texts.

        Example:
            >>> Classifier.of_package("no_such_folder")
            Traceback (most recent call last):
            ...
            FileNotFoundError: no_such_folder is no folder.
        """
        folder = pathlib.Path(folder)
        check_sums(folder)
        interpreter = Interpreter(folder / MODEL, num_threads)
        content = read_metadata(folder)
        if content.get("text") is not None:
            return cls._of_texts(folder, interpreter)
        shape = image_shape(interpreter, folder)
        classes = number_of_classes(interpreter, folder)
        names = _labels(folder)
        preprocessing = _preprocessing(content, folder)
        if preprocessing.shape != shape or len(names) != classes:
            raise ValueError(
                f"{METADATA}, {LABELS} and {MODEL} of {folder} do not belong together: "
                f"the file takes {shape} and has {classes} classes, but they name "
                f"{preprocessing.shape} and {len(names)}."
            )
        return cls.of_file(interpreter, names, preprocessing)

    @classmethod
    def _of_texts(cls, folder: pathlib.Path, interpreter: Interpreter) -> Classifier:
        tokens = TextInput.of_package(folder)
        tokens.require_fit(interpreter, folder / MODEL)
        classes, names = number_of_classes(interpreter, folder), _labels(folder)
        if len(names) != classes:
            raise ValueError(
                f"{LABELS} and {MODEL} of {folder} do not belong together: they have "
                f"{len(names)} and {classes} classes."
            )
        return cls.of_file(interpreter, names, tokens)

    @classmethod
    def of_file(
        cls,
        interpreter: Interpreter,
        class_names: Sequence[str],
        preprocessing: RawInput | TextInput,
    ) -> Classifier:
        """Returns the classifier of a .tflite.

        Args:
            interpreter: What runs it.
            class_names: Names of the classes.
            preprocessing: How a photograph becomes its input, an `ArrayInput` or a
                `TextInput`.
        """
        return cls(
            interpreter.predict,
            class_names,
            preprocessing,
            interpreter.backend_name,
            interpreter.outputs[0].scale or 0.0,
        )

    def predict(
        self,
        image: Text | os.PathLike[str] | np.ndarray,
        top: int = 1,
        decode: Decoder | None = None,
    ) -> Prediction:
        """Returns the likeliest classes of an image or a text.

        Args:
            image: A file, as for `Preprocessing.of_file`, or its uint8 pixels (height,
                width, channels). Of a network for texts the text itself, a tuple of
                two, or the `pathlib.Path` of a file that holds one.
            top: How many classes. Defaults to `1`.
            decode: As for `Preprocessing.of_file`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no image, or of other channels, or no text, or the
                scores are not finite.
            ImportError: If nothing that decodes images is installed.
        """
        if top < 1:
            raise ValueError(f"top must be at least 1. Received: {top}")
        batch = self._batch(image, decode)
        if not self._is_warm:  # The first run of a network prepares the others.
            self._answers(batch)
            self._is_warm = True
        start = time.perf_counter()
        answers = np.asarray(self._answers(batch), np.float64)
        seconds = time.perf_counter() - start
        scores = self._scores(answers.reshape(-1))
        order = np.argsort(-scores, kind="stable")[:top]
        return Prediction(
            tuple(self.class_names[index] for index in order),
            tuple(float(scores[index]) for index in order),
            1000 * seconds,
        )

    def _batch(
        self, given: Text | os.PathLike[str] | np.ndarray, decode: Decoder | None
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Returns one input with an axis for the batch."""
        raw = self.preprocessing
        if isinstance(raw, TextInput):
            return {name: array[np.newaxis] for name, array in _tokens(raw, given)}
        if isinstance(given, np.ndarray):
            return raw(given)[np.newaxis]
        if isinstance(given, tuple):
            raise ValueError("The network takes images, and no pair of texts.")
        return raw.of_file(given, decode)[np.newaxis]

    def _scores(self, answers: np.ndarray) -> np.ndarray:
        """Returns scores that add up to one: a softmax is applied to logits."""
        if len(answers) != len(self.class_names):
            raise ValueError(
                f"The network has {len(answers)} answers, and there are "
                f"{len(self.class_names)} classes."
            )
        if not np.isfinite(answers).all():
            raise ValueError("The answers of the network are not finite.")
        rounding = _SUM + len(answers) * self._steps / 2
        if answers.min() >= 0 and abs(answers.sum() - 1) <= rounding:
            return answers
        powers = np.exp(answers - answers.max())
        return powers / powers.sum()


def _tokens(
    raw: TextInput, given: Text | os.PathLike[str] | np.ndarray
) -> ItemsView[str, np.ndarray]:
    if isinstance(given, np.ndarray):
        raise ValueError("The network takes a text, and no array.")
    if isinstance(given, os.PathLike):
        return raw.of_file(given).items()
    try:
        return raw(given).items()
    except ValueError as error:
        raise ValueError(f"{shortened(given)} {error}.") from error


def image_shape(interpreter: Interpreter, name: object) -> tuple[int, int, int]:
    """Returns the shape of the images that a file takes.

    Args:
        interpreter: What runs the file.
        name: What to call it.

    Raises:
        ValueError: If it is no classifier of images.
    """
    _require_one(interpreter, name, "input", "output")
    shape = interpreter.inputs[0].shape[1:]
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"{name} is no classifier of images: its input is {shape} and not (height, "
            "width, 1 or 3)."
        )
    return shape


def number_of_classes(interpreter: Interpreter, name: object) -> int:
    """Returns the number of classes of a file.

    Args:
        interpreter: What runs the file.
        name: What to call it.

    Raises:
        ValueError: If it is no classifier.
    """
    _require_one(interpreter, name, "output")
    shape = interpreter.outputs[0].shape[1:]
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(
            f"{name} is no classifier: its output is {shape} and not one score for "
            "each of two or more classes."
        )
    return shape[0]


def _require_one(interpreter: Interpreter, name: object, *kinds: str) -> None:
    for kind in kinds:
        tensors = getattr(interpreter, f"{kind}s")
        if len(tensors) != 1:
            names = ", ".join(info.name for info in tensors)
            of_images = " of images" * ("input" in kinds)
            raise ValueError(
                f"{name} is no classifier{of_images}: it has {len(tensors)} {kind}s "
                f"({names})."
            )


def _preprocessing(content: Mapping[str, Any], folder: pathlib.Path) -> Preprocessing:
    if content.get("image") is None:
        raise ValueError(
            f"{folder} does not say how a photograph becomes its input: it was "
            "packaged without a converters.Preprocessing, or before there was one. "
            "Package it again (bnnopt package RUN FOLDER), or run its file with "
            "converters.Interpreter."
        )
    try:
        return Preprocessing.of(content["image"])
    except ValueError as error:
        raise ValueError(f"{METADATA} of {folder} is damaged: {error}.") from error


def _labels(folder: pathlib.Path) -> tuple[str, ...]:
    names = package_classes(folder)
    if names is None:
        raise ValueError(
            f"{folder} was packaged without class_names ({LABELS}), so its classes "
            "have no names."
        )
    return names
