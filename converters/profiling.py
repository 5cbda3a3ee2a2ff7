"""Profiles of a .tflite: the time and the bytes of each operator."""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.renamed import plain, with_old_names
from converters.runtime import Interpreter, TfliteFile, host_description
from converters.runtime.interpreter import Batch
from converters.tables import markdown_table, thread_count

if TYPE_CHECKING:
    import tensorflow as tf

# The whole network is measured repeatedly, so that a busy second of the host spoils one
# sweep and not one operator.
_SWEEPS = 3
_LEAST_ROUNDS = 3
# Copies of one operator: long enough to measure, not too much memory.
_SECONDS_OF_COPIES = 2e-4
_COPIES = (3, 65)
_BYTES_OF_COPIES = 2**24
_SHARE_OF_WHOLE = 0.1
_FIGURES = ("ms", "median ms", "of the time", "bytes", "of the file")
_NUMBERS = ("#", "count", *_FIGURES)


@dataclasses.dataclass(frozen=True)
class OperatorProfile:
    """The time and the bytes of one operator.

    Attributes:
        index: Its place among the operators of the file.
        name: Name of the operator, such as `"LceBconv2d"`.
        output_shape: Shape of its first output; binary ones have 32 channels a word.
        milliseconds: Its time from the shortest runs, or `None` where it does not run
            alone.
        median_milliseconds: Its time from the median runs, or `None`.
        num_bytes: Size of its constants, without those that an earlier operator has.
        shared: Earlier operators that hold some of its constants.
        layer: Name of the Keras layer, where it is a binary one and the model is given.
    """

    index: int
    name: str
    output_shape: tuple[int, ...]
    milliseconds: float | None
    median_milliseconds: float | None
    num_bytes: int
    shared: tuple[int, ...] = ()
    layer: str | None = None


@dataclasses.dataclass(frozen=True)
class OperatorTotal:
    """The sums over all operators of one name; times as in `OperatorProfile`."""

    name: str
    count: int
    milliseconds: float
    median_milliseconds: float
    num_bytes: int


