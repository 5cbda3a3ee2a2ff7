"""Accuracy of a model on test images, by class, with the confusion matrix."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets import CLASSIFICATION, IMAGES, REGRESSION, TEXTS, Dataset
from larq_bnnopt.recipes.fitting_texts import require_texts
from larq_bnnopt.recipes.regression import Regression
from larq_bnnopt.recipes.text_metrics import METRICS
from larq_bnnopt.texts import drawable

_SHOWN_CONFUSIONS = 10
_CALLED = {CLASSIFICATION: "classifier", REGRESSION: "regression"}
# Of a picture: names of classes, and shares in the cells.
_MOST_NAMES = 40
_MOST_CELLS = 20


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """Precision and recall of a model for one class.

    Attributes:
        name: Its name.
        count: Number of test images of it.
        predicted: Number of test images that are predicted to be of it.
        right: Number of test images of it that are predicted to be of it.
    """

    name: str
    count: int
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of the images predicted as it that are of it; `None` without any."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """Share of its images that are predicted as it; `None` without any."""
        return self.right / self.count if self.count else None

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data for JSON."""
        return {
            **dataclasses.asdict(self),
            "precision": self.precision,
            "recall": self.recall,
        }


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The predictions of a model on the test images of a data set.

    Attributes:
        accuracy: Share of correct predictions.
        confusion: Counts, (true class, predicted class).
        class_names: Names of the classes.
        scores: A score for each class, (images, classes).
        kind: What the test inputs are. Defaults to `"images"`.
        metrics: Further metrics of the data set by name, such as `"f1"`. Defaults to
            none.
    """

    accuracy: float
    confusion: np.ndarray
    class_names: tuple[str, ...]
    scores: np.ndarray = dataclasses.field(repr=False)
    kind: str = IMAGES
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls, labels: np.ndarray, scores: np.ndarray, class_names: tuple[str, ...]
    ) -> Evaluation:
        """Compares scores with labels.

        Args:
            labels: The true classes, (images,), from 0.
            scores: A score for each class, (images, classes).
            class_names: Names of the classes.

        Raises:
            ValueError: If the scores are not of that many classes, or not finite.
        """
        classes = len(class_names)
        if scores.shape != (len(labels), classes):
            raise ValueError(
                f"The model gives {scores.shape[1:]} scores for an image, and the data "
                f"has {classes} classes, so it is no classifier for them."
            )
        wrong = int((~np.isfinite(scores).all(axis=1)).sum())
        if wrong:
            raise ValueError(f"The scores of {wrong:,} images are not finite.")
        predictions = scores.argmax(axis=1)
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (labels, predictions), 1)
        return cls(
            float((labels == predictions).mean()), confusion, class_names, scores
        )

    @property
    def images(self) -> int:
        """Number of test images."""
        return int(self.confusion.sum())

    def per_class(self) -> tuple[ClassResult, ...]:
        """Returns the results of the classes."""
        counts, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        right = self.confusion.diagonal()
        columns = (array.tolist() for array in (counts, predicted, right))
        return tuple(map(ClassResult, self.class_names, *columns))

    def confusions(self, most: int = _SHOWN_CONFUSIONS) -> list[tuple[str, str, int]]:
        """Returns the most frequent mistakes: true class, predicted class, count.

        Args:
            most: Number of mistakes. Defaults to `10`.
        """
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = zip(*np.unravel_index(order, wrong.shape))
        names = self.class_names
        return [(names[i], names[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]

    def as_dict(self) -> dict[str, Any]:
        """Returns the evaluation as plain data for JSON."""
        return {
            "accuracy": self.accuracy,
            **self.metrics,
            "images": self.images,
            "class_names": list(self.class_names),
            "classes": [result.as_dict() for result in self.per_class()],
            "confusion": self.confusion.tolist(),
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the confusion matrix, in percent of each true class, into a file.

        Args:
            path: File of the picture; its suffix chooses the format.
        """
        from matplotlib.figure import Figure

        classes = len(self.class_names)
        size = 3.5 + 0.42 * min(classes, _MOST_NAMES)
        figure = Figure(figsize=(size + 0.9, size), layout="constrained")
        axes = figure.add_subplot()
        totals = self.confusion.sum(axis=1, keepdims=True)
        percent = 100 * self.confusion / np.maximum(totals, 1)
        drawn = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
        bar = figure.colorbar(drawn, shrink=0.8, format="%d %%")
        bar.set_label(f"of the {self.kind} of the true class")
        axes.set_title(
            f"Accuracy {self.accuracy:.1%} of {self.images:,} test {self.kind}\n"
            "in the cells: % of the true class",
            fontsize="medium",
        )
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if classes <= _MOST_NAMES:
            ticks = range(classes)
            names = [*map(drawable, self.class_names)]
            axes.set_xticks(ticks, names, rotation=45, ha="right")
            axes.set_yticks(ticks, names)
        if classes <= _MOST_CELLS:
            for (row, column), share in np.ndenumerate(percent):
                if share:
                    colour = "white" if share > 50 else "black"
                    text = f"{share:.0f}" if share >= 0.5 else "<1"
                    axes.text(column, row, text, ha="center", va="center", c=colour)
        figure.savefig(path, dpi=120)


