"""The picture of a result: panels side by side, as a study lists them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.measures import Measure
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.statistics import interval
from larq_bnnopt.texts import drawable
from larq_bnnopt.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL = (5.2, 4.0)


class Panel(Protocol):
    """A part of a picture."""

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws results into Matplotlib axes."""


@dataclasses.dataclass(frozen=True)
class Curves:
    """A series over the epochs, a line a setting: mean and range of the seeds.

    Attributes:
        name: The series.
        label: The label of its axis.
        is_share: Whether it is shown in percent.
        log: Whether its axis is logarithmic.
        x_label: The label of the other axis.
        arms: The settings to draw; all if there is none.
    """

    name: str
    label: str
    is_share: bool = True
    log: bool = False
    x_label: str = "epoch"
    arms: Sequence[str] = ()

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws a line for each setting."""
        shown = [arm for arm in arms if not self.arms or arm.name in self.arms]
        for arm, color in zip(shown, colors(shown)):
            lines = series_of(results, arm.name, self.name)
            if not lines.size:
                continue
            lines = lines * (100 if self.is_share else 1)
            if self.log:
                lines = np.where(lines > 0, lines, np.nan)
            x = np.arange(1, lines.shape[1] + 1)
            known = ~np.isnan(lines).all(axis=0)
            if not known.any():
                continue
            x, lines = x[known], lines[:, known]
            marker = "o" if len(x) == 1 else None
            mean = np.nanmean(lines, axis=0)
            axes.plot(
                x, mean, color=color, lw=1.6, marker=marker, label=drawable(arm.name)
            )
            low, high = np.nanmin(lines, axis=0), np.nanmax(lines, axis=0)
            axes.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
        if self.log:
            axes.set_yscale("log")
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.label + (" (%)" if self.is_share else ""))
        axes.legend(fontsize="small", edgecolor="none", framealpha=0.8)


@dataclasses.dataclass(frozen=True)
class Traces:
    """Several series of the first run of a setting, each scaled to the same range.

    Attributes:
        names: The series, with what they are called.
        arm: The setting.
        x_label: The label of the horizontal axis.
        label: The label of the vertical one.
    """

    names: Mapping[str, str]
    arm: str
    x_label: str = "step"
    label: str = "scaled to one range"

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws a line for each series."""
        run = next((one for one in results if one.arm == self.arm), None)
        if run is None:
            return
        for index, (name, label) in enumerate(self.names.items()):
            values = np.array(run.series.get(name, ()), dtype=float)
            if not values.size or not np.nanmax(np.abs(values)):
                continue
            values = values / np.nanmax(np.abs(values))
            steps = np.arange(1, len(values) + 1)
            axes.plot(
                steps, values, color=f"C{index}", lw=0.6 + 0.5 * index, label=label
            )
        axes.axhline(0, color="0.5", lw=0.6)
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.label)
        axes.legend(fontsize="small", edgecolor="none", framealpha=0.8)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A measure against the number that a sweep turns, a line a group of settings.

    Attributes:
        measure: The measure.
        x_label: The label of the horizontal axis.
        log: Whether that axis is logarithmic.
        log_y: Whether the axis of the measure is.
    """

    measure: Measure
    x_label: str
    log: bool = True
    log_y: bool = False

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws the runs as dots, and their means as lines."""
        scale = 100 if self.measure.is_share else 1
        swept = [(arm.name, arm.x, arm.group) for arm in arms if arm.x is not None]
        groups = list(dict.fromkeys(group for *_, group in swept))
        for index, group in enumerate(groups):
            points = [
                (x, [scale * v for v in _values(results, name, self.measure)])
                for name, x, of in swept
                if of == group
            ]
            points = [(x, values) for x, values in points if values]
            color = f"C{index}"
            for x, values in points:
                axes.plot([x] * len(values), values, "o", color=color, ms=3, alpha=0.5)
            axes.plot(
                [x for x, _ in points],
                [np.mean(values) for _, values in points],
                color=color,
                lw=1.6,
                label=drawable(group),
            )
        if self.log:
            axes.set_xscale("log")
        if self.log_y:
            axes.set_yscale("log")
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(_labelled(self.measure))
        if any(groups):
            axes.legend(fontsize="small", edgecolor="none", framealpha=0.8)


