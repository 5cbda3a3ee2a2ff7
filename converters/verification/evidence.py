"""Evidence that a file computes what its graph computes, tensor by tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.comparison import LARGEST_OUTPUT_DIFFERENCE, largest_differences
from converters.graph.graph import Graph
from converters.int8.fake_quants import is_quantized, with_quantized_kernels
from converters.runtime import Interpreter, TfliteFile
from converters.verification.signs import LayerParity, Parity, compare_layers
from converters.verification.steps import StepParity, compare_steps


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The comparison of a file with its graph.

    Attributes:
        parity: Layer by layer, given equal signs; `None` where it was not made.
        steps: Tensor by tensor of an int8 file, given equal quant steps; `None` where
            it was not made.
        output_difference: Largest difference of the outputs given equal signs, relative
            to the largest output; `None` where signs cannot be followed.
    """

    parity: Parity | None = None
    steps: StepParity | None = None
    output_difference: float | None = None

    @property
    def layers(self) -> tuple[LayerParity, ...]:
        """The layers whose signs were compared."""
        return self.parity.layers if self.parity else ()

    @property
    def untraced(self) -> tuple[str, ...]:
        """The layers whose signs cannot be followed into the file."""
        return self.parity.untraced if self.parity else ()

    @property
    def first_mismatch(self) -> str | None:
        """The first layer whose signs differ by more than rounding."""
        return self.parity.first_mismatch if self.parity else None

    def mismatches(self, mismatched: np.ndarray) -> dict[str, Any]:
        """Returns counts of mismatched inputs, as fields of a `Verification`.

        Args:
            mismatched: Whether the outputs for an input differ, (samples,).
        """
        flipped, unexplained = None, None
        if self.parity is not None and self.output_difference is not None:
            flipped = int((mismatched & self.parity.flipped).sum())
            unexplained = int((mismatched & ~self.parity.near_zero).sum())
        return {
            "mismatched": int(mismatched.sum()),
            "mismatched_near_zero": flipped,
            "unexplained_mismatches": unexplained,
        }

    @property
    def fault(self) -> str | None:
        """The first layer that differs by more than rounding, or `"the outputs"`."""
        found = self.steps or self.parity
        if found is not None and found.first_mismatch is not None:
            return found.first_mismatch
        difference = self.output_difference
        # A comparison with nan is false.
        if difference is not None and not difference <= LARGEST_OUTPUT_DIFFERENCE:
            return "the outputs"
        return None


def gather(
    frozen: Graph | None,
    converted: Sequence[Graph | None],
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray],
) -> Evidence:
    """Compares a file with its graph.

    Args:
        frozen: The model as a graph, `None` where it has no symbolic inputs.
        converted: The graphs that may have been converted: rewritten ones, and `None`
            for `frozen` itself. The one that fits best counts.
        interpreter: Runs the file.
        arrays: The inputs by the model's names, (samples, ...).
        received: The outputs of the file for them, by name.

    Returns:
        The evidence; it is empty without a graph.
    """
    if frozen is None:
        return Evidence()
    if is_int8(interpreter.file):
        return Evidence(steps=_steps(frozen, converted, interpreter, arrays, received))
    parity: Parity | None = None
    for graph in converted:
        found = compare_layers(frozen, interpreter, arrays, graph)
        if parity is None or found.faults < parity.faults:
            parity = found
        if not any(parity.faults):
            break
    if parity is None or parity.untraced or parity.diverging is not None:
        return Evidence(parity=parity)
    difference = float(largest_differences(parity.outputs, received).max())
    return Evidence(parity=parity, output_difference=difference)


def is_int8(file: TfliteFile) -> bool:
    """Returns whether a file takes, or computes, 8-bit tensors with a scale."""
    computed = [t for operator in file.operators for t in operator.outputs]
    return any(file.quantization(t) is not None for t in (*file.inputs, *computed))


def _steps(
    frozen: Graph,
    converted: Sequence[Graph | None],
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray],
) -> StepParity | None:
    steps = None
    for ranged in (graph or frozen for graph in converted):
        if is_quantized(ranged) and not (steps and steps.passed):
            ranged = with_quantized_kernels(ranged)
            steps = compare_steps(ranged, interpreter, arrays, received)
    return steps
