"""Complete commands for error messages, on the file of a run's model with its data."""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex

from larq_bnnopt import run_config
from larq_bnnopt.cli import names


def on_the_file(command: str, arguments: argparse.Namespace) -> str:
    """Returns the command that takes the model of a run instead of its folder.

    Args:
        command: `"convert"` or `"evaluate"`.
        arguments: Its arguments; without a data set, the one of the run is added.
    """
    folder = arguments.model
    recipe = run_config.read_recipe(folder)
    given = {**vars(arguments), "model": None}
    if not given["dataset"]:
        given["dataset"] = dataset_of(folder)
        given["data_dir"] = given["data_dir"] or recipe.get("data_dir")
    words = ["bnnopt", command, os.path.join(folder, "model.keras")]
    for name in ("int8", "int8_io", "allow_undetermined", "json", "trust"):
        if given.get(name):
            words.append(_option(name))
    for name in ("dataset", "data_dir", "output", "tflite"):
        value = given.get(name)
        if value is not None:
            words += [_option(name), *([str(value)] if value else [])]
    return shlex.join(words)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def dataset_of(folder: str | os.PathLike[str]) -> str:
    """Returns the data set of a run, the package's own if there is no run."""
    if not names.is_run(folder):
        return names.EMBEDDED
    return str(run_config.read_recipe(folder).get("dataset") or names.EMBEDDED)


def dataset_beside(path: str | os.PathLike[str]) -> str:
    """Returns a data set that a file may have been trained on, as words of a shell."""
    return shlex.quote(dataset_of(pathlib.Path(path).parent))
