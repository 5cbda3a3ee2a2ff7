"""Names that commands take, known without TensorFlow, so that errors come at once.

tests/larq_bnnopt/cli/test_one_way.py checks that they are complete.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

from larq_bnnopt import preset_fields, recipe_fields, run_config
from larq_bnnopt.texts import nearest, plain, require_known

EMBEDDED = "fashion_mnist_mini"
MODELS = (
    "audio_mlp",
    "binary_bert",
    "binary_bert_base",
    "binary_bert_small",
    "binary_bert_tiny",
    "binary_densenet28",
    "binary_densenet37",
    "birealnet18",
    "birealnet20",
    "birealnet34",
    "bnext18",
    "bnext_large",
    "bnext_middle",
    "bnext_small",
    "bnext_tiny",
    "meliusnet22",
    "meliusnet29",
    "meliusnet42",
    "meliusnet59",
    "meliusnet_a",
    "meliusnet_b",
    "meliusnet_c",
    "pokebnn_050",
    "pokebnn_075",
    "pokebnn_100",
    "pokebnn_125",
    "pokebnn_140",
    "pokebnn_200",
    "reactnet_a",
    "reactnet_b",
    "reactnet_bireal18",
    "reactnet_bireal34",
    "reactnet_c",
    "resnet_e18",
    "resnet_e34",
    "tiny_residual_bnn",
)
PRESETS = tuple(preset_fields.PRESET_FIELDS)
FIELDS: dict[str, dataclasses.Field[Any]] = {
    field.name: field
    for kind in recipe_fields.KINDS.values()
    for field in dataclasses.fields(kind)
}
# The fields of recipes, which are options of `bnnopt train`.
RECIPE_OPTIONS = tuple(recipe_fields.settings())
# Recipe or preset -> the values of its fields.
DEFAULTS: dict[str, dict[str, Any]] = {
    **{kind: recipe_fields.defaults_of(kind) for kind in recipe_fields.KINDS},
    **{
        name: {**recipe_fields.defaults_of(preset.kind), **preset.fields}
        for name, preset in preset_fields.PRESET_FIELDS.items()
    },
}
# The fields that count the epochs of stages, of all recipes.
STAGES = tuple(
    dict.fromkeys(name for kind in recipe_fields.KINDS.values() for name in kind.stages)
)
STRATEGIES = ("mirrored", "multi_worker")

_CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)
# Folders of tensorflow-datasets without data sets.
_NO_DATA = ("core", "scripts", "testing", "proto")


def require(what: str, value: str | None, known: Iterable[str]) -> None:
    """Raises a ValueError with the nearest names unless a value is known, or `None`."""
    if value is not None:
        require_known(what, value, known)


def require_model(name: str | None) -> None:
    """Raises a ValueError unless there is such a network, in any spelling."""
    if name is None or plain(name) in map(plain, MODELS):
        return
    near = [known for known in MODELS if name and name.lower() in known]
    hint = nearest(name, MODELS, "`bnnopt models` shows all.")
    if near:
        hint = f"Nearest: {', '.join(near)}."
    raise ValueError(f"No model {name!r}. {hint}")


def require_file(path: str | None) -> None:
    """Raises a FileNotFoundError unless there is such a file or folder."""
    if path is not None and not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist.")


def require_run(folder: str | os.PathLike[str]) -> None:
    """Raises an error unless a folder holds a run whose recipe can be read."""
    if is_saved_model(folder):
        raise ValueError(f"{folder} is a SavedModel and no folder of a run.")
    run_config.read_recipe(folder)


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is the folder of a run, also of a damaged one."""
    return os.path.lexists(os.path.join(folder, run_config.NAME))


def is_saved_model(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is a SavedModel of TensorFlow."""
    is_one = os.path.exists(os.path.join(folder, "saved_model.pb"))
    return is_one and not is_run(folder)


def require_source(path: str | os.PathLike[str], trusted: bool) -> None:
    """Raises an error unless there is a run, or a file of a model that may be loaded.

    Args:
        path: The folder of a run, a file, or the folder of a SavedModel.
        trusted: Whether the code that a model holds may be run.
    """
    require_file(os.fspath(path))
    if not os.path.isdir(path):
        return
    if not is_saved_model(path):
        require_run(path)
    elif not trusted:
        raise ValueError(
            f"{path} is not loaded: it is a SavedModel, whose graph may read and write "
            "files and whose layers may hold Python code. To load it nevertheless, "
            "where its origin is trusted: --trust."
        )


def require_dataset(name: str | None, data_dir: str | None = None) -> None:
    """Raises an error if there is no such data set.

    Args:
        name: A folder, or a name as `larq_bnnopt.datasets.load` takes it.
        data_dir: Folder of tensorflow-datasets, which may hold further data sets.
    """
    if name is None or name == EMBEDDED or os.path.exists(name):
        return
    # "cifar10_corrupted/blur" is a name of tensorflow-datasets.
    is_path = name.startswith((".", "~", os.sep)) or name.count(os.sep) > 1
    if is_path or name.endswith(os.sep):
        raise FileNotFoundError(f"The folder {name} does not exist.")
    bare = name.partition(":")[0].partition("/")[0]
    known = [] if data_dir or ":" in name else tfds_names()
    if known and bare not in known:
        hint = nearest(bare, [EMBEDDED, *known], f"In the package: {EMBEDDED}.")
        raise ValueError(f"No data set {name!r}. {hint}")


def tfds_names() -> list[str]:
    """Returns the names of tensorflow-datasets, read from its source.

    Importing it takes as long as TensorFlow. Some of the names may be classes that are
    no data sets.
    """
    spec = importlib.util.find_spec("tensorflow_datasets")
    if spec is None or spec.origin is None:
        return []
    root, found = pathlib.Path(spec.origin).parent, set()
    for path in root.rglob("*.py"):
        if path.stem.endswith("_test"):
            continue
        first, *others = path.relative_to(root).parts
        if first == "datasets" and len(others) > 1:
            found.add(others[0])
        if first not in _NO_DATA:
            text = path.read_text(encoding="utf-8", errors="ignore")
            found |= {_snake(name) for name in _CLASS.findall(text)}
    return sorted(name for name in found if not name.endswith(("config", "builder")))


def _snake(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