@with_old_names(runner="backend_name", machine="host")
@dataclasses.dataclass(frozen=True)
class Profile:
    """The time and the bytes of a file by operator.

    Attributes:
        operators: The operators in the order of execution.
        num_bytes: Size of the file.
        milliseconds: Shortest time of the whole network for one input.
        median_milliseconds: Median of that time.
        num_threads: Threads that were used.
        backend_name: What ran the file.
        host: What it ran on.
    """

    operators: tuple[OperatorProfile, ...]
    num_bytes: int
    milliseconds: float
    median_milliseconds: float
    num_threads: int
    backend_name: str
    host: str

    @property
    def sum_milliseconds(self) -> float:
        """The sum of the operators' shortest times."""
        return sum(operator.milliseconds or 0.0 for operator in self.operators)

    @property
    def constant_bytes(self) -> int:
        """Size of all constants; the rest of the file describes the graph."""
        return sum(operator.num_bytes for operator in self.operators)

    def totals(self) -> tuple[OperatorTotal, ...]:
        """Returns the totals by name of the operator, the slowest first."""
        names = dict.fromkeys(operator.name for operator in self.operators)
        totals = []
        for name in names:
            same = [one for one in self.operators if one.name == name]
            totals.append(
                OperatorTotal(
                    name,
                    len(same),
                    sum(one.milliseconds or 0.0 for one in same),
                    sum(one.median_milliseconds or 0.0 for one in same),
                    sum(one.num_bytes for one in same),
                )
            )
        return tuple(sorted(totals, key=lambda total: -total.milliseconds))

    def headline(self) -> str:
        """Returns the time, and where it was measured, as one line."""
        return (
            f"{self.milliseconds:.3f} ms for one input (median "
            f"{self.median_milliseconds:.3f}, {thread_count(self.num_threads)}, "
            f"{self.num_bytes:,} bytes) by {self.backend_name} on {self.host}"
        )

    def summary(self) -> str:
        """Returns the time of the whole network and the sum as one line."""
        text = (
            f"{self.headline()}. The operators alone sum to "
            f"{self.sum_milliseconds:.3f} ms; {self.constant_bytes:,} bytes are "
            "constants."
        )
        untimed = [str(one.index) for one in self.operators if one.milliseconds is None]
        if untimed:
            text += f" Not timed, as they do not run alone: {', '.join(untimed)}."
        return text

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the operators as texts, with a heading above and the sum below."""
        with_layers = any(operator.layer for operator in self.operators)
        layer = ("layer",) if with_layers else ()
        rows: list[tuple[str, ...]] = [
            ("#", "operator", *layer, "output", *_FIGURES, "shared with")
        ]
        for one in self.operators:
            rows.append(
                (
                    str(one.index),
                    one.name,
                    *((one.layer or "",) if with_layers else ()),
                    "x".join(map(str, one.output_shape)),
                    *self._figures(
                        one.milliseconds, one.median_milliseconds, one.num_bytes
                    ),
                    ", ".join(map(str, one.shared)),
                )
            )
        rows.append(("", "sum", *[""] * len(layer), "", *self._sums(), ""))
        return rows

    def total_rows(self) -> list[tuple[str, ...]]:
        """Returns the totals by name as texts, heading and sum as in `rows`."""
        rows: list[tuple[str, ...]] = [("operator", "count", *_FIGURES)]
        for total in self.totals():
            figures = self._figures(
                total.milliseconds, total.median_milliseconds, total.num_bytes
            )
            rows.append((total.name, str(total.count), *figures))
        rows.append(("sum", str(len(self.operators)), *self._sums()))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Returns the profile as plain data for JSON."""
        return {
            **plain(self),
            "sum_milliseconds": self.sum_milliseconds,
            "constant_bytes": self.constant_bytes,
            "totals": [plain(total) for total in self.totals()],
        }

    def markdown(self) -> str:
        """Returns the profile as a page of Markdown."""
        lines = ["# Profile", "", self.summary(), "", "## By operator", ""]
        lines += _table(self.total_rows())
        lines += ["", "## In the order of execution", ""]
        lines += _table(self.rows())
        return "\n".join([*lines, ""])

    def _figures(
        self, shortest: float | None, median: float | None, num_bytes: int
    ) -> tuple[str, ...]:
        if shortest is None or median is None:
            times = "", "", ""
        else:
            share = _share(shortest, self.sum_milliseconds)
            times = f"{shortest:.4f}", f"{median:.4f}", share
        return (*times, f"{num_bytes:,}", _share(num_bytes, self.num_bytes))

    def _sums(self) -> tuple[str, ...]:
        median = sum(one.median_milliseconds or 0.0 for one in self.operators)
        return self._figures(self.sum_milliseconds, median, self.constant_bytes)


