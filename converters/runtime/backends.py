"""Choice of the backend: LiteRT with the binary kernels, or Larq Compute Engine."""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import warnings
from importlib import metadata

from converters.runtime import delegate

BACKENDS = ("auto", "delegate", "lce")


def choose_backend(wanted: str) -> str:
    """Returns the backend to use, `"delegate"` or `"lce"`.

    Args:
        wanted: One of `BACKENDS`.

    Raises:
        ImportError: If it is not installed.
        RuntimeError: If this LiteRT does not work with the binary kernels.
    """
    if wanted == "lce":
        return "lce"
    if wanted == "delegate":
        delegate.ready_litert()
        return "delegate"
    has_lce = importlib.util.find_spec("larq_compute_engine") is not None
    try:
        delegate.ready_litert()
    except ImportError as error:
        if not has_lce:
            raise ImportError(
                f"Nothing here runs a .tflite with binary layers. {error}"
            ) from error
        if not delegate.LIBRARY.exists():
            _warn_of_sources()
        return "lce"
    except RuntimeError as error:
        if not has_lce:
            raise
        warnings.warn(f"{error} Larq Compute Engine is used instead.", stacklevel=3)
        return "lce"
    return "delegate"


@functools.cache
def _warn_of_sources() -> None:
    """Warns, once, that this copy has no kernels, and names one that has."""
    here = delegate.HERE.parents[1]
    installed = _installed_folder(here)
    cure = (
        "Install it where a C compiler is (pip install --force-reinstall --no-deps .), "
        "and start outside of that folder."
        if installed is None
        else f"The copy in {installed} has them: start outside of that folder."
    )
    warnings.warn(
        f"converters is imported from {here}, where no binary kernels are built: Larq "
        f"Compute Engine runs the file, many times slower. {cure}",
        stacklevel=4,
    )


def _installed_folder(here: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of another copy that has kernels, `None` if there is none."""
    library = pathlib.Path("converters", "runtime", delegate.LIBRARY.name)
    # A build leaves metadata beside the sources, too.
    for distribution in metadata.distributions(name="larq-bnnopt"):
        folder = pathlib.Path(str(distribution.locate_file(""))).resolve()
        if folder != here and (folder / library).exists():
            return folder
    return None
