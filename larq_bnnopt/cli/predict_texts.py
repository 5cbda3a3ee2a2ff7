"""Predictions of texts, by a run, its .tflite or a package, for `bnnopt predict`."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from larq_bnnopt.cli import names
from larq_bnnopt.cli.text_inputs import TextInputs, texts_of

if TYPE_CHECKING:
    import numpy as np

_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class TextModel:
    """What predicts texts.

    Attributes:
        name: The file of the model.
        answers: A function from the tokens of texts, by the names of the inputs, to
            scores, logits or numbers (texts, classes).
        tokenizer: An object of `Tokenizer`, or of a package a `converters.TextInput`.
        class_names: Names of the classes; of a regression of its number.
        backend_name: Name of what computes the answers.
        pairs: Whether it takes two texts, `None` if that is not known.
        is_regression: Whether the answers are numbers.
    """

    name: pathlib.Path
    answers: Callable[[Mapping[str, np.ndarray]], Any]
    tokenizer: Any
    class_names: Sequence[str]
    backend_name: str
    pairs: bool | None = None
    is_regression: bool = False


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there are texts to predict."""
    texts_of(arguments)


def run(arguments: argparse.Namespace, model: TextModel) -> int:
    """Predicts and prints.

    Args:
        arguments: Those of `bnnopt predict`.
        model: What predicts.
    """
    import numpy as np

    inputs = texts_of(arguments)
    _require_pairs(model, inputs)
    tokens = model.tokenizer.encode(inputs.texts, inputs.pairs)
    cut = model.tokenizer.truncated
    start = time.perf_counter()
    parts = []
    for at in range(0, len(inputs.texts), _AT_ONCE):
        some = {name: one[at : at + _AT_ONCE] for name, one in tokens.items()}
        parts.append(np.asarray(model.answers(some), np.float64))
    answers = np.concatenate(parts)
    milliseconds = 1000 * (time.perf_counter() - start) / len(inputs.texts)
    if not np.isfinite(answers).all():
        raise ValueError("The answers of the network are not finite.")
    if arguments.json:
        _print_json(model, inputs, answers, arguments.top, milliseconds, cut)
    else:
        _print(model, inputs, answers, arguments.top, milliseconds, cut)
    return 0


def loaded(source: pathlib.Path) -> TextModel:
    """Returns what predicts texts by a package, or a run.

    Args:
        source: The folder of it, or a file of a model in it.
    """
    folder = _package_of(source)
    return of_run(source) if folder is None else of_package(folder)


def of_package(folder: pathlib.Path) -> TextModel:
    """Returns what predicts texts by a package, which needs no TensorFlow.

    Args:
        folder: The folder.
    """
    import converters
    from larq_bnnopt.cli.silence import quiet

    tokens = converters.TextInput.of_package(folder)
    with quiet():
        interpreter = converters.Interpreter(converters.package_model(folder))
    tokens.require_fit(interpreter, folder)
    number = interpreter.outputs[0].shape[-1]
    class_names = converters.package_classes(folder)
    return TextModel(
        folder,
        interpreter.predict,
        tokens,
        class_names or [str(index) for index in range(number)],
        interpreter.backend_name,
        tokens.pairs,
        # A score for one class alone would say nothing.
        number == 1,
    )


def of_run(source: pathlib.Path) -> TextModel:
    """Returns what predicts texts by a run, through its .tflite if there is one.

    Args:
        source: The folder of the run, or a file of a model in it.
    """
    from larq_bnnopt.cli.silence import import_tensorflow, quiet

    import_tensorflow()
    import converters
    from larq_bnnopt import recipes
    from larq_bnnopt.datasets import Tokenizer

    run = recipes.Run(source if source.is_dir() else source.parent)
    settings = recipes.text_settings_of(run)
    class_names, _ = recipes.images_of(run)
    _, task = recipes.inputs_of(run)
    path = source
    if source.is_dir():
        path = run.tflite if run.tflite.exists() else run.model
    answers: Callable[[Mapping[str, np.ndarray]], Any]
    if path.suffix == ".tflite":
        with quiet():
            interpreter = converters.Interpreter(path)
        answers, backend = interpreter.predict, interpreter.backend_name
    else:
        model = recipes.load_model(path)
        answers, backend = model.predict_on_batch, "Keras"
    return TextModel(
        path,
        answers,
        Tokenizer(settings["tokenizer"], settings["text_length"]),
        class_names,
        backend,
        settings["pairs"],
        task == "regression",
    )


