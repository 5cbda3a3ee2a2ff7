"""Figures of PokeBNN."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_extensions.figures.rows import PublishedFigures
from zoo_extensions.figures.units import times_1e9

# Its stem and its dense layer compute in 8 bits, squeeze-and-excitation in 4.
_BIT_PRODUCTS = (("*_squeeze_conv", 16), ("*_excite_conv", 16), ("*", 64))
_ACCURACY_ALONE = "Its ACE is not in a source that could be read here."
_WIDTH = "The abstract names no width: at 1.4 counting gives its ACE."


def figures_of_pokebnn() -> Iterator[PublishedFigures]:
    """Returns the two networks of the abstract, and two accuracies of the paper."""
    for name, label, source, ace, top1, note in (
        ("050", "0.5", "PokeBNN", None, 65.2, _ACCURACY_ALONE),
        ("075", "0.75", "PokeBNN, abstract", times_1e9("2.6"), 70.5, ""),
        ("100", "1.0", "PokeBNN", None, 73.4, _ACCURACY_ALONE),
        ("140", "1.4", "PokeBNN, abstract", times_1e9("7.8"), 75.6, _WIDTH),
    ):
        yield PublishedFigures(
            f"pokebnn_{name}",
            f"PokeBNN-{label}x",
            source,
            ace=ace,
            top1=top1,
            bit_products=_BIT_PRODUCTS,
            note=note,
        )
