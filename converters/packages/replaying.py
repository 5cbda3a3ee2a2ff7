"""Whether a packaged file answers here what it answered where it was packaged.

It needs the interpreter, NumPy and nothing of Keras.
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
    largest_differences,
    too_many_flipped,
)
from converters.packages.cut_file import CutFile, differing
from converters.packages.layout import (
    GOLDEN,
    METADATA,
    MODEL,
    SUMS,
    answers,
    of_sample,
    read_file,
    read_golden,
)
from converters.runtime import Interpreter

_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\]+)")


@dataclasses.dataclass(frozen=True)
class Replay:
    """The answers of a packaged file here beside its golden ones.

    Attributes:
        samples: Number of golden inputs.
        signs: Number of signs of real values that were compared.
        ties: Signs that differ, given the golden signs before, where the value is
            within 1e-5 of zero on the scale of its layer: rounding turned them.
        wrong: Signs that differ elsewhere.
        first_wrong: Index of the first operator with such a sign, or `None`.
        output_difference: Largest difference of the outputs given the golden signs,
            relative to the largest output.
        moved: The inputs whose outputs differ by more than 1e-4 in a plain run.
        moved_with_tie: Those of them with a value within 1e-5 of zero.
        largest_difference: The largest difference in a plain run.
        keras_difference: Median difference from Keras's outputs, `None` where the
            package has none.
        milliseconds: Mean time for one input.
        num_threads: Threads that were used.
        runner: What ran the file.
        equal_classes: How many inputs have their largest score at the same place,
            `None` where no output has a score for each of several classes.
        undetermined: Index of the first operator of which rounding turned more than
            0.1 % of the signs (eight are always allowed), or `None`.
    """

    samples: int
    signs: int
    ties: int
    wrong: int
    first_wrong: int | None
    output_difference: float
    moved: tuple[int, ...]
    moved_with_tie: tuple[int, ...]
    largest_difference: float
    keras_difference: float | None
    milliseconds: float
    num_threads: int
    runner: str
    equal_classes: int | None = None
    undetermined: int | None = None

    @property
    def faults(self) -> tuple[int, ...]:
        """The inputs that differ though no value in front of a sign is near zero."""
        return tuple(sorted(set(self.moved) - set(self.moved_with_tie)))

    @property
    def passed(self) -> bool:
        """Whether the file answers as it did.

        Given the golden signs no sign is another one but by a tie, of which there are
        few, and the outputs agree to 1e-4; inputs whose outputs moved in a plain run
        have a tie.
        """
        return (
            not self.wrong
            and self.undetermined is None
            and self.output_difference <= LARGEST_OUTPUT_DIFFERENCE
            and not self.faults
        )

    def __bool__(self) -> bool:
        return self.passed

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.wrong:
            return (
                f"a fault: {self.wrong:,} of {self.signs:,} signs are others though "
                "the values before them are not near zero, first those of operator "
                f"{self.first_wrong}"
            )
        if not self.output_difference <= LARGEST_OUTPUT_DIFFERENCE:
            return (
                "a fault: given the golden signs, the outputs differ by "
                f"{self.output_difference:.1e} of the largest one"
            )
        if self.faults:
            return (
                f"a fault: {_inputs(self.faults)} answered otherwise, and no value in "
                "front of a sign is within 1e-5 of zero"
            )
        if self.undetermined is not None:
            return (
                f"undetermined: rounding turned {self.ties:,} of {self.signs:,} signs, "
                f"of operator {self.undetermined} more than "
                f"{LARGEST_SHARE_FLIPPED:.1%}, which no chance explains: its answers "
                "depend on the machine"
            )
        if self.moved:
            return (
                "no fault: every layer computes the same given equal signs; "
                f"{len(self.moved):,} of {self.samples:,} answers hang on signs near "
                f"zero ({_inputs(self.moved)}), of which rounding turned {self.ties:,} "
                f"of {self.signs:,}{self._classes()}"
            )
        return f"all {self.samples} inputs gave the golden outputs"

    def _classes(self) -> str:
        """Returns what that means for the classes, in words."""
        if self.equal_classes is None:
            return ""
        return f"; {self.equal_classes:,} of {self.samples:,} predictions are the same"

    def rows(self) -> list[tuple[str, str]]:
        """Returns the main figures as pairs of a label and a text."""
        threads = "thread" if self.num_threads == 1 else "threads"
        rows = [
            ("verdict", self.verdict),
            ("golden inputs", str(self.samples)),
            (
                "outputs that moved",
                f"{len(self.moved)}, by {self.largest_difference:.1e} at most",
            ),
            (
                "given the golden signs",
                f"{self.signs:,} signs, {self.ties} turned by ties, {self.wrong} "
                f"wrong; outputs differ by {self.output_difference:.1e}",
            ),
        ]
        if self.keras_difference is not None:
            text = f"median {self.keras_difference:.1e}"
            rows.append(("difference from Keras", text))
        text = (
            f"{self.milliseconds:.3f} ms ({self.num_threads} {threads}) by "
            f"{self.runner}"
        )
        return [*rows, ("time per input", text)]

    def as_dict(self) -> dict[str, Any]:
        """Returns the replay as plain data for JSON."""
        return {
            **dataclasses.asdict(self),
            "passed": self.passed,
            "verdict": self.verdict,
        }


def is_package(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder is, or was, one of `package`."""
    folder = pathlib.Path(folder)
    return any((folder / name).is_file() for name in (SUMS, GOLDEN))


