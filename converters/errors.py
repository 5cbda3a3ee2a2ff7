"""The errors of a conversion."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any


class ConversionError(Exception):
    """A model cannot be converted, or a file does not compute what its model computes.

    The message names the layer or the figure at fault and what to do.
    """

    @property
    def report(self) -> Any:
        """`None`; only `converters.NotEquivalentError` has a report."""
        warnings.warn(
            "ConversionError.report is deprecated and is None: catch "
            "converters.NotEquivalentError, which has a report.",
            DeprecationWarning,
            stacklevel=2,
        )
        return None


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Turns unexpected exceptions into a ConversionError that names the stage.

    Arguments are checked before. Any other exception inside is a fault of this package
    or of what it calls.

    Args:
        what: The stage, such as `"The rewriting of model_1"`.

    Raises:
        ConversionError: For any other exception but warnings and those of memory.
    """
    try:
        yield
    except (ConversionError, MemoryError, Warning):
        raise
    except Exception as error:
        raise ConversionError(
            f"{what} failed, which is a fault of this package: "
            f"{type(error).__name__}: {error}. Please report it with the model."
        ) from error
