"""How well a model does on test images."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets import Dataset


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The predictions of a model on the test images of a data set.

    Attributes:
        accuracy: Share of correct predictions.
        confusion: Counts, (true class, predicted class).
        class_names: Names of the classes.
    """

    accuracy: float
    confusion: np.ndarray
    class_names: tuple[str, ...]

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the confusion matrix into a file.

        Args:
            path: File of the picture; its suffix chooses the format.
        """
        from matplotlib.figure import Figure

        classes = len(self.class_names)
        size = 3.5 + 0.42 * min(classes, 40)
        figure = Figure(figsize=(size, size), layout="constrained")
        axes = figure.add_subplot()
        totals = self.confusion.sum(axis=1, keepdims=True)
        shares = self.confusion / np.maximum(totals, 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"Accuracy {self.accuracy:.1%} of {totals.sum():,} test images")
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if classes <= 40:
            ticks = range(classes)
            axes.set_xticks(ticks, self.class_names, rotation=45, ha="right")
            axes.set_yticks(ticks, self.class_names)
        if classes <= 20:
            for (row, column), count in np.ndenumerate(self.confusion):
                if count:
                    colour = "white" if shares[row, column] > 0.5 else "black"
                    axes.text(
                        column, row, str(count), ha="center", va="center", c=colour
                    )
        figure.savefig(path, dpi=120)


def evaluate(model: tf.keras.Model, data: Dataset) -> Evaluation:
    """Compares the predictions of a model with the labels of the test images.

    Args:
        model: A classifier for the images of the data set.
        data: The data set.

    Returns:
        Accuracy and confusion matrix.
    """
    images, labels = data.test_arrays()
    predictions = model.predict(images, data.batch_size, verbose=0).argmax(axis=1)
    confusion = np.zeros((data.num_classes, data.num_classes), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    accuracy = float((labels == predictions).mean())
    return Evaluation(accuracy, confusion, data.class_names)
