"""Lookup of published rows by network."""

from __future__ import annotations

from zoo_extensions.figures.bnext import table_of_bnext
from zoo_extensions.figures.paper_001 import tables_of_paper_001
from zoo_extensions.figures.paper_002 import tables_of_paper_002
from zoo_extensions.figures.paper_003 import table_of_paper_003
from zoo_extensions.figures.pokebnn import figures_of_pokebnn
from zoo_extensions.figures.rows import PublishedFigures
from zoo_extensions.names import nearest, plain

PUBLISHED: tuple[PublishedFigures, ...] = (
    *tables_of_paper_001(),
    *tables_of_paper_002(),
    *table_of_paper_003(),
    *table_of_bnext(),
    *figures_of_pokebnn(),
)


def published(model: str) -> tuple[PublishedFigures, ...]:
    """Returns the published figures of a network.

    Args:
        model: Its name; case, `_` and `-` do not matter.

    Returns:
        The rows of all tables that hold it, variants included.

    Raises:
        ValueError: If no table holds it; the message names the nearest ones.

    Example:
        >>> row = published("meliusnet22")[0]
        >>> row.source, row.ops.value, row.top1
        ('paper 002, table 1', 208000000.0, 63.6)
    """
    rows = tuple(row for row in PUBLISHED if plain(row.model) == plain(model))
    if not rows:
        names = sorted({row.model for row in PUBLISHED})
        hint = nearest(model, names, otherwise=f"Known: {', '.join(names)}.")
        raise ValueError(f"No published figures of {model!r}. {hint}")
    return rows
