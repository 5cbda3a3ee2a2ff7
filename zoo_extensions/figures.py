"""The papers' published figures as data, with what is known to be misprinted.

Sources, as named in `PublishedFigures.source`:

- paper 001: "Understanding weight-magnitude hyperparameters in training binary
  networks" (Quist et al.), tables 2 and 3.
- paper 002: "MeliusNet: can binary neural networks achieve MobileNet-level accuracy?"
  (Bethge et al.), tables 1 to 4.
- paper 003: "Enhancing optimization robustness in 1-bit neural networks through
  stochastic sign descent" (Guo et al.), table 1.
- BMXNet-v2 wiki: the authors of paper 002 on their own runs,
  github.com/hpi-xnor/BMXNet-v2-wiki, page CurrentBestResults.
- BNext README: github.com/hpi-xnor/BNext.

Accuracies of 32-bit and other networks are as these papers quote them. Table 1 of paper
003 prints a binary ratio too, which follows from its other columns. No figures of
ReActNet-B and -C are in these sources, so there are none here.
"""

from __future__ import annotations

import dataclasses
import decimal
import difflib
from collections.abc import Iterator
from typing import Any

from zoo_extensions.counting import BINARY_SPEEDUP, OpCount

COUNTED = ("bops", "flops", "qops", "ops", "size")


@dataclasses.dataclass(frozen=True)
class Printed:
    """A figure with the digits that a table prints.

    Attributes:
        text: The digits, with a `~` in front where the table says "about".
        unit: What they are multiples of.

    Example:
        >>> ops = Printed("2.08", 1e8)
        >>> ops.value
        208000000.0
        >>> ops.agreement(208_130_048), ops.agreement(208_900_000)
        ('rounded', 'cut off')
    """

    text: str
    unit: float = 1.0

    @property
    def value(self) -> float:
        """The number."""
        return float(
            decimal.Decimal(self.text.lstrip("~")) * decimal.Decimal(self.unit)
        )

    def digits(self, counted: float) -> str:
        """Returns a number in this figure's unit, rounded to as many digits."""
        return str(self._quantize(counted, decimal.ROUND_HALF_UP))

    def agreement(self, counted: float) -> str | None:
        """Tells how a number has the printed digits.

        Args:
            counted: The number.

        Returns:
            `"rounded"`, `"cut off"` where the digits behind the last were dropped, or
            `None` where it has other digits.
        """
        printed = decimal.Decimal(self.text.lstrip("~"))
        if self._quantize(counted, decimal.ROUND_HALF_UP) == printed:
            return "rounded"
        if self._quantize(counted, decimal.ROUND_DOWN) == printed:
            return "cut off"
        return None

    def _quantize(self, counted: float, rounding: str) -> decimal.Decimal:
        number = decimal.Decimal(counted) / decimal.Decimal(self.unit)
        last = decimal.Decimal(self.text.lstrip("~"))
        return number.quantize(last, rounding=rounding)


@dataclasses.dataclass(frozen=True)
class Correction:
    """What a printed figure should be.

    Attributes:
        figure: Which one, such as `"ops"`.
        right: The digits that counting gives.
        reason: How it is known.
        misprint: `False` where the table may follow a rule that nobody wrote down.
    """

    figure: str
    right: str
    reason: str
    misprint: bool = True


