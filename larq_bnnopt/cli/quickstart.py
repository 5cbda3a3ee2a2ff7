"""Trains a binary network on real images and converts it to a .tflite.

Everything comes with the package. It takes about a minute on two cores and writes its
results to a new folder.
"""

from __future__ import annotations

import argparse
import os

from larq_bnnopt.cli.parser import Parser, positive, within
from larq_bnnopt.recipe_fields import range_of


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--epochs", type=positive(int), default=12, help="default: 12")
    parser.add_argument(
        "--seed", type=within(range_of("seed"), int), default=0, help="default: 0"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where runs go; default: runs"
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error where no folder can be made."""
    if os.path.exists(arguments.runs) and not os.path.isdir(arguments.runs):
        raise ValueError(f"{arguments.runs} is a file and no folder for runs.")


def run(arguments: argparse.Namespace) -> int:
    """Trains, converts, verifies, reports."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import deploying, training
    from larq_bnnopt.cli.console import console

    recipe = recipes.OneStep(epochs=arguments.epochs, seed=arguments.seed)
    data = recipe.load_data()
    folder = recipes.next_folder(arguments.runs, "quickstart")
    console.print(
        f"Data: Fashion-MNIST, {data.train_size:,} training and {data.test_size:,} "
        "test images from this package."
    )
    console.print(
        f"Model: {recipe.model}. Diode trains the binary kernels, Adam the rest, "
        f"for {recipe.epochs} epochs."
    )
    model = training.with_bar(
        lambda callbacks, _: recipes.train(recipe, folder, callbacks), folder
    )
    console.print(
        f"Converting it, and comparing the file on {data.test_size:,} test images."
    )
    run = recipes.Run(folder)
    with run.locked():
        deploying.convert_run(run, model, data)
    console.print(f"Everything is in {folder}; start with report.html.")
    return 0
