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

from converters.comparison import SIGN_TOLERANCE, too_many_flipped
from converters.graph.graph import Alias, Graph, Sign
from converters.runtime import Interpreter
from converters.runtime.bits import (
    BINARY_CONVOLUTION,
    WORD,
    is_negative,
    packed_shape,
)

# A sign tensor of the file that differs in more places is another one: places that are
# no ties, and all of them.
_SAME = 0.01
_TIED = 0.4
# Signs are found by their values over as many samples as hold so many, at least two.
_MATCHING_VALUES = 2**20
_VALUES_AT_ONCE = 2**25


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

    @property
    def undetermined(self) -> bool:
        """Whether rounding decides more of its signs than chance explains."""
        return too_many_flipped(self.ties, self.values)


@dataclasses.dataclass(frozen=True)
class Parity:
    """What the comparison found.

    Attributes:
        layers: The layers whose signs were found in the file, in order of execution.
        untraced: Layers whose signs the file does not hold as bits.
        diverging: The first layer whose signs in the file are nowhere near those that
            the model computes from the file's own signs before it, or `None`.
        tied: Whether an input has a sign that differs by a tie, (samples,).
        near: Whether an input has a value within 1e-5 of zero in front of a sign, so
            that rounding could turn it, (samples,).
        outputs: What the model returns given the signs of the file, by name.
    """

    layers: tuple[LayerParity, ...]
    untraced: tuple[str, ...]
    diverging: str | None
    tied: np.ndarray
    near: np.ndarray
    outputs: dict[str, np.ndarray]

    @property
    def faults(self) -> tuple[int, int]:
        """Number of layers whose signs were not found in the file, and of wrong signs.

        Both are 0 only if the file was made of the graph that it is compared with.
        """
        missing = len(self.untraced) + (self.diverging is not None)
        return missing, sum(layer.wrong for layer in self.layers)

    @property
    def first_wrong(self) -> str | None:
        """The first layer at which the two differ by more than ties."""
        wrong = [layer.layer for layer in self.layers if layer.wrong]
        return wrong[0] if wrong else self.diverging


