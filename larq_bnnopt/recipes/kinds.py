"""The kinds of recipes by name, and the recipe of an earlier run."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

from larq_bnnopt.datasets import CLASSIFICATION, IMAGES, Dataset, SoundSettings
from larq_bnnopt.recipes.fine_tune import FineTune
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.one_step import OneStep
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.runs import Run
from larq_bnnopt.recipes.two_step import TwoStep
from larq_bnnopt.texts import require_known

RECIPES: dict[str, type[Recipe]] = {
    recipe.kind: recipe for recipe in (OneStep, TwoStep, FineTune)
}


# The entry in `config.json`, among what a run began with.
SOUND_SETTINGS = "sound settings"


def field_names() -> list[str]:
    """Returns the names of the fields of all recipes.

    Example:
        >>> {"epochs", "first_epochs"} <= set(field_names())
        True
    """
    fields = itertools.chain(*map(dataclasses.fields, RECIPES.values()))
    return list(dict.fromkeys(field.name for field in fields))


def recipe_of(run: Run) -> Recipe:
    """Returns the recipe of an earlier run.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration is damaged or of another version.
    """
    content = _upgraded(run.read_recipe())
    # The first version had one kind.
    kind = str(content.pop("kind", OneStep.kind))
    try:
        require_known("recipe", kind, RECIPES)
        return RECIPES[kind](**content)
    except TypeError as error:
        raise ValueError(f"{run.config} is of another version: {error}") from error
    except ValueError as error:
        raise ValueError(f"{run.config} cannot be used: {error}") from error


def _upgraded(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the recipe of an earlier version as this one writes it."""
    # Fine-tuning had an inertia beside any optimizer, and only Diode looked at it.
    has_none = content.get("optimizer") not in ("diode", None)
    if "model_options" not in content and has_none:
        return {k: v for k, v in content.items() if k != "initial_inertia"}
    return dict(content)


def inputs_of(run: Run) -> tuple[str, str]:
    """Returns what the inputs of a run are, and its task.

    Args:
        run: The run; its data need not exist any more.

    Returns:
        The attributes `kind` and `task` of its data set.
    """
    facts = run.read_facts()
    return str(facts.get("inputs", IMAGES)), str(facts.get("task", CLASSIFICATION))


def sound_settings_of(run: Run) -> SoundSettings:
    """Returns how a sound becomes an input of a run, as its training did it.

    The data need not exist any more, except for runs of earlier versions.

    Args:
        run: A run on sounds.

    Raises:
        FileNotFoundError: If the run does not hold it, and its data are missing.
        ValueError: If it is damaged.
    """
    stated = run.read_facts().get(SOUND_SETTINGS)
    if stated is None:
        folder = pathlib.Path(recipe_of(run).dataset)
        if folder.is_dir():
            return SoundSettings.of(folder)
        raise FileNotFoundError(
            f"{folder} does not exist any more, which says how a sound becomes an "
            f"input: {run.config} is of an earlier version and does not. Restore it."
        )
    try:
        return SoundSettings(**stated)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{run.config} is damaged: its {SOUND_SETTINGS!r} cannot be used: {error}"
        ) from error


def require_same_sounds(run: Run, data: Dataset) -> None:
    """Raises a ValueError if sounds become other inputs now than when a run began.

    Args:
        run: The run.
        data: Its data set, as loaded now.
    """
    stated = run.read_facts().get(SOUND_SETTINGS)
    if stated is not None and stated != dict(data.settings):
        raise ValueError(
            f"sound.json of {data.name} says {dict(data.settings)}, and {run.folder} "
            f"began with {stated}. Restore it."
        )


def images_of(run: Run) -> tuple[tuple[str, ...], float]:
    """Returns the classes of a run, and how its test images are cropped.

    The data need not exist any more, except for runs of earlier versions.

    Args:
        run: The run.

    Returns:
        The names of the classes, and the attribute `middle` of the data set.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration is damaged.
    """
    recipe, facts = recipe_of(run), run.read_facts()
    if {"classes", "middle"} <= set(facts):
        return tuple(facts["classes"]), float(facts["middle"])
    data = recipe.load_data(load_model(run.model))
    return data.class_names, data.middle
