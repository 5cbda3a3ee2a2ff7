"""Extension of griffe: the fields of recipes in their documentation.

They are written once, in `larq_bnnopt.recipe_fields`, and added to docstrings when the
classes are made, which griffe does not do.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Any

import griffe

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from larq_bnnopt import recipe_fields

_FIELDS = {
    "Recipe": recipe_fields.RecipeFields,
    "OneStep": recipe_fields.OneStepFields,
    "TwoStep": recipe_fields.TwoStepFields,
    "FineTune": recipe_fields.FineTuneFields,
}


class RecipeFields(griffe.Extension):
    """Adds the section before docstrings are parsed, and shows defaults as they are."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Replaces the call of `setting` by the default, for signatures."""
        fields = {f"{cls.__module__}.{cls.__name__}": cls for cls in _FIELDS.values()}
        owner = fields.get(attr.parent.path if attr.parent is not None else "")
        for field in dataclasses.fields(owner) if owner is not None else ():
            if field.name == attr.name:
                attr.value = repr(field.default)

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Adds it to the docstring of a recipe."""
        is_recipe = cls.path.startswith("larq_bnnopt.recipes.") and cls.name in _FIELDS
        if is_recipe and cls.docstring is not None:
            section = recipe_fields.documentation_of(_FIELDS[cls.name])
            cls.docstring.value = f"{cls.docstring.value.rstrip()}\n\n{section}"
