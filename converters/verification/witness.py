"""A second interpreter that runs the same file, as a witness against the first."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Mapping

import numpy as np

from converters.comparison import LARGEST_OUTPUT_DIFFERENCE, largest_differences
from converters.renamed import with_old_names
from converters.runtime import Interpreter
from converters.verification.answers import similar_answers
from converters.verification.evidence import Evidence

_BACKEND = "lce"
# Inputs with differing answers are compared layer by layer; a fault shows early.
_MOST_SAMPLES = 64

Run = Callable[[Interpreter, Mapping[str, np.ndarray]], dict[str, np.ndarray]]
Gather = Callable[
    [Interpreter, Mapping[str, np.ndarray], Mapping[str, np.ndarray]], Evidence
]


@with_old_names(runner="backend_name")
@dataclasses.dataclass(frozen=True)
class Witness:
    """The same file, and the same inputs, in another interpreter.

    Attributes:
        backend_name: What ran it.
        milliseconds: Mean time of one input.
        largest_difference: Largest difference of the outputs from those of the first
            interpreter, relative to the largest output.
        changed: Number of inputs whose answer differs from the first one's.
        fault: The first layer at which the file in this interpreter departs from the
            model, or `"the outputs"`; `None` where rounding explains all.
    """

    backend_name: str
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
    """Runs a file in Larq Compute Engine's interpreter, after another one.

    Args:
        first: The interpreter that ran it.
        num_threads: Threads of the other one.
        arrays: The inputs by name, (samples, ...).
        received: The outputs of `first` by name.
        run: Takes an interpreter and inputs, and returns outputs by name.
        gather: Compares the file in an interpreter with the model.

    Returns:
        The comparison; `None` where the first is that interpreter, or where Larq
        Compute Engine is not installed.
    """
    if first.backend == _BACKEND or not _is_installed():
        return None
    interpreter = Interpreter(first.file.content, num_threads, backend=_BACKEND)
    outputs, milliseconds = timed(interpreter, arrays, run)
    difference = largest_differences(received, outputs)
    differing = np.flatnonzero(~(difference <= LARGEST_OUTPUT_DIFFERENCE))[
        :_MOST_SAMPLES
    ]
    fault = None
    if len(differing):
        chosen = {name: array[differing] for name, array in arrays.items()}
        answers = {name: array[differing] for name, array in outputs.items()}
        fault = gather(interpreter, chosen, answers).fault
    return Witness(
        backend_name=interpreter.backend_name,
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