def is_of_texts(source: pathlib.Path) -> bool:
    """Whether a package or a run, or that of a file, is one on texts."""
    from larq_bnnopt import run_config

    if _package_of(source) is not None:
        return True
    folder = source if source.is_dir() else source.parent
    if not names.is_run(folder):
        return False
    return run_config.part_of(folder, "began_with").get("inputs") == "texts"


def _package_of(source: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of a package for texts that is named, or `None`."""
    import converters

    folder = source if source.is_dir() else source.parent
    is_named = source in (folder, converters.package_model(folder))
    return folder if is_named and converters.takes_texts(folder) else None


def _require_pairs(model: TextModel, inputs: TextInputs) -> None:
    """Raises a ValueError unless there are as many texts as the model takes."""
    has_pairs = inputs.pairs is not None
    if model.pairs is None or has_pairs == model.pairs:
        return
    wanted = "two texts each (--pair, or text_a and text_b)"
    if not model.pairs:
        wanted = "one text each (leave out --pair)"
    raise ValueError(f"{model.name} was trained on {wanted}.")


def _best(answers: np.ndarray, top: int) -> list[tuple[int, float]]:
    """Returns the likeliest classes of a text with their scores."""
    import numpy as np

    scores = answers
    # Probabilities of 16 bits or 8 add up to about 1.
    if answers.min() < 0 or abs(answers.sum() - 1) > 0.02:
        powers = np.exp(answers - answers.max())
        scores = powers / powers.sum()
    order = np.argsort(-scores, kind="stable")[:top]
    return [(int(index), float(scores[index])) for index in order]


def _print(
    model: TextModel,
    inputs: TextInputs,
    answers: np.ndarray,
    top: int,
    milliseconds: float,
    cut: int,
) -> None:
    from larq_bnnopt.cli.console import print_line, print_rows

    rows: list[tuple[str, ...]] = []
    for number, answer in enumerate(answers):
        text = inputs.shown(number)
        if model.is_regression:
            rows.append((text, *(f"{value:.4g}" for value in answer)))
            continue
        for place, (index, score) in enumerate(_best(answer, top)):
            first = "" if place else text
            rows.append((first, model.class_names[index], f"{score:.1%}"))
    heading: tuple[str, ...] = ("text", "class", "score")
    if model.is_regression:
        heading = ("text", *model.class_names)
    print_rows(str(model.name), [heading, *rows])
    if cut:
        print_line(f"{_cut(cut, model)}.")
    print_line(f"Computed by {model.backend_name}, {milliseconds:.2f} ms a text.")


def _cut(cut: int, model: TextModel) -> str:
    most = f"more than {model.tokenizer.length} tokens"
    if cut == 1:
        return f"1 text has {most} and is cut"
    return f"{cut:,} texts have {most} and are cut"


def _print_json(
    model: TextModel,
    inputs: TextInputs,
    answers: np.ndarray,
    top: int,
    milliseconds: float,
    cut: int,
) -> None:
    import json

    texts = []
    for number, answer in enumerate(answers):
        facts: dict[str, Any] = dict(inputs.as_dict(number))
        if model.is_regression:
            facts |= dict(zip(model.class_names, map(float, answer)))
        else:
            best = [
                {"class": model.class_names[index], "score": score}
                for index, score in _best(answer, top)
            ]
            facts |= {**best[0], "top": best}
        texts.append(facts)
    content = {
        "model": str(model.name),
        "runner": model.backend_name,
        "tokens": model.tokenizer.length,
        "truncated": cut,
        "milliseconds": milliseconds,
        "texts": texts,
    }
    print(json.dumps(content, indent=2))
