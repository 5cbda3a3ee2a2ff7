"""Predicts classes of images or texts with a run, .keras or .tflite file, or package.

Inputs are preprocessed like the test inputs of the run. A run is used through its
.tflite, if there is one. A package needs no TensorFlow. Exits with 2 if an image cannot
be read; all others are predicted.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from larq_bnnopt import run_config
from larq_bnnopt.cli import names, predict_texts
from larq_bnnopt.cli.image_files import image_error
from larq_bnnopt.cli.parser import Parser, positive

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    import converters
    from larq_bnnopt import datasets

    _Answer = converters.Prediction | Exception


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "model", help="folder of a run or of a package, or a .keras or .tflite file"
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="image",
        help="JPEG, PNG, GIF or BMP files, .npy files of uint8 pixels, or folders; of "
        "a run on arrays .npy files of one input each, on sounds WAV, FLAC or OGG; for "
        "texts .txt files of one text each, .csv and .tsv with the column text, or "
        "text_a and text_b",
    )
    parser.add_argument(
        "--text", action="append", default=[], help="a text; may be given repeatedly"
    )
    parser.add_argument(
        "--pair",
        "--text-pair",
        action="append",
        default=[],
        help="the second text of each --text",
    )
    parser.add_argument(
        "--top", type=positive(int), default=1, help="how many classes; default: 1"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there is a model, and a file that may be an image."""
    import converters

    source = pathlib.Path(arguments.model)
    names.require_file(arguments.model)
    if source.is_dir() and not converters.is_package(source):
        names.require_source(source, arguments.trust)
    if predict_texts.is_of_texts(source):
        predict_texts.check(arguments)
        return
    kind = _kind(source)
    if arguments.text or arguments.pair:
        if not _is_of_run(source):
            raise ValueError(
                f"{source} is in no run or package, which hold the tokenizer and the "
                "classes that --text needs. Name the run or the package."
            )
        raise ValueError(f"{source} takes {kind}, and --text is for networks of texts.")
    if not arguments.images:
        raise ValueError(f"Name {kind} to predict, files or folders of them.")
    paths = _paths(arguments.images, kind)
    errors = [error for path in paths if (error := _file_error(path, kind))]
    # A wrong file does not hide the others.
    if len(errors) == len(paths):
        raise errors[0] if len(errors) == 1 else ValueError(" ".join(map(str, errors)))


def run(arguments: argparse.Namespace) -> int:
    """Predicts and prints."""
    from larq_bnnopt.cli.console import print_line, print_rows, warnings_as_lines
    from larq_bnnopt.cli.silence import quiet

    source = pathlib.Path(arguments.model)
    if predict_texts.is_of_texts(source):
        with warnings_as_lines(error=True):
            model = predict_texts.loaded(source)
        return predict_texts.run(arguments, model)
    paths = _paths(arguments.images, _kind(source))
    with warnings_as_lines(error=True):
        chosen = _chosen(source)
    answers: list[tuple[pathlib.Path, _Answer]] = []
    for path in paths:
        answer: _Answer
        try:
            with quiet():
                answer = chosen.classifier.predict(path, arguments.top, chosen.decode)
        except (ValueError, FileNotFoundError, OSError) as error:
            if len(paths) == 1:
                raise
            answer = error
        answers.append((path, answer))
    if arguments.json:
        _print_json(chosen, answers)
    else:
        rows = [row for pair in answers for row in _rows(*pair)]
        print_rows(str(chosen.name), [_HEADING, *rows])
        print_line(f"Computed by {chosen.classifier.backend_name}.")
    failed = [answer for _, answer in answers if isinstance(answer, Exception)]
    for failure in failed:
        print(f"bnnopt: {' '.join(str(failure).split())}", file=sys.stderr)
    return 2 if failed else 0


_HEADING = ("image", "class", "score", "milliseconds")


