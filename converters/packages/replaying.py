"""Replay of a package: its file must answer as it did where it was packaged.

This needs NumPy and the interpreter, and nothing of Keras.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.comparison import (
    LARGEST_OUTPUT_DIFFERENCE,
    LARGEST_SHARE_FLIPPED,
    SIGN_TOLERANCE,
    SignCounter,
    largest_differences,
)
from converters.packages.layout import (
    GOLDEN,
    LABELS,
    METADATA,
    MODEL,
    SUMS,
    Golden,
    answers,
    of_sample,
    read_file,
    read_golden,
)
from converters.packages.subgraph_runner import SubgraphRunner, flipped
from converters.renamed import plain, with_old_names
from converters.runtime import Interpreter
from converters.tables import thread_count

_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\]+)")


@with_old_names(
    ties="flipped_near_zero",
    wrong="unexplained_flips",
    first_wrong="first_mismatch",
    moved="mismatched",
    moved_with_tie="mismatched_near_zero",
    runner="backend_name",
)
@dataclasses.dataclass(frozen=True)
class Replay:
    """The answers of a packaged file here beside its golden ones.

    Attributes:
        samples: Number of golden inputs.
        signs: Number of signs of real values that were compared.
        flipped_near_zero: Signs that differ from the golden ones, given the golden
            signs before them, where the value is within 1e-5 of zero relative to the
            root mean square of its tensor: rounding flipped them.
        unexplained_flips: Signs that differ elsewhere.
        first_mismatch: Index of the first operator with such a sign, or `None`.
        output_difference: Largest difference of the outputs given the golden signs,
            relative to the largest output.
        mismatched: The inputs whose outputs differ by more than 1e-4 in a plain run.
        mismatched_near_zero: Those of them with a value within 1e-5 of zero.
        largest_difference: The largest difference in a plain run.
        keras_difference: Median difference from Keras's outputs, `None` where the
            package has none.
        milliseconds: Mean time for one input.
        num_threads: Threads that were used.
        backend_name: What ran the file.
        equal_classes: How many inputs have their largest score at the same place,
            `None` where no output has a score for each of several classes.
        undetermined: Index of the first operator where rounding flipped more than
            0.1 % of the signs (eight are always allowed), or `None`.
    """

    samples: int
    signs: int
    flipped_near_zero: int
    unexplained_flips: int
    first_mismatch: int | None
    output_difference: float
    mismatched: tuple[int, ...]
    mismatched_near_zero: tuple[int, ...]
    largest_difference: float
    keras_difference: float | None
    milliseconds: float
    num_threads: int
    backend_name: str
    equal_classes: int | None = None
    undetermined: int | None = None

    @property
    def faults(self) -> tuple[int, ...]:
        """The inputs that differ though no value before a sign is near zero."""
        return tuple(sorted(set(self.mismatched) - set(self.mismatched_near_zero)))

    @property
    def passed(self) -> bool:
        """Whether the file answers as it did.

        Given the golden signs, signs flip only near zero, and few of them, and the
        outputs agree to 1e-4. Inputs whose outputs differ in a plain run have a value
        near zero.
        """
        return (
            not self.unexplained_flips
            and self.undetermined is None
            and self.output_difference <= LARGEST_OUTPUT_DIFFERENCE
            and not self.faults
        )

    def __bool__(self) -> bool:
        return self.passed

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.unexplained_flips:
            return (
                f"a fault: {self.unexplained_flips:,} of {self.signs:,} signs differ "
                "though the values before them are not near zero, first at operator "
                f"{self.first_mismatch}"
            )
        if not self.output_difference <= LARGEST_OUTPUT_DIFFERENCE:
            return (
                "a fault: given the golden signs, the outputs differ by "
                f"{self.output_difference:.1e} of the largest one"
            )
        if self.faults:
            return (
                f"a fault: {_inputs(self.faults)} answered differently, and no value "
                "before a sign is within 1e-5 of zero"
            )
        if self.undetermined is not None:
            return (
                f"undetermined: rounding flipped {self.flipped_near_zero:,} of "
                f"{self.signs:,} signs, more than {LARGEST_SHARE_FLIPPED:.1%} at "
                f"operator {self.undetermined}, which chance does not explain: its "
                "answers depend on the machine"
            )
        if self.mismatched:
            return (
                "no fault: every layer computes the same given equal signs; "
                f"{len(self.mismatched):,} of {self.samples:,} answers depend on signs "
                f"near zero ({_inputs(self.mismatched)}), of which rounding flipped "
                f"{self.flipped_near_zero:,} of {self.signs:,}{self._classes()}"
            )
        return f"all {self.samples} inputs gave the golden outputs"

    def _classes(self) -> str:
        """Returns what that means for the classes, in words."""
        if self.equal_classes is None:
            return ""
        return f"; {self.equal_classes:,} of {self.samples:,} predictions are the same"

    def rows(self) -> list[tuple[str, str]]:
        """Returns the main figures as pairs of a label and a text."""
        rows = [
            ("verdict", self.verdict),
            ("golden inputs", str(self.samples)),
            (
                "outputs that differ",
                f"{len(self.mismatched)}, by {self.largest_difference:.1e} at most",
            ),
            (
                "given the golden signs",
                f"{self.signs:,} signs, {self.flipped_near_zero} flipped near zero, "
                f"{self.unexplained_flips} wrong; outputs differ by "
                f"{self.output_difference:.1e}",
            ),
        ]
        if self.keras_difference is not None:
            text = f"median {self.keras_difference:.1e}"
            rows.append(("difference from Keras", text))
        threads = thread_count(self.num_threads)
        text = f"{self.milliseconds:.3f} ms ({threads}) by {self.backend_name}"
        return [*rows, ("time per input", text)]

    def as_dict(self) -> dict[str, Any]:
        """Returns the replay as plain data for JSON."""
        return {**plain(self), "passed": self.passed, "verdict": self.verdict}


def is_package(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder is, or was, one of `package`."""
    folder = pathlib.Path(folder)
    return any((folder / name).is_file() for name in (SUMS, GOLDEN))


