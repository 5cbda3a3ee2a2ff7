"""Evaluates a model on test images: accuracy, each class, most frequent mistakes.

A run is evaluated on its own test images; its report.html then shows some of them.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING, Any

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser
from larq_bnnopt.cli.whole_commands import dataset_beside, on_the_file

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt import datasets, recipes


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="folder of a run, or a .keras file")
    parser.add_argument("--dataset", help="whose test images; of a run: its own")
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument(
        "--tflite",
        nargs="?",
        const="",
        metavar="FILE",
        help="also evaluate a .tflite; without a name: the one of the run or model",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there is a model and a data set."""
    source = pathlib.Path(arguments.model)
    names.require_source(source, arguments.trust)
    _tflite(source, arguments.tflite)
    if names.is_run(source):
        if arguments.dataset or arguments.data_dir:
            raise ValueError(
                f"{source} is a run, which has its own data. To choose others: "
                f"{on_the_file('evaluate', arguments)}"
            )
    elif arguments.dataset is None:
        raise ValueError(
            f"To evaluate {source}, name a --dataset, such as {dataset_beside(source)}."
        )
    names.require_dataset(arguments.dataset)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates and prints."""
    import json

    from larq_bnnopt.recipes import evaluate

    source = pathlib.Path(arguments.model)
    tflite = _tflite(source, arguments.tflite)
    model, data = _loaded(source, arguments)
    results = {"keras": evaluate(model, data)}
    if names.is_run(source):
        _show(source, data, results["keras"])
    if tflite is not None:
        results["tflite"] = _of_file(tflite, data)
    if arguments.json:
        content: dict[str, Any] = {"model": str(source), "dataset": data.name}
        content |= {name: result.as_dict() for name, result in results.items()}
        print(json.dumps(content, indent=2))
    else:
        _print(str(source), results)
    return 0


def _show(
    folder: pathlib.Path, data: datasets.Dataset, evaluation: recipes.Evaluation
) -> None:
    """Shows some test images in the report of a run."""
    from larq_bnnopt.cli.deploying import write_samples
    from larq_bnnopt.recipes import Run, write_page

    write_samples(Run(folder), data, evaluation)
    write_page(Run(folder))


def _tflite(source: pathlib.Path, name: str | None) -> pathlib.Path | None:
    """Returns the path of the .tflite to evaluate; it must exist."""
    if source.suffix == ".tflite":
        raise ValueError(
            f"{source} is evaluated beside its model: bnnopt evaluate RUN --tflite, or "
            "MODEL.keras --dataset NAME --tflite FILE."
        )
    if name is None:
        return None
    own = (
        source / "model.tflite"
        if names.is_run(source)
        else source.with_suffix(".tflite")
    )
    path = pathlib.Path(name) if name else own
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist. Make it: bnnopt convert {source}"
        )
    return path


def _loaded(
    source: pathlib.Path, arguments: argparse.Namespace
) -> tuple[tf.keras.Model, datasets.Dataset]:
    """Returns model and data set."""
    from larq_bnnopt import recipes

    if names.is_run(source):
        previous = recipes.Run(source)
        model = recipes.load_model(previous.model)
        return model, recipes.recipe_of(previous).load_data(model)
    model = recipes.load_model(source)
    data = recipes.load_data_for(model, arguments.dataset, data_dir=arguments.data_dir)
    return model, data


def _of_file(path: pathlib.Path, data: datasets.Dataset) -> recipes.Evaluation:
    """Evaluates a .tflite."""
    import converters
    from larq_bnnopt.cli.silence import quiet
    from larq_bnnopt.recipes import Evaluation

    with quiet():
        interpreter = converters.Interpreter(path)
        shape = converters.image_shape(interpreter, path)
        classes = converters.number_of_classes(interpreter, path)
        if shape != data.input_shape or classes != data.num_classes:
            raise ValueError(
                f"{path} takes images of {shape} and has {classes} classes; "
                f"{data.name!r} has {data.input_shape} and {data.num_classes}."
            )
        images, labels = data.test_arrays()
        scores: Any = interpreter.predict(images)
    return Evaluation.of(labels, scores, data.class_names)


_MISTAKES = ("images of", "taken for", "how many")
_NAMES = {"keras": "Keras", "tflite": ".tflite"}


def _print(title: str, results: dict[str, recipes.Evaluation]) -> None:
    from larq_bnnopt.cli.console import print_rows, print_table

    print_table(
        title,
        [
            (
                f"accuracy, {_NAMES[name]}",
                f"{result.accuracy:.2%} of {result.images:,} test images",
            )
            for name, result in results.items()
        ],
    )
    print_rows("Classes", _class_rows(results))
    print_rows("Most frequent mistakes", _mistakes(results))


def _mistakes(results: dict[str, recipes.Evaluation]) -> list[tuple[str, ...]]:
    """Returns the most frequent mistakes of Keras, with the counts of the file."""
    first, *others = results.values()
    columns = [_NAMES[name] for name in results]
    heading = ("images of", "taken for", *columns) if others else _MISTAKES
    places = {name: index for index, name in enumerate(first.class_names)}
    rows = []
    for true, taken, count in first.confusions():
        place = places[true], places[taken]
        counts = [count, *(int(other.confusion[place]) for other in others)]
        rows.append((true, taken, *(f"{one:,}" for one in counts)))
    return [heading, *rows]


def _class_rows(results: dict[str, recipes.Evaluation]) -> list[tuple[str, ...]]:
    several = len(results) > 1
    columns: list[list[str]] = []
    for key, result in results.items():
        name = f", {_NAMES[key]}" if several else ""
        classes = result.per_class()
        if not columns:
            columns.append(["class", *(one.name for one in classes)])
            columns.append(["images", *(f"{one.count:,}" for one in classes)])
        columns.append([f"precision{name}", *(_share(o.precision) for o in classes)])
        columns.append([f"recall{name}", *(_share(one.recall) for one in classes)])
    return list(zip(*columns))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