@dataclasses.dataclass(frozen=True)
class _SoundInput:
    """The windows of a sound file, whose scores are averaged."""

    settings: datasets.SoundSettings

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Returns windows as they are."""
        return array

    def of_file(
        self, path: str | os.PathLike[str], decode: object = None
    ) -> np.ndarray:
        """Returns the windows of a file."""
        from larq_bnnopt import datasets

        return datasets.sound_windows(path, self.settings)

    def words(self) -> str:
        """Returns the settings in words."""
        return self.settings.words()

    def as_dict(self) -> dict[str, object]:
        """Returns the settings as plain data for JSON."""
        return dataclasses.asdict(self.settings)


@dataclasses.dataclass(frozen=True)
class _Chosen:
    """A classifier with its name and the decoder of its data set."""

    name: pathlib.Path
    classifier: converters.Classifier
    decode: Callable[[bytes, int], np.ndarray] | None = None


def _kind(source: pathlib.Path) -> str:
    """Returns what a run takes: images, arrays or sounds; images without a run."""
    folder = source if source.is_dir() else source.parent
    if not _is_of_run(source):
        return "images"
    return str(run_config.part_of(folder, "began_with").get("inputs", "images"))


def _is_of_run(source: pathlib.Path) -> bool:
    """Whether a run, or a file of a model in it, is named."""
    return names.is_run(source if source.is_dir() else source.parent)


def _suffixes(kind: str) -> tuple[str, ...]:
    """Returns the suffixes of the files that a run takes."""
    import converters

    of_kind = {"arrays": (".npy",), "sounds": (".wav", ".flac", ".ogg")}
    return of_kind.get(kind, converters.IMAGE_SUFFIXES)


def _file_error(path: pathlib.Path, kind: str) -> ValueError | OSError | None:
    """Returns the error of a file that cannot be an input, `None` if it may be one."""
    if kind == "images" or path.suffix.lower() == ".npy":
        return image_error(path)
    if not path.exists():
        return FileNotFoundError(f"{path} does not exist.")
    if path.suffix.lower() in _suffixes(kind):
        return None
    known = ", ".join(_suffixes(kind))
    return ValueError(f"{path} is not what the run takes: {kind} ({known}).")


def _paths(words: list[str], kind: str) -> list[pathlib.Path]:
    """Returns the given files, and the files of a kind in given folders."""
    known = _suffixes(kind)
    paths: list[pathlib.Path] = []
    for word in words:
        path = pathlib.Path(word)
        if not path.is_dir():
            paths.append(path)
            continue
        found = [
            inner
            for inner in sorted(path.rglob("*"))
            if inner.suffix.lower() in known and inner.is_file()
        ]
        if not found:
            called = "image" if kind == "images" else "file that the run takes"
            raise ValueError(f"{path} holds no {called} ({', '.join(known)}).")
        paths += found
    return paths


def _chosen(source: pathlib.Path) -> _Chosen:
    import converters
    from larq_bnnopt.cli.silence import quiet

    folder = source if source.is_dir() else source.parent
    names_package = source in (folder, converters.package_model(folder))
    if converters.is_package(folder) and names_package:
        with quiet():
            return _Chosen(folder, converters.Classifier.of_package(folder))
    is_run = (folder / "config.json").is_file()
    if source.suffix == ".tflite" and not is_run:
        return _bare_file(source)
    return _with_tensorflow(source, folder, is_run)


def _bare_file(path: pathlib.Path) -> _Chosen:
    """Returns a classifier for a file without run or package."""
    import converters
    from larq_bnnopt.cli.silence import quiet

    with quiet():
        interpreter = converters.Interpreter(path)
    shape = converters.image_shape(interpreter, path)
    classes = converters.number_of_classes(interpreter, path)
    names, preprocessing = _unknown(path, shape, classes)
    return _Chosen(
        path, converters.Classifier.of_file(interpreter, names, preprocessing)
    )


def _unknown(
    path: pathlib.Path, shape: tuple[int, ...], classes: int
) -> tuple[list[str], converters.Preprocessing]:
    """Returns numbers as class names, and the preprocessing of this package."""
    import warnings

    import converters

    height, width, channels = shape
    preprocessing = converters.Preprocessing((height, width), channels)
    warnings.warn(
        f"{path} names neither its classes, which are numbers here, nor its "
        f"preprocessing, for which this is used: {preprocessing.words()}. Its run or "
        "its package has both.",
        stacklevel=2,
    )
    return [str(index) for index in range(classes)], preprocessing


def _with_tensorflow(
    source: pathlib.Path, folder: pathlib.Path, is_run: bool
) -> _Chosen:
    from larq_bnnopt.cli.silence import import_tensorflow, quiet

    import_tensorflow()
    import numpy as np

    import converters
    from larq_bnnopt import recipes

    shape: tuple[int, ...]
    path, kind = source, "images"
    if is_run:
        kind, task = recipes.inputs_of(recipes.Run(folder))
        if task != "classification":
            raise ValueError(
                f"{folder} predicts numbers (regression), and predict shows classes. "
                "converters.Interpreter runs its .tflite, bnnopt evaluate measures it."
            )
    if names.is_run(source):
        previous = recipes.Run(source)
        previous.read_recipe()  # Reports what is missing.
        path = previous.tflite if previous.tflite.exists() else previous.model
    if path.suffix == ".tflite":
        with quiet():
            interpreter = converters.Interpreter(path)
        if kind == "images":
            shape = converters.image_shape(interpreter, path)
        else:
            shape = interpreter.inputs[0].shape[1:]
        classes = converters.number_of_classes(interpreter, path)
    else:
        model = recipes.load_model(path)
        if kind == "images":
            shape, classes = _sizes(model, path)
        else:
            shape, classes = model.input_shape[1:], model.output_shape[-1]
    class_names: Sequence[str]
    preprocessing: converters.Preprocessing | converters.ArrayInput | _SoundInput
    if is_run:
        class_names, middle = recipes.images_of(recipes.Run(folder))
        if kind == "images":
            height, width, channels = shape
            preprocessing = converters.Preprocessing((height, width), channels, middle)
        elif kind == "sounds":
            preprocessing = _SoundInput(recipes.sound_settings_of(recipes.Run(folder)))
        else:
            preprocessing = converters.ArrayInput(shape)
        if len(class_names) != classes:
            raise ValueError(
                f"{path} has {classes} classes, and the run of {folder} "
                f"{len(class_names)}."
            )
    else:
        class_names, preprocessing = _unknown(path, shape, classes)
    if isinstance(preprocessing, _SoundInput):
        is_file = path.suffix == ".tflite"
        answers: Any = interpreter.predict if is_file else model.predict_on_batch
        made = converters.Classifier(
            lambda batch: np.mean(answers(batch[0]), axis=0),
            class_names,
            preprocessing,
            interpreter.backend_name if is_file else "Keras",
        )
    elif path.suffix == ".tflite":
        made = converters.Classifier.of_file(interpreter, class_names, preprocessing)
    else:
        made = converters.Classifier(
            model.predict_on_batch, class_names, preprocessing, "Keras"
        )
    return _Chosen(path, made, converters.decode_by_tensorflow)


def _sizes(
    model: tf.keras.Model, path: pathlib.Path
) -> tuple[tuple[int, int, int], int]:
    """Returns the shape of images and the number of classes of a Keras model."""
    from larq_bnnopt import recipes

    if recipes.takes_texts(model):
        raise ValueError(
            f"{path} takes texts, and is in no run, which holds its tokenizer and its "
            "classes. Name the run or a package of it, and --text."
        )
    for kind in ("input", "output"):
        number = len(getattr(model, f"{kind}s"))
        if number != 1:
            raise ValueError(
                f"{path} is no classifier of images: it has {number} {kind}s."
            )
    shape, answer = model.input_shape[1:], model.output_shape[1:]
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"{path} is no classifier of images: its input is {shape} and not (height, "
            "width, 1 or 3)."
        )
    if None in shape:
        raise ValueError(
            f"{path} takes images of any size, {shape}. Convert it for one, and name "
            "its .tflite."
        )
    if len(answer) != 1 or answer[0] is None or answer[0] < 2:
        raise ValueError(
            f"{path} is no classifier: its output is {answer} and not one score for "
            "each of two or more classes."
        )
    return shape, answer[0]


def _rows(path: pathlib.Path, answer: _Answer) -> list[tuple[str, ...]]:
    if isinstance(answer, Exception):
        return [(str(path), "not read", "", "")]
    rows: list[tuple[str, ...]] = []
    for place, (name, score) in enumerate(zip(answer.classes, answer.scores)):
        first = (str(path), f"{answer.milliseconds:.2f}") if not place else ("", "")
        rows.append((first[0], name, f"{score:.1%}", first[1]))
    return rows


def _print_json(chosen: _Chosen, answers: list[tuple[pathlib.Path, _Answer]]) -> None:
    import json

    images = []
    for path, answer in answers:
        if isinstance(answer, Exception):
            facts = {"error": str(answer)}
        else:
            facts = answer.as_dict()
        images.append({"image": str(path), **facts})
    content = {
        "model": str(chosen.name),
        "runner": chosen.classifier.backend_name,
        "preprocessing": chosen.classifier.preprocessing.as_dict(),
        "images": images,
    }
    print(json.dumps(content, indent=2))