@dataclasses.dataclass(frozen=True)
class PublishedFigures:
    """One row of a published table.

    Attributes:
        model: Name of the network; `create_model` makes those of `list_models()`.
        label: What the table calls it.
        source: Paper and table.
        arguments: Arguments for `create_model`, as pairs.
        bits: Bits of weights and of activations.
        data: The data set.
        bops: Binary multiplications.
        flops: Float multiplications.
        qops: Multiplications in 4 or 8 bits.
        ops: All in the time of float ones.
        size: Size of the weights in bytes. What a table prints as MB is taken for 2^20
            bytes where counting shows that it is, and for 10^6 otherwise.
        top1: Top-1 accuracy in percent.
        top5: Top-5 accuracy in percent.
        last_dense: Whether the dense layer in which the network ends is counted.
        rest_speedup: How many multiplications that are not binary make one of `ops`:
            1 in float, 8 where they have 8 bits.
        normalization_in_size: Whether `size` holds two values for each normalized
            channel.
        size_is_counted: `False` where the size stands for a group of networks, or
            for weights of other widths than 1 and 32 bits.
        corrections: Figures that cannot be right, or that counting does not give.
        note: What else to know.
    """

    model: str
    label: str
    source: str
    arguments: tuple[tuple[str, Any], ...] = ()
    bits: str = "1/1"
    data: str = "ImageNet"
    bops: Printed | None = None
    flops: Printed | None = None
    qops: Printed | None = None
    ops: Printed | None = None
    size: Printed | None = None
    top1: float | None = None
    top5: float | None = None
    last_dense: bool = True
    rest_speedup: int = 1
    normalization_in_size: bool = True
    size_is_counted: bool = True
    corrections: tuple[Correction, ...] = ()
    note: str = ""

    @property
    def right_ops(self) -> float | None:
        """Operations, the corrected ones where the printed ones are a misprint."""
        if self.ops is None:
            return None
        right = self._correction("ops")
        if right is not None and right.misprint:
            return Printed(right.right, self.ops.unit).value
        return self.ops.value

    def compare(self, count: OpCount) -> tuple[Comparison, ...]:
        """Compares the row with a count of its network, by the row's own rule.

        Args:
            count: What `count_ops` says of the network.

        Returns:
            A comparison for each figure that can be counted.
        """
        compared = []
        for figure, counted in self._counted(count).items():
            printed = getattr(self, figure)
            if printed is None or printed.text.startswith("~"):
                continue
            verdict = printed.agreement(counted)
            correction = self._correction(figure)
            if correction is not None and verdict is None:
                right = Printed(correction.right, printed.unit)
                if right.agreement(counted) is not None:
                    verdict = "misprint" if correction.misprint else "differs"
            digits = printed.text if verdict == "cut off" else printed.digits(counted)
            compared.append(
                Comparison(
                    figure, printed.text, digits, counted, verdict or "contradicts"
                )
            )
        return tuple(compared)

    def _counted(self, count: OpCount) -> dict[str, float]:
        rest = count.flops
        if not self.last_dense and count.last_dense is not None:
            rest -= count.last_dense.float_macs
        bits = count.memory_bits
        if not self.normalization_in_size:
            bits -= sum(
                layer.memory_bits
                for layer in count.layers
                if layer.kind == "BatchNormalization"
            )
        counted: dict[str, float] = {
            "bops": count.bops,
            "flops": rest,
            "qops": rest,
            "ops": count.bops / BINARY_SPEEDUP + rest / self.rest_speedup,
        }
        if self.size_is_counted:
            counted["size"] = bits / 8
        return counted

    def _correction(self, figure: str) -> Correction | None:
        return next((c for c in self.corrections if c.figure == figure), None)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A printed figure beside the counted one.

    Attributes:
        figure: Which one, such as `"ops"`.
        printed: The digits of the table.
        counted: The count with as many digits.
        value: The count itself.
        verdict: `"rounded"` or `"cut off"` where the digits are the same, `"misprint"`
            or `"differs"` where they are those of a `Correction`, `"contradicts"`
            where they are neither.
    """

    figure: str
    printed: str
    counted: str
    value: float
    verdict: str

    @property
    def reproduced(self) -> bool:
        """Whether the count has the printed digits."""
        return self.verdict in ("rounded", "cut off")


def published(model: str) -> tuple[PublishedFigures, ...]:
    """Returns what has been published of a network.

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
        near = difflib.get_close_matches(model, names, cutoff=0.4) or names
        raise ValueError(
            f"No published figures of {model!r}. Nearest: {', '.join(near)}."
        )
    return rows


