"""Lists the networks of zoo_extensions: published figures beside counted ones.

With a name: one network, layer by layer. Counting all takes a minute or two.
"""

from __future__ import annotations

import argparse

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("name", nargs="?", help="one network, layer by layer")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--json", action="store_true", help="print JSON")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error at a wrong name."""
    names.require_model(arguments.name)


def run(arguments: argparse.Namespace) -> int:
    """Counts and prints."""
    import json

    import zoo_extensions as zx
    from larq_bnnopt.cli.console import console, print_rows, progress

    content: zx.OpCount | zx.ModelTable
    if arguments.name is not None:
        content = zx.count_ops(zx.create_model(arguments.name))
    else:
        content = zx.model_table(progress=progress)
    if arguments.json:
        print(json.dumps(content.as_dict(), indent=2))
    elif arguments.markdown:
        print(content.markdown(), end="")
    elif isinstance(content, zx.OpCount):
        print_rows(content.summary(), content.rows())
    else:
        # The remarks would make the table too wide for a terminal.
        rows = [row[:-1] for row in content.rows()]
        print_rows("Published (counted, where it differs; ? not compared)", rows)
        for remark in content.remarks():
            console.print(remark)
        print_rows("Counted, the last dense layer included", content.count_rows())
    return 0
