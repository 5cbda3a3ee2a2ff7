"""Tables 2 and 3 of paper 001."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_extensions.figures.rows import PublishedFigures


def tables_of_paper_001() -> Iterator[PublishedFigures]:
    """Returns the rows of tables 2 and 3."""
    for name, label, bits, top1 in (
        ("resnet20", "FP", "32/32", 91.7),
        ("dorefa_net20", "DoReFa-Net, one step", "1/1", 79.3),
        ("dsq20", "DSQ, one step", "1/1", 84.1),
        ("ir_net20", "IR-Net, one step", "1/1", 86.5),
        ("birealnet20", "Bi-Real, one step", "1/1", 85.0),
        ("birealnet20", "Bi-Real with the filter", "1/1", 86.5),
        ("birealnet20", "Bi-Real, two steps", "1/1", 86.7),
    ):
        yield PublishedFigures(
            name,
            label,
            "paper 001, table 2",
            bits=bits,
            data="CIFAR-10",
            top1=top1,
        )
    for name, label, top1, top5 in (
        ("ci_bcnn", "CI-BCNN, one step", 59.9, 84.2),
        ("binary_mobilenet", "Binary MobileNet, one step", 60.9, 82.6),
        ("mobinet", "MoBiNet, one step", 54.4, 77.5),
        ("el", "EL, one step", 56.4, None),
        ("meliusnet29", "MeliusNet29", 65.8, None),
        ("reactnet_a", "ReActNet-A with the filter, one step", 69.7, 88.9),
        ("strong_baseline18", "StrongBaseline, two steps", 60.9, 83.0),
        ("real_to_binary18", "Real-to-Binary, two steps", 65.4, 86.2),
        ("reactnet_a", "ReActNet-A, two steps", 69.4, 88.6),
        ("reactnet_a", "ReActNet-A-AdamBNN, two steps", 70.5, 89.1),
    ):
        yield PublishedFigures(name, label, "paper 001, table 3", top1=top1, top5=top5)
