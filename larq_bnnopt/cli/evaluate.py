"""Evaluates a model on test inputs: accuracy, each class, most frequent mistakes.

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

    _Result = recipes.Evaluation | recipes.Regression


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

    from larq_bnnopt.cli.console import warnings_as_lines
    from larq_bnnopt.recipes import evaluate

    source = pathlib.Path(arguments.model)
    tflite = _tflite(source, arguments.tflite)
    with warnings_as_lines(error=arguments.json):
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


def _show(folder: pathlib.Path, data: datasets.Dataset, evaluation: _Result) -> None:
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
        data = recipes.data_of(previous, recipes.recipe_of(previous), model)
        recipes.require_same_settings(previous, data)
        return model, data
    model = recipes.load_model(source)
    data = recipes.load_data_for(
        model,
        arguments.dataset,
        data_dir=arguments.data_dir,
        tokenizer=recipes.tokenizer_beside(source),
    )
    return model, data


def _of_file(path: pathlib.Path, data: datasets.Dataset) -> _Result:
    """Evaluates a .tflite."""
    import converters
    from larq_bnnopt.cli.silence import quiet
    from larq_bnnopt.recipes import compared

    with quiet():
        interpreter = converters.Interpreter(path)
        ends = [one.shape[1:] for one in (*interpreter.inputs, *interpreter.outputs)]
        # Tokens, their mask and their types.
        inputs = 3 if data.kind == "texts" else 1
        if ends != [*[data.input_shape] * inputs, (data.num_classes,)]:
            raise ValueError(
                f"{path} takes inputs of {ends[0]} and has outputs of {ends[-1]}; "
                f"{data.name!r} has {data.kind} of {data.input_shape} and "
                f"{data.num_classes} answers."
            )
        images, labels = data.test_arrays()
        scores: Any = interpreter.predict(images)
    return compared(labels, scores, data)


_NAMES = {"keras": "Keras", "tflite": ".tflite"}


def _print(title: str, results: dict[str, _Result]) -> None:
    from larq_bnnopt.cli.console import print_rows, print_table
    from larq_bnnopt.recipes import Evaluation

    classes = {n: r for n, r in results.items() if isinstance(r, Evaluation)}
    if not classes:
        _print_errors(title, results)
        return
    rows = []
    for name, result in classes.items():
        said = f"{result.accuracy:.2%} of {result.images:,} test {result.kind}"
        rows += [(f"accuracy, {_NAMES[name]}", said), *_scores(name, result)]
    print_table(title, rows)
    print_rows("Classes", _class_rows(classes))
    print_rows("Most frequent mistakes", _mistakes(classes))


def _scores(name: str, result: Any) -> list[tuple[str, str]]:
    """Returns the further metrics of a result as rows."""
    from larq_bnnopt.recipes import METRIC_WORDS

    return [
        (f"{METRIC_WORDS[metric]}, {_NAMES[name]}", f"{score:.4f}")
        for metric, score in result.metrics.items()
    ]


def _print_errors(title: str, results: dict[str, Any]) -> None:
    """Prints the errors of a regression."""
    from larq_bnnopt.cli.console import print_rows, print_table

    rows = []
    for name, result in results.items():
        rows.append(
            (
                f"mean absolute error, {_NAMES[name]}",
                f"{result.mean_absolute_error:.4g} on {result.inputs:,} test inputs",
            )
        )
        rows.append((f"R2, {_NAMES[name]}", f"{result.r2:.4f}"))
        rows += _scores(name, result)
    print_table(title, rows)
    if len(next(iter(results.values())).names) > 1:
        for name, result in results.items():
            print_rows(f"Numbers, {_NAMES[name]}", result.rows())


def _mistakes(results: dict[str, recipes.Evaluation]) -> list[tuple[str, ...]]:
    """Returns the most frequent mistakes of Keras, with the counts of the file."""
    first, *others = results.values()
    columns = [_NAMES[name] for name in results] if others else ["how many"]
    heading = (f"{first.kind} of", "taken for", *columns)
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
            columns.append([result.kind, *(f"{one.count:,}" for one in classes)])
        columns.append([f"precision{name}", *(_share(o.precision) for o in classes)])
        columns.append([f"recall{name}", *(_share(one.recall) for one in classes)])
    return list(zip(*columns))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
