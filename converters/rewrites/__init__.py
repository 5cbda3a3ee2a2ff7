"""Changes of a graph that keep its function and let more of it be binary, or faster.

Each file holds one of them, a function `rewrite(graph)` that returns the names of
what it changed. They are applied in the order of `REWRITES`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from converters.errors import ConversionError
from converters.graph.graph import Graph
from converters.graph.sizes import GraphSize, size_of
from converters.rewrites import (
    broadcast_constants,
    broadcast_prelu_slopes,
    crop_strided_input,
    dense_to_conv,
    fold_into_lookup,
    fuse_batchnorm_into_sign,
    fuse_constant_adds,
    fuse_dilated_conv,
    fuse_product_scale,
    fuse_scale_through_prelu,
    fuse_sign_scale,
    fuse_sign_threshold,
    hoist_global_pooling,
    merge_parallel_convs,
    pad_conv1d_as_conv2d,
    replace_negative_padding,
    replace_zero_padding,
    sink_sign,
    split_grouped_convs,
    trim_explicit_padding,
)
from converters.rewrites.old_names import current_names, with_old_names

REWRITES: dict[str, Callable[[Graph], list[str]]] = with_old_names(
    {
        "fold_into_lookup": fold_into_lookup.rewrite,
        "fuse_dilated_conv": fuse_dilated_conv.rewrite,
        "trim_explicit_padding": trim_explicit_padding.rewrite,
        "crop_strided_input": crop_strided_input.rewrite,
        "fuse_sign_scale": fuse_sign_scale.rewrite,
        "split_grouped_convs": split_grouped_convs.rewrite,
        "dense_to_conv": dense_to_conv.rewrite,
        "pad_conv1d_as_conv2d": pad_conv1d_as_conv2d.rewrite,
        "sink_sign": sink_sign.rewrite,
        "replace_negative_padding": replace_negative_padding.rewrite,
        "merge_parallel_convs": merge_parallel_convs.rewrite,
        "fuse_constant_adds": fuse_constant_adds.rewrite,
        "fuse_batchnorm_into_sign": fuse_batchnorm_into_sign.rewrite,
        "fuse_product_scale": fuse_product_scale.rewrite,
        "fuse_sign_threshold": fuse_sign_threshold.rewrite,
        "fuse_scale_through_prelu": fuse_scale_through_prelu.rewrite,
        "hoist_global_pooling": hoist_global_pooling.rewrite,
        "replace_zero_padding": replace_zero_padding.rewrite,
        "broadcast_constants": broadcast_constants.rewrite,
        "broadcast_prelu_slopes": broadcast_prelu_slopes.rewrite,
    }
)


@contextlib.contextmanager
def _reported(name: str, graph: Graph) -> Iterator[None]:
    """Names the operation and the layer at which a rewrite failed."""
    try:
        yield
    except (ConversionError, MemoryError):
        raise
    except Exception as error:
        raise ConversionError(
            f"The rewrite {name!r} failed at {graph.place()}, which is a fault of "
            f"this package: {type(error).__name__}: {error}. Please report it with the "
            f"model, and leave {name!r} out of rewrites."
        ) from error


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """What one rewrite changed, and what that saved in the graph.

    The sizes are of the graph, not of the file that the converter makes of it.

    Attributes:
        name: Name of the rewrite, a key of `REWRITES`.
        changed: Names of the operations or layers that it changed.
        before: Size of the graph before.
        after: Size of the graph after.
    """

    name: str
    changed: tuple[str, ...]
    before: GraphSize
    after: GraphSize


def checked_names(names: Sequence[str] | None) -> tuple[str, ...]:
    """Returns names of rewrites, none for `None`.

    Args:
        names: Keys of `REWRITES`, or one of them.

    Raises:
        ValueError: If there is no rewrite of a name.
    """
    names = (names,) if isinstance(names, str) else tuple(names or ())
    names = current_names(names)
    unknown = [name for name in names if name not in REWRITES]
    if unknown:
        raise ValueError(
            f"No rewrite {', '.join(map(repr, unknown))}. There are: "
            f"{', '.join(REWRITES)}."
        )
    return names


def rewrite(
    graph: Graph, names: Sequence[str] = tuple(REWRITES)
) -> tuple[Rewrite, ...]:
    """Applies rewrites to a graph.

    Args:
        graph: The graph, which is edited.
        names: Keys of `REWRITES`. Defaults to all.

    Returns:
        The rewrites that changed something.

    Raises:
        ValueError: If there is no rewrite of a name.
    """
    names = checked_names(names)
    size = size_of(graph)
    done: list[Rewrite] = []
    for name, change in REWRITES.items():
        changed: tuple[str, ...] = ()
        if name in names:
            with _reported(name, graph):
                changed = tuple(dict.fromkeys(change(graph)))
        if changed:
            after = size_of(graph)
            done.append(Rewrite(name, changed, size, after))
            size = after
    return tuple(done)