def package_model(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of the .tflite in the folder of a package."""
    return pathlib.Path(folder, MODEL)


def replay(folder: str | os.PathLike[str], *, num_threads: int = 1) -> Replay:
    """Runs the golden inputs of a package and compares the outputs.

    The files are checked by their SHA-256 first. Then the file runs as it is, and once
    more under the golden signs, as in `verify`: what lies behind a sign that rounding
    turned does not move then, so that it is told from a fault.

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
    cut = CutFile(interpreter.file, num_threads=num_threads)
    found = read_golden(folder, read_metadata(folder), interpreter, cut.operators)
    arrays, expected, keras = found.inputs, found.outputs, found.keras
    signs, margins = found.signs, found.margin
    start = time.perf_counter()
    outputs = answers(interpreter, arrays)
    seconds = time.perf_counter() - start
    tied = margins <= SIGN_TOLERANCE
    turned: list[list[np.ndarray]] = [[] for _ in cut.operators]
    parts: list[list[np.ndarray]] = []
    sizes = [0] * len(cut.operators)
    for index in range(len(margins)):
        one = {name: array[index:] for name, array in arrays.items()}
        given = [array[index] for array in signs]
        values, under = cut.run(interpreter.first_of(one), given)
        for place, (value, words) in enumerate(zip(values, given)):
            distances = turned[place]
            sizes[place] += value.size
            distances.append(differing(value, words))
            tied[index] |= distances[-1].size > 0
        pairs = zip(interpreter.outputs, under)
        parts.append([of_sample(interpreter, info, array) for info, array in pairs])
    under_signs = {
        info.name: info.real(np.stack(arrays))
        for info, arrays in zip(interpreter.outputs, zip(*parts))
    }
    # A comparison with nan is false.
    wrong = [int((~(np.concatenate(d) <= SIGN_TOLERANCE)).sum()) for d in turned]
    ties = [sum(map(len, d)) - number for d, number in zip(turned, wrong)]
    moved = ~(largest_differences(expected, outputs) <= LARGEST_OUTPUT_DIFFERENCE)
    return Replay(
        samples=len(margins),
        signs=sum(sizes),
        ties=sum(ties),
        wrong=sum(wrong),
        first_wrong=next((i for i, n in zip(cut.operators, wrong) if n), None),
        output_difference=float(largest_differences(expected, under_signs).max()),
        moved=_indices(moved),
        moved_with_tie=_indices(moved & tied),
        largest_difference=float(largest_differences(expected, outputs).max()),
        keras_difference=(
            float(np.median(largest_differences(keras, outputs))) if keras else None
        ),
        milliseconds=1000 * seconds / len(margins),
        num_threads=num_threads,
        runner=interpreter.backend_name,
        equal_classes=_equal_classes(expected, outputs),
        undetermined=next(
            (
                index
                for index, number, values in zip(cut.operators, ties, sizes)
                if too_many_flipped(number, values)
            ),
            None,
        ),
    )


def _equal_classes(
    golden: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> int | None:
    """Returns how many samples of the only output have their largest value there."""
    (one, *others), (other, *_) = golden.values(), outputs.values()
    if others or one.ndim != 2 or one.shape[1] < 2:
        return None
    return int((one.argmax(axis=1) == other.argmax(axis=1)).sum())


def check_sums(folder: pathlib.Path) -> None:
    """Refuses a package of which a file is missing or damaged, by its name."""
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
    """Returns what a package says of itself.

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
