"""Whether a .tflite and its model agree layer by layer, signs held equal.

One sign that turns moves everything behind it, so outputs alone cannot tell rounding
from a fault. Here the model computes with the signs that the file computed: every
layer is judged on equal inputs, and nothing of an earlier difference reaches it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.auditing import BINARY_CONVOLUTION
from converters.freezing import FrozenModel, Sign
from converters.runtime import Interpreter

TIE = 1e-5
# A sign tensor of the file that differs in more places is another one.
_SAME = 0.01
_MATCHING_SAMPLES = 2
_VALUES_AT_ONCE = 2**25
_WORD = 32


@dataclasses.dataclass(frozen=True)
class LayerParity:
    """The signs in front of one layer, in the model and in the file.

    Attributes:
        layer: Name of the layer.
        values: Number of signs compared.
        ties: Signs that differ where the value is within 1e-5 of zero, on the scale of
            the layer (its root mean square over an input).
        wrong: Signs that differ elsewhere.
        farthest: The largest such value in front of a differing sign, on that scale.
    """

    layer: str
    values: int
    ties: int
    wrong: int
    farthest: float


@dataclasses.dataclass(frozen=True)
class Parity:
    """What the comparison found.

    Attributes:
        layers: The layers whose signs were found in the file, in order of execution.
        untraced: Layers whose signs the file does not hold as bits.
        diverging: The first layer whose signs in the file are nowhere near those that
            the model computes from the file's own signs before it, or `None`.
        tied: Whether an input has a sign that differs by a tie, (samples,).
        outputs: What the model returns given the signs of the file, by name.
    """

    layers: tuple[LayerParity, ...]
    untraced: tuple[str, ...]
    diverging: str | None
    tied: np.ndarray
    outputs: dict[str, np.ndarray]

    @property
    def first_wrong(self) -> str | None:
        """The first layer at which the two differ by more than ties."""
        wrong = [layer.layer for layer in self.layers if layer.wrong]
        return wrong[0] if wrong else self.diverging


def compare_layers(
    frozen: FrozenModel,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
) -> Parity:
    """Compares a file with its model layer by layer.

    Args:
        frozen: The model.
        interpreter: Runs the file.
        arrays: The inputs by the model's names, (samples, ...).

    Returns:
        The comparison.
    """
    file = interpreter.file
    bits = [
        tensor
        for operator in file.operators
        for tensor in operator.outputs
        if operator.name in (BINARY_CONVOLUTION, "LceQuantize", "LceBMaxPool2d")
        and file.dtype(tensor) == np.int32
    ]
    samples = len(next(iter(arrays.values())))
    with frozen.session() as run:
        judge = _Judge(frozen, run, interpreter, bits)
        first = {name: array[:_MATCHING_SAMPLES] for name, array in arrays.items()}
        pairs, diverging = judge.match(first)
        tensors = sorted(set(pairs.values()))
        size = sum(math.prod(file.shape(tensor)) * _WORD for tensor in pairs.values())
        batch = max(1, _VALUES_AT_ONCE // max(1, size))
        tallies = {sign: _Tally() for sign in pairs}
        tied = np.zeros(samples, bool)
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, samples, batch):
            part = slice(start, start + batch)
            given = {name: array[part] for name, array in arrays.items()}
            words = interpreter.intermediate(given, tensors)
            values, outputs = judge.values_under(given, pairs, words)
            for sign, value in values.items():
                differs = (value < 0) != _negative(words[pairs[sign]], sign.channels)
                tied[part] |= tallies[sign].add(value, differs)
            parts.append(outputs)
    untraced = [sign.layer for sign in frozen.signs if sign not in pairs]
    return Parity(
        layers=tuple(tally.of(sign.layer) for sign, tally in tallies.items()),
        untraced=tuple(layer for layer in untraced if layer != diverging),
        diverging=diverging,
        tied=tied,
        outputs={
            name: np.concatenate([part[name] for part in parts])
            for name in frozen.outputs
        },
    )


class _Tally:
    """Counts the differing signs of a layer over batches."""

    def __init__(self) -> None:
        self.values = self.ties = self.wrong = 0
        self.farthest = 0.0

    def add(self, value: np.ndarray, differs: np.ndarray) -> np.ndarray:
        """Returns for each sample whether it has a differing sign."""
        flat = value.reshape(len(value), -1)
        differs = differs.reshape(len(value), -1)
        self.values += flat.size
        if not differs.any():
            return differs.any(axis=1)
        scale = np.sqrt(np.square(flat, dtype=np.float64).mean(axis=1, keepdims=True))
        distance = np.abs(flat) / np.maximum(scale, np.finfo(np.float32).tiny)
        distance = distance[differs]
        self.ties += int((distance <= TIE).sum())
        # A comparison with nan is false.
        self.wrong += int((~(distance <= TIE)).sum())
        self.farthest = max(self.farthest, float(distance.max()))
        return differs.any(axis=1)

    def of(self, layer: str) -> LayerParity:
        """Returns the counts as those of a layer."""
        return LayerParity(layer, self.values, self.ties, self.wrong, self.farthest)


class _Judge:
    """Finds the model's signs among the file's bits, and computes under them."""

    def __init__(
        self,
        frozen: FrozenModel,
        run: Any,
        interpreter: Interpreter,
        bits: Sequence[int],
    ):
        self._frozen = frozen
        self._run = run
        self._interpreter = interpreter
        self._bits = bits

    def match(
        self, arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[Sign, int], str | None]:
        """Returns the tensor of the file for each sign, and where they part.

        A sign is found by its values. One that turned early may have moved what lies
        behind it, so the search goes on under the signs that are found already.
        """
        words = self._interpreter.intermediate(arrays, self._bits)
        pairs: dict[Sign, int] = {}
        while True:
            found = len(pairs)
            values, _ = self.values_under(arrays, pairs, words, all_signs=True)
            missing = []
            for sign in self._frozen.signs:
                if sign in pairs:
                    continue
                fitting = {
                    tensor: _mismatch(values[sign], array)
                    for tensor, array in words.items()
                    if _packed(values[sign].shape) == array.shape
                }
                best = min(fitting, key=lambda tensor: fitting[tensor], default=None)
                if best is not None and fitting[best] <= _SAME:
                    pairs[sign] = best
                elif best is not None:
                    missing.append(sign.layer)
            if len(pairs) == found or not missing:
                break
        ordered = {sign: pairs[sign] for sign in self._frozen.signs if sign in pairs}
        return ordered, missing[0] if missing else None

    def values_under(
        self,
        arrays: Mapping[str, np.ndarray],
        pairs: Mapping[Sign, int],
        words: Mapping[int, np.ndarray],
        all_signs: bool = False,
    ) -> tuple[dict[Sign, np.ndarray], dict[str, np.ndarray]]:
        """Returns what the model has in front of its signs, given the file's."""
        frozen = self._frozen
        feeds: dict[str, np.ndarray] = {
            frozen.inputs[name]: array for name, array in arrays.items()
        }
        signs = list(frozen.signs if all_signs else pairs)
        for sign, tensor in pairs.items():
            negative = _negative(words[tensor], sign.channels)
            feeds[sign.sign] = np.where(negative, np.float32(-1), np.float32(1))
        fetched = self._run(
            feeds, [*(sign.value for sign in signs), *frozen.outputs.values()]
        )
        outputs = dict(zip(frozen.outputs, fetched[len(signs) :]))
        return dict(zip(signs, fetched)), outputs


def _packed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of signs when 32 channels lie in a word."""
    return (*shape[:-1], -(-shape[-1] // _WORD))


def _negative(words: np.ndarray, channels: int) -> np.ndarray:
    """Unpacks bits: 1 stands for -1, the first channel lies lowest."""
    little = np.ascontiguousarray(words, "<i4").view(np.uint8)
    bits = np.unpackbits(little, axis=-1, bitorder="little", count=channels)
    return bits.astype(bool)


def _mismatch(value: np.ndarray, words: np.ndarray) -> float:
    return float(((value < 0) != _negative(words, value.shape[-1])).mean())
