"""Trains a binary network on real images, or texts, and converts it to a .tflite.

The images come with the package; they take about a minute on two cores. Texts are in a
folder of yours (--text --data FOLDER). The results are in a new folder.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from larq_bnnopt.cli.parser import Parser, positive, within
from larq_bnnopt.recipe_fields import range_of

_EPOCHS, _TEXT_EPOCHS = 12, 6
_TEXTS: dict[str, Any] = {
    "model": "binary_bert_tiny",
    "model_options": {"hidden_size": 64, "intermediate_size": 256, "dropout": 0},
    "text_length": 64,
    "learning_rate": 1e-3,
    "epochs": _TEXT_EPOCHS,
}
_HOW = (
    "No licence lets this package hold texts; `python tools/prepare_texts.py "
    "rotten_tomatoes FOLDER` makes one with 8,530 sentences on films."
)


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "--epochs",
        type=positive(int),
        help=f"default: {_EPOCHS}; of texts {_TEXT_EPOCHS}",
    )
    parser.add_argument(
        "--seed", type=within(range_of("seed"), int), default=0, help="default: 0"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where runs go; default: runs"
    )
    parser.add_argument(
        "--text", action="store_true", help="train a sentence classifier instead"
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="of --text: a folder with a table of texts (.csv with the columns text "
        "and label)",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error where no folder can be made."""
    if os.path.exists(arguments.runs) and not os.path.isdir(arguments.runs):
        raise ValueError(f"{arguments.runs} is a file and no folder for runs.")
    if arguments.data is not None and not arguments.text:
        raise ValueError("--data names texts; add --text.")
    if arguments.text and arguments.data is None:
        raise ValueError(f"--text needs a folder of texts: --data FOLDER. {_HOW}")
    if arguments.text and not os.path.isdir(arguments.data):
        raise FileNotFoundError(f"The folder {arguments.data} does not exist. {_HOW}")


def run(arguments: argparse.Namespace) -> int:
    """Trains, converts, verifies, reports."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import deploying, training
    from larq_bnnopt.cli.console import console, warnings_as_lines

    fields: dict[str, Any] = {"epochs": _EPOCHS}
    if arguments.text:
        fields = {**_TEXTS, "dataset": os.path.abspath(arguments.data)}
    if arguments.epochs is not None:
        fields["epochs"] = arguments.epochs
    recipe = recipes.OneStep(**fields, seed=arguments.seed)
    with warnings_as_lines():
        data = recipe.load_data()
    folder = recipes.next_folder(arguments.runs, "quickstart")
    where = f"texts of {arguments.data}" if arguments.text else "images of this package"
    name = "Texts" if arguments.text else "Fashion-MNIST"
    console.print(
        f"Data: {name}, {data.train_size:,} training and {data.test_size:,} test "
        f"{where}."
    )
    console.print(
        f"Model: {recipe.model}. Diode trains the binary kernels, Adam the rest, "
        f"for {recipe.epochs} epochs."
    )
    model = training.with_bar(
        lambda callbacks, _: recipes.train(recipe, folder, callbacks), folder
    )
    console.print(
        f"Converting it, and comparing the file on {data.test_size:,} test {data.kind}."
    )
    run = recipes.Run(folder)
    with run.locked():
        deploying.convert_run(run, model, data)
    console.print(f"Everything is in {folder}; start with report.html.")
    return 0
