"""A dozen test images with their predictions, for the report of a run."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.recipes.runs import Run

_EACH = 6
_LARGEST = 128


@dataclasses.dataclass(frozen=True)
class Sample:
    """A test image with its prediction.

    Attributes:
        image: A PNG.
        true: Its class.
        predicted: The class that the model gives it.
        score: The score of the prediction if it is a probability, or `None`.
    """

    image: bytes
    true: str
    predicted: str
    score: float | None

    @property
    def is_right(self) -> bool:
        """Whether the prediction is correct."""
        return self.true == self.predicted


@dataclasses.dataclass(frozen=True)
class Samples:
    """Some test images that a model predicts correctly, and some that it does not.

    Attributes:
        right: Number of test images that are predicted correctly.
        images: Number of test images.
        samples: At most six of each kind, spread evenly over the test images.
    """

    right: int
    images: int
    samples: tuple[Sample, ...]

    @classmethod
    def of(
        cls,
        images: np.ndarray,
        labels: np.ndarray,
        scores: np.ndarray,
        class_names: tuple[str, ...],
    ) -> Samples:
        """Chooses samples from the test images.

        Args:
            images: Float32 in [-1, 1], (images, height, width, 1 or 3).
            labels: The true classes, (images,).
            scores: A score for each class, (images, classes).
            class_names: Names of the classes.
        """
        predicted = scores.argmax(axis=1)
        are_shares = scores.min(initial=0) >= 0 and scores.max(initial=0) <= 1
        hits = predicted == labels
        samples = tuple(
            Sample(
                _png(images[index]),
                class_names[labels[index]],
                class_names[predicted[index]],
                float(scores[index].max()) if are_shares else None,
            )
            for index in (*_spread(hits), *_spread(~hits))
        )
        return cls(int(hits.sum()), len(labels), samples)

    @classmethod
    def read(cls, run: Run) -> Samples | None:
        """Reads the samples of a run, `None` if there are none or they are damaged."""
        try:
            content = json.loads((run.folder / _FILE).read_text(encoding="utf-8"))
            return cls(
                int(content["right"]), int(content["images"]),
                tuple(map(_read, content["samples"])),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, run: Run) -> None:
        """Writes the samples into the folder of a run."""
        facts = [dataclasses.asdict(sample) for sample in self.samples]
        for fact in facts:
            fact["image"] = base64.b64encode(fact["image"]).decode()
        content = {"right": self.right, "images": self.images, "samples": facts}
        run.write_text(_FILE, json.dumps(content) + "\n")


_FILE = "samples.json"


def _read(fact: dict[str, Any]) -> Sample:
    score = fact["score"]
    return Sample(
        base64.b64decode(fact["image"], validate=True),
        str(fact["true"]),
        str(fact["predicted"]),
        None if score is None else float(score),
    )


def _spread(where: np.ndarray) -> list[int]:
    """Returns a few indices of true values, spread evenly over all."""
    places = np.flatnonzero(where)
    if len(places) <= _EACH:
        return places.tolist()
    return places[np.linspace(0, len(places) - 1, _EACH).astype(int)].tolist()


def _png(image: np.ndarray) -> bytes:
    height, width = image.shape[:2]
    largest = max(height, width)
    if largest > _LARGEST:
        size = [max(1, side * _LARGEST // largest) for side in (height, width)]
        image = tf.image.resize(image, size, antialias=True).numpy()
    pixels = np.clip(np.round((image + 1) * 127.5), 0, 255).astype(np.uint8)
    return tf.io.encode_png(pixels).numpy()
