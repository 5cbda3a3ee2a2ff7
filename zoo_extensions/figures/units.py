"""Values with the digits and the unit in which a table prints them."""

from __future__ import annotations

import dataclasses
import decimal


@dataclasses.dataclass(frozen=True)
class ReportedValue:
    """A value with the digits that a table prints.

    Attributes:
        text: The digits, after a `~` where the table says "about".
        unit: The unit of the digits.

    Example:
        >>> ops = ReportedValue("2.08", 1e8)
        >>> ops.value
        208000000.0
        >>> ops.agreement(208_130_048), ops.agreement(208_900_000)
        ('rounded', 'truncated')
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
        """Returns a number in this unit, rounded to as many digits."""
        return str(self._quantize(counted, decimal.ROUND_HALF_UP))

    def agreement(self, counted: float) -> str | None:
        """Tells how a number agrees with the printed digits.

        Args:
            counted: The number.

        Returns:
            `"rounded"` or `"truncated"`, whichever gives the printed digits, or `None`
            where neither does.
        """
        printed = decimal.Decimal(self.text.lstrip("~"))
        if self._quantize(counted, decimal.ROUND_HALF_UP) == printed:
            return "rounded"
        if self._quantize(counted, decimal.ROUND_DOWN) == printed:
            return "truncated"
        return None

    def _quantize(self, counted: float, rounding: str) -> decimal.Decimal:
        number = decimal.Decimal(counted) / decimal.Decimal(self.unit)
        last = decimal.Decimal(self.text.lstrip("~"))
        return number.quantize(last, rounding=rounding)


def times_1e9(text: str) -> ReportedValue:
    """Returns a value printed in units of 1e9."""
    return ReportedValue(text, 1e9)


def times_1e8(text: str) -> ReportedValue:
    """Returns a value printed in units of 1e8."""
    return ReportedValue(text, 1e8)


def mebibytes(text: str) -> ReportedValue:
    """Returns a size printed in units of 2^20 bytes."""
    return ReportedValue(text, 2**20)


def megabytes(text: str) -> ReportedValue:
    """Returns a size printed in units of 10^6 bytes."""
    return ReportedValue(text, 1e6)
