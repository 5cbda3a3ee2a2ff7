"""Old names of result fields: they work for one release, and stay the keys of JSON."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=type)


def with_old_names(**names: str) -> Callable[[T], T]:
    """Returns a decorator that lets old names of fields read the new ones.

    Args:
        **names: The new name of each old one.

    Example:
        >>> import warnings
        >>> @with_old_names(moved="mismatched")
        ... class Result:
        ...     mismatched = 3
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     Result().moved
        3
    """

    def decorated(cls: T) -> T:
        for old, new in names.items():
            setattr(cls, old, _alias(cls.__name__, old, new))
        cls._old_names = {new: old for old, new in names.items()}  # type: ignore
        return cls

    return decorated


def _alias(owner: str, old: str, new: str) -> property:
    def read(self: Any) -> Any:
        warnings.warn(
            f"{owner}.{old} is deprecated and goes with the next release: use "
            f"{owner}.{new}.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(self, new)

    return property(read, doc=f"Deprecated: use `{new}`.")


def plain(result: Any) -> Any:
    """Returns a result as plain data for JSON, as `dataclasses.asdict` does.

    Keys are the first names of fields, which files and programs know.

    Args:
        result: A dataclass, which may hold others.
    """
    if dataclasses.is_dataclass(result):
        keys = getattr(result, "_old_names", {})
        return {
            keys.get(field.name, field.name): plain(getattr(result, field.name))
            for field in dataclasses.fields(result)
        }
    if isinstance(result, (list, tuple)):
        return type(result)(map(plain, result))
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    return result
