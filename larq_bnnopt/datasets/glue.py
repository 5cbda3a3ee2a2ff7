"""The nine tasks of GLUE by tensorflow-datasets, each with its metrics.

GLUE publishes no labels of its tests: the validation split is the test here.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

from larq_bnnopt.datasets.dataset import CLASSIFICATION, REGRESSION, Source
from larq_bnnopt.datasets.downloads import prepare
from larq_bnnopt.datasets.text_labels import Labels
from larq_bnnopt.datasets.token_source import TextOptions, Texts, token_source
from larq_bnnopt.texts import require_known

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

NAME = "glue"


@dataclasses.dataclass(frozen=True)
class Task:
    """A task of GLUE.

    Attributes:
        columns: The features that hold its text, or the two texts of a pair.
        metrics: What GLUE measures it by; the first is what paper 003 prints.
        builder: Its name in tensorflow-datasets, if it has another.
        test: The split that is the test.
    """

    columns: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    builder: str | None = None
    test: str = "validation"


_PAIR = ("sentence1", "sentence2")
_MNLI = ("premise", "hypothesis")
TASKS = {
    "cola": Task(("sentence",), ("matthews",)),
    "sst2": Task(("sentence",)),
    "mrpc": Task(_PAIR, ("f1", "accuracy")),
    "qqp": Task(("question1", "question2"), ("f1", "accuracy")),
    "stsb": Task(_PAIR, ("pearson", "spearman")),
    "mnli": Task(_MNLI, test="validation_matched"),
    "mnli_matched": Task(_MNLI, builder="mnli", test="validation_matched"),
    "mnli_mismatched": Task(_MNLI, builder="mnli", test="validation_mismatched"),
    "qnli": Task(("question", "sentence")),
    "rte": Task(_PAIR),
    "wnli": Task(_PAIR),
}


def is_glue(name: str) -> bool:
    """Whether a name is one of GLUE: `"glue/sst2"`."""
    return name.partition("/")[0].partition(":")[0] == NAME


def from_glue(
    name: str,
    options: TextOptions,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> Source:
    """Returns the source of a task of GLUE.

    Args:
        name: `"glue/"` and `"cola"`, `"sst2"`, `"mrpc"`, `"qqp"`, `"stsb"`, `"mnli"`,
            `"qnli"`, `"rte"` or `"wnli"`. The test of `"mnli"` is its matched one;
            `"mnli_mismatched"` is the same training with the other one.
        options: How texts become inputs.
        data_dir: Folder of tensorflow-datasets. Defaults to `None`, its own.
        download: Whether to download it where it is missing. Defaults to `True`.

    Raises:
        ValueError: If there is no such task, or it has texts without a label.
        OSError: If it cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    name, _, version = name.partition(":")
    config = name.partition("/")[2]
    require_known("task of GLUE", config, TASKS)
    task = TASKS[config]
    called = f"{NAME}/{task.builder or config}{f':{version}' if version else ''}"
    builder = tfds.builder(called, data_dir=data_dir)
    prepare(builder, download)
    train, train_labels = _read(builder, "train", "training", task, name)
    test, test_labels = _read(builder, task.test, "test", task, name)
    feature = builder.info.features["label"]
    is_class = isinstance(feature, tfds.features.ClassLabel)
    return token_source(
        name,
        train,
        test,
        Labels(
            CLASSIFICATION if is_class else REGRESSION,
            tuple(feature.names) if is_class else ("similarity",),
            train_labels,
            test_labels,
        ),
        options,
        task.metrics,
        f"{builder.info.full_name} {task.test}",
    )


def _read(
    builder: tfds.core.DatasetBuilder, split: str, called: str, task: Task, name: str
) -> tuple[Texts, np.ndarray]:
    """Returns texts and labels of a split."""
    import tensorflow_datasets as tfds

    arrays = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    columns = [
        [text.decode("utf-8") for text in arrays[column]] for column in task.columns
    ]
    labels = arrays["label"]
    unlabelled = labels < 0 if labels.dtype.kind in "iu" else ~np.isfinite(labels)
    if unlabelled.any():
        raise ValueError(
            f"{int(unlabelled.sum()):,} of the {len(labels):,} texts of the split "
            f"{split!r} of {name} have no label (-1), as GLUE's own tests. Prepare it "
            "again, in another folder (data_dir)."
        )
    empty = sum(not text.strip() for column in columns for text in column)
    if empty:
        warnings.warn(
            f"{empty:,} texts of the split {split!r} of {name} are empty.",
            stacklevel=2,
        )
    pairs = columns[1] if len(columns) > 1 else None
    if labels.dtype.kind == "f":
        return Texts(columns[0], pairs, called), labels.astype(np.float32)[:, None]
    return Texts(columns[0], pairs, called), labels.astype(np.int64)
