"""Compares a .tflite with its Keras model on test images, or replays a package.

Exits with 1 if the file does not compute what the model, or the package, does.
"""

from __future__ import annotations

import argparse
import pathlib

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "model", help="folder of a run, folder of a package, or a .keras file"
    )
    parser.add_argument("tflite", nargs="?", help="the .tflite; of a run: its own")
    parser.add_argument(
        "--dataset", help="whose test images to compare on; of a run: its own"
    )
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--json", action="store_true", help="print JSON")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there are a model and a file to compare."""
    import converters

    source = pathlib.Path(arguments.model)
    if source.is_dir() and converters.is_package(source):
        if arguments.tflite or arguments.dataset or arguments.data_dir:
            raise ValueError(
                f"{source} is a package, which holds its file and its inputs. Leave "
                "out all but the folder."
            )
        return
    names.require_file(arguments.model)
    if source.suffix == ".tflite":
        raise ValueError(
            f"{source} is compared with something: name its run, its .keras file "
            "before it, or the folder of its package."
        )
    names.require_source(source, arguments.trust)
    if names.is_run(source):
        if not arguments.tflite and not (source / "model.tflite").exists():
            raise FileNotFoundError(
                f"{source} has no .tflite yet. Make it: bnnopt convert {source}"
            )
    elif arguments.tflite is None or arguments.dataset is None:
        raise ValueError(f"To compare {source}, name a .tflite and a --dataset.")
    names.require_file(arguments.tflite)
    names.require_dataset(arguments.dataset, arguments.data_dir)


def run(arguments: argparse.Namespace) -> int:
    """Compares."""
    import dataclasses
    import json

    import converters
    from larq_bnnopt.cli.console import print_table
    from larq_bnnopt.cli.silence import import_tensorflow, quiet

    source = pathlib.Path(arguments.model)
    if source.is_dir() and converters.is_package(source):
        return _replay(source, arguments)
    import_tensorflow()
    from larq_bnnopt import recipes

    if names.is_run(source):
        previous = recipes.Run(source)
        recipe = recipes.recipe_of(previous)
        keras, tflite = previous.model, arguments.tflite or previous.tflite
    else:
        recipe, keras, tflite = None, source, arguments.tflite
    model = recipes.load_model(keras)
    if recipe is None or arguments.dataset is not None:
        data = recipes.load_data_for(
            model,
            arguments.dataset,
            data_dir=arguments.data_dir,
            tokenizer=recipes.tokenizer_beside(source),
        )
    else:
        moved = arguments.data_dir or recipe.data_dir
        recipe = dataclasses.replace(recipe, data_dir=moved)
        data = recipes.data_of(previous, recipe, model)
    images, answers = data.test_arrays()
    labels = answers if data.task == "classification" else None
    with quiet():
        verification = converters.verify(model, tflite, images, labels)
        audit = converters.audit(model, tflite)
        report = converters.Report.of(model, audit, verification)
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_table(str(tflite), report.rows())
    if not verification.passed:
        raise converters.ConversionError(
            f"{tflite} does not compute what {keras} computes: {verification.verdict}. "
            f"{verification.cure}".rstrip()
        )
    return 0


def _replay(folder: pathlib.Path, arguments: argparse.Namespace) -> int:
    """Runs the golden inputs of a package."""
    import json

    import converters
    from larq_bnnopt.cli.console import print_table
    from larq_bnnopt.cli.silence import quiet

    with quiet():
        replay = converters.replay(folder)
    if arguments.json:
        print(json.dumps(replay.as_dict(), indent=2))
    else:
        print_table(str(folder), replay.rows())
    if not replay.passed:
        raise converters.ConversionError(
            f"The file of {folder} does not answer as it did: {replay.verdict}."
        )
    return 0
