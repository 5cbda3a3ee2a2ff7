"""Studies by name: each is the file of that name, found without TensorFlow."""

from __future__ import annotations

import importlib
import pathlib

from larq_bnnopt.studies.study import Study
from larq_bnnopt.texts import require_known

_FOLDER = pathlib.Path(__file__).parent


def names() -> list[str]:
    """Returns the names of all studies.

    Example:
        >>> "paper_001_fig5_alpha" in names()
        True
    """
    return sorted(path.stem for path in _FOLDER.glob("paper_*.py"))


def require_name(name: str) -> None:
    """Raises a ValueError that names the nearest studies, unless there is this one.

    Args:
        name: The name.
    """
    require_known("study", name, names(), "`bnnopt study --list` shows all.")


def get(name: str) -> Study:
    """Returns a study by its name.

    Raises:
        ValueError: If there is none; it names the nearest.
    """
    require_name(name)
    module = importlib.import_module(f"larq_bnnopt.studies.{name}")
    return module.STUDY


def published(name: str) -> pathlib.Path:
    """Returns the folder of a study in the repository, which may be missing."""
    return _FOLDER.parents[1] / "docs" / "results" / name
