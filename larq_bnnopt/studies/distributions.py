"""Distributions of an optimizer's averages over all binary weights, as histograms."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from larq_bnnopt.studies.pictures import colors, series_of
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.texts import drawable

if TYPE_CHECKING:
    import tensorflow as tf
    from matplotlib.axes import Axes

    from larq_bnnopt.datasets import Dataset
    from larq_bnnopt.studies.arm import Arm

_BINS = 60
# Symbol -> the range of its histogram and the unit.
_RANGES = {"u": (4.0, "root mean squares"), "m": (1.0, "share of the largest")}


def averages(model: tf.keras.Model, data: Dataset) -> dict[str, list[float]]:
    """Returns the histograms of u and m over all binary weights, for `Study.after`.

    Args:
        model: A model trained by Diode.
        data: Its data; not used.
    """
    from larq_bnnopt.callbacks import binary_kernels
    from larq_bnnopt.callbacks.probe_recorder import averages_of
    from larq_bnnopt.callbacks.rates import trainers_of

    kernels = list(binary_kernels(model).values())
    trainers = trainers_of(model.optimizer, kernels)
    states = [averages_of(one, kernel) for one, kernel in zip(trainers, kernels)]
    return {
        f"histogram_{name}": histogram(
            np.concatenate([state[name].numpy().ravel() for state in states]), name
        )
        for name in _RANGES
    }


def histogram(values: np.ndarray, name: str) -> list[float]:
    """Returns the share of values in each bin of a range that is symmetric about zero.

    Args:
        values: The values.
        name: `"u"`, divided by its root mean square, or `"m"`, divided by its largest.
            Values beyond the range count in the last bin.

    Example:
        >>> shares = histogram(np.array([-1.0, 1.0, 1.0, 1.0]), "m")
        >>> len(shares), shares[0], shares[-1]
        (60, 0.25, 0.75)
    """
    limit, _ = _RANGES[name]
    scale = np.sqrt(np.mean(np.square(values))) if name == "u" else np.abs(values).max()
    scaled = np.clip(values / (scale or 1.0), -limit, limit)
    counts, _ = np.histogram(scaled, _BINS, (-limit, limit))
    return [float(count) / len(values) for count in counts]


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The distribution of an average over the binary weights, a line a setting.

    Attributes:
        name: `"u"` or `"m"`.
    """

    name: str

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws the mean histogram of each setting's seeds."""
        limit, unit = _RANGES[self.name]
        edges = np.linspace(-limit, limit, _BINS + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        color: Any
        for arm, color in zip(arms, colors(arms)):
            found = series_of(results, arm.name, f"histogram_{self.name}")
            if found.size:
                axes.plot(
                    middles,
                    100 * found.mean(axis=0),
                    color=color,
                    lw=1.6,
                    label=drawable(arm.name),
                )
        axes.set_xlabel(f"{self.name} ({unit})")
        axes.set_ylabel("binary weights (%)")
        axes.legend(fontsize="small", frameon=False)
