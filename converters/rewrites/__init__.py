"""Changes of a graph that keep its function and let more of it be binary, or faster.

Each file holds one of them, a function `rewrite(editor)` that returns the names of
what it changed. They are applied in the order of `REWRITES`, to a copy of the graph.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from converters.errors import ConversionError
from converters.graph.editor import Editor
from converters.graph.frozen import FrozenModel
from converters.graph.sizes import GraphSize, size_of
from converters.rewrites import (
    constant_shapes,
    dense_layers,
    dilated_convolutions,
    grouped_convolutions,
    image_means,
    minus_padding,
    padding_over_time,
    prelu_factors,
    prelu_slopes,
    shifts,
    sign_factors,
    sign_order,
    sign_thresholds,
    small_images,
    stride_padding,
    twin_convolutions,
    unread_edges,
)

REWRITES: dict[str, Callable[[Editor], list[str]]] = {
    "dilated_convolutions": dilated_convolutions.rewrite,
    "stride_padding": stride_padding.rewrite,
    "unread_edges": unread_edges.rewrite,
    "sign_factors": sign_factors.rewrite,
    "grouped_convolutions": grouped_convolutions.rewrite,
    "dense_layers": dense_layers.rewrite,
    "padding_over_time": padding_over_time.rewrite,
    "sign_order": sign_order.rewrite,
    "minus_padding": minus_padding.rewrite,
    "twin_convolutions": twin_convolutions.rewrite,
    "shifts": shifts.rewrite,
    "sign_thresholds": sign_thresholds.rewrite,
    "prelu_factors": prelu_factors.rewrite,
    "image_means": image_means.rewrite,
    "small_images": small_images.rewrite,
    "constant_shapes": constant_shapes.rewrite,
    "prelu_slopes": prelu_slopes.rewrite,
}


@contextlib.contextmanager
def _reported(name: str, editor: Editor) -> Iterator[None]:
    """Says at which operation and layer a rewrite failed."""
    try:
        yield
    except (ConversionError, MemoryError):
        raise
    except Exception as error:
        raise ConversionError(
            f"The rewrite {name!r} failed at {editor.place()}, which is a fault of "
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
    unknown = [name for name in names if name not in REWRITES]
    if unknown:
        raise ValueError(
            f"No rewrite {', '.join(map(repr, unknown))}. There are: "
            f"{', '.join(REWRITES)}."
        )
    return names


def rewrite(
    frozen: FrozenModel, names: Sequence[str] = tuple(REWRITES)
) -> tuple[FrozenModel, tuple[Rewrite, ...]]:
    """Applies rewrites to a graph.

    Args:
        frozen: The graph; it stays as it is.
        names: Keys of `REWRITES`. Defaults to all.

    Returns:
        The graph to convert, and the rewrites that changed something.

    Raises:
        ValueError: If there is no rewrite of a name.
    """
    names = checked_names(names)
    outputs = list(frozen.outputs.values())
    editor = Editor(frozen.graph_def, outputs, frozen.layers)
    size = size_of(editor, outputs)
    done: list[Rewrite] = []
    for name, change in REWRITES.items():
        changed: tuple[str, ...] = ()
        if name in names:
            with _reported(name, editor):
                changed = tuple(dict.fromkeys(change(editor)))
        if changed:
            after = size_of(editor, outputs)
            done.append(Rewrite(name, changed, size, after))
            size = after
    if not done:
        return frozen, ()
    return frozen.with_graph(editor.graph_def, editor.equivalents), tuple(done)
