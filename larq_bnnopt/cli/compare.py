"""Plots accuracy, loss and flips of several runs in the same axes."""

from __future__ import annotations

import argparse
import pathlib

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser
from larq_bnnopt.writing import replacing


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("runs", nargs="+", metavar="run", help="folders of runs")
    parser.add_argument(
        "--output", "-o", default="compare.png", help="default: compare.png"
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless the runs exist and the picture does not."""
    output = pathlib.Path(arguments.output)
    if output.exists():
        raise FileExistsError(
            f"{output} exists and is not overwritten. Name another file by -o."
        )
    if not output.parent.is_dir():
        raise FileNotFoundError(f"The folder {output.parent} does not exist.")
    for folder in arguments.runs:
        names.require_run(folder)


def run(arguments: argparse.Namespace) -> int:
    """Compares."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import console, print_rows

    output = pathlib.Path(arguments.output)
    histories = [recipes.History.of(recipes.Run(folder)) for folder in arguments.runs]
    with replacing(output) as picture:
        recipes.plot_histories(histories, picture)
    print_rows("Runs", [recipes.HEADING, *(one.row() for one in histories)])
    if settings := recipes.differing_settings(histories):
        print_rows("What differs", settings)
    console.print(f"Their curves are in {output}.")
    return 0
