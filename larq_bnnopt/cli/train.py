"""Trains a model of zoo_extensions, or goes on with an interrupted run.

The folder of the run holds the last complete epoch at any time. Turn it into a device
file with `bnnopt convert FOLDER`.
"""

from __future__ import annotations

import argparse

from larq_bnnopt.cli.parser import Parser, positive


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    add = parser.add_argument
    add("--model", help="default: tiny_residual_bnn")
    add(
        "--dataset",
        help="fashion_mnist_mini (in the package) or any name of tensorflow-datasets; "
        "default: fashion_mnist_mini",
    )
    add("--optimizer", help="diode, gradient_filter or adam; default: diode")
    add("--epochs", type=positive(int), help="default: 12")
    add("--batch-size", type=positive(int), help="default: 64")
    add("--learning-rate", type=positive(float), help="of Adam; default: 0.01")
    add(
        "--alpha",
        type=float,
        help="of diode, in [0, 1), or of gradient_filter, in (0, 1]; "
        "default: what fits the length of the run",
    )
    add("--beta", type=float, help="of diode, in [0, 1); default: likewise")
    add("--gamma", type=float, help="of gradient_filter, in (0, 1]; default: likewise")
    add(
        "--no-augment",
        dest="augment",
        action="store_const",
        const=False,
        help="train on the images as they are",
    )
    add("--seed", type=int, help="default: 0")
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--run", dest="folder", help="folder to make; default: runs/train-<n>")
    add("--resume", metavar="FOLDER", help="go on with this run instead")


def run(arguments: argparse.Namespace) -> int:
    """Trains or goes on."""
    import dataclasses
    import pathlib

    from larq_bnnopt import recipes
    from larq_bnnopt.cli import training
    from larq_bnnopt.cli.console import console

    fields = [field.name for field in dataclasses.fields(recipes.OneStep)]
    given = {
        name: getattr(arguments, name)
        for name in fields
        if getattr(arguments, name) is not None
    }
    if arguments.resume is not None:
        folder = pathlib.Path(arguments.resume)
        if given or arguments.folder is not None:
            names = [*given, *(["run"] if arguments.folder else [])]
            options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
            raise ValueError(
                f"--resume goes on with the recipe of {folder}; leave out {options}."
            )
        previous = recipes.Run(folder)
        recipe = recipes.recipe_of(previous)
        console.print(
            f"Going on with {folder}: {recipe.model} on {recipe.dataset}, "
            f"{recipe.epochs} epochs in all."
        )
        training.with_bar(lambda callbacks: recipes.resume(previous, callbacks), folder)
        if previous.tflite.exists():
            console.print(
                f"All {recipe.epochs} epochs were trained before. It is converted: "
                f"{previous.tflite}"
            )
            return 0
    else:
        recipe = recipes.OneStep(**given)
        folder = pathlib.Path(arguments.folder or recipes.next_folder("runs", "train"))
        training.with_bar(
            lambda callbacks: recipes.train(recipe, folder, callbacks), folder
        )
    console.print(f"The run is in {folder}. Convert it with: bnnopt convert {folder}")
    return 0