@dataclasses.dataclass(frozen=True)
class Dots:
    """A measure of every run, a row a setting, with mean and 95 % interval.

    Attributes:
        measure: The measure.
        arms: The settings to draw; all if there is none.
    """

    measure: Measure
    arms: Sequence[str] = ()

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws a row for each setting, the first one at the top."""
        names = [arm.name for arm in arms if not self.arms or arm.name in self.arms]
        for row, name in enumerate(names):
            values = _values(results, name, self.measure)
            _draw_row(axes, row, self.measure, values)
        axes.set_yticks(range(len(names)), [drawable(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(_labelled(self.measure))


@dataclasses.dataclass(frozen=True)
class Rows:
    """Several measures of every run of a setting, a row a measure, with mean.

    Attributes:
        measures: The measures, with what they are called.
        arm: The setting.
        x_label: The label of the horizontal axis.
        log: Whether that axis is logarithmic.
    """

    measures: Mapping[str, Measure]
    arm: str
    x_label: str
    log: bool = False

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws a row for each measure, the first one at the top."""
        for row, measure in enumerate(self.measures.values()):
            _draw_row(axes, row, measure, _values(results, self.arm, measure))
        if self.log:
            axes.set_xscale("log")
        axes.set_yticks(range(len(self.measures)), list(map(drawable, self.measures)))
        axes.set_ylim(len(self.measures) - 0.4, -0.6)
        axes.set_xlabel(self.x_label)


def draw(
    title: str,
    panels: Sequence[Panel],
    arms: Sequence[Arm],
    results: Sequence[RunResult],
    path: str | os.PathLike[str],
) -> None:
    """Draws the picture of a study.

    Args:
        title: What stands above it.
        panels: Its parts, from left to right.
        arms: The settings.
        results: Their results.
        path: The file; its suffix selects the format.
    """
    # Not by pyplot, which would keep global state and might open a window.
    from matplotlib.figure import Figure

    width, height = _PANEL
    count = len(panels)
    figure = Figure(figsize=(width * count, height), layout="constrained")
    if any(run.quick for run in results):
        title += ": a quick run, which shows nothing"
    figure.suptitle(drawable(title), fontsize="medium")
    for axes, panel in zip(figure.subplots(1, count, squeeze=False)[0], panels):
        panel.draw(axes, arms, results)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def colors(arms: Sequence[Arm]) -> list[Any]:
    """Returns a color a setting: in order where a sweep turns one number."""
    import matplotlib

    if len(arms) > 2 and all(arm.x is not None for arm in arms):
        colors = matplotlib.colormaps["viridis"]
        return [colors(0.92 * index / (len(arms) - 1)) for index in range(len(arms))]
    return [f"C{index % 10}" for index in range(len(arms))]


def series_of(results: Sequence[RunResult], arm: str, name: str) -> np.ndarray:
    """Returns a series of a setting, a row a run, NaN where there is no number."""
    rows = [
        run.series[name] for run in results if run.arm == arm and name in run.series
    ]
    width = max(map(len, rows), default=0)
    padded = [[*row, *[None] * (width - len(row))] for row in rows]
    return np.array(padded, dtype=float)


def _values(results: Sequence[RunResult], arm: str, measure: Measure) -> list[float]:
    values = (measure.value(run) for run in results if run.arm == arm)
    return [value for value in values if value is not None]


def _draw_row(axes: Axes, row: int, measure: Measure, values: Sequence[float]) -> None:
    """Draws values as dots, with their mean and its 95 % interval below them."""
    if not values:
        return
    values = [(100 if measure.is_share else 1) * value for value in values]
    axes.plot(values, [row] * len(values), "o", color="C0", ms=4, alpha=0.5)
    found = interval(values)
    axes.plot(found.mean, row + 0.25, "D", color="black", ms=4)
    if len(values) > 1:
        axes.hlines(row + 0.25, found.low, found.high, color="black", lw=1.2)


def _labelled(measure: Measure) -> str:
    return measure.label + (" (%)" if measure.is_share else "")