def plain(name: str) -> str:
    """Returns a name without what `published` does not care for.

    Example:
        >>> plain("MeliusNet_A") == plain("meliusnet-a")
        True
    """
    return name.lower().replace("_", "").replace("-", "")


_STEM_7X7 = (("stem", "conv7x7"),)
_GROUPED_STEM = (("stem", "grouped"),)
_NO_SQUEEZE_EXCITE = (("squeeze_excite", False),)


def _bops(text: str) -> Printed:
    return Printed(text, 1e9)


def _ops(text: str) -> Printed:
    return Printed(text, 1e8)


def _mib(text: str) -> Printed:
    return Printed(text, 2**20)


def _mb(text: str) -> Printed:
    return Printed(text, 1e6)


def _table_1_of_002() -> Iterator[PublishedFigures]:
    # Its FLOPs and OPs leave out the last dense layer; its MB are 2^20 bytes.
    later = Correction(
        "ops", "5.32", "table 4 of the paper and the authors' wiki print 5.32"
    )
    transition = (
        "The third transition is printed as 224/704; 704 channels cannot arise, and "
        "288/832 gives the printed figures."
    )
    for name, label, bops, flops, ops, size, top1, top5, corrections, note in (
        ("22", "22", "4.62", "1.35", "2.08", "3.9", 63.6, 84.7, (), ""),
        ("29", "29", "5.47", "1.29", "2.14", "5.1", 65.8, 86.2, (), ""),
        ("42", "42", "9.69", "1.74", "3.25", "10.1", 69.2, 88.3, (), ""),
        ("59", "59", "18.3", "2.45", "5.25", "17.4", 71.0, 89.7, (later,), ""),
        ("_a", "A", "4.85", "0.86", "1.62", "4.0", 63.4, 84.2, (), ""),
        ("_b", "B", "5.72", "1.06", "1.96", "5.0", 65.7, 85.9, (), ""),
        ("_c", "C", "4.35", "0.82", "1.50", "4.5", 64.1, 85.0, (), transition),
    ):
        yield PublishedFigures(
            f"meliusnet{name}",
            f"MeliusNet{label}",
            "paper 002, table 1",
            bops=_bops(bops),
            flops=_ops(flops),
            ops=_ops(ops),
            size=_mib(size),
            top1=top1,
            top5=top5,
            last_dense=False,
            corrections=corrections,
            note=note,
        )


_DENSENET37 = Correction(
    "ops", "2.70", "the authors' wiki prints 2.70 for the same network"
)


