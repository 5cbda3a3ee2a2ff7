"""A .tflite run with sign activations that the caller supplies.

A sign that flips through rounding then cannot change later layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.comparison import relative_to_rms
from converters.runtime import Interpreter, TfliteFile
from converters.runtime.bits import is_negative

_QUANTIZE = "LceQuantize"


class SubgraphRunner:
    """Runs a .tflite as subgraphs between the signs of real values.

    One run takes inputs and signs, and returns the values before each sign and the
    outputs, each computed from the supplied signs (teacher forcing). Sums of binary
    convolutions that a file compares with thresholds are integers and exact; the file
    is not cut there.

    Args:
        file: The file.
        **options: Options of `Interpreter`, such as `num_threads`.

    Attributes:
        operators: Indices of the operators that make signs of real values.
    """

    def __init__(self, file: TfliteFile, **options: Any):
        self.operators = tuple(
            index
            for index, operator in enumerate(file.operators)
            if operator.name == _QUANTIZE
            and file.dtype(operator.inputs[0]) == np.float32
        )
        made = [file.operators[index] for index in self.operators]
        self._file, self._options = file, options
        self._words = [operator.outputs[0] for operator in made]
        self._values = [operator.inputs[0] for operator in made]
        self._computed = sorted(set(self._values) - set(file.inputs))
        self._interpreter = Interpreter(
            file.with_given(self._words, [*self._computed, *file.outputs]), **options
        )
        self._whole: Interpreter | None = None

    def signs(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the signs that the file itself makes, 32 channels a word.

        Args:
            inputs: One sample of each input, in the order of the file.
        """
        if not self._words:
            return []
        if self._whole is None:
            content = self._file.with_outputs(self._words)
            self._whole = Interpreter(content, **self._options)
        return self._whole.run_once(inputs)

    def run(
        self, inputs: Sequence[np.ndarray], signs: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the values before each sign, and the outputs.

        Args:
            inputs: One sample of each input, in the order of the file.
            signs: The signs to supply, for each of `operators`.
        """
        found = self._interpreter.run_once([*inputs, *signs])
        values = dict(zip(self._computed, found))
        values.update(zip(self._file.inputs, inputs))
        outputs = found[len(self._computed) :]
        return [values[tensor] for tensor in self._values], outputs


def margin(values: np.ndarray) -> float:
    """Returns the least value of `comparison.relative_to_rms`.

    Args:
        values: The values before the signs of a layer, for one input.

    Example:
        >>> import numpy as np
        >>> margin(np.array([7.0, -1.0]))
        0.2
    """
    return float(relative_to_rms(values).min())


def flipped(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Returns the values whose signs differ from others, as of `relative_to_rms`.

    Args:
        values: The values before the signs of a layer, for one input.
        signs: The signs to compare with, 32 channels a word, 1 for -1.

    Example:
        >>> import numpy as np
        >>> flipped(np.array([7.0, -1.0]), np.array([0b01], np.int32))
        array([1.4, 0.2])
    """
    differs = (values < 0) != is_negative(signs, values.shape[-1])
    return relative_to_rms(values)[0, differs.reshape(-1)]
