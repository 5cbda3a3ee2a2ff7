"""Table 1 of paper 003."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_extensions.figures.rows import Correction, PublishedFigures
from zoo_extensions.figures.units import (
    ReportedValue,
    mebibytes,
    megabytes,
    times_1e8,
    times_1e9,
)

_NO_SQUEEZE_EXCITE = (("squeeze_excite", False),)


def table_of_paper_003() -> Iterator[PublishedFigures]:
    """Returns the rows of table 1."""
    source = "paper 003, table 1"
    slip = (
        "1.63 is the number of all operations that ReActNet's authors publish, to "
        "which the table adds the binary ones again"
    )
    twice = (Correction("flops", "1.38", slip), Correction("ops", "1.64", slip))
    unknown = "no rule was found that gives it"
    near = (
        Correction("flops", "1.38", unknown, misprint=False),
        Correction("ops", "1.64", unknown, misprint=False),
    )
    baseline = Correction(
        "flops", "18.1", "paper 002 prints 18.1 for the same network", misprint=False
    )
    # Paper 002 prints 46.8 MB for it, which are 44.6 times 2^20 bytes.
    yield PublishedFigures(
        "resnet18",
        "ResNet-18",
        source,
        (("precision", "float"),),
        bits="32/32",
        flops=times_1e8("18.0"),
        size=mebibytes("44.6"),
        top1=69.6,
        corrections=(baseline,),
        counted_as="birealnet18",
    )
    for name, label, bops, flops, ops, size, ratio, top1, corrections in (
        ("bnn18", "BNN", "1.70", "1.20", "1.47", "4.2", "18.1", 42.2, ()),
        ("xnornet18", "XNOR-Net", "1.70", "1.20", "1.47", "4.2", "18.1", 51.2, ()),
        ("xnornet_plus18", "XNOR-Net ++", "1.70", "1.20", "1.47", "4.2", "18.1", 57.1,
         ()),
        ("birealnet18", "Bi-RealNet-18", "1.68", "1.39", "1.65", "4.2", "15.9", 56.4,
         near),
        ("bop18", "BOP", "1.68", "1.63", "1.89", "4.2", "13.8", 56.4, twice),
        ("real_to_binary18", "Real2Binary-Net", "1.67", "1.56", "1.82", "5.1", "14.3",
         65.4, ()),
        ("reactnet_bireal18", "ReActNet-BiR18", "1.68", "1.63", "1.89", "4.2", "13.8",
         65.9, twice),
        ("reactnet_bireal18", "ReCU", "1.68", "1.63", "1.89", "4.2", "13.8", 66.4,
         twice),
    ):  # fmt: skip
        yield PublishedFigures(
            name,
            label,
            source,
            bops=times_1e9(bops),
            flops=times_1e8(flops),
            ops=times_1e8(ops),
            binary_ratio=ReportedValue(ratio),
            size=megabytes(size),
            top1=top1,
            corrections=corrections,
        )
    # 8-bit and 4-bit weights, which count_ops takes for 32-bit ones.
    stem = (
        "leaving out squeeze-and-excitation saves 0.0035e8 of 1.38e8 operations; the "
        "table seems to leave out the stem too"
    )
    dagger = (Correction("qops", "1.38", stem), Correction("ops", "0.43", stem))
    rest = (Correction("qops", "1.38", unknown, misprint=False),)
    for label, arguments, qops, ops, size, ratio, top1, wrong in (
        ("BNext-18", (), "1.35", "0.43", "2.2", "61.0", 67.9, rest),
        ("BNext-18† (Adam)", _NO_SQUEEZE_EXCITE, "0.24", "0.27", "2.0", "97.2", 67.5,
         dagger),
        ("BNext-18† (Diode)", _NO_SQUEEZE_EXCITE, "0.24", "0.27", "2.0", "97.2", 68.2,
         dagger),
    ):  # fmt: skip
        yield PublishedFigures(
            "bnext18",
            label,
            source,
            arguments,
            bops=times_1e9("1.68"),
            qops=times_1e8(qops),
            ops=times_1e8(ops),
            binary_ratio=ReportedValue(ratio),
            size=megabytes(size),
            top1=top1,
            rest_speedup=8,
            size_is_counted=False,
            corrections=wrong,
        )
    for label, top1 in (
        ("ReActNet-A (Adam)", 69.4),
        ("ReActNet-A (GFilter)", 69.7),
        ("ReActNet-A (Diode)", 69.6),
    ):
        # The one size of a binary network in 2^20 bytes here; without normalization.
        yield PublishedFigures(
            "reactnet_a",
            label,
            source,
            bops=times_1e9("4.82"),
            flops=times_1e8("0.12"),
            ops=times_1e8("0.87"),
            binary_ratio=ReportedValue("86.5"),
            size=mebibytes("7.4"),
            top1=top1,
            normalization_in_size=False,
        )