def _table_2_of_002() -> Iterator[PublishedFigures]:
    # The sizes, about 4.0 and 5.1 MB, are those of groups of rows. 1.93 is reached with
    # the last dense layer only; the wiki of the authors prints 1.92.
    e34 = "By the logs of its runs, this is a ResNetE34."
    for name, label, arguments, ops, top1, last_dense, corrections, note in (
        ("resnet_e18", "ResNetE18, original training", _STEM_7X7,
         "1.63", 58.1, False, (), ""),
        ("resnet_e18", "ResNetE18", _STEM_7X7, "1.63", 60.0, False, (), ""),
        ("resnet_e18", "ResNetE18, grouped stem", _GROUPED_STEM,
         "1.14", 60.6, False, (), ""),
        ("binary_densenet28", "BinaryDenseNet28, original training", _STEM_7X7,
         "2.58", 60.7, False, (), ""),
        ("binary_densenet28", "BinaryDenseNet28", _STEM_7X7,
         "2.58", 61.7, False, (), ""),
        ("binary_densenet28", "BinaryDenseNet28, grouped stem", _GROUPED_STEM,
         "2.09", 62.6, False, (), ""),
        ("meliusnet22", "MeliusNet22, 7x7 stem", _STEM_7X7,
         "2.57", 62.8, False, (), ""),
        ("meliusnet22", "MeliusNet22", (), "2.08", 63.6, False, (), ""),
        ("birealnet34", "Bi-RealNet34, original training", (),
         "1.93", 62.2, True, (), ""),
        ("resnet_e34", "Bi-RealNet34", _STEM_7X7, "1.93", 63.3, True, (), e34),
        ("resnet_e34", "Bi-RealNet34, grouped stem", _GROUPED_STEM,
         "1.43", 63.7, False, (), e34),
        ("binary_densenet37", "BinaryDenseNet37, original training", _STEM_7X7,
         "2.71", 62.5, False, (_DENSENET37,), ""),
        ("binary_densenet37", "BinaryDenseNet37", _STEM_7X7,
         "2.71", 63.3, False, (_DENSENET37,), ""),
        ("binary_densenet37", "BinaryDenseNet37, grouped stem", _GROUPED_STEM,
         "2.20", 64.2, False, (), ""),
        ("meliusnet29", "MeliusNet29, 7x7 stem", _STEM_7X7,
         "2.63", 64.9, False, (), ""),
        ("meliusnet29", "MeliusNet29", (), "2.14", 65.8, False, (), ""),
    ):  # fmt: skip
        yield PublishedFigures(
            name,
            label,
            "paper 002, table 2",
            arguments,
            ops=_ops(ops),
            top1=top1,
            last_dense=last_dense,
            corrections=corrections,
            note=note,
        )


def _table_3_of_002() -> Iterator[PublishedFigures]:
    # Each method has two columns, for networks of about 4 and 5.1 MB. What stands in
    # tables 1 and 2 as well is left out.
    for name, label, bits, top1, size, ops in (
        ("bwn18", "BWN", "1/32", 60.8, "4", "18.1"),
        ("ttq18", "TTQ", "2/32", 66.6, "5.3", "18.1"),
        ("hwgq18", "HWGQ", "1/2", 59.6, "4", "~2.4"),
        ("hwgq34", "HWGQ", "1/2", 64.3, "5.1", "~3.4"),
        ("lqnet18", "LQ-Net", "1/2", 62.6, "4", "~2.4"),
        ("lqnet34", "LQ-Net", "1/2", 66.6, "5.1", "~3.4"),
        ("syq18", "SYQ", "1/2", 55.4, "4", "~2.4"),
        ("dorefa18", "DoReFa", "2/2", 62.6, "5.3", "~2.4"),
        ("ensemble18", "Ensemble", "(1/1)x6", 61.0, None, None),
        ("circulant_cnn18", "Circulant-CNN", "(1/1)x4", 61.4, None, None),
        ("abc_net18", "ABC-Net", "(1/1)x5", 65.0, "8.7", "7.8"),
        ("groupnet18", "GroupNet", "(1/1)x5", 67.0, "9.2", "2.68"),
        ("groupnet34", "GroupNet", "(1/1)x5", 70.5, "15.3", "4.13"),
        ("bnn18", "BNN", "1/1", 42.2, None, "1.57"),
        ("xnornet18", "XNOR-Net", "1/1", 51.2, None, "1.59"),
        ("birealnet18", "Bi-RealNet", "1/1", 56.4, None, "1.63"),
        ("xnornet_plus18", "XNOR-Net++", "1/1", 57.1, None, "1.59"),
        ("strong_baseline18", "Strong Baseline", "1/1", 60.9, None, "1.82"),
        ("resnet18", "32-bit baseline", "32/32", 69.3, "46.8", "18.1"),
        ("resnet34", "32-bit baseline", "32/32", 73.3, "87.2", "36.6"),
    ):
        yield PublishedFigures(
            name,
            label,
            "paper 002, table 3",
            bits=bits,
            ops=None if ops is None else _ops(ops),
            size=None if size is None else _mb(size),
            top1=top1,
            last_dense=False,
        )


