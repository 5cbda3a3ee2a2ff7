"""Writes zoo_extensions/__init__.pyi, from which editors complete the networks.

    python tools/build_zoo_stub.py

The functions that make networks are themselves made when the package is imported, so
editors and type checkers cannot see their arguments. The stub holds the signature of
each, with its types and defaults, and the first line of its documentation.
"""

from __future__ import annotations

import ast
import inspect
import pathlib
import types
import typing
from collections.abc import Iterator

import zoo_extensions as zx
from zoo_extensions.model_function import ModelFunction

STUB = pathlib.Path(__file__).parents[1] / "zoo_extensions" / "__init__.pyi"

_WIDTH = 88
_HEAD = '''\
"""{summary}"""

# Made by tools/build_zoo_stub.py.

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

'''

_BASE = '''
class _Network:
    """A function that makes a network."""

    architecture: dict[str, Any]
    __name__: str
'''

_NETWORK = '''
class _{name}(_Network):
    """{summary}"""

    factory: type[{family}]

    def __call__(
        self,
        *,
{arguments}
    ) -> tf.keras.Model:
        """{summary}"""

{name}: _{name}
'''


def stub() -> str:
    """Returns the text of the stub."""
    networks = {
        name: value
        for name, value in vars(zx).items()
        if name in zx.__all__ and hasattr(value, "architecture")
    }
    modules: dict[str, set[str]] = {}
    for function in networks.values():
        family = _family(function)
        modules.setdefault(family.__module__, set()).add(family.__name__)
    for module, name in _reexports():
        if name not in networks:
            modules.setdefault(module, set()).add(name)
    lines = [
        _HEAD.format(summary=inspect.getdoc(zx)),
        *(_import(module, modules[module]) for module in sorted(modules)),
        "\n__all__ = [\n",
        *(f'    "{name}",\n' for name in zx.__all__),
        "]\n",
        _BASE,
        *(_network(networks[name]) for name in sorted(networks)),
    ]
    return "".join(lines)


def _reexports() -> Iterator[tuple[str, str]]:
    """Returns module and name of all that the package imports to export it."""
    tree = ast.parse(pathlib.Path(zx.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if alias.name in zx.__all__:
                    yield node.module, alias.name


def _import(module: str, names: set[str]) -> str:
    # Ruff's order: classes, then the rest.
    ordered = sorted(names, key=lambda name: (not name[0].isupper(), name))
    return f"from {module} import {', '.join(ordered)}\n"


def _family(function: ModelFunction) -> type:
    return function.factory.__bases__[0]


def _network(function: ModelFunction) -> str:
    parameters = inspect.signature(function).parameters.values()
    return _NETWORK.format(
        name=function.__name__,
        family=_family(function).__name__,
        summary=(inspect.getdoc(function) or "").splitlines()[0],
        arguments="\n".join(
            _argument(parameter.name, _type(parameter.annotation), parameter.default)
            for parameter in parameters
        ),
    )


def _argument(name: str, kind: str, default: object) -> str:
    """Returns the line of an argument; `...` stands for a default that is too long."""
    line = f"        {name}: {kind} = {_default(default)},"
    return line if len(line) <= _WIDTH else f"        {name}: {kind} = ...,"


def _default(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _type(annotation: typing.Any) -> str:
    """Returns an annotation as source."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(one) for one in arguments)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_type(one) for one in arguments)}]"
    if annotation is type(None):
        return "None"
    return annotation.__name__


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
