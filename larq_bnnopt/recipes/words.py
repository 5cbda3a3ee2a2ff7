"""Settings and figures of a run as reports show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from larq_bnnopt import model_options
from larq_bnnopt.recipe_fields import KINDS, OneStepFields, Setting, settings

# What reports call the metrics of data sets of texts.
METRIC_WORDS = {
    "f1": "F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}


def percent(share: float) -> str:
    """Returns a share as percent with three digits.

    Example:
        >>> percent(0.01234), percent(0.9), percent(0.00004567), percent(0.0)
        ('1.23%', '90%', '0.00457%', '0%')
    """
    value = 100 * share
    text = f"{value:.3g}" if abs(value) >= 1e-4 or not value else f"{value:.2e}"
    return f"{text}%"


def in_words(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the labels and values of the fields of a recipe that are set.

    Args:
        recipe: The recipe as plain data.

    Yields:
        Names and values.

    Example:
        >>> list(in_words({"kind": "one_step", "learning_rate": 0.01, "alpha": None}))
        [('recipe', 'one step'), ('learning rate', '0.01')]
    """
    stages = stages_of(recipe)
    for name, value in recipe.items():
        if value is None or value in ("", {}):
            continue
        known = settings().get(name)
        label = "recipe" if name == "kind" else known and known.label
        text = stages.get(name) or label or name.replace("_", " ")
        yield text, _text(name, value, known)


def value_in_words(value: Any) -> str:
    """Returns the value of a field as text.

    Example:
        >>> value_in_words({"squeeze_excite": False}), value_in_words((1.0, 0.5))
        ('squeeze_excite=false', '1, 0.5')
    """
    if isinstance(value, Mapping):
        return model_options.in_words(value)
    if isinstance(value, (list, tuple)):
        words = (f"{x:.6g}" if isinstance(x, float) else str(x) for x in value)
        return ", ".join(words)
    return str(value)


def stages_of(recipe: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns the fields that count the epochs of its stages, with their labels."""
    return KINDS.get(str(recipe.get("kind")), OneStepFields).stages


def epochs_of(recipe: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Returns the label and the number of epochs of each stage of a recipe."""
    found = [(text, recipe.get(name)) for name, text in stages_of(recipe).items()]
    return [(text, count) for text, count in found if isinstance(count, int) and count]


def _text(name: str, value: Any, known: Setting | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        is_share = known is not None and known.is_share
        return percent(value) if is_share else f"{value:.4g}"
    text = value_in_words(value)
    if name == "kind" and text in KINDS:
        return KINDS[text].title
    return text if known is None else known.choices.get(text, text)
