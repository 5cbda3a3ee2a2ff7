"""The command `bnnopt`: parses arguments, calls public functions, prints results."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence

import converters
from larq_bnnopt._version import __version__
from larq_bnnopt.cli import (
    claims,
    compare,
    convert,
    doctor,
    evaluate,
    models,
    package,
    predict,
    profile,
    quickstart,
    report,
    runs,
    study,
    train,
    tune,
    verify,
)
from larq_bnnopt.cli.console import plain
from larq_bnnopt.cli.parser import Parser, unknown_options
from larq_bnnopt.cli.silence import import_tensorflow

COMMANDS = (
    quickstart,
    train,
    tune,
    runs,
    report,
    compare,
    evaluate,
    convert,
    verify,
    profile,
    package,
    predict,
    models,
    claims,
    study,
    doctor,
)
# They also run on a device, and import TensorFlow only if they need it.
_LIGHT = (claims.run, study.run, doctor.run, verify.run, profile.run, predict.run)
# All other commands take a model, or a run that has one.
_WITHOUT_MODELS = (quickstart, runs, report, compare, models, claims, study, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: The words after `bnnopt`. Defaults to `None`, the words of this process.

    Returns:
        0, also for the help that is printed without any word; 1 if a model cannot be
        converted, a file does not compute what its model computes or something failed;
        2 for wrong words, names and files; 130 after Ctrl-C.
    """
    _print_all_names()
    parser = _parser()
    arguments, unknown = parser.parse_known_args(argv)
    if "run" not in arguments and not unknown:
        parser.print_help()
        return 0
    if unknown:
        parser.error(
            unknown_options(
                unknown, getattr(arguments, "options", parser.option_names())
            )
        )
    try:
        arguments.check(arguments)
        if arguments.run not in _LIGHT:
            import_tensorflow()
        with _trust(arguments):
            return arguments.run(arguments)
    except KeyboardInterrupt:
        print("\nbnnopt: interrupted", file=sys.stderr)
        return 130
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        return _fail(error, 2)
    # A diverged training raises an ArithmeticError.
    except (
        converters.ConversionError,
        ArithmeticError,
        ImportError,
        MemoryError,
        OSError,
    ) as error:
        return _fail(error, 1)


def _parser() -> Parser:
    parser = Parser(
        prog="bnnopt",
        description="Train binary neural networks and turn them into device files.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        metavar="COMMAND", required=False, parser_class=Parser
    )
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        text = (command.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(name, help=text, description=command.__doc__)
        command.add_arguments(sub)
        if command not in _WITHOUT_MODELS:
            sub.add_argument(
                "--trust",
                action="store_true",
                help="run the code that a file of a model may hold, such as Lambda "
                "layers; only for files whose origin you trust",
            )
        # Errors that can be found without TensorFlow are reported before its import.
        check = getattr(command, "check", lambda arguments: None)
        sub.set_defaults(run=command.run, check=check, options=sub.option_names())
    return parser


def _trust(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """Returns the context of a command, in which `--trust` lets models run code."""
    if not getattr(arguments, "trust", False):
        return contextlib.nullcontext()
    from larq_bnnopt import recipes

    return recipes.trusted_models()


def _print_all_names() -> None:
    """Lets file names be printed that are not in the encoding of the terminal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: Exception, code: int) -> int:
    """Prints an error in one line and returns the exit code."""
    print(f"bnnopt: {plain(' '.join(str(error).split()))}", file=sys.stderr)
    return code
