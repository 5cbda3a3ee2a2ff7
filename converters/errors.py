"""What goes wrong in a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converters.reports import Report


class ConversionError(Exception):
    """A model cannot be converted, or a file does not say what its model says.

    The message names the layer or the figure at fault and what to do.

    Attributes:
        report: What is known of the file that was not written, or `None`.
    """

    def __init__(self, message: str, report: Report | None = None):
        super().__init__(message)
        self.report = report
