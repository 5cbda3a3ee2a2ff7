"""Comparison of a .tflite with 8-bit tensors with its graph, tensor by tensor.

The graph is given the quant steps and signs that the file computed, so that every
tensor is compared on equal inputs. Then the two may differ by the rounding of one step
and no more.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Union

import numpy as np

from converters.comparison import SIGN_TOLERANCE, relative_to_rms, too_many_flipped
from converters.graph.graph import Graph, Sign
from converters.graph.nodes import execution_order
from converters.int8.fake_quants import QuantParams, quant_params_of
from converters.model_arrays import Outputs
from converters.renamed import with_old_names
from converters.runtime import Interpreter
from converters.runtime.bits import is_negative, packed_shape
from converters.verification.fitting import file_outputs
from converters.verification.tensor_matcher import TensorMatcher

# A fault shows in every input, and each holds many values.
_MOST_SAMPLES = 64
# A tensor of the file that differs in a larger share of its places is another one.
_LARGEST_SHARE_DIFFERENT = 0.01
# A shift by one step changes all values that are not at an end of the range. Values
# near the middle between two steps may be rounded apart, and sums of signs have few
# values: all of them may lie there.
LARGEST_SHARE_OFF_BY_ONE = 0.5
_FEW_OFF_BY_ONE = 16
_NEAR_THE_MIDDLE = 0.05
_MATCHING_SAMPLES = 2
_MOST_VALUES = 2**25
# Of float32, in outputs.
_ROUNDING = 1e-4

Place = Union[QuantParams, Sign]


@with_old_names(apart="off_by_one", wrong="mismatched", first_wrong="first_mismatch")
@dataclasses.dataclass(frozen=True)
class StepParity:
    """The 8-bit tensors and signs of a file beside those of its graph.

    Attributes:
        tensors: Number of tensors and signs compared.
        values: Number of their values.
        off_by_one: Values that differ by one quant step, which rounding explains, and
            signs that flipped near zero.
        mismatched: Values that differ by more, and signs that flipped elsewhere.
        farthest: The largest difference, in quant steps.
        first_mismatch: The first layer with a mismatched value, or the output that
            differs given all these, or `None`.
        untraced: Layers with a tensor that was not found in the file.
        output_difference: Largest difference of the outputs given all these, relative
            to the largest output. One step of an int8 output is allowed, or 1e-4.
        undetermined: Layers where more than 0.1 % of the signs flipped near zero.
    """

    tensors: int
    values: int
    off_by_one: int
    mismatched: int
    farthest: int
    first_mismatch: str | None
    untraced: tuple[str, ...]
    output_difference: float
    undetermined: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no value is mismatched, and no tensor is shifted by a step."""
        return self.first_mismatch is None


