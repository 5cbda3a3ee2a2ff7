"""A second interpreter as the witness of what the first one answered."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Mapping

import numpy as np

from converters.comparison import LARGEST_OUTPUT_DIFFERENCE, largest_differences
from converters.runtime import Interpreter
from converters.verification.answers import similar_answers
from converters.verification.evidence import Evidence

_BACKEND = "lce"
# Answers that differ are judged layer by layer; a fault shows in the first ones.
_MOST_SAMPLES = 64

Run = Callable[[Interpreter, Mapping[str, np.ndarray]], dict[str, np.ndarray]]
Gather = Callable[
    [Interpreter, Mapping[str, np.ndarray], Mapping[str, np.ndarray]], Evidence
]


@dataclasses.dataclass(frozen=True)
class Witness:
    """The same file, and the same inputs, in another interpreter.

    Attributes:
        runner: What ran it.
        milliseconds: Mean time of one input.
        largest_difference: Largest difference of the outputs from those of the first
            interpreter, relative to the largest output.
        changed: Number of inputs whose answer is another one than the first's.
        fault: The first layer at which the file in this interpreter parts from the
            model, or `"the outputs"`; `None` where rounding explains all.
    """

    runner: str
    milliseconds: float
    largest_difference: float
    changed: int
    fault: str | None


def call_witness(
    first: Interpreter,
    num_threads: int,
    arrays: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray],
    run: Run,
    gather: Gather,
) -> Witness | None:
    """Runs a file in Larq Compute Engine's interpreter, beside another one.

    Args:
        first: The interpreter that ran it.
        num_threads: Threads of the other one.
        arrays: The inputs by name, (samples, ...).
        received: The outputs of `first` by name.
        run: Takes an interpreter and inputs, and returns outputs by name.
        gather: Compares the file in an interpreter with the model.

    Returns:
        What was found; `None` where the first is that interpreter, or where Larq
        Compute Engine is not installed.
    """
    if first.backend == _BACKEND or not _is_installed():
        return None
    interpreter = Interpreter(first.file.content, num_threads, backend=_BACKEND)
    outputs, milliseconds = timed(interpreter, arrays, run)
    difference = largest_differences(received, outputs)
    moved = np.flatnonzero(~(difference <= LARGEST_OUTPUT_DIFFERENCE))[:_MOST_SAMPLES]
    fault = None
    if len(moved):
        chosen = {name: array[moved] for name, array in arrays.items()}
        answers = {name: array[moved] for name, array in outputs.items()}
        fault = gather(interpreter, chosen, answers).fault
    return Witness(
        runner=interpreter.backend_name,
        milliseconds=milliseconds,
        largest_difference=float(difference.max()),
        changed=int((~similar_answers(received, outputs)).sum()),
        fault=fault,
    )


def timed(
    interpreter: Interpreter, arrays: Mapping[str, np.ndarray], run: Run
) -> tuple[dict[str, np.ndarray], float]:
    """Returns the outputs by name, and the mean milliseconds of one input."""
    start = time.perf_counter()
    outputs = run(interpreter, arrays)
    seconds = time.perf_counter() - start
    return outputs, 1000 * seconds / len(next(iter(arrays.values())))


def _is_installed() -> bool:
    return importlib.util.find_spec("larq_compute_engine") is not None
