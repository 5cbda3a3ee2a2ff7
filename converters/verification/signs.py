"""Comparison of a .tflite with its model, layer by layer, given equal signs.

One sign that flips changes all later layers, so outputs alone cannot tell rounding from
a fault. Here the model computes with the signs that the file computed (teacher
forcing): every layer is compared on equal inputs, and no earlier difference reaches it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from converters.comparison import (
    SIGN_TOLERANCE,
    SignCounter,
    relative_to_rms,
    too_many_flipped,
)
from converters.graph.graph import Alias, Graph, Sign
from converters.renamed import with_old_names
from converters.runtime import Interpreter, TfliteFile
from converters.runtime.bits import (
    BINARY_CONVOLUTION,
    WORD,
    is_negative,
    packed_shape,
)
from converters.verification.tensor_matcher import TensorMatcher

# A sign tensor of the file that differs in a larger share of its places is another one:
# of the places that are not near zero, and of all.
_LARGEST_SHARE_DIFFERENT = 0.01
_LARGEST_SHARE_DIFFERENT_NEAR_ZERO = 0.4
# Signs are found by their values over as many samples as hold so many, at least two.
_MATCHING_VALUES = 2**20
_VALUES_AT_ONCE = 2**25


@with_old_names(ties="flipped_near_zero", wrong="unexplained_flips")
@dataclasses.dataclass(frozen=True)
class LayerParity:
    """The signs before one layer, in the model and in the file.

    Attributes:
        layer: Name of the layer.
        values: Number of signs compared.
        flipped_near_zero: Signs that differ where the value is within 1e-5 of zero,
            relative to the root mean square of the tensor over one input.
        unexplained_flips: Signs that differ elsewhere.
        farthest: The largest value whose sign differs, on that scale.
    """

    layer: str
    values: int
    flipped_near_zero: int
    unexplained_flips: int
    farthest: float

    @property
    def undetermined(self) -> bool:
        """Whether rounding decides more of its signs than chance explains."""
        return too_many_flipped(self.flipped_near_zero, self.values)


@dataclasses.dataclass(frozen=True)
class Parity:
    """The signs of a model beside those of its file.

    Attributes:
        layers: The layers whose signs were found in the file, in order of execution.
        untraced: Layers whose signs the file does not hold as bits.
        diverging: The first layer whose signs in the file are far from those that the
            model computes from the file's own signs before it, or `None`.
        flipped: Whether an input has a sign that differs, (samples,).
        near_zero: Whether an input has a value within 1e-5 of zero before a sign, so
            that rounding could flip it, (samples,).
        outputs: The outputs of the model given the signs of the file, by name.
    """

    layers: tuple[LayerParity, ...]
    untraced: tuple[str, ...]
    diverging: str | None
    flipped: np.ndarray
    near_zero: np.ndarray
    outputs: dict[str, np.ndarray]

    @property
    def faults(self) -> tuple[int, int]:
        """Number of layers whose signs were not found, and of unexplained flips.

        Both are 0 only if the file was made of the graph that it is compared with.
        """
        missing = len(self.untraced) + (self.diverging is not None)
        return missing, sum(layer.unexplained_flips for layer in self.layers)

    @property
    def first_mismatch(self) -> str | None:
        """The first layer at which the two differ by more than rounding."""
        wrong = [layer.layer for layer in self.layers if layer.unexplained_flips]
        return wrong[0] if wrong else self.diverging


def compare_layers(
    graph: Graph,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    rewritten: Graph | None = None,
) -> Parity:
    """Compares a file with its model layer by layer.

    Args:
        graph: The model.
        interpreter: Runs the file.
        arrays: The inputs by the model's names, (samples, ...).
        rewritten: The graph that was converted, if it is another one. Signs that only
            it has are compared in it; all others, and the outputs, in the model itself.
            Defaults to `None`.

    Returns:
        The comparison.
    """
    converted = SignComparator(rewritten or graph)
    pairs, diverging = _found(converted, interpreter, arrays)
    original = None if rewritten is None else SignComparator(graph)
    counters = {sign: SignCounter() for sign in pairs}
    samples = len(next(iter(arrays.values())))
    flipped, near_zero = np.zeros(samples, bool), np.zeros(samples, bool)
    parts: list[dict[str, np.ndarray]] = []
    for part in _batches(interpreter.file, pairs, samples):
        given = {name: array[part] for name, array in arrays.items()}
        words = interpreter.intermediate(given, sorted(set(pairs.values())))
        values, outputs = converted.run(given, pairs, words)
        if original is not None:
            aliases = converted.graph.aliases
            found, outputs = original.run(given, pairs, words, aliases=aliases)
            values.update(found)
        for sign, tensor in pairs.items():
            value = values[sign.sign]
            differs = (value < 0) != is_negative(words[tensor], sign.channels)
            distance = relative_to_rms(value, len(flipped[part]))
            differs = differs.reshape(distance.shape)
            counters[sign].add(distance.size, distance[differs])
            flipped[part] |= differs.any(axis=1)
            near_zero[part] |= distance.min(axis=1) <= SIGN_TOLERANCE
        parts.append(outputs)
    traced = {sign.sign for sign in pairs}
    untraced = [s.layer for s in converted.graph.signs if s.sign not in traced]
    return Parity(
        layers=tuple(
            LayerParity(sign.layer, **dataclasses.asdict(counter))
            for sign, counter in counters.items()
        ),
        untraced=tuple(layer for layer in untraced if layer != diverging),
        diverging=diverging,
        flipped=flipped,
        near_zero=near_zero | flipped,
        outputs={
            name: np.concatenate([part[name] for part in parts])
            for name in graph.outputs
        },
    )


def _found(
    comparator: SignComparator,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
) -> tuple[dict[Sign, int], str | None]:
    """Returns the tensor of the file for each sign, and the layer where they differ."""
    file = interpreter.file
    bits = [
        tensor
        for operator in file.operators
        for tensor in operator.outputs
        if operator.name in (BINARY_CONVOLUTION, "LceQuantize", "LceBMaxPool2d")
        and file.dtype(tensor) == np.int32
    ]
    count = max(2, _MATCHING_VALUES // max(1, _signs_in(file, bits)))
    first = {name: array[:count] for name, array in arrays.items()}
    words = interpreter.intermediate(first, bits)
    pairs, unlike = comparator.match(comparator.graph.signs, first, words)
    # The graph need not know the size of the last axis.
    found = {
        dataclasses.replace(sign, channels=comparator.shapes[sign][-1]): tensor
        for sign, tensor in pairs.items()
    }
    return found, None if unlike is None else unlike.layer


def _batches(
    file: TfliteFile, pairs: Mapping[Sign, int], samples: int
) -> Iterator[slice]:
    """Yields parts of the samples that do not hold too many signs."""
    size = max(1, _VALUES_AT_ONCE // max(1, _signs_in(file, pairs.values())))
    for start in range(0, samples, size):
        yield slice(start, start + size)


def _signs_in(file: TfliteFile, tensors: Iterable[int]) -> int:
    """Returns how many signs binary tensors hold for one sample."""
    return sum(math.prod(file.shape(tensor)) * WORD for tensor in tensors)


@dataclasses.dataclass(frozen=True)
class _Supplied:
    """A sign of the file in a graph.

    Attributes:
        tensor: The sign of this graph whose value is compared.
        factor: What the sign of the file is multiplied by there.
        shape: Its shape in the file, `None` where it is not fed.
    """

    tensor: str
    factor: int | np.ndarray = 1
    shape: tuple[int, ...] | None = None

    def as_in_the_file(self, value: np.ndarray) -> np.ndarray:
        """Returns the value before the sign of this graph as the file has it."""
        if self.shape is not None:
            value = value.reshape(self.shape)
        # The sign of 0 is +1, which a negative factor makes -1.
        negated = np.where(value == 0, -np.finfo(np.float32).tiny, -value)
        return np.where(np.less(self.factor, 0), negated, value)


class SignComparator(TensorMatcher[Sign]):
    """Finds the signs of a graph among the bits of a file, and computes from them.

    Args:
        graph: The graph.

    Attributes:
        graph: As given.
    """

    largest_distance = _LARGEST_SHARE_DIFFERENT_NEAR_ZERO

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph

    def values(
        self,
        places: Sequence[Sign],
        arrays: Mapping[str, np.ndarray],
        pairs: Mapping[Sign, int],
        tensors: Mapping[int, np.ndarray],
    ) -> list[np.ndarray]:
        """Returns the values before signs, given others as the file has them."""
        found, _ = self.run(arrays, pairs, tensors, places)
        return [found[sign.sign] for sign in places]

    def fits(
        self, place: Sign, value: np.ndarray, tensor: int, array: np.ndarray
    ) -> bool:
        """Whether bits have the shape of a value."""
        return packed_shape(value.shape) == array.shape

    def distance(
        self, place: Sign, value: np.ndarray, array: np.ndarray, samples: int
    ) -> float:
        """Returns the share of signs that differ, 1 if by more than rounding."""
        channels = value.shape[-1]
        if is_negative(array)[..., channels:].any():
            # Another tensor: bits after the last channel are 0.
            return 1
        differs = (value < 0) != is_negative(array, channels)
        is_clear = relative_to_rms(value, samples) > SIGN_TOLERANCE
        if not is_clear.any():
            is_clear[:] = True
        share = differs.reshape(is_clear.shape)[is_clear].mean()
        return 1 if share > _LARGEST_SHARE_DIFFERENT else float(differs.mean())

    def run(
        self,
        arrays: Mapping[str, np.ndarray],
        pairs: Mapping[Sign, int],
        words: Mapping[int, np.ndarray],
        wanted: Sequence[Sign] = (),
        aliases: Mapping[str, Alias] | None = None,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns the values before the signs of this graph, and its outputs.

        Args:
            arrays: The inputs by the model's names.
            pairs: The tensor of the file that gives each sign.
            words: These tensors.
            wanted: Further signs to return the values of.
            aliases: The tensors of this graph for signs that it does not have.
        """
        graph = self.graph
        feeds = {graph.inputs[name]: array for name, array in arrays.items()}
        pre_signs = {sign.sign: sign.pre_sign for sign in graph.signs}
        supplied: dict[str, _Supplied] = {}
        for sign, tensor in pairs.items():
            known = self.shapes.get(sign)
            channels = sign.channels if known is None else known[-1]
            negative = is_negative(words[tensor], channels)
            signs = np.where(negative, np.float32(-1), np.float32(1))
            alias = (aliases or {}).get(sign.sign)
            if alias is not None:
                shape = _shape_of(alias, signs)
                if shape is None:
                    continue
                feeds[alias.tensor] = (alias.factor * signs).reshape(shape)
                there = _Supplied(alias.tensor, alias.factor, signs.shape)
                supplied[sign.sign] = there
            elif sign.sign in pre_signs:
                # By name: the tensor before a sign may have another name here.
                feeds[sign.sign] = signs
                supplied[sign.sign] = _Supplied(sign.sign, shape=signs.shape)
        for sign in wanted:
            supplied.setdefault(sign.sign, _Supplied(sign.sign))
        compared = {
            n: place for n, place in supplied.items() if place.tensor in pre_signs
        }
        fetches = [pre_signs[place.tensor] for place in compared.values()]
        fetched = graph.run(feeds, [*fetches, *graph.outputs.values()])
        values = {
            name: place.as_in_the_file(value)
            for (name, place), value in zip(compared.items(), fetched)
        }
        return values, dict(zip(graph.outputs, fetched[len(compared) :]))


def _shape_of(alias: Alias, signs: np.ndarray) -> list[int] | None:
    """Returns the shape of signs in the tensor of an alias, `None` if unknown."""
    shape = [-1 if size is None else size for size in alias.shape]
    if shape.count(-1) > 1:
        shape[-1] = signs.shape[-1]
    return None if shape.count(-1) > 1 else shape