def evaluate(model: tf.keras.Model, data: Dataset) -> Evaluation | Regression:
    """Compares the predictions of a model with the labels of the test inputs.

    Args:
        model: A model for the inputs of the data set.
        data: The data set.

    Returns:
        Accuracy and confusion matrix; of a regression the errors.

    Raises:
        ValueError: If the model does not fit the data set.
    """
    require_fit(model, data)
    inputs, labels = data.test_arrays()
    scores = model.predict(inputs, data.batch_size, verbose=0)
    return compared(labels, scores, data)


def compared(
    labels: np.ndarray, scores: np.ndarray, data: Dataset
) -> Evaluation | Regression:
    """Compares the outputs of a model with the labels of a data set, by its task.

    Args:
        labels: The labels of the test inputs.
        scores: The outputs for them.
        data: The data set.

    Raises:
        ValueError: If the outputs do not fit, or are not finite.
    """
    result: Evaluation | Regression
    if data.task == CLASSIFICATION:
        result = Evaluation.of(labels, scores, data.class_names)
        result = dataclasses.replace(result, kind=data.kind)
    else:
        result = Regression.of(labels, scores, data.class_names)
    metrics = {}
    for name in data.metrics:
        if name in METRICS:
            metric = METRICS[name]()
            metric.update_state(labels, scores)
            metrics[name] = float(metric.result())
    return dataclasses.replace(result, metrics=metrics)


def require_fit(model: tf.keras.Model, data: Dataset) -> None:
    """Raises a ValueError unless a model fits inputs and labels of a data set.

    Args:
        model: The model.
        data: The data set.

    Raises:
        ValueError: By what does not fit.
    """
    expected_input: Any = (None, *data.input_shape)
    require_texts(model, data)
    if data.kind == TEXTS:
        expected_input = [expected_input] * len(model.inputs)
    for kind, expected in (
        ("input", expected_input),
        ("output", (None, data.num_classes)),
    ):
        shape = getattr(model, f"{kind}_shape")
        if not _fits(shape, expected):
            raise ValueError(
                f"{model.name} is no {_CALLED[data.task]} for {data.name!r}: its "
                f"{kind} is {shape} and not {expected}."
            )


def _fits(shape: Any, expected: Any) -> bool:
    """Returns whether a shape is the expected one, or leaves sizes open."""
    if isinstance(expected, list):
        return isinstance(shape, list) and all(map(_fits, shape, expected))
    fits = isinstance(shape, tuple) and len(shape) == len(expected)
    return fits and not any(a not in (None, b) for a, b in zip(shape, expected) if b)
