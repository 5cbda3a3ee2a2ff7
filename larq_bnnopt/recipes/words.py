"""The settings and figures of a run in words, as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What `replace("_", " ")` would not say.
_NAMES = {
    "kind": "recipe",
    "model": "network",
    "optimizer": "optimizer of the binary weights",
    "real_optimizer": "optimizer of the others",
    "learning_rate": "learning rate",
    "warmup_epochs": "epochs of warm-up",
    "accumulate_steps": "batches that make a step",
    "hard_labels": "share of the labels beside the teacher",
    "recalibrate": "batches to compute batch normalization anew",
    "augment": "augmentation of the training images",
    "data_dir": "folder of tensorflow-datasets",
    "start": "trained model to start from",
    "dataset": "data",
    "schedule": "decay of the learning rate",
}
_EPOCHS = {
    "one_step": {"epochs": "epochs"},
    "two_step": {"first_epochs": "epochs of step 1", "epochs": "epochs of step 2"},
    "fine_tune": {
        "head_epochs": "epochs of the new classifier alone",
        "epochs": "epochs of all of it",
    },
}
_VALUES = {
    "kind": {
        "one_step": "one step",
        "two_step": "two steps",
        "fine_tune": "fine-tuning",
    },
    "optimizer": {
        "diode": "Diode",
        "gradient_filter": "gradient filter",
        "adam": "Adam, on latent weights",
        "sgd": "SGD with momentum, on latent weights",
    },
    "real_optimizer": {"adam": "Adam", "sgd": "SGD with momentum"},
}
_SHARES = ("label_smoothing", "hard_labels")


def percent(share: float) -> str:
    """Returns a share with three digits of its percent.

    Example:
        >>> percent(0.01234), percent(0.9), percent(0.00004567), percent(0.0)
        ('1.23%', '90%', '0.00457%', '0%')
    """
    value = 100 * share
    text = f"{value:.3g}" if abs(value) >= 1e-4 or not value else f"{value:.2e}"
    return f"{text}%"


def in_words(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields what a recipe says, without what it leaves open.

    Args:
        recipe: The recipe as plain data.

    Yields:
        Names and values.

    Example:
        >>> list(in_words({"kind": "one_step", "learning_rate": 0.01, "alpha": None}))
        [('recipe', 'one step'), ('learning rate', '0.01')]
    """
    names = {**_NAMES, **_EPOCHS.get(str(recipe.get("kind")), {})}
    for name, value in recipe.items():
        if value is None or value == "":
            continue
        yield names.get(name, name.replace("_", " ")), _text(name, value)


def epochs_of(recipe: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Returns the epochs of each stage of a recipe, with what they are called."""
    stages = _EPOCHS.get(str(recipe.get("kind")), _EPOCHS["one_step"])
    found = [(text, recipe.get(name)) for name, text in stages.items()]
    return [(text, count) for text, count in found if isinstance(count, int) and count]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return percent(value) if name in _SHARES else f"{value:.4g}"
    return (
        _VALUES.get(name, {}).get(value, str(value))
        if isinstance(value, str)
        else str(value)
    )
