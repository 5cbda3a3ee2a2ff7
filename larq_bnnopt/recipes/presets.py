"""Presets: the published settings of the papers, by name."""

from __future__ import annotations

import dataclasses

from larq_bnnopt.preset_fields import PRESET_FIELDS
from larq_bnnopt.recipes.kinds import RECIPES
from larq_bnnopt.recipes.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Preset:
    """The published settings of a paper.

    Attributes:
        recipe: The settings.
        source: Where they are published, and what the source does not state.
    """

    recipe: Recipe
    source: str


PRESETS: dict[str, Preset] = {
    name: Preset(RECIPES[preset.kind].of(preset.fields), preset.source)
    for name, preset in PRESET_FIELDS.items()
}
