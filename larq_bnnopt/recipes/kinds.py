"""The kinds of recipes by name, and the recipe of an earlier run."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from larq_bnnopt.datasets import (
    CLASSIFICATION,
    IMAGES,
    TEXTS,
    Dataset,
    SoundSettings,
)
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


# The entries in `config.json`, among what a run began with.
SOUND_SETTINGS = "sound settings"
TEXT_SETTINGS = "text settings"
# Of the latter the file that the run keeps beside it, of which it has the digest.
_TOKENIZER = "tokenizer"


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


def keep_settings(run: Run, data: Dataset) -> None:
    """Writes the tokenizer of texts into a new run, so that it needs no data later."""
    if data.kind == TEXTS:
        run.write_text(run.tokenizer.name, data.settings[_TOKENIZER])


def settings_facts(data: Dataset) -> dict[str, dict[str, Any]]:
    """Returns how a raw input becomes one of a data set, for the facts of a run."""
    if not data.settings:
        return {}
    if data.kind == TEXTS:
        settings = dict(data.settings)
        settings[_TOKENIZER] = _digest(settings[_TOKENIZER])
        return {TEXT_SETTINGS: settings}
    return {SOUND_SETTINGS: dict(data.settings)}


def text_settings_of(run: Run) -> dict[str, Any]:
    """Returns how a text becomes an input of a run, as its training did it.

    The data need not exist any more.

    Args:
        run: A run on texts.

    Returns:
        What `Dataset.settings` holds: the JSON of the `tokenizer`, `text_length`,
        `vocab_size`, and whether texts are `pairs`.

    Raises:
        FileNotFoundError: If its tokenizer is missing.
        ValueError: If the tokenizer is not the one that it was trained with.
    """
    stated = dict(run.read_facts().get(TEXT_SETTINGS, {}))
    if not run.tokenizer.is_file():
        raise FileNotFoundError(
            f"{run.tokenizer} does not exist, by which {run.folder} reads texts. "
            "Restore it."
        )
    content = run.tokenizer.read_text(encoding="utf-8")
    if stated.get(_TOKENIZER) != _digest(content):
        raise ValueError(
            f"{run.tokenizer} is not the tokenizer that {run.folder} was trained with. "
            "Restore it."
        )
    return {**stated, _TOKENIZER: content}


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def data_of(run: Run, recipe: Recipe, model: tf.keras.Model | None = None) -> Dataset:
    """Loads the data set of a run, whose texts are read by the tokenizer that it keeps.

    Args:
        run: The run.
        recipe: Its recipe.
        model: As for `Recipe.load_data`.
    """
    stated = run.read_facts().get(TEXT_SETTINGS)
    texts = None
    if stated and run.tokenizer.is_file():
        texts = {"tokenizer": run.tokenizer, "vocab_size": stated.get("vocab_size")}
    return recipe.load_data(model, texts=texts)


def require_same_settings(run: Run, data: Dataset) -> None:
    """Raises a ValueError if sounds or texts become other inputs than a run began with.

    Args:
        run: The run.
        data: Its data set, as loaded now.
    """
    began = run.read_facts()
    for name, now in settings_facts(data).items():
        stated = began.get(name)
        if stated is None or stated == now:
            continue
        if data.kind == TEXTS:
            raise ValueError(
                f"The texts of {data.name} have another tokenizer than {run.folder} "
                f"was trained with, which is in {run.tokenizer}. Restore it."
            )
        raise ValueError(
            f"sound.json of {data.name} says {now}, and {run.folder} began with "
            f"{stated}. Restore it."
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
    data = data_of(run, recipe, load_model(run.model))
    return data.class_names, data.middle
