"""Training of binary neural networks with Larq: optimizers, callbacks, recipes.

`import larq_bnnopt` is light: subpackages are imported when they are first used.
"""

import importlib
from types import ModuleType

from _larq_bnnopt_keras import use_keras_2
from larq_bnnopt._version import __version__ as __version__

use_keras_2()

_SUBPACKAGES = (
    "callbacks",
    "claims",
    "cli",
    "datasets",
    "field_ranges",
    "field_types",
    "model_options",
    "optimizers",
    "preset_fields",
    "recipe_fields",
    "recipes",
    "run_config",
    "schedules",
    "studies",
    "texts",
    "tuning",
    "writing",
)


def __getattr__(name: str) -> ModuleType:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBPACKAGES])
