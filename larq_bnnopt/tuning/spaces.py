"""Search spaces: the range of each field that is tuned, on which scale.

Each optimizer has a space as data; a field's own range in `recipe_fields` bounds it.
Nothing here needs Optuna or TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from larq_bnnopt import model_options, recipe_fields
from larq_bnnopt.texts import require_known

# Scale -> what is drawn evenly.
SCALES = {
    "linear": "the number itself",
    "log": "its logarithm",
    "log1m": "the logarithm of 1 minus the number, for averages near 1",
}
OPTION = "model_options."
# Fields that no search may choose -> why.
_FIXED = {
    "optimizer": "tune each optimizer by itself, in a folder of its own",
    "seed": "--seeds repeats each trial with other seeds",
    "model_options": "name one option, such as model_options.stem=cifar,conv7x7",
}


@dataclasses.dataclass(frozen=True)
class Span:
    """Numbers from `low` to `high`.

    Attributes:
        low: The least.
        high: The greatest.
        scale: One of `SCALES`.
        is_integer: Whether they are integers.

    Example:
        >>> print(Span(0.9, 0.999, "log1m"))
        0.9:0.999:log1m
    """

    low: float
    high: float
    scale: str = "linear"
    is_integer: bool = False

    def __str__(self) -> str:
        scale = "" if self.scale == "linear" else f":{self.scale}"
        return f"{self.low:g}:{self.high:g}{scale}"

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Choices:
    """Some values.

    Attributes:
        values: The values.

    Example:
        >>> print(Choices((True, False)))
        true,false
    """

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ",".join(
            str(value).lower() if isinstance(value, bool) else str(value)
            for value in self.values
        )

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values


Space: TypeAlias = Mapping[str, "Span | Choices"]

_RATE = {"learning_rate": Span(1e-4, 0.1, "log")}
_DECAY = {"weight_decay": Span(1e-7, 1e-2, "log")}
_START = {"latent_scale": Span(1e-2, 1e2, "log")}
# Optimizer -> what is tuned by default. Horizons of averages span a step to the whole
# of a usual run; thresholds and rates lie around the published ones.
SPACES: dict[str, dict[str, Span]] = {
    "diode": {
        "alpha": Span(0.5, 0.999, "log1m"),
        "beta": Span(0.9, 0.9999, "log1m"),
        **_RATE,
    },
    "gradient_filter": {
        "alpha": Span(1e-5, 0.1, "log"),
        "gamma": Span(1e-2, 1.0, "log"),
        **_RATE,
    },
    "iir": dict(_RATE),
    "bop": {
        "gamma": Span(1e-5, 0.1, "log"),
        "threshold": Span(1e-10, 1e-4, "log"),
        **_RATE,
    },
    "bop2nd": {
        "gamma": Span(1e-7, 0.1, "log"),
        "sigma": Span(1e-5, 0.1, "log"),
        "threshold": Span(1e-8, 1e-2, "log"),
        **_RATE,
    },
    "adam": {**_RATE, **_DECAY, **_START},
    "radam": {**_RATE, **_DECAY, **_START},
    "sgd": {
        "learning_rate": Span(1e-3, 10.0, "log"),
        "momentum": Span(0.5, 0.99, "log1m"),
        **_DECAY,
        **_START,
    },
}


def default_space(optimizer: str) -> dict[str, Span | Choices]:
    """Returns the space of an optimizer.

    Example:
        >>> {name: str(span) for name, span in default_space("iir").items()}
        {'learning_rate': '0.0001:0.1:log'}
    """
    require_known("optimizer", optimizer, SPACES)
    return dict(SPACES[optimizer])


def read_space(
    texts: Iterable[str], kind: str, fields: Mapping[str, Any]
) -> dict[str, Span | Choices]:
    """Returns a space from texts.

    Args:
        texts: `NAME`, whose range is the optimizer's; `NAME=LOW:HIGH`, evenly, or
            `NAME=LOW:HIGH:SCALE`, with one of `SCALES`; or values, `NAME=VALUE,VALUE`.
            An option of the model is `model_options.NAME`.
        kind: The kind of the recipe.
        fields: Its fields.

    Raises:
        ValueError: If a field is unknown, is not this optimizer's, is given twice, or
            its range is empty or not valid.

    Example:
        >>> fields = {"optimizer": "diode", "model": "bnext18"}
        >>> texts = ["alpha=0.9:0.99", "model_options.squeeze_excite=true,false"]
        >>> space = read_space(texts, "one_step", fields)
        >>> space["alpha"].high, space["model_options.squeeze_excite"].values
        (0.99, (True, False))
    """
    fields = {**recipe_fields.defaults_of(kind), **fields}
    space: dict[str, Span | Choices] = {}
    for text in texts:
        name, equals, words = text.partition("=")
        name = name.strip().replace("-", "_")
        name = name.replace("model_option.", OPTION)
        if name in space:
            raise ValueError(f"The range of {name} is given twice.")
        _require_field(name, kind, fields)
        space[name] = _read(name, words, fields) if equals else _default(name, fields)
    require_space(space, kind, fields)
    return space


def require_space(space: Space, kind: str, fields: Mapping[str, Any]) -> None:
    """Raises a ValueError unless each value of a space makes a valid recipe.

    Args:
        space: The space.
        kind: The kind of the recipe.
        fields: Its fields, without those that are tuned.
    """
    if not space:
        raise ValueError("Nothing is tuned. Name a field, such as --space alpha.")
    fields = {**recipe_fields.defaults_of(kind), **fields}
    for name, span in space.items():
        _require_field(name, kind, fields)
        if isinstance(span, Span):
            _require_span(name, span)
        elif len(span.values) < 2:
            raise ValueError(f"{name} has one value: {span}. Give it as an option.")
    middle = {name: span.ends[0] for name, span in space.items()}
    for name, span in space.items():
        for value in span.ends:
            recipe_fields.KINDS[kind](**with_values(fields, {**middle, name: value}))


def with_values(fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a recipe with the values of a trial.

    Example:
        >>> with_values({"model_options": {"a": 1}}, {"model_options.b": 2, "eta": 3})
        {'model_options': {'a': 1, 'b': 2}, 'eta': 3}
    """
    whole = dict(fields)
    for name, value in values.items():
        if name.startswith(OPTION):
            options = {**whole.get("model_options", {}), name[len(OPTION) :]: value}
            whole["model_options"] = options
        else:
            whole[name] = value
    return whole


