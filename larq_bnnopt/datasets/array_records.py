"""Data sets of arrays in TFRecord files, with a `data.json` that describes them."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from larq_bnnopt.datasets import checking
from larq_bnnopt.datasets.checking import Entry, Progress
from larq_bnnopt.datasets.dataset import (
    ARRAYS,
    CLASSIFICATION,
    REGRESSION,
    Batch,
    Source,
)
from larq_bnnopt.datasets.facts import FACTS, Facts, facts_of, states_shape
from larq_bnnopt.datasets.pipelines import digest_of, shuffled_in_windows
from larq_bnnopt.datasets.records import (
    count_records,
    holds_records,
    interleaved,
    named_files,
    records_of,
)

INPUTS, LABEL = "inputs", "label"
# Bytes of the inputs of a window that is shuffled.
_WINDOW_BYTES = 1 << 28
_MOST_IN_WINDOW = 10_000


def holds_array_records(folder: pathlib.Path) -> bool:
    """Whether there are TFRecord files, and a `data.json` that states their shape.

    A `data.json` of something else, such as COCO's, makes no data set of arrays.
    """
    return holds_records(folder) and states_shape(folder)


def from_array_records(name: str) -> Source:
    """Returns the source of a folder of arrays in TFRecord files.

    The files are called as those of images are (`train*.tfrecord`, `test*.tfrecord`).
    Each record is a `tf.train.Example` with the bytes of an array, little-endian and in
    C order, in `inputs`, and its class (int64) or the numbers of a regression (float)
    in `label`. `data.json` has `shape` and `dtype` of an input, `class_names`, and
    `task`, which is `"classification"` unless it is stated.

    Args:
        name: The folder.

    Raises:
        ValueError: If files or facts are missing, or a file is damaged.
    """
    folder = pathlib.Path(name)
    facts = _complete(folder, facts_of(folder))
    train_files, test_files = named_files(folder)
    sizes = [sum(map(count_records, files)) for files in (train_files, test_files)]
    for files, size in zip((train_files, test_files), sizes):
        if not size:
            raise ValueError(f"{files[0]} holds no record.")
    train, test = (tuple(map(str, files)) for files in (train_files, test_files))
    size = np.dtype(facts.dtype).itemsize * math.prod(facts.shape or ())
    window = int(np.clip(_WINDOW_BYTES // size, 1, _MOST_IN_WINDOW))

    def shuffled(seeds: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(train), dtype=tf.int64), seeds
        )
        examples = _examples(train, order, facts)
        return shuffled_in_windows(examples, seeds, window).batch(batch_size)

    def check(progress: Progress | None, again: bool) -> None:
        paths = (*train, *test)
        entries = _entries(paths, facts)
        look = functools.partial(
            checking.check, name, entries, sum(sizes), progress, ARRAYS
        )
        look() if again else checking.once(paths, repr(facts), look)

    return Source(
        input_shape=facts.shape or (),
        class_names=facts.class_names or (),
        train_size=sizes[0],
        test_size=sizes[1],
        test=_examples(test, tf.range(len(test), dtype=tf.int64), facts),
        shuffled=shuffled,
        fingerprint=lambda: digest_of(name, (*train, *test, str(folder / FACTS))),
        check=check,
        kind=ARRAYS,
        task=facts.task or CLASSIFICATION,
    )


def _complete(folder: pathlib.Path, facts: Facts) -> Facts:
    """Returns the facts with a task; refuses those that lack something."""
    for name in ("shape", "dtype", "class_names"):
        if getattr(facts, name) is None:
            raise ValueError(
                f"{folder / FACTS} has no {name}. It needs shape and dtype of an "
                "input, and class_names: of a regression the names of the numbers "
                "of a label."
            )
    task = facts.task or CLASSIFICATION
    names = facts.class_names or ()
    if len(names) < (2 if task == CLASSIFICATION else 1):
        raise ValueError(
            f"{folder / FACTS} needs class_names for two classes or more, or for one "
            f"number or more of a regression. Received: {list(names)}"
        )
    return Facts(facts.shape, facts.dtype, task, facts.class_names)


def _entries(files: Sequence[str], facts: Facts) -> Iterator[Entry]:
    """Yields the records of files, for `checking.check`."""
    return records_of(files, lambda content: _problem(content, facts))


def _problem(record: bytes, facts: Facts) -> str | None:
    """Returns the problem of a record, `None` if there is none."""
    example = tf.train.Example()
    try:
        example.ParseFromString(record)
    except Exception:  # Protocol buffers have an error of each version.
        return "holds no tf.train.Example."
    given = example.features.feature
    inputs = given[INPUTS].bytes_list.value
    if len(inputs) != 1:
        others = ", ".join(sorted(set(given) - {INPUTS, LABEL}))
        return (
            f"needs the feature {INPUTS!r}, the bytes of one array. Received: "
            f"{others or len(inputs)}"
        )
    dtype, shape = np.dtype(facts.dtype), facts.shape or ()
    wanted = dtype.itemsize * math.prod(shape)
    if len(inputs[0]) != wanted:
        return (
            f"has {len(inputs[0]):,} bytes of {INPUTS!r}; {FACTS} says {shape} of "
            f"{dtype}, which are {wanted:,}"
        )
    array = np.frombuffer(inputs[0], dtype.newbyteorder("<"))
    with np.errstate(over="ignore"):
        if not np.isfinite(array.astype(np.float32)).all():
            return f"has {INPUTS!r} that hold NaN, infinity or more than float32 holds"
    return _label_problem(given[LABEL], facts)


def _label_problem(feature: tf.train.Feature, facts: Facts) -> str | None:
    count = len(facts.class_names or ())
    if facts.task == REGRESSION:
        numbers = feature.float_list.value
        if len(numbers) != count:
            return f"needs {count} floats in {LABEL!r}. Received: {len(numbers)}"
        if not np.isfinite(numbers).all():
            return f"has a {LABEL!r} that holds NaN or infinity"
        return None
    classes = feature.int64_list.value
    if len(classes) != 1:
        return f"needs one class (int64) in {LABEL!r}. Received: {len(classes)}"
    if not 0 <= classes[0] < count:
        return (
            f"has the label {classes[0]}, and {FACTS} names {count} classes, from 0 to "
            f"{count - 1}"
        )
    return None


def _examples(
    files: tuple[str, ...], order: tf.Tensor, facts: Facts
) -> tf.data.Dataset:
    """Returns stored inputs and labels, interleaved from files in a fixed order."""
    count, is_regression = len(facts.class_names or ()), facts.task == REGRESSION
    label = (
        tf.io.FixedLenFeature([count], tf.float32)
        if is_regression
        else tf.io.FixedLenFeature([], tf.int64)
    )
    wanted = {INPUTS: tf.io.FixedLenFeature([], tf.string), LABEL: label}

    def parsed(record: tf.Tensor) -> Batch:
        example = tf.io.parse_single_example(record, wanted)
        # Decoding goes by the machine's order unless it is told.
        flat = tf.io.decode_raw(example[INPUTS], facts.dtype, little_endian=True)
        inputs = tf.reshape(flat, facts.shape)
        known = [
            tf.debugging.assert_all_finite(
                tf.cast(inputs, tf.float32), "An input is not finite."
            )
        ]
        if not is_regression:
            inside = (example[LABEL] >= 0) & (example[LABEL] < count)
            known.append(
                tf.debugging.Assert(inside, ["A label is no class", example[LABEL]])
            )
        with tf.control_dependencies(known):
            return tf.identity(inputs), tf.identity(example[LABEL])

    return interleaved(files, order).map(parsed, num_parallel_calls=tf.data.AUTOTUNE)


def array_record(inputs: np.ndarray, label: int | Sequence[float]) -> bytes:
    """Returns the record of an input with its label, for `tf.io.TFRecordWriter`.

    Args:
        inputs: The array, of the shape and type that `data.json` states.
        label: Its class, or the numbers of a regression.

    Example:
        >>> import numpy as np
        >>> record = array_record(np.zeros(3, np.float32), 1)
        >>> features = tf.train.Example.FromString(record).features.feature
        >>> list(features["label"].int64_list.value)
        [1]
    """
    inputs = np.ascontiguousarray(inputs)
    little = inputs.astype(inputs.dtype.newbyteorder("<"), copy=False)
    if isinstance(label, (int, np.integer)):
        number = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    else:
        numbers = np.asarray(label, np.float32).ravel()
        number = tf.train.Feature(float_list=tf.train.FloatList(value=numbers))
    content = tf.train.BytesList(value=[little.tobytes()])
    features = {INPUTS: tf.train.Feature(bytes_list=content), LABEL: number}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    record: bytes = example.SerializeToString(deterministic=True)
    return record
