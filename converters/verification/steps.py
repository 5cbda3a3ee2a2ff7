"""Whether a .tflite with 8-bit tensors says what its graph says, tensor by tensor.

The graph is given the steps and signs that the file computed, so that every tensor is
judged on equal inputs: then the two may differ by the rounding of one step, no more.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Union

import numpy as np

from converters.comparison import SIGN_TOLERANCE, too_many_flipped
from converters.graph.graph import Graph, Sign
from converters.graph.nodes import execution_order
from converters.int8.fake_quants import QuantParams, quant_params_of
from converters.model_arrays import Outputs
from converters.runtime import Interpreter
from converters.runtime.bits import is_negative, packed_shape
from converters.verification.fitting import file_outputs

# A fault shows in every input, and each holds many values.
_MOST_SAMPLES = 64
# A tensor of the file that differs in more places is another one.
_SAME = 0.01
# A shift by one step moves all values that are not at an end. Those near the middle
# between two steps may be rounded apart, and sums of signs have few values: all of them
# may lie there.
LARGEST_SHARE_APART = 0.5
_FEW_APART = 16
_NEAR_THE_MIDDLE = 0.05
_MATCHING_SAMPLES = 2
_MOST_VALUES = 2**25
# Of float32, in outputs.
_ROUNDING = 1e-4

Place = Union[QuantParams, Sign]


@dataclasses.dataclass(frozen=True)
class StepParity:
    """The 8-bit tensors and signs of a file beside those of its graph.

    Attributes:
        tensors: Number of tensors and signs compared.
        values: Number of their values.
        apart: Values that are one step apart, which rounding explains, and signs that
            differ by a tie.
        wrong: Values that are further apart, and signs that differ where the value in
            front is not near zero.
        farthest: The largest distance, in steps.
        first_wrong: The first layer with a wrong value, or the output that differs
            given all these, or `None`.
        untraced: Layers with a tensor that was not found in the file.
        output_difference: Largest difference of the outputs given all these, relative
            to the largest output. One step of an int8 output is allowed, or 1e-4.
        undetermined: Layers of which more than 0.1 % of the signs differ by ties.
    """

    tensors: int
    values: int
    apart: int
    wrong: int
    farthest: int
    first_wrong: str | None
    untraced: tuple[str, ...]
    output_difference: float
    undetermined: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no value is wrong, and no tensor is shifted by a step."""
        return self.first_wrong is None