def profile(
    tflite: bytes | str | os.PathLike[str],
    inputs: Batch | None = None,
    *,
    model: tf.keras.Model | None = None,
    num_threads: int = 1,
    seconds: float = 10.0,
) -> Profile:
    """Measures the time of each operator of a .tflite, and counts its bytes.

    No interpreter measures all operators itself. So each operator is put in a file of
    its own, once and n times, and runs on its real inputs. Its time is

        t = (T(n copies) - T(1 copy)) / (n - 1),

    which excludes the cost of a call. Both T are the shortest, or the median, of many
    runs. Operators are timed alone: their inputs and weights lie in the cache, and what
    XNNPACK saves by running neighbours together is not seen. The whole network is
    measured too, to compare the sum with.

    Args:
        tflite: The content of the file, or its path.
        inputs: What to run the network on, as for `Interpreter.predict`; the first
            sample is taken. Defaults to `None`, random numbers.
        model: The Keras model that was converted, for the names of its layers. Defaults
            to `None`.
        num_threads: Threads to compute with. Defaults to `1`.
        seconds: How long to measure, without the time to make the small files. A large
            network takes longer, since each operator runs at least a few times.
            Defaults to `10.0`.

    Returns:
        The profile.

    Raises:
        ValueError: If the file is no .tflite or not of this model, the inputs do not
            fit or `seconds` is not positive.

    Example:
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> from converters import convert
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
        >>> content = convert(model, inputs=images).content
        >>> result = profile(content, images, model=model, seconds=0.1)
        >>> result.operators[2].name, result.operators[2].layer
        ('LceBconv2d', 'stage1_1_conv')
        >>> result.constant_bytes / result.num_bytes > 0.8
        True
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive. Received: {seconds}")
    interpreter = Interpreter(tflite, num_threads)
    given = _sample(interpreter, inputs)
    file = interpreter.file
    layers = {} if model is None else _layers(model, file)
    values = _tensors(file, given, num_threads)
    runs = [
        _Alone(file, index, values, num_threads) for index in range(len(file.operators))
    ]
    sweep = seconds / _SWEEPS
    each = sweep * (1 - _SHARE_OF_WHOLE) / max(1, len(runs))
    whole: list[float] = []
    for _ in range(_SWEEPS):
        (times,) = alternate(
            [lambda: interpreter.run_once(given)], sweep * _SHARE_OF_WHOLE
        )
        whole += times
        for run in runs:
            run.sweep(each)
    return Profile(
        operators=tuple(_operators(file, runs, layers)),
        num_bytes=len(file.content),
        milliseconds=1000 * min(whole),
        median_milliseconds=1000 * statistics.median(whole),
        num_threads=num_threads,
        backend_name=interpreter.backend_name,
        host=host_description(),
    )


def _operators(
    file: TfliteFile, runs: Sequence[_Alone], layers: Mapping[int, str]
) -> Iterator[OperatorProfile]:
    """Yields the profiles of operators after their runs."""
    constants = _constants(file)
    for index, (operator, run) in enumerate(zip(file.operators, runs)):
        shortest, median = run.milliseconds()
        num_bytes, shared = constants[index]
        yield OperatorProfile(
            index=index,
            name=operator.name,
            output_shape=file.shape(operator.outputs[0]),
            milliseconds=shortest,
            median_milliseconds=median,
            num_bytes=num_bytes,
            shared=shared,
            layer=layers.get(index),
        )


def _layers(model: tf.keras.Model, file: TfliteFile) -> dict[int, str]:
    """Returns the names of the binary layers by the index of their operator."""
    from converters.auditing.audit import audit

    result = audit(model, file.content)
    layers = {
        layer.operator: layer.name
        for layer in result.converted
        if layer.operator is not None
    }
    if result.binary and not layers:
        raise ValueError(
            f"No binary operator of the file holds a kernel of {model.name}: it "
            "was made of another model, or this one was trained since. Leave model "
            "out to profile the file alone."
        )
    return layers


def alternate(
    calls: Sequence[Callable[[], object]],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Calls functions in turn until the time is over, at least three times each.

    Args:
        calls: The functions.
        seconds: The time for all of them.
        clock: Returns seconds. Defaults to `time.perf_counter`.

    Returns:
        For each function, the seconds that its calls took.
    """
    times: list[list[float]] = [[] for _ in calls]
    end = clock() + seconds
    while len(times[0]) < _LEAST_ROUNDS or clock() < end:
        for call, taken in zip(calls, times):
            start = clock()
            call()
            taken.append(clock() - start)
    return times


def seconds_of_one(
    once: Sequence[float], often: Sequence[float], copies: int
) -> tuple[float, float]:
    """Returns the time of one operator from runs of one copy and of several.

    Args:
        once: Seconds of the runs of one copy.
        often: Seconds of the runs of several.
        copies: How many.

    Returns:
        The difference of the shortest runs for each copy, and that of the medians; 0
        where noise makes it negative.

    Example:
        >>> seconds_of_one([3.0, 9.0, 4.0], [7.0, 8.0, 16.0], copies=3)
        (2.0, 2.0)
    """
    shortest, median = (
        max(0.0, (measure(often) - measure(once)) / (copies - 1))
        for measure in (min, statistics.median)
    )
    return shortest, median


