"""`Measure`: a number of a run, such as the test accuracy of its last epoch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.texts import require_known

_SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
    "highest": max,
    "lowest": min,
    "mean": lambda values: math.fsum(values) / len(values),
}


# What is known of a run that diverged: it guesses in the epochs that are left. Its
# other series end early.
OF_DIVERGED = ("val_accuracy",)


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number of a run.

    Attributes:
        name: The number, or the series, in the result of a run.
        label: What it is called in a sentence.
        of: Which value of a series it is: last, first, highest, lowest or mean.
        is_share: Whether it is shown in percent, and differences in points.

    Raises:
        ValueError: If there is no such value.

    Example:
        >>> run = RunResult.of_numbers("arm", 0, series={"loss": [2.0, 1.0]})
        >>> Measure("loss", "loss", "lowest", is_share=False).value(run)
        1.0
    """

    name: str
    label: str
    of: str = "last"
    is_share: bool = True

    def __post_init__(self) -> None:
        require_known("value of a series", self.of, _SUMMARIES)

    def value(self, run: RunResult) -> float | None:
        """Returns the number of a run, `None` if the run has none."""
        if run.diverged and self.name not in OF_DIVERGED:
            return None
        if self.name in run.numbers:
            return run.numbers[self.name]
        values = [v for v in run.series.get(self.name, ()) if v is not None]
        return _SUMMARIES[self.of](values) if values else None

    def text(self, value: float) -> str:
        """Returns a value as text.

        Example:
            >>> TEST_ACCURACY.text(0.5), TEST_ACCURACY.text(1.0)
            ('50.0 %', '100.0 %')
        """
        if not self.is_share:
            return f"{value:.3g}"
        percent = 100 * value
        return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"

    def difference_text(self, value: float) -> str:
        """Returns a difference of two values with its sign, without its unit.

        Example:
            >>> TEST_ACCURACY.difference_text(-0.021)
            '-2.1'
        """
        scaled = 100 * value if self.is_share else value
        if scaled == 0 or not math.isfinite(scaled):
            return "0" if scaled == 0 else f"{scaled:+}".replace("inf", "infinity")
        return f"{scaled:+.1f}" if abs(scaled) >= 1 else f"{scaled:+.2g}"

    @property
    def unit(self) -> str:
        """The unit of a difference, after a blank, or nothing."""
        return " points" if self.is_share else ""


TEST_ACCURACY = Measure("val_accuracy", "test accuracy")
TRAIN_LOSS = Measure("loss", "training loss", is_share=False)
MEAN_FLIPS = Measure("flip_ratio", "mean FF ratio", "mean")
LAST_FLIPS = Measure("flip_ratio", "FF ratio of the last epoch")
C2I = Measure("c2i_ratio", "C2I ratio")
