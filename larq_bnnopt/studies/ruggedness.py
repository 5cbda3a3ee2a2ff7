"""How rugged the loss around a trained model is: a number, and a panel of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.texts import drawable

if TYPE_CHECKING:
    import tensorflow as tf
    from matplotlib.axes import Axes

    from larq_bnnopt.datasets import Dataset

# 300 test images, 21 x 21 points to a fifth of the length of the weights.
_BATCHES, _BATCH_SIZE, _POINTS, _SPAN = 3, 100, 21, 0.2


def around(model: tf.keras.Model, data: Dataset) -> dict[str, Any]:
    """Returns the losses around a trained model, for `Study.after`.

    Args:
        model: The model.
        data: Its data, of whose test images the first are taken.

    Returns:
        `ruggedness`, and `landscape`, the losses row by row.
    """
    from larq_bnnopt.studies.landscape import loss_landscape

    images = data.test.unbatch().batch(_BATCH_SIZE).take(_BATCHES)
    found = loss_landscape(model, images, points=_POINTS, span=_SPAN)
    return {
        "ruggedness": ruggedness(found.losses),
        "landscape": found.losses.ravel().tolist(),
    }


def ruggedness(losses: np.ndarray) -> float:
    r"""Returns how much steps of the loss change from one to the next.

    \[ \sqrt{\overline{(\Delta^2 L)^2} \, / \, \overline{(\Delta L)^2}} \]

    over the rows and the columns of a plane. It does not depend on the scale of the
    loss: a smooth surface has little, independent noise has \(\sqrt 3\).

    Args:
        losses: Losses on a square grid.

    Example:
        >>> slope = np.add.outer(np.arange(4.0), np.arange(4.0))
        >>> ruggedness(slope), ruggedness(slope % 2)
        (0.0, 2.0)
    """
    squares = [
        np.mean(
            [
                np.mean(np.diff(losses, order, axis=0) ** 2),
                np.mean(np.diff(losses, order, axis=1) ** 2),
            ]
        )
        for order in (1, 2)
    ]
    return float(np.sqrt(squares[1] / squares[0])) if squares[0] else 0.0


@dataclasses.dataclass(frozen=True)
class Contours:
    """The losses around one trained model of a setting, of its first seed.

    Attributes:
        arm: The setting.
    """

    arm: str

    def draw(
        self, axes: Axes, arms: Sequence[Arm], results: Sequence[RunResult]
    ) -> None:
        """Draws contours, the trained model in the middle."""
        runs = [run for run in results if run.arm == self.arm]
        axes.set_title(drawable(self.arm), fontsize="medium")
        axes.set_xlabel("step along direction 1")
        axes.set_ylabel("step along direction 2")
        if not runs:
            return
        losses = np.array(runs[0].series["landscape"], float)
        points = round(len(losses) ** 0.5)
        steps = np.linspace(-_SPAN, _SPAN, points)
        drawn = axes.contourf(
            steps, steps, losses.reshape(points, points).T, levels=25, cmap="viridis"
        )
        axes.plot(0, 0, "+", color="white", ms=12, mew=2)
        ticks = np.linspace(-_SPAN, _SPAN, 5)
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
        axes.figure.colorbar(drawn, ax=axes, label="loss")
