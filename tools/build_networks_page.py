"""Writes docs/api/networks.md: every network of zoo_extensions and its arguments.

    python tools/build_networks_page.py

The functions of the networks are made when the package is imported, where a static
reading of the sources, as for the other pages, does not find them.
"""

from __future__ import annotations

import collections
import inspect
import pathlib
from collections.abc import Sequence

import zoo_extensions as zx
from zoo_extensions.markdown import markdown_table
from zoo_extensions.model_function import ModelFunction, documented_arguments

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "api" / "networks.md"

_PAGE = """\
# Networks of the zoo

<!-- Made by tools/build_networks_page.py. -->

Each function takes keyword arguments and returns a Keras model;
`zx.create_model("meliusnet22", **arguments)` calls one by name. Its `factory` takes
every field of the network, such as the number of blocks:
`zx.MeliusNet22.factory(blocks=(1, 1, 1, 1), input_shape=(64, 64, 3)).build()`.
[Counted and published figures](../models.md) compare them.

{families}
"""

_FAMILY = """\
## {title}

{description}

{networks}

{arguments}

{references}
"""

_NETWORK = """\
### {function} {{ #zoo_extensions.{function} }}

`{name}`. {summary}
"""


def page() -> str:
    """Returns the text of the page."""
    families: dict[type, list[ModelFunction]] = collections.defaultdict(list)
    for name in zx.list_models():
        function = zx.registry._MODELS[name]
        families[function.factory.__bases__[0]].append(function)
    ordered = sorted(families.items(), key=lambda item: item[0].__name__.lower())
    texts = [_family(family, functions) for family, functions in ordered]
    return _PAGE.format(families="\n".join(texts)).rstrip() + "\n"


def _family(family: type, functions: Sequence[ModelFunction]) -> str:
    networks = (
        _NETWORK.format(
            function=function.__name__,
            name=function.architecture["name"],
            summary=(inspect.getdoc(function) or "").splitlines()[0],
        )
        for function in functions
    )
    references = getattr(family, "references", ())
    return _FAMILY.format(
        title=family.__name__.removesuffix("Factory"),
        description=inspect.getdoc(family),
        networks="\n".join(networks).rstrip(),
        arguments=_arguments(functions),
        references="\n".join(f"- {reference}" for reference in references),
    )


def _arguments(functions: Sequence[ModelFunction]) -> str:
    """Returns the arguments of a family, with the defaults of each of its networks."""
    rows = []
    texts = documented_arguments(functions[0].factory)
    for argument, text in texts.items():
        defaults = collections.defaultdict(list)
        for function in functions:
            default = inspect.signature(function).parameters[argument].default
            defaults[f"`{default!r}`"].append(function.__name__)
        default = next(iter(defaults))
        if len(defaults) > 1:
            default = "; ".join(
                f"{value} ({', '.join(names)})" for value, names in defaults.items()
            )
        rows.append((f"`{argument}`", default, text.replace("|", r"\|")))
    return markdown_table(("argument", "default", "meaning"), rows, "lll")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
