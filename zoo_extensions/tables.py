"""The table of published figures beside counted ones."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from zoo_extensions.counting import count_ops
from zoo_extensions.figures import (
    COUNTED,
    GLUE,
    PUBLISHED,
    TASKS,
    Comparison,
    GlueRow,
    PublishedFigures,
)
from zoo_extensions.markdown import markdown_table
from zoo_extensions.names import plain
from zoo_extensions.op_count import OpCount
from zoo_extensions.registry import create_model, list_models

_HEADING = (
    "network", "source", "bits", "BOPs 1e9", "FLOPs 1e8", "OPs 1e8", "size",
    "top-1 %", "top-5 %", "remark",
)  # fmt: skip

_PAGE = """\
# Networks

Made by `bnnopt models --markdown`. One multiplication and addition is one operation.
BOPs are those of two binary values, FLOPs all others, and OPs = BOPs / 64 + FLOPs: the
units of papers 002 and 003. ACE, the unit of PokeBNN, is each operation times the bits
of both its values, of which a real number has 16. `bnnopt models NAME` shows a network
layer by layer.

![Accuracy against operations of all published networks](images/models.png)

## Counted

For the default input, the last dense layer included.

{counted}

## Published beside counted

A figure stands alone where counting gives its digits, rounded or truncated, by the
rule of its table: with or without the last dense layer, the other operations of BNext
as 8-bit ones (an eighth of an operation), the ACE of PokeBNN with 8 bits in its stem
and dense layer and 4 in squeeze-and-excitation, sizes in 2^20 or 10^6 bytes. Where
counting gives other digits, they follow in brackets, and the remark says why. A `?`
marks figures that were not compared: the network is not in this zoo, the figure is one
for several networks, or the size is one of 4-bit and 8-bit weights.

{compared}

## BERT on GLUE

Table 2 of paper 003: scores in percent of quantized BERT networks. ‡ is without
multi-stage distillation, † starts from released weights. The rows of BiT average eight
tasks, for which the two sets of MNLI are one; the others average all nine columns.

Its FLOPs count a multiplication and addition as two, in this table only:
2 (BOPs / 64 + FLOPs) of 128 tokens, the products of two activations included. Where
counting gives other digits, they follow in brackets: `binary_bert_base` counts the rows
of BiT, and its float version those of BERT. Counted are 22.35 and 0.349. The printed
22.5 and 0.4 are one figure, since 22.5 / 64 = 0.352; it is 0.7 % above the
multiplications of the linear layers and of attention, and no paper says what else is in
it. MB are 2^20 bytes. The 13.4 of BiT are the 1-bit weights and 8 bits for each number
in the tables of positions and types, a rule that no paper states; with all other values
in 32 bits, as this package stores them, the network has the size in the table above.

{glue}
"""


@dataclasses.dataclass(frozen=True)
class ModelTable:
    """Published figures of networks beside a count of each.

    Attributes:
        lines: Each published row, with its comparisons where its network was counted.
        counts: The count of each model that was made with its default arguments.
        glue: Each row of table 2 of paper 003, likewise.
    """

    lines: tuple[tuple[PublishedFigures, tuple[Comparison, ...]], ...]
    counts: dict[str, OpCount]
    glue: tuple[tuple[GlueRow, tuple[Comparison, ...]], ...]

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the table as texts, with a heading.

        A figure is printed alone where counting gives its digits, "published (counted)"
        where it does not, and in brackets where its network was not counted.
        """
        return [_HEADING, *(_row(row, compared) for row, compared in self.lines)]

    def remarks(self) -> list[str]:
        """Returns the remarks of all rows that have one."""
        return [
            f"{row.label}, {row.source}: {_remark(row)}"
            for row, _ in self.lines
            if _remark(row)
        ]

    def count_rows(self) -> list[tuple[str, ...]]:
        """Returns the counts of the models as texts, with a heading."""
        heading = (
            "model", "BOPs 1e9", "FLOPs 1e8", "of which last dense", "OPs 1e8",
            "ACE 1e9", "parameters", "MiB",
        )  # fmt: skip
        rows = []
        for name, count in self.counts.items():
            last = 0 if count.last_dense is None else count.last_dense.float_macs
            rows.append(
                (
                    name,
                    f"{count.bops / 1e9:.4f}",
                    f"{count.flops / 1e8:.4f}",
                    f"{last / 1e8:.4f}",
                    f"{count.ops / 1e8:.4f}",
                    f"{count.ace / 1e9:.4f}",
                    f"{count.parameters:,}",
                    f"{count.mebibytes:.3f}",
                )
            )
        return [heading, *rows]

    def markdown(self) -> str:
        """Returns the table as a page of Markdown."""
        heading, *counts = self.count_rows()
        counted = markdown_table(heading, counts, "lrrrrrrr")
        heading, *rows = self.rows()
        compared = markdown_table(heading, rows, "lllrrrrrrl")
        heading = ("method", "bits", "MB", "FLOPs 1e9", *TASKS, "average", "remark")
        alignment = "ll" + "r" * (len(TASKS) + 3) + "l"
        rows = [_glue_row(row, compared) for row, compared in self.glue]
        glue = markdown_table(heading, rows, alignment)
        return _PAGE.format(counted=counted, compared=compared, glue=glue)

    def as_dict(self) -> dict[str, Any]:
        """Returns the table as plain data for JSON."""
        return {
            "published": [
                {
                    **dataclasses.asdict(row),
                    "arguments": dict(row.arguments),
                    "compared": [
                        {**dataclasses.asdict(c), "reproduced": c.reproduced}
                        for c in compared
                    ],
                }
                for row, compared in self.lines
            ],
            "glue": [
                {
                    **dataclasses.asdict(row),
                    "compared": [
                        {**dataclasses.asdict(c), "reproduced": c.reproduced}
                        for c in compared
                    ],
                }
                for row, compared in self.glue
            ],
            "counted": {
                name: {k: v for k, v in count.as_dict().items() if k != "layers"}
                for name, count in self.counts.items()
            },
        }