def compare_steps(
    frozen: Graph,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray] | None = None,
) -> StepParity:
    """Compares a file with the graph it was converted from.

    Args:
        frozen: The graph, with ranges.
        interpreter: Runs the file.
        arrays: The inputs by the model's names, (samples, ...). The first 64 are used,
            or fewer, but at least 2, where they make more than 32 million values.
        received: What the file returns for them, in the shapes of the model. Defaults
            to `None`: it is run.

    Returns:
        The comparison.
    """
    places = _in_order(frozen)
    judge = _Judge(frozen, interpreter)
    first = {name: array[:_MATCHING_SAMPLES] for name, array in arrays.items()}
    pairs, diverging = judge.match(places, first)
    shapes = [interpreter.file.shape(tensor) for tensor in pairs.values()]
    size = sum(math.prod(shape) for shape in shapes)
    samples = min(_MOST_SAMPLES, _MOST_VALUES // max(1, size))
    samples = max(_MATCHING_SAMPLES, samples)
    given = {name: array[:samples] for name, array in arrays.items()}
    distances, shifted, outputs = judge.distances(pairs, given)
    if received is None:
        received = file_outputs(interpreter, given, Outputs(outputs))
    difference, differing = 0.0, []
    for name, ours in outputs.items():
        # Booleans have no difference, and unsigned integers a wrong one.
        ours, theirs = (
            array[: len(ours)].astype(np.float64).ravel()
            for array in (ours, received[name])
        )
        largest = max(float(np.abs(ours).max(initial=0)), 1e-30)
        off = float(np.abs(ours - theirs).max(initial=0))
        difference = max(difference, off / largest)
        # A comparison with nan is false.
        if not off <= max(_ROUNDING * largest, 1.01 * judge.output_step(name)):
            differing.append(name)
    wrong = {place: int((found > 1).sum()) for place, found in distances.items()}
    apart = {place: int((found == 1).sum()) for place, found in distances.items()}
    for place in shifted:
        wrong[place] += apart[place]
    blamed = [p.layer for p in places if wrong.get(p) or p is diverging]
    return StepParity(
        tensors=len(pairs),
        values=sum(found.size for found in distances.values()),
        apart=sum(apart.values()),
        wrong=sum(wrong.values()),
        farthest=max((int(found.max()) for found in distances.values()), default=0),
        first_wrong=next(iter([*blamed, *differing]), None),
        untraced=tuple(dict.fromkeys(p.layer for p in places if p not in pairs)),
        output_difference=difference,
        undetermined=tuple(
            place.layer
            for place, found in distances.items()
            if isinstance(place, Sign) and too_many_flipped(apart[place], found.size)
        ),
    )


def _in_order(frozen: Graph) -> list[Place]:
    """Returns ranges and signs in the order of execution."""
    order = execution_order(frozen.by_name)
    position = {name: index for index, name in enumerate(order)}
    places: list[Place] = [*quant_params_of(frozen), *frozen.signs]
    return sorted(places, key=lambda place: position[_node(place)])


def _node(place: Place) -> str:
    return _tensor(place).partition(":")[0]


def _tensor(place: Place) -> str:
    return place.tensor if isinstance(place, QuantParams) else place.sign


def _before(place: Place) -> str:
    return place.before if isinstance(place, QuantParams) else place.pre_sign


class _Judge:
    """Finds ranges and signs of a graph in a file, and compares under them."""

    def __init__(self, frozen: Graph, interpreter: Interpreter):
        self._frozen = frozen
        self._run = frozen.run
        self._interpreter = interpreter
        self._file = interpreter.file
        self._shapes: dict[Place, tuple[int, ...]] = {}
        outputs = [t for operator in self._file.operators for t in operator.outputs]
        # With int8 inputs no operator writes those.
        self._steps = [
            t
            for t in dict.fromkeys([*self._file.inputs, *outputs])
            if self._file.quantization(t) is not None
        ]
        self._bits = [
            tensor
            for operator in self._file.operators
            for tensor in operator.outputs
            if operator.name.startswith("Lce") and self._file.dtype(tensor) == np.int32
        ]

    def match(
        self, places: Sequence[Place], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[Place, int], Place | None]:
        """Returns the tensor of the file for each place, and the first without.

        Those that are found are held equal while the others are looked for.
        """
        held = self._fetch([*self._steps, *self._bits], arrays)
        pairs: dict[Place, int] = {}
        while True:
            left = [place for place in places if place not in pairs]
            values = self._values(left, pairs, held, arrays)
            fitting = {p: self._fitting(p, v, held) for p, v in zip(left, values)}
            new = {p: t for p, (t, off) in fitting.items() if t >= 0 and off <= _SAME}
            pairs.update(new)
            if not new:
                break
        unlike = (place for place in left if fitting[place][0] >= 0)
        return {p: pairs[p] for p in places if p in pairs}, next(unlike, None)

    def _fitting(
        self, place: Place, value: np.ndarray, held: Mapping[int, np.ndarray]
    ) -> tuple[int, float]:
        """Returns the tensor that is most like a value, and how much is not."""
        best, least = -1, np.inf
        for tensor in self._steps if isinstance(place, QuantParams) else self._bits:
            if not self._may_be(place, value, tensor, held[tensor]):
                continue
            distance = _distance(place, value, held[tensor])
            # Of two that fit, the one with more equal values.
            off = float((distance > 1).mean() + 1e-3 * (distance == 1).mean())
            if off < least:
                best, least = tensor, off
        return best, least

    def _may_be(
        self, place: Place, value: np.ndarray, tensor: int, held: np.ndarray
    ) -> bool:
        if isinstance(place, Sign):
            return packed_shape(value.shape) == held.shape
        scale, zero_point = self._file.quantization(tensor) or (0.0, 0)
        # The converter reshapes and joins as it likes.
        return (
            value.size == held.size
            and zero_point == place.zero_point
            and math.isclose(scale, place.scale, rel_tol=1e-5)
        )

    def distances(
        self, pairs: Mapping[Place, int], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[Place, np.ndarray], list[QuantParams], dict[str, np.ndarray]]:
        """Returns how many steps the two are apart, 2 for a wrong sign.

        And the ranges of which all values are shifted, and the outputs.
        """
        held = self._fetch(sorted(set(pairs.values())), arrays)
        outputs = self._frozen.outputs
        names = [*map(_before, pairs), *outputs.values()]
        values = self._run(self._feeds(pairs, held, arrays), names)
        found = {
            place: _distance(place, value, held[tensor])
            for (place, tensor), value in zip(pairs.items(), values)
        }
        shifted = [
            place
            for place, value in zip(pairs, values)
            if isinstance(place, QuantParams)
            and _is_shifted(place, value, found[place])
        ]
        return found, shifted, dict(zip(outputs, values[len(pairs) :]))

    def output_step(self, name: str) -> float:
        """Returns what a step of an output is worth, 0 where it is float32."""
        names = [info.name for info in self._interpreter.outputs]
        tensor = self._file.outputs[names.index(name)]
        for operator in self._file.operators:
            if operator.name == "DEQUANTIZE" and tensor in operator.outputs:
                tensor = operator.inputs[0]
        return (self._file.quantization(tensor) or (0.0, 0))[0]

    def _fetch(
        self, tensors: Sequence[int], arrays: Mapping[str, np.ndarray]
    ) -> dict[int, np.ndarray]:
        """Returns tensors of the file; its inputs are known without running it."""
        inputs = {
            tensor: info.quantized(arrays[info.name])
            for tensor, info in zip(self._file.inputs, self._interpreter.inputs)
            if tensor in tensors
        }
        inner = [tensor for tensor in tensors if tensor not in inputs]
        return {**inputs, **self._interpreter.intermediate(arrays, inner)}

    def _values(
        self,
        wanted: Sequence[Place],
        pairs: Mapping[Place, int],
        held: Mapping[int, np.ndarray],
        arrays: Mapping[str, np.ndarray],
    ) -> list[np.ndarray]:
        """Returns the values in front of places, given those of the file elsewhere."""
        if not wanted:
            return []
        feeds = self._feeds(pairs, held, arrays)
        values = self._run(feeds, [_before(place) for place in wanted])
        self._shapes.update({p: v.shape[1:] for p, v in zip(wanted, values)})
        return values

    def _feeds(
        self,
        pairs: Mapping[Place, int],
        held: Mapping[int, np.ndarray],
        arrays: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Returns what the graph is given: inputs, and what the file computed."""
        feeds = {self._frozen.inputs[name]: array for name, array in arrays.items()}
        for place, tensor in pairs.items():
            if isinstance(place, Sign):
                negative = is_negative(held[tensor], place.channels)
                value = np.where(negative, np.float32(-1), np.float32(1))
            else:
                value = np.float32(place.scale) * (
                    held[tensor].astype(np.float32) - place.zero_point
                )
                value = value.reshape(-1, *self._shapes[place])
            feeds[_tensor(place)] = value
        return feeds


def _distance(place: Place, value: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Returns how many steps a value is from the file's; 2 for a wrong sign."""
    if isinstance(place, QuantParams):
        ours = _on_steps(place, value)
        return np.abs(ours.ravel() - held.ravel().astype(np.int16))
    differs = (value < 0) != is_negative(held, place.channels)
    scale = np.sqrt(np.square(value, dtype=np.float64).mean())
    tie = np.abs(value) <= SIGN_TOLERANCE * scale
    return np.where(differs, np.where(tie, 1, 2), 0)


def _is_shifted(place: QuantParams, value: np.ndarray, distance: np.ndarray) -> bool:
    """Returns whether most values are one step apart that no rounding explains."""
    steps = value.ravel() / place.scale + 0.5
    clear = np.abs(steps - np.round(steps)) > _NEAR_THE_MIDDLE
    clear &= np.abs(_on_steps(place, value).ravel() + 0.5) < 127.5
    apart = int(((distance == 1) & clear).sum())
    return apart > max(_FEW_APART, LARGEST_SHARE_APART * int(clear.sum()))


def _on_steps(place: QuantParams, value: np.ndarray) -> np.ndarray:
    """Returns values as the integers of a range."""
    steps = np.floor(value / place.scale + 0.5) + place.zero_point
    return np.clip(steps, -128, 127).astype(np.int16)
