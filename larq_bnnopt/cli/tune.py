"""Searches for good values of a recipe's fields, by Bayesian optimization.

The folder of a search keeps its trials: stop it at any time, and give the same command
to continue. Several processes may share a folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import Any

from larq_bnnopt import preset_fields, recipe_fields, tuning
from larq_bnnopt.cli import train
from larq_bnnopt.cli.parser import Parser, positive

_TRIALS = 25


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    train.add_recipe(parser)
    add = parser.add_argument
    add(
        "--space",
        action="append",
        metavar="NAME[=RANGE]",
        help="a field to tune: NAME, NAME=LOW:HIGH, NAME=LOW:HIGH:log (or :log1m, for "
        "averages near 1), or NAME=VALUE,VALUE; an option of the model is "
        "model_options.NAME; may be repeated; default: the space of the optimizer "
        "without the fields that are given",
    )
    add(
        "--trials",
        type=positive(int),
        default=_TRIALS,
        help=f"trials of the folder, earlier ones counted; default: {_TRIALS}",
    )
    add("--minutes", type=positive(float), help="begin no trial after that time")
    add(
        "--seeds",
        type=positive(int),
        default=1,
        help="seeds of each trial, whose mean accuracy counts; default: 1",
    )
    add("--folder", help="folder of the search; default: tunes/MODEL-OPTIMIZER-DATA")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error for a wrong recipe or space, before TensorFlow is loaded."""
    train.check_recipe(arguments)
    given, preset = train.given_fields(arguments), arguments.preset
    if preset is None:
        kind = arguments.recipe or recipe_fields.OneStepFields.kind
        _space(arguments, kind, {**recipe_fields.defaults_of(kind), **given})
    else:
        kind = preset_fields.PRESET_FIELDS[preset].kind
        fields = preset_fields.changed(preset, given)
        _space(arguments, kind, {**recipe_fields.defaults_of(kind), **fields})
    folder = pathlib.Path(arguments.folder or ".")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Name a folder by --folder.")
    tuning.require_optuna()


def _space(
    arguments: argparse.Namespace, kind: str, fields: dict[str, Any]
) -> tuning.Space:
    """Returns what is tuned.

    Args:
        arguments: The words of the command.
        kind: The kind of the recipe.
        fields: The fields of the recipe.
    """
    given = train.given_fields(arguments)
    if arguments.space is not None:
        space = tuning.read_space(arguments.space, kind, fields)
        for name in space:
            if name in given:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{name} is tuned; leave out {option}.")
        return space
    space = tuning.default_space(fields["optimizer"])
    space = {name: span for name, span in space.items() if name not in given}
    tuning.require_space(space, kind, fields)
    return space


def run(arguments: argparse.Namespace) -> int:
    """Searches, and reports."""
    from larq_bnnopt.cli.console import console, print_rows, warnings_as_lines
    from larq_bnnopt.cli.silence import start_xla

    start_xla()
    recipe = train.recipe_from(arguments)
    fields = dataclasses.asdict(recipe)
    space = _space(arguments, recipe.kind, fields)
    folder = pathlib.Path(arguments.folder or _folder(recipe))
    ranges = ", ".join(f"{name}={span}" for name, span in space.items())
    console.print(f"Tuning {ranges} in {folder}.")
    with warnings_as_lines():
        search = tuning.tune(
            {name: value for name, value in fields.items() if name not in space},
            folder,
            kind=recipe.kind,
            space=space,
            trials=arguments.trials,
            minutes=arguments.minutes,
            seeds=arguments.seeds,
            say=console.print,
        )
        files = tuning.write(search)
    print_rows(tuning.summary(search), tuning.rows(search))
    console.print(tuning.best_in_words(search))
    console.print(f"Table and pictures: {', '.join(map(str, files))}")
    if len(search.trials) < arguments.trials:
        console.print("Give the same command to continue.")
    return 0


def _folder(recipe: recipe_fields.RecipeFields) -> str:
    data = pathlib.Path(recipe.dataset).name.replace(":", "-")
    return f"tunes/{recipe.network}-{recipe.optimizer}-{data}"