def model_table(
    names: Sequence[str] | None = None,
    create: Callable[..., tf.keras.Model] = create_model,
    progress: Callable[[str], None] | None = None,
) -> ModelTable:
    """Makes and counts models, and puts the counts beside the published figures.

    Args:
        names: The models to count. Defaults to `None`, all of `list_models()`.
        create: Makes a model from its name and arguments. Defaults to `create_model`.
        progress: Is called with the name of each model before it is made. Defaults to
            `None`.

    Returns:
        The table: all published rows, with a comparison where the model was counted.

    Raises:
        ValueError: If there is no such model; the message names the nearest ones.

    Example:
        >>> table = model_table(["tiny_residual_bnn"])
        >>> table.counts["tiny_residual_bnn"].bops
        9861120
    """
    names = list_models() if names is None else list(names)
    by_plain = {plain(name): name for name in names}
    known: dict[tuple[str, tuple[tuple[str, Any], ...]], OpCount] = {}

    def count(name: str, arguments: tuple[tuple[str, Any], ...]) -> OpCount:
        if (name, arguments) not in known:
            if progress is not None:
                progress(name)
            known[name, arguments] = count_ops(create(name, **dict(arguments)))
        return known[name, arguments]

    counts = {name: count(name, ()) for name in names}
    lines = []
    for row in PUBLISHED:
        compared: tuple[Comparison, ...] = ()
        name = by_plain.get(plain(row.counted_model))
        if name is not None and any(getattr(row, figure) for figure in COUNTED):
            compared = row.compare(count(name, row.arguments))
        lines.append((row, compared))
    glue = []
    for line in GLUE:
        compared = ()
        if line.counted_as is not None and line.counted_as[0] in names:
            compared = line.compare(count(*line.counted_as))
        glue.append((line, compared))
    return ModelTable(tuple(lines), counts, tuple(glue))


def _row(row: PublishedFigures, compared: tuple[Comparison, ...]) -> tuple[str, ...]:
    found = {c.figure: c for c in compared}
    rest = "flops" if row.qops is None else "qops"
    whole = "ops" if row.ace is None else "ace"
    accuracy = (row.top1, row.top5)
    return (
        row.label if row.data == "ImageNet" else f"{row.label} ({row.data})",
        row.source,
        row.bits,
        _cell(row, "bops", found),
        _cell(row, rest, found) + (" (4/8 bits)" if rest == "qops" else ""),
        _cell(row, whole, found),
        _cell(row, "size", found),
        *("" if value is None else f"{value:.1f}" for value in accuracy),
        _remark(row),
    )


def _glue_row(row: GlueRow, compared: tuple[Comparison, ...]) -> tuple[str, ...]:
    counted = {c.figure: f" ({c.counted})" for c in compared if not c.reproduced}
    return (
        row.method + (", augmented" if row.augmented else ""),
        row.bits,
        row.size.text + counted.get("size", ""),
        row.flops.text + counted.get("flops", ""),
        *("" if score is None else f"{score:g}" for score in row.scores),
        "" if row.average is None else row.average.text,
        row.note,
    )


def _remark(row: PublishedFigures) -> str:
    remarks = [row.note] if row.note else []
    by_reason = itertools.groupby(row.corrections, lambda c: (c.reason, c.misprint))
    for (reason, misprint), group in by_reason:
        corrections = list(group)
        printed = " and ".join(
            f"{c.figure.upper().replace('OPS', 'OPs')} {getattr(row, c.figure).text}"
            for c in corrections
        )
        right = " and ".join(c.right for c in corrections)
        what = "misprinted for" if misprint else "not reproduced, counted"
        remarks.append(f"{printed}: {what} {right}; {reason}.")
    return " ".join(remarks)


def _cell(row: PublishedFigures, figure: str, found: dict[str, Comparison]) -> str:
    printed = getattr(row, figure)
    if printed is None:
        return ""
    text = printed.text
    unit = ""
    if figure == "size":
        unit = " MiB" if printed.unit == 2**20 else " MB"
    elif figure in ("flops", "ops") and printed.unit == 1e9:
        unit = "e9"
    elif figure == "ace":
        unit = "e9 ACE"
    if figure not in found:
        return f"{text}{unit} ?"
    if found[figure].reproduced:
        return f"{text}{unit}"
    return f"{text}{unit} ({found[figure].counted})"
