"""The columns of differences in tables 2 and 4 of paper 002."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Gain:
    """A printed difference of two accuracies of one table, in points.

    Attributes:
        source: Paper and table.
        label: The row, by its label in `PUBLISHED`.
        base: The row that it is compared with.
        printed: The digits.
        right: The difference of the printed accuracies, where it is another one.
    """

    source: str
    label: str
    base: str
    printed: str
    right: str = ""


def _gains(source: str, base: str, *rows: tuple[str, str]) -> tuple[Gain, ...]:
    return tuple(Gain(source, label, base, printed) for label, printed in rows)


_TABLE_2 = "paper 002, table 2"
_TABLE_4 = "paper 002, table 4"

GAINS: tuple[Gain, ...] = (
    *_gains(
        _TABLE_2,
        "ResNetE18, original training",
        ("ResNetE18", "+1.9"),
        ("ResNetE18, grouped stem", "+2.5"),
        ("BinaryDenseNet28, original training", "+2.6"),
        ("BinaryDenseNet28", "+3.6"),
        ("BinaryDenseNet28, grouped stem", "+4.5"),
        ("MeliusNet22, 7x7 stem", "+4.7"),
        ("MeliusNet22", "+5.5"),
    ),
    *_gains(
        _TABLE_2,
        "Bi-RealNet34, original training",
        ("Bi-RealNet34", "+1.1"),
        ("Bi-RealNet34, grouped stem", "+1.5"),
        ("BinaryDenseNet37, original training", "+0.3"),
        ("BinaryDenseNet37", "+1.1"),
        ("BinaryDenseNet37, grouped stem", "+2.0"),
        ("MeliusNet29, 7x7 stem", "+2.7"),
        ("MeliusNet29", "+3.6"),
    ),
    # The last column: against the same network with the authors' training.
    *_gains(
        _TABLE_2,
        "ResNetE18",
        ("ResNetE18, original training", "-1.9"),
        ("ResNetE18, grouped stem", "+0.6"),
    ),
    *_gains(
        _TABLE_2,
        "BinaryDenseNet28",
        ("BinaryDenseNet28, original training", "-1.0"),
        ("BinaryDenseNet28, grouped stem", "+0.9"),
    ),
    Gain(_TABLE_2, "MeliusNet22", "MeliusNet22, 7x7 stem", "+1.1", right="+0.8"),
    *_gains(_TABLE_2, "Bi-RealNet34", ("Bi-RealNet34, grouped stem", "+0.4")),
    *_gains(
        _TABLE_2,
        "BinaryDenseNet37",
        ("BinaryDenseNet37, original training", "-0.8"),
        ("BinaryDenseNet37, grouped stem", "+0.9"),
    ),
    *_gains(_TABLE_2, "MeliusNet29, 7x7 stem", ("MeliusNet29", "+0.9")),
    *_gains(
        _TABLE_4,
        "MobileNet-v1 0.5",
        ("Bi-RealNet34, original training", "-1.5"),
        ("Bi-RealNet34, grouped stem", "+0.0"),
        ("MeliusNetC", "+0.4"),
    ),
    *_gains(_TABLE_4, "MobileNet-v1 0.75", ("MeliusNet42", "+0.8")),
    *_gains(_TABLE_4, "MobileNet-v1 1.0", ("MeliusNet59", "+0.4")),
)