def _table_4_of_002() -> Iterator[PublishedFigures]:
    # 5.1, 10 and 17 MB are printed once for a group of rows. MobileNet's operations
    # hold its last layer.
    for name, label, arguments, bits, size, counted, ops, top1, last_dense in (
        ("birealnet34", "Bi-RealNet34, original training", (), "1/1",
         "5.1", False, "1.93", 62.2, True),
        ("mobilenet_v1_0.5", "MobileNet-v1 0.5", (), "32/32",
         "5.1", False, "1.49", 63.7, True),
        ("resnet_e34", "Bi-RealNet34, grouped stem", _GROUPED_STEM, "1/1",
         "5.1", False, "1.43", 63.7, False),
        ("meliusnet_c", "MeliusNetC", (), "1/1", "4.5", True, "1.50", 64.1, False),
        ("mobilenet_v1_0.75", "MobileNet-v1 0.75", (), "32/32",
         "10", False, "3.25", 68.4, True),
        ("meliusnet42", "MeliusNet42", (), "1/1", "10", False, "3.25", 69.2, False),
        ("mobilenet_v1_1.0", "MobileNet-v1 1.0", (), "32/32",
         "17", False, "5.69", 70.6, True),
        ("meliusnet59", "MeliusNet59", (), "1/1", "17", False, "5.32", 71.0, False),
    ):  # fmt: skip
        yield PublishedFigures(
            name,
            label,
            "paper 002, table 4",
            arguments,
            bits=bits,
            ops=_ops(ops),
            size=_mib(size) if counted else _mb(size),
            top1=top1,
            last_dense=last_dense,
            size_is_counted=counted,
        )


def _wiki_of_002() -> Iterator[PublishedFigures]:
    lower = "The paper prints 71.0 and 89.7 for this network."
    for name, label, arguments, ops, size, top1, top5, note in (
        ("resnet_e18", "ResNetE18", _STEM_7X7, "1.63", "4.0", 60.0, 81.9, ""),
        ("resnet_e18", "ResNetE18, grouped stem", _GROUPED_STEM,
         "1.14", "3.98", 60.6, 82.4, ""),
        ("resnet_e34", "ResNetE34", _STEM_7X7, "1.92", "5.23", 63.2, 84.7, ""),
        ("resnet_e34", "ResNetE34, grouped stem", _GROUPED_STEM,
         "1.43", "5.21", 63.7, 84.9, ""),
        ("binary_densenet28", "DenseNet28", _STEM_7X7, "2.58", "4.04", 61.7, 83.3, ""),
        ("binary_densenet28", "DenseNet28, grouped stem", _GROUPED_STEM,
         "2.09", "4.03", 62.6, 84.0, ""),
        ("binary_densenet37", "DenseNet37", _STEM_7X7, "2.70", "5.13", 63.3, 84.4, ""),
        ("binary_densenet37", "DenseNet37, grouped stem", _GROUPED_STEM,
         "2.20", "5.12", 64.2, 85.1, ""),
        ("meliusnet22", "MeliusNet22, 7x7 stem", _STEM_7X7,
         "2.58", "3.89", 62.9, 84.3, ""),
        ("meliusnet22", "MeliusNet22", (), "2.08", "3.88", 63.6, 84.7, ""),
        ("meliusnet29", "MeliusNet29, 7x7 stem", _STEM_7X7,
         "2.64", "5.08", 64.9, 85.7, ""),
        ("meliusnet29", "MeliusNet29", (), "2.14", "5.07", 65.8, 86.2, ""),
        ("meliusnet42", "MeliusNet42", (), "3.25", "10.1", 69.2, 88.3, ""),
        ("meliusnet59", "MeliusNet59", (), "5.32", "17.39", 70.7, 89.2, lower),
        ("meliusnet_a", "MeliusNetA", (), "1.63", "4.05", 63.4, 84.2, ""),
        ("meliusnet_b", "MeliusNetB", (), "1.96", "5.0", 65.7, 85.9, ""),
        ("meliusnet_c", "MeliusNetC", (), "1.50", "4.46", 64.1, 85.0, ""),
    ):  # fmt: skip
        yield PublishedFigures(
            name,
            label,
            "BMXNet-v2 wiki",
            arguments,
            ops=_ops(ops),
            size=_mib(size),
            top1=top1,
            top5=top5,
            last_dense=False,
            note=note,
        )


