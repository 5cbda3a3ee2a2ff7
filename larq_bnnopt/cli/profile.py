"""Profiles a .tflite: time and bytes of each operator.

Each operator is timed alone on this host. For a run, layers are named, too.
"""

from __future__ import annotations

import argparse
import contextlib

from larq_bnnopt.cli.parser import Parser, positive


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("tflite", help="a .tflite, the folder of a run or of a package")
    parser.add_argument("--threads", type=positive(int), default=1, help="default: 1")
    parser.add_argument(
        "--seconds",
        type=positive(float),
        default=10.0,
        help="how long to measure; default: 10",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument(
        "--brief", action="store_true", help="print one line that names the host"
    )
    form.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measures and prints."""
    import json
    import pathlib

    import converters
    from larq_bnnopt.cli.console import print_line, print_rows, warnings_as_lines
    from larq_bnnopt.cli.silence import import_tensorflow, quiet

    source = pathlib.Path(arguments.tflite)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist.")
    model = None
    if source.is_dir() and converters.is_package(source):
        source = converters.package_model(source)
    elif source.is_dir():
        import_tensorflow()
        from larq_bnnopt import recipes

        previous = recipes.Run(source)
        previous.read_recipe()
        if not previous.tflite.exists():
            raise FileNotFoundError(
                f"{source} has no .tflite yet. Make it: bnnopt convert {source}"
            )
        model, source = recipes.load_model(previous.model), previous.tflite
    # Output for programs and files contains no warning.
    for_people = not (arguments.json or arguments.markdown)
    warned = warnings_as_lines() if for_people else contextlib.nullcontext()
    with warned, quiet():
        profile = converters.profile(
            source,
            model=model,
            num_threads=arguments.threads,
            seconds=arguments.seconds,
        )
    if arguments.json:
        print(json.dumps(profile.as_dict(), indent=2))
    elif arguments.markdown:
        print(profile.markdown(), end="")
    elif arguments.brief:
        print_line(profile.headline())
    else:
        print_rows("In the order of execution", profile.rows())
        print_rows("By operator", profile.total_rows())
        print_line(profile.summary())
    return 0
