"""Other batch sizes and image sizes than those in the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from converters.runtime.batches import Run, run_in_batches
from converters.runtime.tensor_info import TensorInfo


def resized_inputs(
    inputs: Sequence[TensorInfo], sizes: Mapping[str, Sequence[int]]
) -> Iterator[TensorInfo]:
    """Yields the inputs with other sizes; refuses sizes that do not fit them."""
    names = [info.name for info in inputs]
    if not isinstance(sizes, Mapping):
        raise TypeError(f"sizes are tuples by name of the input. Received: {sizes!r}")
    if not set(sizes) <= set(names):
        raise ValueError(f"The inputs are {names}. Received: {sorted(map(str, sizes))}")
    for info in inputs:
        given = sizes.get(info.name, info.shape[1:])
        size = tuple(given) if isinstance(given, Iterable) else (given,)
        if len(size) != len(info.shape) - 1 or not all(
            is_whole(number) and number > 0 for number in size
        ):
            raise ValueError(
                f"Input {info.name!r} is {('batch', *info.shape[1:])}. Received for "
                f"the shape after the batch: {size}"
            )
        if size[-1:] != info.shape[1:][-1:]:
            # Not every LiteRT compares the channels with the weights.
            raise ValueError(
                f"The last axis of input {info.name!r}, its channels, is "
                f"{info.shape[-1]} in this file. Received: {size}"
            )
        yield dataclasses.replace(info, shape=(info.shape[0], *size))


def mixes_samples(
    run_one: Run,
    run_all: Run,
    inputs: Sequence[TensorInfo],
    own_size: int,
    size: int,
    seed: int,
) -> bool:
    """Whether random samples have other outputs in a batch than alone.

    Args:
        run_one: Runs `own_size` samples, as the file was made.
        run_all: Runs `size` samples.
        inputs: The inputs.
        own_size: The batch size of the file.
        size: The new batch size.
        seed: Seed of the samples.
    """
    generator = np.random.default_rng(seed)
    given = [info.random(generator, size, scale=20) for info in inputs]
    alone = run_in_batches(run_one, given, own_size)
    for ours, expected in zip(run_all(given), alone):
        if ours.shape != expected.shape:
            return True
        distance = np.abs(ours.astype(float) - expected).max(initial=0)
        if not distance <= 1e-3 * np.abs(expected.astype(float)).max(initial=1e-30):
            return True
    return False


def is_whole(number: object) -> bool:
    """Whether this is an integer, of Python or NumPy, and no bool."""
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)