def _table_1_of_003() -> Iterator[PublishedFigures]:
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
    # Paper 002 prints 46.8 MB for it, which are 44.6 times 2^20 bytes.
    yield PublishedFigures(
        "resnet18",
        "ResNet-18",
        source,
        bits="32/32",
        flops=_ops("18.0"),
        size=_mib("44.6"),
        top1=69.6,
    )
    for name, label, bops, flops, ops, size, top1, corrections in (
        ("bnn18", "BNN", "1.70", "1.20", "1.47", "4.2", 42.2, ()),
        ("xnornet18", "XNOR-Net", "1.70", "1.20", "1.47", "4.2", 51.2, ()),
        ("xnornet_plus18", "XNOR-Net ++", "1.70", "1.20", "1.47", "4.2", 57.1, ()),
        ("birealnet18", "Bi-RealNet-18", "1.68", "1.39", "1.65", "4.2", 56.4, near),
        ("bop18", "BOP", "1.68", "1.63", "1.89", "4.2", 56.4, twice),
        ("real_to_binary18", "Real2Binary-Net", "1.67", "1.56", "1.82", "5.1", 65.4,
         ()),
        ("reactnet_bireal18", "ReActNet-BiR18", "1.68", "1.63", "1.89", "4.2", 65.9,
         twice),
        ("reactnet_bireal18", "ReCU", "1.68", "1.63", "1.89", "4.2", 66.4, twice),
    ):  # fmt: skip
        yield PublishedFigures(
            name,
            label,
            source,
            bops=_bops(bops),
            flops=_ops(flops),
            ops=_ops(ops),
            size=_mb(size),
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
    for label, arguments, qops, ops, size, top1, wrong in (
        ("BNext-18", (), "1.35", "0.43", "2.2", 67.9, rest),
        ("BNext-18† (Adam)", _NO_SQUEEZE_EXCITE, "0.24", "0.27", "2.0", 67.5, dagger),
        ("BNext-18† (Diode)", _NO_SQUEEZE_EXCITE, "0.24", "0.27", "2.0", 68.2, dagger),
    ):
        yield PublishedFigures(
            "bnext18",
            label,
            source,
            arguments,
            bops=_bops("1.68"),
            qops=_ops(qops),
            ops=_ops(ops),
            size=_mb(size),
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
            bops=_bops("4.82"),
            flops=_ops("0.12"),
            ops=_ops("0.87"),
            size=_mib("7.4"),
            top1=top1,
            normalization_in_size=False,
        )


def _tables_of_001() -> Iterator[PublishedFigures]:
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


def _readme_of_bnext() -> Iterator[PublishedFigures]:
    # Its column "BOPs" holds all operations, 8-bit ones as an eighth.
    for name, ops, top1 in (
        ("tiny", "0.077", 72.4),
        ("small", "0.172", 76.1),
        ("middle", "0.317", 78.3),
        ("large", "0.819", 80.6),
    ):
        yield PublishedFigures(
            f"bnext_{name}",
            f"BNext-{name.capitalize()}",
            "BNext README",
            ops=Printed(ops, 1e9),
            top1=top1,
            rest_speedup=8,
        )


PUBLISHED: tuple[PublishedFigures, ...] = (
    *_tables_of_001(),
    *_table_1_of_002(),
    *_table_2_of_002(),
    *_table_3_of_002(),
    *_table_4_of_002(),
    *_wiki_of_002(),
    *_table_1_of_003(),
    *_readme_of_bnext(),
)
