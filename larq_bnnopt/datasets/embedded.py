"""The data set that comes with the package: a sample of Fashion-MNIST."""

from __future__ import annotations

import importlib.resources

import numpy as np

from larq_bnnopt.datasets.dataset import EMBEDDED, Source
from larq_bnnopt.datasets.pipelines import in_memory

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def embedded() -> Source:
    """Returns the source of the data set in the package."""
    folder = importlib.resources.files("larq_bnnopt.datasets") / "data"
    with (folder / f"{EMBEDDED}.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        train, test = (
            (arrays[f"x_{split}"][..., np.newaxis], arrays[f"y_{split}"])
            for split in ("train", "test")
        )
    return in_memory(train, test, _CLASSES, EMBEDDED)
