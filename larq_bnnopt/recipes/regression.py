"""Errors of a model that predicts numbers: mean absolute error and R2."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Regression:
    r"""The predictions of a model for the test inputs of a regression.

    \[ \text{MAE} = \frac{1}{n} \sum_i |y_i - \hat{y}_i|, \quad
    R^2 = 1 - \frac{\sum_i (y_i - \hat{y}_i)^2}{\sum_i (y_i - \bar{y})^2} \]

    for each number of a label; of several numbers the means of both.

    Attributes:
        mean_absolute_error: MAE, in the unit of the labels.
        r2: Coefficient of determination: 1 is perfect, 0 as good as the mean of the
            labels.
        names: Names of the numbers of a label.
        errors: MAE of each number.
        scores: R2 of each number.
        inputs: Number of test inputs.
        metrics: Further metrics of the data set by name, such as `"pearson"`. Defaults
            to none.
    """

    mean_absolute_error: float
    r2: float
    names: tuple[str, ...]
    errors: tuple[float, ...]
    scores: tuple[float, ...]
    inputs: int
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls, labels: np.ndarray, predictions: np.ndarray, names: tuple[str, ...]
    ) -> Regression:
        """Compares predictions with labels, in float64.

        Args:
            labels: The true numbers, (inputs, numbers).
            predictions: What the model predicts, of the same shape.
            names: Names of the numbers.

        Raises:
            ValueError: If the shapes differ, or a prediction is not finite.

        Example:
            >>> import numpy as np
            >>> labels = np.array([[1.0], [2.0], [3.0]])
            >>> found = Regression.of(labels, labels + 0.5, ("size",))
            >>> found.mean_absolute_error, found.r2
            (0.5, 0.625)
        """
        if predictions.shape != labels.shape:
            raise ValueError(
                f"The model predicts {predictions.shape[1:]} numbers for an input, and "
                f"the data has {labels.shape[1:]}."
            )
        wrong = int((~np.isfinite(predictions).all(axis=1)).sum())
        if wrong:
            raise ValueError(f"The predictions of {wrong:,} inputs are not finite.")
        true = labels.astype(np.float64)
        off = true - predictions.astype(np.float64)
        errors = np.abs(off).mean(axis=0)
        spread = np.square(true - true.mean(axis=0)).sum(axis=0)
        squares = np.square(off).sum(axis=0)
        # As scikit-learn's r2_score: of equal labels 1 if all are hit, else 0.
        shares = squares / np.where(spread, spread, 1)
        scores = np.where(spread, 1 - shares, np.where(squares, 0.0, 1.0))
        return cls(
            float(errors.mean()),
            float(scores.mean()),
            names,
            tuple(errors.tolist()),
            tuple(scores.tolist()),
            len(labels),
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the errors as plain data for JSON."""
        facts = dataclasses.asdict(self)
        metrics = facts.pop("metrics")
        return {**facts, **metrics}

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the errors of each number as texts, after a heading."""
        numbers = zip(self.names, self.errors, self.scores)
        rows = [(name, f"{error:.4g}", f"{r2:.4f}") for name, error, r2 in numbers]
        return [("number", "mean absolute error", "R2"), *rows]
