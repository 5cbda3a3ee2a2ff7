"""The command that trains the recipe of a trial."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from larq_bnnopt import model_options, recipe_fields


def train_command(kind: str, fields: Mapping[str, Any]) -> str:
    """Returns the command that trains a recipe, without what is its default.

    Args:
        kind: The kind of the recipe.
        fields: Its fields.

    Example:
        >>> train_command("one_step", {"alpha": 0.9, "augment": False})
        'bnnopt train --alpha 0.9 --no-augment'
    """
    words = ["bnnopt", "train"]
    if kind != recipe_fields.OneStepFields.kind:
        words += ["--recipe", kind]
    defaults = recipe_fields.defaults_of(kind)
    types = {f.name: str(f.type) for f in dataclasses.fields(recipe_fields.KINDS[kind])}
    for name, known in recipe_fields.settings().items():
        value = fields.get(name, defaults.get(name))
        if name not in defaults or value == defaults[name] or value is None:
            continue
        option = f"--{known.option or name.replace('_', '-')}"
        if types[name] == "bool":
            words.append(f"--no-{name.replace('_', '-')}")
        elif isinstance(value, Mapping):
            for one, given in value.items():
                words += [option, model_options.in_words({one: given})]
        elif isinstance(value, (list, tuple)):
            words.append(f"{option}={','.join(map(str, value))}")
        else:
            words += [option, str(value)]
    return shlex.join(words)
