"""The arrows of docs/architecture.md: who may import whom."""

import ast
import pathlib

import pytest

import converters
import larq_bnnopt
import zoo_extensions

OURS = {"larq_bnnopt", "zoo_extensions", "converters"}
# Folder -> what of ours it may import, itself aside.
ALLOWED = {
    "larq_bnnopt/optimizers": set(),
    "larq_bnnopt/callbacks": {"larq_bnnopt.texts", "larq_bnnopt.writing"},
    "larq_bnnopt/datasets": {"larq_bnnopt.texts", "larq_bnnopt.writing"},
    "larq_bnnopt/recipes": {
        "larq_bnnopt.optimizers",
        "larq_bnnopt.callbacks",
        "larq_bnnopt.datasets",
        "larq_bnnopt.field_ranges",
        "larq_bnnopt.run_config",
        "larq_bnnopt.schedules",
        "larq_bnnopt.texts",
        "larq_bnnopt.writing",
        "zoo_extensions",
    },
    "larq_bnnopt/cli": {
        "larq_bnnopt.recipes",
        "larq_bnnopt.datasets",
        "larq_bnnopt.field_ranges",
        "larq_bnnopt.run_config",
        "larq_bnnopt.texts",
        "larq_bnnopt.writing",
        "converters",
        "zoo_extensions",
    },
    "zoo_extensions": set(),
    "converters": set(),
    "converters/runtime": set(),
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "larq_bnnopt":
                yield from (f"larq_bnnopt.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("folder", ALLOWED)
def test_arrows(folder):
    site = pathlib.Path(larq_bnnopt.__file__).parent.parent
    own = folder.replace("/", ".")
    files = list((site / folder).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            if name.split(".")[0] not in OURS or name == "larq_bnnopt.__version__":
                continue
            allowed = {own, *ALLOWED[folder]}
            assert any(name == a or name.startswith(f"{a}.") for a in allowed), (
                f"{path.relative_to(site)} imports {name}"
            )


def test_every_package_has_arrows():
    site = pathlib.Path(larq_bnnopt.__file__).parent.parent
    for package in (converters, larq_bnnopt, zoo_extensions):
        folder = pathlib.Path(package.__file__).parent
        for inner in folder.rglob("__init__.py"):
            name = inner.parent.relative_to(site).as_posix()
            parents = [
                name,
                *(p.as_posix() for p in inner.parent.relative_to(site).parents),
            ]
            assert name == "larq_bnnopt" or ALLOWED.keys() & set(parents), name