def compare_steps(
    graph: Graph,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray] | None = None,
) -> StepParity:
    """Compares a file with the graph it was converted from.

    Args:
        graph: The graph, with ranges.
        interpreter: Runs the file.
        arrays: The inputs by the model's names, (samples, ...). The first 64 are used,
            or fewer, but at least 2, where they make more than 32 million values.
        received: The outputs of the file for them, in the shapes of the model. Defaults
            to `None`: it is run.

    Returns:
        The comparison.
    """
    comparator = StepComparator(graph, interpreter)
    places = _in_order(graph)
    pairs, diverging = comparator.found(places, _first(arrays, _MATCHING_SAMPLES))
    size = sum(math.prod(interpreter.file.shape(t)) for t in pairs.values())
    samples = min(_MOST_SAMPLES, _MOST_VALUES // max(1, size))
    given = _first(arrays, max(_MATCHING_SAMPLES, samples))
    differences, outputs = comparator.differences(pairs, given)
    if received is None:
        received = file_outputs(interpreter, given, Outputs(outputs))
    output_difference, differing = comparator.differing(outputs, received)
    wrong = [p.layer for p in places if p is diverging or _is_wrong(differences.get(p))]
    return StepParity(
        tensors=len(pairs),
        values=sum(found.values for found in differences.values()),
        off_by_one=sum(found.off_by_one for found in differences.values()),
        mismatched=sum(found.mismatched for found in differences.values()),
        farthest=max((found.farthest for found in differences.values()), default=0),
        first_mismatch=next(iter([*wrong, *differing]), None),
        untraced=tuple(dict.fromkeys(p.layer for p in places if p not in pairs)),
        output_difference=output_difference,
        undetermined=tuple(
            place.layer
            for place, found in differences.items()
            if isinstance(place, Sign)
            and too_many_flipped(found.off_by_one, found.values)
        ),
    )


def _first(arrays: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    return {name: array[:count] for name, array in arrays.items()}


def _in_order(graph: Graph) -> list[Place]:
    """Returns quantization parameters and signs in the order of execution."""
    order = execution_order(graph.by_name)
    position = {name: index for index, name in enumerate(order)}
    places: list[Place] = [*quant_params_of(graph), *graph.signs]
    return sorted(places, key=lambda place: position[_node(place)])


def _node(place: Place) -> str:
    return _tensor(place).partition(":")[0]


def _tensor(place: Place) -> str:
    return place.tensor if isinstance(place, QuantParams) else place.sign


def _before(place: Place) -> str:
    return place.before if isinstance(place, QuantParams) else place.pre_sign


@dataclasses.dataclass(frozen=True)
class _Difference:
    """The values of one place beside those of the file.

    Attributes:
        values: Number of values.
        off_by_one: Values that differ by one step, or signs that flipped near zero.
        mismatched: Values that differ by more; all that differ where the whole tensor
            is shifted by a step.
        farthest: The largest difference in steps.
    """

    values: int
    off_by_one: int
    mismatched: int
    farthest: int

    @classmethod
    def of(cls, steps: np.ndarray, is_shifted: bool) -> _Difference:
        """Counts differences in steps."""
        one, more = int((steps == 1).sum()), int((steps > 1).sum())
        mismatched = more + one if is_shifted else more
        return cls(steps.size, one, mismatched, int(steps.max()))


def _is_wrong(difference: _Difference | None) -> bool:
    return difference is not None and difference.mismatched > 0


class StepComparator(TensorMatcher[Place]):
    """Finds 8-bit tensors and signs of a graph in a file, and computes from them.

    Args:
        graph: The graph, with ranges.
        interpreter: Runs the file.
    """

    largest_distance = _LARGEST_SHARE_DIFFERENT

    def __init__(self, graph: Graph, interpreter: Interpreter):
        super().__init__()
        self._graph = graph
        self._interpreter = interpreter
        self._file = interpreter.file
        computed = [t for operator in self._file.operators for t in operator.outputs]
        # With int8 inputs no operator computes those.
        self._steps = [
            tensor
            for tensor in dict.fromkeys([*self._file.inputs, *computed])
            if self._file.quantization(tensor) is not None
        ]
        self._bits = [
            tensor
            for operator in self._file.operators
            for tensor in operator.outputs
            if operator.name.startswith("Lce") and self._file.dtype(tensor) == np.int32
        ]

    def found(
        self, places: Sequence[Place], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[Place, int], Place | None]:
        """Returns the tensor of the file for each place, and the first mismatch."""
        tensors = self._fetch([*self._steps, *self._bits], arrays)
        return self.match(places, arrays, tensors)

    def values(
        self,
        places: Sequence[Place],
        arrays: Mapping[str, np.ndarray],
        pairs: Mapping[Place, int],
        tensors: Mapping[int, np.ndarray],
    ) -> list[np.ndarray]:
        """Returns the values before places, given others as the file has them."""
        if not places:
            return []
        feeds = self._feeds(pairs, tensors, arrays)
        return self._graph.run(feeds, [_before(place) for place in places])

    def fits(
        self, place: Place, value: np.ndarray, tensor: int, array: np.ndarray
    ) -> bool:
        """Whether a tensor has the size and the quantization of a place."""
        if isinstance(place, Sign):
            return tensor in self._bits and packed_shape(value.shape) == array.shape
        scale, zero_point = self._file.quantization(tensor) or (0.0, 0)
        # The converter reshapes and joins as it likes.
        return (
            tensor in self._steps
            and value.size == array.size
            and zero_point == place.zero_point
            and math.isclose(scale, place.scale, rel_tol=1e-5)
        )

    def distance(
        self, place: Place, value: np.ndarray, array: np.ndarray, samples: int
    ) -> float:
        """Returns the share of values that are mismatched."""
        steps = _steps_apart(place, value, array, samples)
        # Of two tensors that fit, the one with more equal values.
        return float((steps > 1).mean() + 1e-3 * (steps == 1).mean())

    def differences(
        self, pairs: Mapping[Place, int], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[Place, _Difference], dict[str, np.ndarray]]:
        """Returns how places differ, and the outputs, given the tensors of the file."""
        tensors = self._fetch(sorted(set(pairs.values())), arrays)
        samples = len(next(iter(arrays.values())))
        outputs = self._graph.outputs
        names = [*map(_before, pairs), *outputs.values()]
        values = self._graph.run(self._feeds(pairs, tensors, arrays), names)
        found = {}
        for (place, tensor), value in zip(pairs.items(), values):
            steps = _steps_apart(place, value, tensors[tensor], samples)
            is_shifted = isinstance(place, QuantParams) and _is_shifted(
                place, value, steps
            )
            found[place] = _Difference.of(steps, is_shifted)
        return found, dict(zip(outputs, values[len(pairs) :]))

    def differing(
        self, outputs: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray]
    ) -> tuple[float, list[str]]:
        """Returns the largest relative difference of outputs, and those that differ.

        Args:
            outputs: The outputs of the graph, by name.
            received: The outputs of the file for these inputs, or more.
        """
        largest_difference, differing = 0.0, []
        for name, array in outputs.items():
            # Booleans have no difference, and unsigned integers a wrong one.
            ours, theirs = (
                a[: len(array)].astype(np.float64).ravel()
                for a in (array, received[name])
            )
            largest = max(float(np.abs(ours).max(initial=0)), 1e-30)
            difference = float(np.abs(ours - theirs).max(initial=0))
            largest_difference = max(largest_difference, difference / largest)
            # A comparison with nan is false.
            allowed = max(_ROUNDING * largest, 1.01 * self._output_step(name))
            if not difference <= allowed:
                differing.append(name)
        return largest_difference, differing

    def _output_step(self, name: str) -> float:
        """Returns the real value of a step of an output, 0 where it is float32."""
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

    def _feeds(
        self,
        pairs: Mapping[Place, int],
        tensors: Mapping[int, np.ndarray],
        arrays: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Returns the arrays to feed to the graph: inputs and tensors of the file."""
        feeds = {self._graph.inputs[name]: array for name, array in arrays.items()}
        for place, tensor in pairs.items():
            shape, array = self.shapes[place], tensors[tensor]
            if isinstance(place, Sign):
                negative = is_negative(array, shape[-1])
                value = np.where(negative, np.float32(-1), np.float32(1))
            else:
                steps = array.astype(np.float32) - place.zero_point
                value = (np.float32(place.scale) * steps).reshape(-1, *shape)
            feeds[_tensor(place)] = value
        return feeds


def _steps_apart(
    place: Place, value: np.ndarray, array: np.ndarray, samples: int
) -> np.ndarray:
    """Returns the difference in steps; of flipped signs 1 near zero, else 2."""
    if isinstance(place, QuantParams):
        ours = _on_steps(place, value)
        return np.abs(ours.ravel() - array.ravel().astype(np.int16))
    flipped = ((value < 0) != is_negative(array, value.shape[-1])).ravel()
    is_near_zero = relative_to_rms(value, samples).ravel() <= SIGN_TOLERANCE
    return np.where(flipped, np.where(is_near_zero, 1, 2), 0)


def _is_shifted(place: QuantParams, value: np.ndarray, steps: np.ndarray) -> bool:
    """Whether most values differ by one step where no rounding explains it."""
    scaled = value.ravel() / place.scale + 0.5
    clear = np.abs(scaled - np.round(scaled)) > _NEAR_THE_MIDDLE
    clear &= np.abs(_on_steps(place, value).ravel() + 0.5) < 127.5
    off_by_one = int(((steps == 1) & clear).sum())
    most = max(_FEW_OFF_BY_ONE, LARGEST_SHARE_OFF_BY_ONE * int(clear.sum()))
    return off_by_one > most


def _on_steps(place: QuantParams, value: np.ndarray) -> np.ndarray:
    """Returns values as integers, by the quantization parameters of a tensor."""
    steps = np.floor(value / place.scale + 0.5) + place.zero_point
    return np.clip(steps, -128, 127).astype(np.int16)
