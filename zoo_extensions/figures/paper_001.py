"""Tables 2 and 3 of paper 001."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_extensions.figures.rows import PublishedFigures


def tables_of_paper_001() -> Iterator[PublishedFigures]:
    """Returns the rows of tables 2 and 3."""
    for label, top1 in (
        ("Bi-Real, one step", 85.0),
        ("Bi-Real with the filter", 86.5),
        ("Bi-Real, two steps", 86.7),
    ):
        yield PublishedFigures(
            "birealnet20", label, "paper 001, table 2", data="CIFAR-10", top1=top1
        )
    for name, label, top1, top5 in (
        ("meliusnet29", "MeliusNet29", 65.8, None),
        ("reactnet_a", "ReActNet-A with the filter, one step", 69.7, 88.9),
        ("strong_baseline18", "StrongBaseline, two steps", 60.9, 83.0),
        ("real_to_binary18", "Real-to-Binary, two steps", 65.4, 86.2),
        ("reactnet_a", "ReActNet-A, two steps", 69.4, 88.6),
        ("reactnet_a", "ReActNet-A-AdamBNN, two steps", 70.5, 89.1),
    ):
        yield PublishedFigures(name, label, "paper 001, table 3", top1=top1, top5=top5)
