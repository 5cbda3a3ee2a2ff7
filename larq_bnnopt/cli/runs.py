"""Lists the runs of a folder: what was trained, how well, how large.

Exits with 2 where there is none.
"""

from __future__ import annotations

import argparse
import os

from larq_bnnopt.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("folder", nargs="?", default="runs", help="default: runs")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there is such a folder."""
    if not os.path.isdir(arguments.folder):
        raise FileNotFoundError(f"{arguments.folder} is no folder.")


def run(arguments: argparse.Namespace) -> int:
    """Lists."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import console, print_rows

    rows: list[tuple[str, ...]] = [recipes.HEADING]
    damaged = []
    for run in recipes.find_runs(arguments.folder):
        try:
            rows.append(recipes.History.of(run).row())
        except ValueError as error:  # One does not hide the others.
            damaged.append(error)
    print_rows(arguments.folder, rows)
    for one in damaged:
        console.print(f"Not listed: {one}")
    return 0
