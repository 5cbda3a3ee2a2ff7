"""`Probes`: which weights `FlipMonitor` records, and at which steps."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import Union

import numpy as np

from larq_bnnopt.texts import require_known


@dataclasses.dataclass(frozen=True)
class Probes:
    """Chooses the weights whose gradients and averages `FlipMonitor` records.

    A sample has the same weights in each training with its seed: it depends on the name
    and the size of a kernel, and on no other layer.

    Args:
        weights: Number of weights of each binary kernel, drawn at random; or the
            indices of weights by the name of their layer, flat, in C order. Defaults
            to `4`.
        every: Number of steps from one record to the next. Defaults to `1`.
        seed: Seed of the sample. Defaults to `0`.
        bins: Number of bins of a histogram. Defaults to `100`.

    Raises:
        TypeError: If a number is no whole number, or `weights` neither a number nor
            indices by layer.
        ValueError: If a number is too small, or `weights` names no weight.

    Example:
        >>> Probes(weights={"dense": [0, 3]}).chosen({"dense": (2, 2)})
        {'dense': array([0, 3])}
        >>> Probes(weights=2).chosen({"dense": (2, 2), "head": (4,)})
        {'dense': array([0, 3]), 'head': array([2, 3])}
    """

    weights: Union[int, Mapping[str, Sequence[int]]] = 4
    every: int = 1
    seed: int = 0
    bins: int = 100

    def __post_init__(self) -> None:
        """Checks the numbers, before a model is there."""
        for name, least in (("every", 1), ("seed", 0), ("bins", 1)):
            _require_whole(name, getattr(self, name), least)
        if not isinstance(self.weights, Mapping):
            _require_whole("weights", self.weights, 1)
            return
        if not any(len(indices) for indices in self.weights.values()):
            raise ValueError(
                "weights names no weight. Give a number for each layer, or indices as "
                'in {"conv": [0, 1]}.'
            )
        for layer, indices in self.weights.items():
            for index in indices:
                _require_whole(f"an index of {layer}", index, 0)

    def chosen(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
        """Returns the flat indices of the weights, int64, by layer.

        Args:
            shapes: The shape of each binary kernel, by the name of its layer.

        Raises:
            ValueError: If `weights` names a layer or an index that is not there.
        """
        sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
        if not isinstance(self.weights, Mapping):
            return {name: self._sample(name, size) for name, size in sizes.items()}
        for layer, indices in self.weights.items():
            require_known("binary kernel", layer, sizes)
            if max(indices, default=0) >= sizes[layer]:
                raise ValueError(
                    f"The kernel of {layer} has {sizes[layer]} weights. Received: the "
                    f"index {max(indices)}"
                )
        return {
            name: np.array(self.weights[name], np.int64)
            for name in shapes
            if len(self.weights.get(name, ()))
        }

    def _sample(self, name: str, size: int) -> np.ndarray:
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        number = min(int(self.weights), size)  # type: ignore[arg-type]
        return np.sort(generator.choice(size, number, replace=False))


def _require_whole(name: str, value: object, least: int) -> None:
    """Raises unless a value is a whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number. Received: {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}. Received: {value}")
