"""The search for the tensors of a graph in a file, by their values."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

P = TypeVar("P")


class TensorMatcher(abc.ABC, Generic[P]):
    """Finds the tensors of a file that hold the places of a graph.

    A difference early in the graph may change all later places. Therefore places that
    are found are given the values of the file while the others are searched.

    Attributes:
        largest_distance: A tensor that is further away is another one.
        shapes: Shapes of the places as they were last computed, without the batch.
    """

    largest_distance: float

    def __init__(self) -> None:
        self.shapes: dict[P, tuple[int, ...]] = {}

    def match(
        self,
        places: Sequence[P],
        arrays: Mapping[str, np.ndarray],
        tensors: Mapping[int, np.ndarray],
    ) -> tuple[dict[P, int], P | None]:
        """Returns the tensor of the file for each place, and the first mismatch.

        Args:
            places: Places of the graph, in the order of execution.
            arrays: The inputs by the model's names, (samples, ...).
            tensors: Tensors of the file for these inputs, by index.

        Returns:
            The places that were found, and the first one for which there are tensors
            in the file, but none with its values.
        """
        samples = len(next(iter(arrays.values())))
        pairs: dict[P, int] = {}
        unlike: list[P] = []
        while True:
            before = len(pairs)
            left = [place for place in places if place not in pairs]
            values = self.values(left, arrays, pairs, tensors)
            unlike = []
            for place, value in zip(left, values):
                self.shapes[place] = value.shape[1:]
                distances = {
                    tensor: self.distance(place, value, array, samples)
                    for tensor, array in tensors.items()
                    if self.fits(place, value, tensor, array)
                }
                best = min(distances, key=lambda t: distances[t], default=None)
                if best is not None and distances[best] <= self.largest_distance:
                    pairs[place] = best
                elif best is not None:
                    unlike.append(place)
            if len(pairs) == before or not unlike:
                break
        found = {place: pairs[place] for place in places if place in pairs}
        return found, next(iter(unlike), None)

    @abc.abstractmethod
    def values(
        self,
        places: Sequence[P],
        arrays: Mapping[str, np.ndarray],
        pairs: Mapping[P, int],
        tensors: Mapping[int, np.ndarray],
    ) -> list[np.ndarray]:
        """Returns the values of places, given those of the file in other places.

        Args:
            places: Places of the graph.
            arrays: The inputs by the model's names.
            pairs: The places that are given, and the tensors of the file that hold
                them.
            tensors: These tensors.
        """

    @abc.abstractmethod
    def fits(self, place: P, value: np.ndarray, tensor: int, array: np.ndarray) -> bool:
        """Whether a tensor of the file may hold a place, whatever its values."""

    @abc.abstractmethod
    def distance(
        self, place: P, value: np.ndarray, array: np.ndarray, samples: int
    ) -> float:
        """Returns the distance between the values of a place and of a tensor."""
