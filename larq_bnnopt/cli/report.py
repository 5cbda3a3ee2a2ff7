"""Writes the report of a run: one HTML file with curves, flips and settings.

`bnnopt train` writes it after every epoch; this updates it.
"""

from __future__ import annotations

import argparse
import pathlib

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("run_folder", metavar="run", help="folder of a run")
    parser.add_argument("--output", "-o", help="default: report.html in its folder")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there is a run, and a folder for the page."""
    if arguments.output and not pathlib.Path(arguments.output).parent.is_dir():
        raise FileNotFoundError(
            f"The folder {pathlib.Path(arguments.output).parent} does not exist."
        )
    names.require_run(arguments.run_folder)


def run(arguments: argparse.Namespace) -> int:
    """Writes."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import console

    page = recipes.write_page(recipes.Run(arguments.run_folder), arguments.output)
    console.print(f"The report is {page}.")
    return 0
