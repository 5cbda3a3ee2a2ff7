"""Distribution strategies: several devices or machines that train one model."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from larq_bnnopt.recipes.locking import NAME as LOCK

STRATEGIES = ("mirrored", "multi_worker")


def strategy_of(name: str | None) -> tf.distribute.Strategy:
    """Returns the strategy of a name.

    Args:
        name: `"mirrored"`, all GPUs of this machine; `"multi_worker"`, the machines
            that the environment variable `TF_CONFIG` names, each of which runs the same
            command, before it does anything else with TensorFlow; or `None`, one
            device.

    Returns:
        The strategy of TensorFlow.

    Raises:
        ValueError: If there is no such strategy, or `TF_CONFIG` is missing.

    Example:
        >>> strategy_of(None).num_replicas_in_sync
        1
    """
    if name is None:
        return tf.distribute.get_strategy()
    if name not in STRATEGIES:
        raise ValueError(f"No strategy {name!r}. There are: {', '.join(STRATEGIES)}.")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if "TF_CONFIG" not in os.environ:
        raise ValueError(
            "multi_worker needs the environment variable TF_CONFIG, another one on "
            "each machine; docs/scale.md shows it."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files of a run: it is the chief, or alone."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


@contextlib.contextmanager
def own_folder(
    strategy: tf.distribute.Strategy, folder: pathlib.Path
) -> Iterator[pathlib.Path]:
    """Yields the folder that this process writes to during a training.

    All processes must take part in saving a model. Those that are not the chief write
    to a copy, which is removed.

    Args:
        strategy: The strategy.
        folder: The folder of the run, on a disk that all machines see.
    """
    if is_chief(strategy):
        _wait_for_all(strategy)
        yield folder
        return
    with tempfile.TemporaryDirectory() as parent:
        copy = pathlib.Path(parent, folder.name)
        if folder.exists():
            # Each process has a lock of its own.
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(LOCK))
        # The chief changes its folder only when all have their copies.
        _wait_for_all(strategy)
        yield copy


def _wait_for_all(strategy: tf.distribute.Strategy) -> None:
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        ones = strategy.run(lambda: tf.constant(1.0))
        strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None).numpy()


def shared_out(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set of whose batches each machine takes its share."""
    options = tf.data.Options()
    policy: Any = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = policy.DATA
    return dataset.with_options(options)


def check_metrics(strategy: tf.distribute.Strategy, metrics: Sequence[str]) -> None:
    """Raises a ValueError for metrics that replicas cannot share.

    Args:
        strategy: The strategy.
        metrics: Names of the metrics of a data set.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas > 1 and "spearman" in metrics:
        raise ValueError(
            f"The metric spearman needs all predictions on one device, and there are "
            f"{replicas} replicas. Leave out the strategy."
        )


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raises a ValueError unless replicas get equal shares of a batch."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"batch_size counts the images of all {replicas} replicas together, and "
            f"must be a multiple of {replicas}. Received: {batch_size}"
        )
