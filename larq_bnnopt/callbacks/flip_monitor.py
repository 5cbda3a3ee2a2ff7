"""`FlipMonitor`: flips in the logs, in a table, in a picture."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from larq_bnnopt.callbacks import summaries
from larq_bnnopt.callbacks.drift import DriftWatch
from larq_bnnopt.callbacks.flips import FlipCounter, binary_kernels
from larq_bnnopt.callbacks.plots import plot_flips

_CAPACITY = 256


class FlipMonitor(tf.keras.callbacks.Callback):
    r"""Watches how many binary weights change their sign.

    \[ \mathrm{FF} = \frac{1}{N} \sum_i \tfrac12 |\theta_i^{t+1} - \theta_i^t|, \quad
    \mathrm{C2I} = 1 - \frac{1}{N} \sum_i \tfrac12 |\theta_i^t - \theta_i^0| \]

    Adds to the logs of every epoch, and so to `History`, `CSVLogger` and TensorBoard:

    - `flip_ratio`: FF of a step over all binary weights, mean of the epoch's steps;
    - `flip_ratio/LAYER`: the same for the kernel of each layer;
    - `c2i_ratio`: share of weights with the sign that they started with.

    Put it in front of callbacks that read the logs.

    After the first epoch of a training it warns of each kernel with the quantizer
    `NoOp(precision=1)` that was +-c of each output channel before and is not any more:
    an optimizer for real weights trains it.

    Args:
        csv_path: File for a table of one row a step: epoch and batch counted from 0,
            FF of all weights and of each layer. A training that starts at an epoch
            above 0 goes on behind the earlier epochs of the file. Defaults to `None`.
        plot_path: File for a picture of that table, drawn when the training ends.
            Defaults to `None`.
        start: Kernels that C2I compares with, by layer name, for a training that goes
            on. Defaults to `None`, the kernels when the training begins.

    Raises:
        ValueError: If `plot_path` is given without `csv_path`; when the training
            begins, if the model has no binary kernel or another FlipMonitor.
        FileExistsError: When a training begins at epoch 0 and `csv_path` exists.

    Example:
        >>> import larq as lq
        >>> model = tf.keras.Sequential([
        ...     lq.layers.QuantDense(1, kernel_quantizer="ste_sign", name="dense",
        ...                          kernel_initializer="ones", input_shape=(2,))])
        >>> model.compile(tf.keras.optimizers.SGD(2.0), "mse")
        >>> x, y = tf.constant([[1.0, 0.0]]), tf.constant([[0.0]])
        >>> history = model.fit(x, y, verbose=0, callbacks=[FlipMonitor()])
        >>> history.history["flip_ratio/dense"], history.history["c2i_ratio"]
        ([0.5], [0.5])

    References:
        Paper 001 (gradient filtering), eq. 18 for FF; paper 000 (AdamBNN) for C2I.
    """

    _counter: FlipCounter

    def __init__(
        self,
        csv_path: str | os.PathLike[str] | None = None,
        plot_path: str | os.PathLike[str] | None = None,
        start: Mapping[str, np.ndarray] | None = None,
    ):
        super().__init__()
        if plot_path is not None and csv_path is None:
            raise ValueError("plot_path needs csv_path, whose table the picture shows.")
        # Else Keras would fetch the logs from the device at every step.
        self._supports_tf_logs = True
        self.csv_path = None if csv_path is None else pathlib.Path(csv_path)
        self.plot_path = None if plot_path is None else pathlib.Path(plot_path)
        self.start = start

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the training step count flips."""
        for path in (self.csv_path, self.plot_path):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        kernels = binary_kernels(self.model)
        if not kernels:
            raise ValueError(
                f"{self.model.name} has no trainable binary kernel to watch. Binary "
                "layers have kernel_quantizer='ste_sign' or NoOp(precision=1)."
            )
        self._names = list(kernels)
        self._sizes = np.array([int(np.prod(k.shape)) for k in kernels.values()])
        # Steps in one execution are counted before Keras calls back.
        execution = self.model._steps_per_execution
        self._execution = 1 if execution is None else int(execution.numpy())
        capacity = max(_CAPACITY, 2 * self._execution)
        self._counter = FlipCounter(self.model, kernels, capacity)
        if self.start is not None:
            if set(self.start) != set(kernels):
                raise ValueError(
                    f"The binary kernels are {self._names}. Received as start: "
                    f"{sorted(self.start)}"
                )
            self._counter.start_from([self.start[name] for name in self._names])
        self._counter.attach(self.params)
        self._drift: DriftWatch | None = DriftWatch(kernels)
        self._first_epoch = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the counts of an epoch."""
        if self._first_epoch and self.csv_path is not None:
            if epoch == 0 and self.csv_path.exists():
                raise FileExistsError(
                    f"{self.csv_path} holds the flips of an earlier training. Name "
                    "another file or move it away."
                )
            summaries.drop_epochs(self.csv_path, epoch)
        self._first_epoch = False
        self._flips: list[np.ndarray] = []
        self._taken = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Fetches the counts before the device has no more room for them."""
        if batch + 1 - self._taken + self._execution > self._counter.capacity:
            self._take(batch + 1)
        self._last = batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the epoch's flips into the logs and the table."""
        if self._drift is not None:
            self._drift.warn()
            self._drift = None
        self._take(self._last)
        flips = np.concatenate(self._flips)
        total = flips.sum(axis=1) / self._sizes.sum()
        ratios = flips / self._sizes
        if logs is not None:
            logs["flip_ratio"] = float(total.mean())
            for name, ratio in zip(self._names, ratios.mean(axis=0)):
                logs[f"flip_ratio/{name}"] = float(ratio)
            changed = self._counter.changed_since_start()
            logs["c2i_ratio"] = 1.0 - changed / int(self._sizes.sum())
        if self.csv_path is not None:
            summaries.append_rows(
                self.csv_path,
                [*summaries.FIRST_COLUMNS, *self._names],
                (
                    [epoch, batch, *(f"{value:.6g}" for value in (whole, *parts))]
                    for batch, (whole, parts) in enumerate(zip(total, ratios))
                ),
            )

    def on_train_end(self, logs: Any = None) -> None:
        """Gives the model its own training step back and draws the picture."""
        self._counter.detach()
        if self.csv_path is not None and self.plot_path is not None:
            plot_flips(self.csv_path, self.plot_path)

    def _take(self, steps: int) -> None:
        """Fetches the counts up to a number of steps of this epoch."""
        self._flips.append(self._counter.take(steps - self._taken))
        self._taken = steps