def takes_texts(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder is a package of a network for texts."""
    folder = pathlib.Path(folder)
    try:
        return is_package(folder) and read_metadata(folder).get("text") is not None
    except ValueError:  # Who uses the package says what is damaged.
        return False


def package_model(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of the .tflite in the folder of a package."""
    return pathlib.Path(folder, MODEL)


def package_classes(folder: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """Returns the names of classes in the folder of a package, `None` without them."""
    path = pathlib.Path(folder, LABELS)
    if not path.is_file():
        return None
    return tuple(read_file(path, 2**24).decode("utf-8").splitlines())


def replay(folder: str | os.PathLike[str], *, num_threads: int = 1) -> Replay:
    """Runs the golden inputs of a package and compares the outputs.

    The files are checked by their SHA-256 first. Then the .tflite runs as it is, and
    once more with the golden signs supplied. A sign that flips through rounding then
    does not change later layers, which tells rounding from a fault.

    Args:
        folder: A folder of `package`.
        num_threads: Threads of the interpreter. Defaults to `1`.

    Returns:
        The comparison; `.passed` is the verdict.

    Raises:
        FileNotFoundError: If the folder, or a file of it, is missing.
        ValueError: If a file is damaged, by its name.

    Example:
        >>> replay("no_such_folder")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no_such_folder is no folder.
    """
    folder = pathlib.Path(folder)
    check_sums(folder)
    interpreter = Interpreter(folder / MODEL, num_threads)
    runner = SubgraphRunner(interpreter.file, num_threads=num_threads)
    golden = read_golden(folder, read_metadata(folder), interpreter, runner.operators)
    start = time.perf_counter()
    outputs = answers(interpreter, golden.inputs)
    seconds = time.perf_counter() - start
    supplied = _run_with_golden_signs(interpreter, runner, golden)
    counters = dict(zip(runner.operators, supplied.counters))
    difference = largest_differences(golden.outputs, outputs)
    # A comparison with nan is false.
    mismatched = ~(difference <= LARGEST_OUTPUT_DIFFERENCE)
    under_signs = largest_differences(golden.outputs, supplied.outputs)
    near_zero = supplied.flipped | (golden.margin <= SIGN_TOLERANCE)
    keras = None
    if golden.keras:
        keras = float(np.median(largest_differences(golden.keras, outputs)))
    return Replay(
        samples=len(difference),
        signs=sum(counter.values for counter in supplied.counters),
        flipped_near_zero=sum(c.flipped_near_zero for c in supplied.counters),
        unexplained_flips=sum(c.unexplained_flips for c in supplied.counters),
        first_mismatch=next(
            (i for i, c in counters.items() if c.unexplained_flips), None
        ),
        output_difference=float(under_signs.max()),
        mismatched=_indices(mismatched),
        mismatched_near_zero=_indices(mismatched & near_zero),
        largest_difference=float(difference.max()),
        keras_difference=keras,
        milliseconds=1000 * seconds / len(difference),
        num_threads=num_threads,
        backend_name=interpreter.backend_name,
        equal_classes=_equal_classes(golden.outputs, outputs),
        undetermined=next((i for i, c in counters.items() if c.is_undetermined), None),
    )


@dataclasses.dataclass(frozen=True)
class _WithGoldenSigns:
    """A run in which each layer is given the golden signs.

    Attributes:
        counters: For each operator that makes signs, how they compare with the golden.
        flipped: Whether an input has a sign that differs, (samples,).
        outputs: Arrays (samples, ...) by name.
    """

    counters: list[SignCounter]
    flipped: np.ndarray
    outputs: dict[str, np.ndarray]


def _run_with_golden_signs(
    interpreter: Interpreter, runner: SubgraphRunner, golden: Golden
) -> _WithGoldenSigns:
    counters = [SignCounter() for _ in runner.operators]
    has_flips = np.zeros(len(golden.margin), bool)
    parts: list[dict[str, np.ndarray]] = []
    for index in range(len(has_flips)):
        one = {name: array[index:] for name, array in golden.inputs.items()}
        signs = [array[index] for array in golden.signs]
        values, outputs = runner.run(interpreter.first_of(one), signs)
        for counter, value, words in zip(counters, values, signs):
            found = flipped(value, words)
            counter.add(value.size, found)
            has_flips[index] |= found.size > 0
        parts.append(
            {
                info.name: of_sample(interpreter, info, array)
                for info, array in zip(interpreter.outputs, outputs)
            }
        )
    joined = {
        info.name: info.real(np.stack([part[info.name] for part in parts]))
        for info in interpreter.outputs
    }
    return _WithGoldenSigns(counters, has_flips, joined)


def _equal_classes(
    golden: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> int | None:
    """Returns how many inputs have their largest score at the golden place."""
    (one, *others), (other, *_) = golden.values(), outputs.values()
    if others or one.ndim != 2 or one.shape[1] < 2:
        return None
    return int((one.argmax(axis=1) == other.argmax(axis=1)).sum())


def check_sums(folder: pathlib.Path) -> None:
    """Raises an error that names the file of a package that is missing or damaged."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder.")
    if not (folder / SUMS).is_file():
        raise FileNotFoundError(f"{folder} is no package: it has no {SUMS}.")
    text = read_file(folder / SUMS, 2**20).decode(errors="replace")
    matches = [_LINE.fullmatch(line) for line in text.splitlines()]
    sums = {match[2]: match[1] for match in matches if match}
    if not all(matches) or not {MODEL, GOLDEN, METADATA} <= set(sums):
        raise ValueError(f"{SUMS} of {folder} is damaged.")
    for name, expected in sums.items():
        if not os.path.lexists(folder / name):
            raise FileNotFoundError(f"{name} of {folder} is missing.")
        if sha256(read_file(folder / name)) != expected:
            raise ValueError(
                f"{name} of {folder} is damaged: its SHA-256 is not that of {SUMS}. "
                "Copy the package again."
            )


def sha256(content: bytes) -> str:
    """Returns the SHA-256 of a content in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_metadata(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the metadata of a package.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        content = json.loads(read_file(folder / METADATA, 2**24))
    except Exception as error:  # Readers of damaged files raise what they like.
        raise ValueError(f"{METADATA} of {folder} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{METADATA} of {folder} is damaged: it holds no object.")
    return content


def _indices(where: np.ndarray) -> tuple[int, ...]:
    return tuple(int(index) for index in np.flatnonzero(where))


def _inputs(indices: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, indices[:5])) + (", ..." if len(indices) > 5 else "")
    return f"{'input' if len(indices) == 1 else 'inputs'} {shown}"