def _require_field(name: str, kind: str, fields: Mapping[str, Any]) -> None:
    """Raises a ValueError unless a field can be tuned beside the optimizer."""
    if name in _FIXED:
        raise ValueError(f"{name} cannot be tuned: {_FIXED[name]}.")
    if name.startswith(OPTION):
        option = name[len(OPTION) :]
        if model_options.has_argument(str(fields["model"]), option) is False:
            # Raises the error that names the options.
            model_options.checked(str(fields["model"]), {option: None})
        return
    known = [one for one in recipe_fields.defaults_of(kind) if one not in _FIXED]
    require_known("field", name, known)
    setting, optimizer = recipe_fields.settings()[name], fields["optimizer"]
    if setting.ranges and optimizer not in setting.ranges:
        raise ValueError(
            f"optimizer {optimizer!r} has no {name}. Those that have it: "
            f"{', '.join(setting.ranges)}."
        )


def _default(name: str, fields: Mapping[str, Any]) -> Span:
    """Returns the range of a field in the space of its optimizer."""
    optimizer = str(fields["optimizer"])
    known = SPACES[optimizer]
    if name not in known:
        raise ValueError(
            f"{name} has no range of its own for optimizer {optimizer!r}. Give one: "
            f"{name}=LOW:HIGH, or {name}=VALUE,VALUE. With one: {', '.join(known)}."
        )
    return known[name]


def _read(name: str, words: str, fields: Mapping[str, Any]) -> Span | Choices:
    """Returns the range or the values that a text gives."""
    kind = _kind_of(name)
    if ":" not in words:
        return Choices(tuple(_value(name, one, fields) for one in words.split(",")))
    low, high, *scale = words.split(":")
    if len(scale) > 1 or kind not in ("int", "float", ""):
        raise ValueError(
            f"The range of {name} is {_form(name, kind)}. Received: {words!r}"
        )
    ends = [_value(name, end, fields) for end in (low, high)]
    if not all(isinstance(end, (int, float)) for end in ends):
        raise ValueError(f"{name} is no number. Give values: {name}=VALUE,VALUE")
    is_integer = kind == "int" or (not kind and all(isinstance(e, int) for e in ends))
    return Span(ends[0], ends[1], scale[0] if scale else "linear", is_integer)


def _form(name: str, kind: str) -> str:
    if kind in ("int", "float", ""):
        return f"{name}=LOW:HIGH or {name}=LOW:HIGH:SCALE"
    return f"a list of values, {name}=VALUE,VALUE"


def _kind_of(name: str) -> str:
    """Returns the first type of a field, empty for an option of the model."""
    if name.startswith(OPTION):
        return ""
    types = {
        field.name: str(field.type)
        for recipe in recipe_fields.KINDS.values()
        for field in dataclasses.fields(recipe)
    }
    return types[name].split(" ")[0]


def _value(name: str, text: str, fields: Mapping[str, Any]) -> Any:
    """Returns the value of a text by the type of the field."""
    text = text.strip()
    if name.startswith(OPTION):
        option = name[len(OPTION) :]
        return model_options.parsed(str(fields["model"]), [f"{option}={text}"])[option]
    kind = _kind_of(name)
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind in ("int", "float"):
            return int(text) if kind == "int" else float(text)
    except (KeyError, ValueError):
        words = {"bool": "true or false", "int": "an integer", "float": "a number"}
        raise ValueError(f"{name} must be {words[kind]}. Received: {text!r}") from None
    known = recipe_fields.settings()[name].choices
    if known:
        require_known(name, text, known)
    return text


def _require_span(name: str, span: Span) -> None:
    """Raises a ValueError for an empty range, or a scale that does not fit it."""
    require_known("scale", span.scale, SCALES)
    if not all(map(math.isfinite, span.ends)):
        raise ValueError(f"The range of {name} must be finite. Received: {span}")
    if span.low >= span.high:
        raise ValueError(
            f"The range of {name} is empty: {span}. Give a LOW that is below HIGH."
        )
    if span.scale == "log" and span.low <= 0:
        raise ValueError(
            f"A logarithm needs a range above 0. Received for {name}: {span}"
        )
    if span.scale == "log1m" and span.high >= 1:
        raise ValueError(f"log1m needs a range below 1. Received for {name}: {span}")
    if span.is_integer and span.scale == "log1m":
        raise ValueError(f"log1m is no scale of integers. Received for {name}: {span}")
