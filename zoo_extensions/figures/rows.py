"""One row of a published table, and its comparison with a count."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import Any

from zoo_extensions.figures.units import ReportedValue
from zoo_extensions.op_count import BINARY_SPEEDUP, OpCount

COUNTED = ("bops", "flops", "qops", "ops", "ace", "size")


@dataclasses.dataclass(frozen=True)
class Correction:
    """The right value of a printed figure.

    Attributes:
        figure: Which one, such as `"ops"`.
        right: The digits that counting gives.
        reason: Why it is right.
        misprint: `False` if the table may follow an unpublished rule.
    """

    figure: str
    right: str
    reason: str
    misprint: bool = True


@dataclasses.dataclass(frozen=True)
class PublishedFigures:
    """One row of a published table.

    Attributes:
        model: Name of the network, which may not be one of `list_models()`.
        label: Its name in the table.
        source: Paper and table.
        arguments: Arguments for `create_model`, as pairs.
        counted_as: The network of `list_models()` that has its counts, where it is
            none itself.
        bits: Bits of weights and of activations.
        data: The data set.
        bops: Binary multiplications.
        flops: Float multiplications.
        qops: Multiplications in 4 or 8 bits.
        ops: Operations: all multiplications, in units of a float one.
        binary_ratio: Share of binary operations in `ops`, in percent.
        ace: Each multiplication times the bits of both its factors.
        size: Size of the weights in bytes. MB of a table are 2^20 bytes where counting
            confirms it, and 10^6 otherwise.
        top1: Top-1 accuracy in percent.
        top5: Top-5 accuracy in percent.
        last_dense: Whether the dense layer in which the network ends is counted.
        rest_speedup: Number of multiplications that are not binary in one of `ops`: 1
            in float, 8 in 8 bits.
        bit_products: Of the multiplications that are not binary, the bits of both
            factors in `ace`, by a pattern of the layer's name; the first one counts.
        normalization_in_size: Whether `size` holds two values for each normalized
            channel.
        size_is_counted: `False` where the size stands for a group of networks, or
            for weights of other widths than 1 and 32 bits.
        corrections: Figures that are wrong, or that counting does not reproduce.
        note: A remark.
    """

    model: str
    label: str
    source: str
    arguments: tuple[tuple[str, Any], ...] = ()
    bits: str = "1/1"
    data: str = "ImageNet"
    bops: ReportedValue | None = None
    flops: ReportedValue | None = None
    qops: ReportedValue | None = None
    ops: ReportedValue | None = None
    binary_ratio: ReportedValue | None = None
    ace: ReportedValue | None = None
    size: ReportedValue | None = None
    top1: float | None = None
    top5: float | None = None
    last_dense: bool = True
    rest_speedup: int = 1
    bit_products: tuple[tuple[str, int], ...] = ()
    normalization_in_size: bool = True
    size_is_counted: bool = True
    corrections: tuple[Correction, ...] = ()
    counted_as: str = ""
    note: str = ""

    @property
    def right_ops(self) -> float | None:
        """Operations, the corrected ones where the printed ones are a misprint."""
        if self.ops is None:
            return None
        right = self._correction("ops")
        if right is not None and right.misprint:
            return ReportedValue(right.right, self.ops.unit).value
        return self.ops.value

    @property
    def counted_model(self) -> str:
        """Name of the network to count."""
        return self.counted_as or self.model

    @property
    def derived_ratio(self) -> float | None:
        """Share of binary operations in percent, from the printed BOPs and OPs."""
        if self.bops is None or self.ops is None:
            return None
        return 100 * self.bops.value / BINARY_SPEEDUP / self.ops.value

    def compare(self, count: OpCount) -> tuple[Comparison, ...]:
        """Compares the row with a count of its network, by the row's own rule.

        Args:
            count: The result of `count_ops` for the network.

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
                right = ReportedValue(correction.right, printed.unit)
                if right.agreement(counted) is not None:
                    verdict = "misprint" if correction.misprint else "differs"
            digits = printed.text if verdict == "truncated" else printed.digits(counted)
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
        if self.bit_products:
            counted["ace"] = count.bops + sum(
                layer.float_macs * self._bit_product(layer.name)
                for layer in count.layers
            )
        if self.size_is_counted:
            counted["size"] = bits / 8
        return counted

    def _bit_product(self, layer: str) -> int:
        return next(
            bits
            for pattern, bits in self.bit_products
            if fnmatch.fnmatchcase(layer, pattern)
        )

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
        verdict: `"rounded"` or `"truncated"` where the digits agree, `"misprint"` or
            `"differs"` where they agree with a `Correction`, `"contradicts"` where
            they agree with neither.
    """

    figure: str
    printed: str
    counted: str
    value: float
    verdict: str

    @property
    def reproduced(self) -> bool:
        """Whether the count has the printed digits."""
        return self.verdict in ("rounded", "truncated")
