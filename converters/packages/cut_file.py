"""A file run under given signs, so that one that turned moves nothing behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.runtime import Interpreter, TfliteFile
from converters.runtime.bits import is_negative

_QUANTIZE = "LceQuantize"


class CutFile:
    """A .tflite cut at the signs of its real values.

    One run of it takes inputs and signs, and returns what stands in front of each sign
    and the outputs, all given the signs before. Sums of binary convolutions that a file
    compares with thresholds are integers and exact; there it is not cut.

    Args:
        file: The file.
        **options: Those of `Interpreter`, as `num_threads`.

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
        """Returns what stands in front of each sign, and the outputs.

        Args:
            inputs: One sample of each input, in the order of the file.
            signs: For each of `operators`, its signs.
        """
        found = self._interpreter.run_once([*inputs, *signs])
        values = dict(zip(self._computed, found))
        values.update(zip(self._file.inputs, inputs))
        outputs = found[len(self._computed) :]
        return [values[tensor] for tensor in self._values], outputs


def margin(values: np.ndarray) -> float:
    """Returns how far the value that is nearest to zero is from it.

    min |x| / sqrt(mean x^2), the scale on which `verification.signs` judges ties.

    Args:
        values: What stands in front of the signs of a layer, for one input.

    Example:
        >>> import numpy as np
        >>> margin(np.array([7.0, -1.0]))
        0.2
    """
    return float(_distance(values).min())


def differing(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Returns how far the values whose signs are others are from zero.

    Args:
        values: What stands in front of the signs of a layer, for one input.
        signs: The signs to compare with, 32 channels a word, 1 for -1.

    Returns:
        On the scale of `margin`, one for each such value.

    Example:
        >>> import numpy as np
        >>> differing(np.array([7.0, -1.0]), np.array([0b01], np.int32))
        array([1.4, 0.2])
    """
    differs = (values < 0) != is_negative(signs, values.shape[-1])
    return _distance(values)[differs] if differs.any() else np.zeros(0)


def _distance(values: np.ndarray) -> np.ndarray:
    magnitudes = np.abs(values, dtype=np.float64)
    scale = np.sqrt(np.square(magnitudes).mean())
    return magnitudes / max(scale, np.finfo(np.float32).tiny)
