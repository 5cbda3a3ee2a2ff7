"""Converts a trained model to a .tflite and verifies that it computes the same.

Both are compared on the test images of a data set; the file is written only if they
agree.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING, Any

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser
from larq_bnnopt.cli.whole_commands import dataset_beside, on_the_file

if TYPE_CHECKING:
    from larq_bnnopt import recipes


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="folder of a run, or a .keras file")
    parser.add_argument(
        "--output", "-o", help="for a .keras file; default: its name with .tflite"
    )
    parser.add_argument(
        "--dataset", help="whose test images to compare on; of a run: its own"
    )
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="compute the real-valued layers in int8, calibrated on training images",
    )
    parser.add_argument(
        "--int8-io", action="store_true", help="int8 inputs and outputs, too"
    )
    parser.add_argument(
        "--allow-undetermined",
        action="store_true",
        help="write the file of a network whose answers depend on rounding, too",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there is a model, and its file can be written."""
    source = pathlib.Path(arguments.model)
    names.require_source(source, arguments.trust)
    is_run = names.is_run(source)
    if is_run and (arguments.output or arguments.dataset or arguments.data_dir):
        raise ValueError(
            f"{source} is a run, which knows its data and where its file goes. To "
            f"choose them: {on_the_file('convert', arguments)}"
        )
    if source.suffix == ".tflite":
        raise ValueError(f"{source} is a .tflite already; name a run or a .keras file.")
    if not is_run and arguments.dataset is None:
        raise ValueError(
            f"To compare the file with {source}, name a --dataset, such as "
            f"{dataset_beside(source)}."
        )
    names.require_dataset(arguments.dataset, arguments.data_dir)
    destination = _output(arguments)
    if destination.is_dir():
        raise ValueError(f"{destination} is a folder; name a file.")
    if destination.exists():
        raise FileExistsError(
            f"{destination} exists and is not overwritten. Remove it to convert again."
        )
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"The folder {destination.parent} does not exist.")


def _output(arguments: argparse.Namespace) -> pathlib.Path:
    """Returns the path of the .tflite."""
    source = pathlib.Path(arguments.model)
    if names.is_run(source):
        return source / "model.tflite"
    return pathlib.Path(arguments.output or source.with_suffix(".tflite"))


def run(arguments: argparse.Namespace) -> int:
    """Converts."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import deploying
    from larq_bnnopt.cli.console import print_table

    source = pathlib.Path(arguments.model)
    if names.is_run(source):
        previous = recipes.Run(source)
        with previous.locked():
            _convert_run(previous, _options(arguments))
    else:
        output = _output(arguments)
        model = recipes.load_model(source)
        data = recipes.load_data_for(
            model,
            arguments.dataset,
            data_dir=arguments.data_dir,
            tokenizer=recipes.tokenizer_beside(source),
        )
        conversion = deploying.convert_and_warn(
            model, output, data, **_options(arguments)
        )
        print_table(str(output), conversion.report.rows())
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of the conversion."""
    int8 = "layers" if arguments.int8 else None
    return {
        "int8": "ends" if arguments.int8_io else int8,
        "allow_undetermined": arguments.allow_undetermined,
    }


def _convert_run(run: recipes.Run, options: dict[str, Any]) -> None:
    """Converts the current model of a run."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import deploying
    from larq_bnnopt.cli.console import console, warnings_as_lines

    recipe = recipes.recipe_of(run)
    model = recipes.load_model(run.model)
    with warnings_as_lines():
        data = recipes.data_of(run, recipe, model)
    recipes.require_same_settings(run, data)
    epochs = recipes.trained_epochs(run, recipe, model, data)
    planned = sum(recipe.stage_epochs())
    if epochs < planned:
        console.print(
            f"Warning: this run has trained {epochs} of {planned} epochs; "
            f"to resume it: bnnopt train --resume {run.folder}"
        )
    deploying.convert_run(run, model, data, **options)