class _Alone:
    """One operator in files of its own, once and several times."""

    def __init__(
        self,
        file: TfliteFile,
        index: int,
        values: Mapping[int, np.ndarray],
        num_threads: int,
    ):
        self._num_threads = num_threads
        self._times: tuple[list[float], list[float]] = ([], [])
        once, inputs = file.repeated(index, 1)
        self._inputs = [values[tensor] for tensor in inputs]
        call = self._call(once)
        self.runs_alone = call is not None
        if call is None:
            return
        (times,) = alternate([call], 0.0)
        outputs = file.operators[index].outputs
        size = sum(
            math.prod(file.shape(tensor)) * file.dtype(tensor).itemsize
            for tensor in outputs
        )
        self._copies = copies_for(min(times), size)
        self._files = (once, file.repeated(index, self._copies)[0])

    def sweep(self, seconds: float) -> None:
        """Measures for some time."""
        if not self.runs_alone:
            return
        calls = [self._call(content) for content in self._files]
        found = alternate([call for call in calls if call is not None], seconds)
        for times, more in zip(self._times, found):
            times += more

    def milliseconds(self) -> tuple[float | None, float | None]:
        """Returns shortest and median."""
        if not self.runs_alone:
            return None, None
        shortest, median = seconds_of_one(*self._times, self._copies)
        return 1000 * shortest, 1000 * median

    def _call(self, content: bytes) -> Callable[[], object] | None:
        """Returns a function that runs a file, or `None` where it does not run."""
        try:
            interpreter = Interpreter(content, self._num_threads)
            interpreter.run_once(self._inputs)
        except (RuntimeError, ValueError):
            return None
        return lambda: interpreter.run_once(self._inputs)


def copies_for(seconds: float, output_bytes: int) -> int:
    """Returns how many copies of an operator to measure.

    Args:
        seconds: An upper bound of its time.
        output_bytes: Size of its outputs, which each copy has for itself.
    """
    least, most = _COPIES
    wanted = min(most, max(least, 1 + math.ceil(_SECONDS_OF_COPIES / seconds)))
    return max(2, min(wanted, _BYTES_OF_COPIES // max(1, output_bytes)))


def _sample(interpreter: Interpreter, inputs: Batch | None) -> list[np.ndarray]:
    """Returns one sample for each input, random where none is given."""
    if inputs is not None:
        return interpreter.first_of(inputs)
    generator = np.random.default_rng(0)
    return [info.random(generator, info.shape[0]) for info in interpreter.inputs]


def _tensors(
    file: TfliteFile, given: Sequence[np.ndarray], num_threads: int
) -> dict[int, np.ndarray]:
    """Returns every tensor that an operator reads and another one computes."""
    computed = {tensor for operator in file.operators for tensor in operator.outputs}
    read = {tensor for operator in file.operators for tensor in operator.inputs}
    wanted = sorted(computed & read)
    values = dict(zip(file.inputs, given))
    if wanted:
        inner = Interpreter(file.with_outputs(wanted), num_threads)
        values.update(zip(wanted, inner.run_once(given)))
    return values


def _constants(file: TfliteFile) -> list[tuple[int, tuple[int, ...]]]:
    """Returns for each operator its own bytes, and earlier operators it shares with.

    A buffer belongs to the first operator that reads it.
    """
    owners: dict[int, int] = {}
    found = []
    for index, operator in enumerate(file.operators):
        num_bytes = 0
        shared = set()
        for tensor in operator.inputs:
            buffer, size = file.buffer(tensor) if tensor >= 0 else (0, 0)
            if not size:
                continue
            if buffer not in owners:
                owners[buffer] = index
                num_bytes += size
            elif owners[buffer] != index:
                shared.add(owners[buffer])
        found.append((num_bytes, tuple(sorted(shared))))
    return found


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    heading, *others = rows
    return markdown_table(heading, others, _NUMBERS)
