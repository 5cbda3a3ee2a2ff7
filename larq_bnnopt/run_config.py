"""Reads the configuration of a run (`config.json`) without TensorFlow."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

NAME = "config.json"


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a run's configuration.

    Args:
        folder: The folder of the run.

    Raises:
        FileNotFoundError: If the folder holds none.
        ValueError: If it is damaged, or not a file.

    Example:
        >>> read_config("no_such_folder")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no_such_folder is no run: it has no config.json.
    """
    path = pathlib.Path(folder, NAME)
    if not path.is_file():
        if os.path.lexists(path):
            raise ValueError(f"{path} is no file, so {os.fspath(folder)} is no run.")
        raise FileNotFoundError(f"{os.fspath(folder)} is no run: it has no {NAME}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged: it is no JSON ({error}). Restore a copy of it, or "
            "start a new run."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it is {content!r:.60}.")
    return content


def part_of(folder: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """Returns a part of a run's configuration, empty if it is missing.

    Args:
        folder: The folder of the run.
        name: `"recipe"`, `"versions"`, `"threads"` or `"began_with"`.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration is damaged.
    """
    part = read_config(folder).get(name, {})
    if not isinstance(part, dict):
        raise ValueError(
            f"{pathlib.Path(folder, NAME)} is damaged: its {name!r} is no object, but "
            f"{part!r:.60}"
        )
    return part


def read_recipe(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the recipe in a run's configuration.

    Args:
        folder: The folder of the run.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration is damaged, or belongs to something else.
    """
    if "recipe" not in read_config(folder):
        raise ValueError(
            f"{pathlib.Path(folder, NAME)} belongs to no run: it has no recipe, "
            "which `bnnopt train` writes."
        )
    return part_of(folder, "recipe")
