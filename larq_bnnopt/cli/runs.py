"""Lists the runs of a folder: what was trained, how well, how large.

Exits with 2 where there is none.
"""

from __future__ import annotations

import argparse

from larq_bnnopt.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("folder", nargs="?", default="runs", help="default: runs")


def run(arguments: argparse.Namespace) -> int:
    """Lists."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import print_rows

    found = map(recipes.History.of, recipes.find_runs(arguments.folder))
    print_rows(arguments.folder, [recipes.HEADING, *(one.row() for one in found)])
    return 0
