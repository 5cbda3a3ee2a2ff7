"""Options of a recipe's model: arguments of its function in `zoo_extensions`, checked.

Names and types are read from the stub of `zoo_extensions`, so that a wrong one is
refused before TensorFlow is loaded.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from larq_bnnopt.texts import nearest, plain

# Argument -> what the recipe sets it by.
SET_BY_RECIPE = {
    "input_shape": "the data set",
    "input_tensor": "the data set",
    "num_classes": "the data set",
    "include_top": "the classes",
    "classifier_activation": "the loss, which takes probabilities",
    "latent_weights": "the optimizer",
    "precision": "the field precision",
}
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
}


def has_argument(model: str, name: str) -> bool | None:
    """Whether the function of a model has an argument; `None` for an unknown model.

    Example:
        >>> has_argument("bnext18", "squeeze_excite"), has_argument("vgg", "stem")
        (True, None)
    """
    types = _types(model)
    return None if types is None else name in types


def checked(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options of a model as plain data, with lists for other sequences.

    Args:
        model: Name of the network, in any spelling.
        options: Values by the name of the argument.

    Raises:
        ValueError: If the model has no such option, or a value has another type.

    Example:
        >>> checked("bnext18", {"squeeze_excite": False})
        {'squeeze_excite': False}
    """
    plain_options = {}
    for name, value in options.items():
        kind = _type_of(model, name)
        value = _as_plain(value)
        if kind is not None and not _is_one(value, kind):
            raise ValueError(
                f"option {name} of {model} must be {_in_words(kind)}. Received: "
                f"{value!r:.60}"
            )
        plain_options[name] = value
    return plain_options


def parsed(model: str, texts: Iterable[str]) -> dict[str, Any]:
    """Returns options of a model from texts, `NAME=VALUE` each.

    Args:
        model: Name of the network, in any spelling.
        texts: The texts. A bool is `true` or `false`, a sequence `4,4,6`, `None` is
            `none`.

    Raises:
        ValueError: As for `checked`, and for a text without a name and a value.

    Example:
        >>> parsed("bnext18", ["squeeze_excite=false", "clip_value=1.3"])
        {'squeeze_excite': False, 'clip_value': 1.3}
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(
                f"An option of a model is NAME=VALUE, such as squeeze_excite=false. "
                f"Received: {text!r}"
            )
        if name in options:
            raise ValueError(f"The option {name} is given twice.")
        kind = _type_of(model, name)
        options[name] = value if kind is None else _read(value, kind)
    return checked(model, options)


def in_words(options: object) -> str:
    """Returns options as one text for reports.

    Example:
        >>> in_words({"squeeze_excite": False, "stem": "cifar"})
        'squeeze_excite=false stem=cifar'
    """
    if not isinstance(options, Mapping):
        return str(options)
    return " ".join(f"{name}={_text(value)}" for name, value in options.items())


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    return str(value)


def _type_of(model: str, name: str) -> ast.expr | None:
    """Returns the type of an option; `None` if the model is not known here.

    Raises:
        ValueError: If the model has no such option.
    """
    if not isinstance(name, str):
        raise ValueError(f"The name of an option is a text. Received: {name!r:.60}")
    if name in SET_BY_RECIPE:
        raise ValueError(
            f"{name} is no option of a model: {SET_BY_RECIPE[name]} sets it."
        )
    types = _types(model)
    if types is None:
        return None
    if name not in types:
        known = [one for one in types if one not in SET_BY_RECIPE]
        raise ValueError(f"{model} has no option {name!r}. {nearest(name, known)}")
    return types[name]


def _types(model: str) -> dict[str, ast.expr] | None:
    """Returns the types of the arguments of a model's function, `None` if unknown."""
    return _all_types().get(plain(model))


@functools.cache
def _all_types() -> dict[str, dict[str, ast.expr]]:
    """Returns the types of all arguments by the plain names of networks."""
    spec = importlib.util.find_spec("zoo_extensions")
    if spec is None or spec.origin is None:
        return {}
    stub = pathlib.Path(spec.origin).with_suffix(".pyi")
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        plain(cls.name): {
            argument.arg: argument.annotation
            for argument in method.args.kwonlyargs
            if argument.annotation is not None
        }
        for cls in tree.body
        if isinstance(cls, ast.ClassDef)
        for method in cls.body
        if isinstance(method, ast.FunctionDef) and method.name == "__call__"
    }


def _kinds(kind: ast.expr) -> list[ast.expr]:
    """Returns the members of a union, or the type itself."""
    if isinstance(kind, ast.BinOp):
        return [*_kinds(kind.left), *_kinds(kind.right)]
    return [kind]


def _named(kind: ast.expr) -> str:
    """Returns the name of a type that is no union: `int`, `None`, `Sequence`."""
    inner = kind.value if isinstance(kind, ast.Subscript) else kind
    return ast.unparse(inner)


def _literals(kind: ast.expr) -> list[Any] | None:
    """Returns the values of a `Literal`, `None` for another type."""
    if _named(kind) != "Literal" or not isinstance(kind, ast.Subscript):
        return None
    value = ast.literal_eval(kind.slice)
    return list(value) if isinstance(value, tuple) else [value]


def _element(kind: ast.expr) -> ast.expr | None:
    """Returns the type of the elements of a sequence, `None` for another type."""
    if not isinstance(kind, ast.Subscript) or _named(kind) == "Literal":
        return None
    inner = kind.slice
    return inner.elts[0] if isinstance(inner, ast.Tuple) else inner


def _is_one(value: Any, kind: ast.expr) -> bool:
    return any(_is_of(value, one) for one in _kinds(kind))


def _is_of(value: Any, kind: ast.expr) -> bool:
    literals, element, name = _literals(kind), _element(kind), _named(kind)
    if literals is not None:
        return value in literals
    if element is not None:
        return isinstance(value, list) and all(_is_one(one, element) for one in value)
    if value is None or name == "None":
        return value is None and name in ("None", "Any")
    # True is an integer of Python.
    if isinstance(value, bool):
        return name in ("bool", "Any")
    if isinstance(value, float) and not math.isfinite(value):
        return False
    types: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "str": (str,),
        "Any": (int, float, str, list),
    }
    return isinstance(value, types.get(name, ()))


def _read(text: str, kind: ast.expr) -> Any:
    """Returns the value of a text, the text itself if it has none of the type."""
    for one in _kinds(kind):
        element = _element(one)
        if element is None:
            value = _simple(text)
        else:
            words = text.strip("[]()").split(",")
            value = [_read(word.strip(), element) for word in words if word.strip()]
        if _is_of(value, one):
            return value
    return text


def _simple(text: str) -> Any:
    """Returns the bool, number or `None` that a text writes, otherwise the text."""
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else text


def _as_plain(value: Any) -> Any:
    """Returns a value with Python's numbers, and lists for tuples and arrays."""
    # NumPy's numbers and arrays.
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_as_plain(one) for one in value]
    return value


def _in_words(kind: ast.expr) -> str:
    """Returns a type in words."""
    words: list[str] = []
    for one in _kinds(kind):
        literals, element = _literals(one), _element(one)
        if literals is not None:
            words += map(str, literals)
        elif element is not None:
            words.append("a sequence such as 4,4,6")
        else:
            words.append(_WORDS.get(_named(one), _named(one).lower()))
    return " or ".join(words)
