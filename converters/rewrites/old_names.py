"""Deprecated names of rewrites, accepted for one release with a warning.

This file goes with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")

NEW_NAMES = {
    "constant_shapes": "broadcast_constants",
    "dense_layers": "dense_to_conv",
    "dilated_convolutions": "fuse_dilated_conv",
    "grouped_convolutions": "split_grouped_convs",
    "image_means": "hoist_global_pooling",
    "minus_padding": "replace_negative_padding",
    "padding_over_time": "pad_conv1d_as_conv2d",
    "prelu_factors": "fuse_scale_through_prelu",
    "prelu_slopes": "broadcast_prelu_slopes",
    "shifts": "fuse_constant_adds",
    "sign_factors": "fuse_sign_scale",
    "sign_order": "sink_sign",
    "sign_thresholds": "fuse_batchnorm_into_sign",
    "small_images": "replace_zero_padding",
    "stride_padding": "trim_explicit_padding",
    "twin_convolutions": "merge_parallel_convs",
    "unread_edges": "crop_strided_input",
}


class RewriteName(str):
    """Name of a rewrite that also equals its deprecated name, with a warning.

    So `[name for name in REWRITES if name != "shifts"]` and a search in a report find
    what they found.

    Example:
        >>> RewriteName("fuse_constant_adds") == "fuse_constant_adds"
        True
    """

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        """Compares with a name of either kind."""
        return self._is_called(other) or str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Compares with a name of either kind."""
        return not self._is_called(other) and str.__ne__(self, other)

    def _is_called(self, old: object) -> bool:
        if not isinstance(old, str) or NEW_NAMES.get(str(old)) != str(self):
            return False
        _warn(old, stacklevel=4)
        return True


class _Rewrites(dict[str, _T]):
    """Rewrites by name, which are found by their deprecated names, too."""

    def __contains__(self, name: object) -> bool:
        """Whether there is a rewrite of a name of either kind."""
        if isinstance(name, str) and str(name) in NEW_NAMES:
            _warn(str(name), stacklevel=3)
            return True
        return super().__contains__(name)

    def __missing__(self, name: str) -> _T:
        """The rewrite of a deprecated name."""
        if name not in NEW_NAMES:
            raise KeyError(name)
        _warn(name, stacklevel=3)
        return self[NEW_NAMES[name]]


def with_old_names(rewrites: dict[str, _T]) -> dict[str, _T]:
    """Returns rewrites by names that also equal their deprecated ones."""
    return _Rewrites({RewriteName(name): change for name, change in rewrites.items()})


def current_names(names: Iterable[str]) -> tuple[str, ...]:
    """Returns names of rewrites, with a warning for each deprecated one.

    The warning points to the line that calls `convert` or `rewrite`, whose argument is
    read by `checked_names`.

    Args:
        names: Names of either kind; a name of no rewrite is returned as it is.

    Returns:
        The names of today.
    """
    current = []
    for name in names:
        if name in NEW_NAMES:
            _warn(name, stacklevel=5)
        current.append(NEW_NAMES.get(name, name))
    return tuple(current)


def _warn(name: str, stacklevel: int) -> None:
    warnings.warn(
        f"The rewrite {name!r} is now called {NEW_NAMES[name]!r}. The next release "
        "drops the old name.",
        DeprecationWarning,
        stacklevel,
    )
