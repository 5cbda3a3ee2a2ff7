"""A dozen test images with what a model says of them, for the page of a run."""

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
    """A test image and what a model says of it.

    Attributes:
        image: A PNG.
        true: Its class.
        predicted: The class that the model gives it.
        score: The score of that, if it is a share of one, or `None`.
    """

    image: bytes
    true: str
    predicted: str
    score: float | None

    @property
    def is_right(self) -> bool:
        """Whether the model is right."""
        return self.true == self.predicted


@dataclasses.dataclass(frozen=True)
class Samples:
    """Some test images of which a model is right, and some of which it is wrong.

    Attributes:
        right: Number of test images of which it is right.
        images: Number of all.
        samples: Six of each, or as many as there are, evenly over the test images.
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
        """Chooses them.

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
        """Returns those of a run, `None` where it has none that can be read."""
        try:
            content = json.loads((run.folder / _FILE).read_text(encoding="utf-8"))
            return cls(
                int(content["right"]), int(content["images"]),
                tuple(map(_read, content["samples"])),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, run: Run) -> None:
        """Writes them into the folder of a run."""
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
    """Returns a few of the places that hold, evenly over all."""
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