def compare_layers(
    frozen: Graph,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    rewritten: Graph | None = None,
) -> Parity:
    """Compares a file with its model layer by layer.

    Args:
        frozen: The model.
        interpreter: Runs the file.
        arrays: The inputs by the model's names, (samples, ...).
        rewritten: The graph that was converted, if it is another one. Signs that it has
            in other places than the model are judged in it; all else, and the outputs,
            in the model itself. Defaults to `None`.

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
    converted = _Judge(rewritten or frozen)
    size = sum(math.prod(file.shape(tensor)) * WORD for tensor in bits)
    count = max(2, _MATCHING_VALUES // max(1, size))
    first = {name: array[:count] for name, array in arrays.items()}
    pairs, diverging = converted.match(first, interpreter.intermediate(first, bits))
    judges = [converted]
    if rewritten is not None:
        judges.append(_Judge(frozen))
    size = sum(math.prod(file.shape(tensor)) * WORD for tensor in pairs.values())
    batch = max(1, _VALUES_AT_ONCE // max(1, size))
    tallies = {sign: _Tally() for sign in pairs}
    tied, near = np.zeros(samples, bool), np.zeros(samples, bool)
    parts: list[dict[str, np.ndarray]] = []
    for start in range(0, samples, batch):
        part = slice(start, start + batch)
        given = {name: array[part] for name, array in arrays.items()}
        words = interpreter.intermediate(given, sorted(set(pairs.values())))
        values: dict[str, np.ndarray] = {}
        for judge in judges:
            # What stands for a sign, and where it was turned, is of another graph.
            aliases = converted.aliases if judge is not converted else None
            found, outputs = judge.values_under(given, pairs, words, aliases=aliases)
            values.update(found)
        for sign, tensor in pairs.items():
            value = values[sign.sign]
            differs = (value < 0) != is_negative(words[tensor], sign.channels)
            tied[part] |= tallies[sign].add(value, differs, len(tied[part]))
            near[part] |= _nearest(value, len(near[part])) <= SIGN_TOLERANCE
        parts.append(outputs)
    traced = {sign.sign for sign in pairs}
    signs = (rewritten or frozen).signs
    untraced = [sign.layer for sign in signs if sign.sign not in traced]
    return Parity(
        layers=tuple(tally.of(sign.layer) for sign, tally in tallies.items()),
        untraced=tuple(layer for layer in untraced if layer != diverging),
        diverging=diverging,
        tied=tied,
        near=near | tied,
        outputs={
            name: np.concatenate([part[name] for part in parts])
            for name in frozen.outputs
        },
    )


def _nearest(value: np.ndarray, samples: int) -> np.ndarray:
    """Returns for each sample how near to zero its nearest value is, on its scale."""
    flat = value.reshape(samples, -1)
    scale = np.sqrt(np.einsum("ij,ij->i", flat, flat) / flat.shape[1])
    return np.abs(flat).min(axis=1) / np.maximum(scale, np.finfo(np.float32).tiny)


class _Tally:
    """Counts the differing signs of a layer over batches."""

    def __init__(self) -> None:
        self.values = self.ties = self.wrong = 0
        self.farthest = 0.0

    def add(self, value: np.ndarray, differs: np.ndarray, samples: int) -> np.ndarray:
        """Returns for each sample whether it has a differing sign."""
        # A dense layer on sequences has more rows than there are samples.
        flat = value.reshape(samples, -1)
        differs = differs.reshape(samples, -1)
        self.values += flat.size
        if not differs.any():
            return differs.any(axis=1)
        scale = np.sqrt(np.square(flat, dtype=np.float64).mean(axis=1, keepdims=True))
        distance = np.abs(flat) / np.maximum(scale, np.finfo(np.float32).tiny)
        distance = distance[differs]
        self.ties += int((distance <= SIGN_TOLERANCE).sum())
        # A comparison with nan is false.
        self.wrong += int((~(distance <= SIGN_TOLERANCE)).sum())
        self.farthest = max(self.farthest, float(distance.max()))
        return differs.any(axis=1)

    def of(self, layer: str) -> LayerParity:
        """Returns the counts as those of a layer."""
        return LayerParity(layer, self.values, self.ties, self.wrong, self.farthest)


class _Judge:
    """Finds the signs of a graph among the file's bits, and computes under them."""

    def __init__(self, frozen: Graph):
        self._frozen = frozen
        self._run = frozen.run
        self.aliases = frozen.aliases

    def match(
        self, arrays: Mapping[str, np.ndarray], words: Mapping[int, np.ndarray]
    ) -> tuple[dict[Sign, int], str | None]:
        """Returns the tensor of the file for each sign, and where they part.

        A sign is found by its values. One that turned early may have moved what lies
        behind it, so the search goes on under the signs that are found already.
        """
        pairs: dict[Sign, int] = {}
        sizes: dict[str, int] = {}
        while True:
            before = len(pairs)
            values, _ = self.values_under(arrays, pairs, words, self._frozen.signs)
            missing = []
            for sign in self._frozen.signs:
                if sign.sign in sizes:
                    continue
                value = values[sign.sign]
                fitting = {
                    tensor: _mismatch(value, array)
                    for tensor, array in words.items()
                    if packed_shape(value.shape) == array.shape
                }
                best = min(fitting, key=lambda tensor: fitting[tensor], default=None)
                if best is not None and fitting[best] <= _TIED:
                    # The graph need not know the size of the last axis.
                    sizes[sign.sign] = value.shape[-1]
                    pairs[dataclasses.replace(sign, channels=value.shape[-1])] = best
                elif best is not None:
                    missing.append(sign.layer)
            if len(pairs) == before or not missing:
                break
        place = {sign.sign: index for index, sign in enumerate(self._frozen.signs)}
        ordered = sorted(pairs, key=lambda sign: place[sign.sign])
        found = {sign: pairs[sign] for sign in ordered}
        return found, missing[0] if missing else None

    def values_under(
        self,
        arrays: Mapping[str, np.ndarray],
        pairs: Mapping[Sign, int],
        words: Mapping[int, np.ndarray],
        wanted: Sequence[Sign] = (),
        aliases: Mapping[str, Alias] | None = None,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns what this graph has in front of signs, and its outputs.

        Args:
            arrays: The inputs by the model's names.
            pairs: The tensor of the file that gives each sign.
            words: Those tensors.
            wanted: Further signs to return the values of.
            aliases: What stands in this graph for signs that it does not have.
        """
        frozen = self._frozen
        feeds: dict[str, np.ndarray] = {
            frozen.inputs[name]: array for name, array in arrays.items()
        }
        in_front = {sign.sign: sign.pre_sign for sign in frozen.signs}
        # What stands here for a sign of the file, and what that is multiplied by.
        places: dict[str, tuple[str, Any]] = {}
        for sign, tensor in pairs.items():
            negative = is_negative(words[tensor], sign.channels)
            signs = np.where(negative, np.float32(-1), np.float32(1))
            known = (aliases or {}).get(sign.sign)
            if known is not None:
                shape = [-1 if size is None else size for size in known.shape]
                if shape.count(-1) > 1:
                    shape[-1] = signs.shape[-1]
                if shape.count(-1) > 1:
                    continue
                feeds[known.tensor] = (known.factor * signs).reshape(shape)
                places[sign.sign] = known.tensor, (known.factor, signs.shape)
            elif sign.sign in in_front:
                # By name: the tensor in front of a sign may be called otherwise here.
                feeds[sign.sign] = signs
                places[sign.sign] = sign.sign, (1, signs.shape)
        for sign in wanted:
            places.setdefault(sign.sign, (sign.sign, (1, None)))
        judged = {name: at for name, at in places.items() if at[0] in in_front}
        fetches = [in_front[place] for place, _ in judged.values()]
        fetched = self._run(feeds, [*fetches, *frozen.outputs.values()])
        values = {}
        for name, value in zip(judged, fetched):
            factor, shape = judged[name][1]
            # Shaped as in the file, and turned where its sign is: that of 0 to -1.
            value = value if shape is None else value.reshape(shape)
            negated = np.where(value == 0, -np.finfo(np.float32).tiny, -value)
            values[name] = np.where(np.less(factor, 0), negated, value)
        outputs = dict(zip(frozen.outputs, fetched[len(judged) :]))
        return values, outputs


def _mismatch(value: np.ndarray, words: np.ndarray) -> float:
    """Returns the share of signs that differ, 1 if by more than ties."""
    channels = value.shape[-1]
    if is_negative(words)[..., channels:].any():
        # Another tensor: bits behind the last channel are 0.
        return 1
    differs = (value < 0) != is_negative(words, channels)
    scale = np.sqrt(np.square(value, dtype=np.float64).mean())
    clear = np.abs(value) > SIGN_TOLERANCE * scale
    if not clear.any():
        clear[:] = True
    return 1 if differs[clear].mean() > _SAME else float(differs.mean())
