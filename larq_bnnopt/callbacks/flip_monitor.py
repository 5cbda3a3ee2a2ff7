"""`FlipMonitor`: sign flips in the Keras logs, in CSV tables and in a plot."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from larq_bnnopt.callbacks import flip_state, summaries
from larq_bnnopt.callbacks.drift import DriftWatch
from larq_bnnopt.callbacks.early_warnings import EarlyWarnings
from larq_bnnopt.callbacks.epoch_line import EpochLine
from larq_bnnopt.callbacks.flips import (
    FlipCounter,
    KernelEpoch,
    Signs,
    binary_kernels,
    is_negative,
    starting_kernels,
)
from larq_bnnopt.callbacks.plots import check_format, plot_flips
from larq_bnnopt.callbacks.probe_log import ProbeLog
from larq_bnnopt.callbacks.probes import Probes
from larq_bnnopt.callbacks.rates import rates_of
from larq_bnnopt.writing import replacing

_CAPACITY = 256


class FlipMonitor(EpochLine):
    r"""Records how many binary weights flip their sign.

    \[ \mathrm{FF} = \frac{1}{N} \sum_i \tfrac12 |\theta_i^{t+1} - \theta_i^t|, \quad
    \mathrm{C2I} = 1 - \frac{1}{N} \sum_i \tfrac12 |\theta_i^t - \theta_i^0| \]

    Adds to the logs of every epoch, and so to `History`, `CSVLogger` and TensorBoard:

    - `flip_ratio`: FF of a step over all binary weights, mean of the epoch's steps (a
      step has several batches if the optimizer accumulates gradients);
    - `flip_ratio/LAYER`: the same for the kernel of each layer;
    - `c2i_ratio`: share of weights that have the sign of the start;
    - `positive_ratio`: share of weights that are positive at the end of the epoch;
    - `dead_ratio`: share of weights without a gradient in any step of it; of an
      embedding the rows that no batch used do not count;
    - `unused_ratio/LAYER`: share of those rows of an embedding;
    - `never_flipped_ratio`: share of weights that have not flipped since the start;
    - with `per_weight`, `flips_p50`, `flips_p75`, `flips_p95`, `flips_p99` and
      `flips_max`: percentiles of the number of flips of a weight in the epoch.

    List it before callbacks that read the logs. Of these values the line that Keras
    prints after an epoch shows `flip_ratio` alone, in percent. Latent and latent-free
    kernels count alike, in the training step; two replicas count once. With `csv_path`,
    a training that resumes after an interruption counts as if it had never stopped.

    It warns of a kernel, once and by its layer's name, if none of its weights flips in
    an epoch of the first half of the training; if 99 % of them have the same sign; and
    if it has no fewer flips after a rate of its optimizer fell to a tenth.

    After the first epoch of a training it warns of each kernel with the quantizer
    `NoOp(precision=1)` that was +-c in each output channel before and no longer is: an
    optimizer for real weights trains it.

    Args:
        csv_path: File for a table of one row per step: epoch and batch counted from 0,
            FF of all weights and of each layer. A training that starts at an epoch
            above 0 appends to the earlier epochs of the file. Beside it the callback
            writes a table of one row per epoch and layer, `<name>_layers.csv`, with the
            shares above, and `<name>_state.npz`, which a resumed training reads.
            Defaults to `None`.
        plot_path: File for a plot of that table, drawn when the training ends.
            Defaults to `None`.
        start: Kernels that C2I compares with, by layer name, for a resumed training.
            Defaults to `None`: the kernels of the state file, or else the kernels when
            the training begins.
        per_weight: Whether to count the flips of each weight, too, which costs a
            float32 for each. Defaults to `False`.
        probes: Weights whose gradient, averages and value are written, too, to
            `<name>_probes.csv`, a row a weight and step of the optimizer; and after
            each epoch the histograms of every kernel to `<name>_histograms.npz`. Costs
            a float32 for each weight, and works on one device. The quantities are those
            of the last step: `gradient` as the optimizer got it (the mean of
            accumulated batches), `u`, `m`, `v` and `g` as it keeps them after the step;
            what it does not have stays empty. Defaults to `None`.

    Raises:
        TypeError: If `start` is no mapping, or `probes` no `Probes`.
        ValueError: If `plot_path` or `probes` is given without `csv_path`, or
            `plot_path` is that file; when
            the training begins, if the model has no binary kernel or another
            FlipMonitor, if `start` does not hold the signs of each of its kernels, if
            `probes` names a weight that is not there or the model is trained on several
            devices, or if no picture can be written to a file like `plot_path`.
        ImportError: When a training with `plot_path` begins without matplotlib.
        IsADirectoryError: When a training begins and a path is a folder.
        FileExistsError: When a training begins at epoch 0 and `csv_path` or a file of
            the probes exists, or when a resumed one finds the columns of other layers
            there.

    Example:
        >>> import larq as lq
        >>> import tensorflow as tf
        >>> model = tf.keras.Sequential([
        ...     lq.layers.QuantDense(1, kernel_quantizer="ste_sign", name="dense",
        ...                          kernel_initializer="ones", input_shape=(2,))])
        >>> model.compile(tf.keras.optimizers.SGD(2.0), "mse")
        >>> x, y = tf.constant([[1.0, 0.0]]), tf.constant([[0.0]])
        >>> history = model.fit(x, y, verbose=0, callbacks=[FlipMonitor()])
        >>> history.history["flip_ratio/dense"], history.history["c2i_ratio"]
        ([0.5], [0.5])

    References:
        Paper 001 (gradient filtering), eq. 18 for FF; paper 000 (AdamBNN) for C2I;
        paper 002 (MeliusNet), appendix C, figure 7 for the percentiles.
    """

    _counter: FlipCounter

    def __init__(
        self,
        csv_path: str | os.PathLike[str] | None = None,
        plot_path: str | os.PathLike[str] | None = None,
        start: Mapping[str, np.ndarray] | None = None,
        per_weight: bool = False,
        probes: Probes | None = None,
    ):
        super().__init__()
        if plot_path is not None and csv_path is None:
            raise ValueError("plot_path needs csv_path, whose table the plot shows.")
        if probes is not None and not isinstance(probes, Probes):
            raise TypeError(f"probes must be Probes(...). Received: {probes!r}")
        if probes is not None and csv_path is None:
            raise ValueError("probes needs csv_path, beside which it writes.")
        if start is not None and not isinstance(start, Mapping):
            raise TypeError(
                "start must hold the kernels by the names of their layers. Received: a "
                f"{type(start).__name__}"
            )
        self.csv_path = None if csv_path is None else pathlib.Path(csv_path)
        self.plot_path = None if plot_path is None else pathlib.Path(plot_path)
        if self.plot_path is not None and self.plot_path == self.csv_path:
            raise ValueError(
                f"csv_path and plot_path are one file. Received: {self.csv_path}"
            )
        self.start = start
        self.per_weight = per_weight
        self.probes = probes

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Makes the training step count flips."""
        super().on_train_begin(logs)
        for path in (self.csv_path, self.plot_path):
            if path is not None:
                if path.is_dir():
                    raise IsADirectoryError(f"{path} is a folder. Name a file in it.")
                path.parent.mkdir(parents=True, exist_ok=True)
        if self.plot_path is not None:
            check_format(self.plot_path)
        kernels = binary_kernels(self.model)
        if not kernels:
            raise ValueError(
                f"{self.model.name} has no trainable binary kernel to watch. Binary "
                "layers have kernel_quantizer='ste_sign' or NoOp(precision=1)."
            )
        self._kernels = list(kernels.values())
        self._names = list(kernels)
        self._sizes = np.array([int(np.prod(k.shape)) for k in kernels.values()])
        # Keras calls back after all steps of one execution.
        execution = self.model._steps_per_execution
        self._execution = 1 if execution is None else int(execution.numpy())
        capacity = max(_CAPACITY, 2 * self._execution)
        self._probe_log: ProbeLog | None = None
        if self.probes is not None and self.csv_path is not None:
            self._probe_log = ProbeLog(
                self.probes, self.csv_path, self.model, kernels, capacity
            )
        self._counter = FlipCounter(
            self.model,
            kernels,
            capacity,
            self.per_weight,
            None if self._probe_log is None else self._probe_log.recorder,
        )
        if self.start is not None:
            self._counter.set_start(starting_kernels(self.start, kernels))
        self._counter.attach(self.params)
        self._drift: DriftWatch | None = DriftWatch(kernels)
        self._warnings = EarlyWarnings(self.params["epochs"])
        self._first_epoch = True
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        self._accumulate_steps = getattr(optimizer, "accumulate_steps", 1)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Resets the counts of an epoch."""
        super().on_epoch_begin(epoch, logs)
        if self._first_epoch and self.csv_path is not None:
            self._resume(self.csv_path, epoch)
        self._first_epoch = False
        self._flips: list[np.ndarray] = []
        if self._probe_log is not None:
            self._probe_log.begin_epoch()
        self._fetched = 0
        self._steps_before = self._steps()
        self._counter.begin_epoch()

    def _resume(self, path: pathlib.Path, epoch: int) -> None:
        """Continues the files of a training after their earlier epochs."""
        exists = path.exists()
        if epoch == 0 and exists:
            raise FileExistsError(
                f"{path} holds the flips of an earlier training. Name "
                "another file or move it away."
            )
        if exists:
            header = [*summaries.FIRST_COLUMNS, *self._names]
            summaries.require_header(path, header)
        if self._probe_log is not None:
            self._probe_log.resume(epoch)
        summaries.drop_epochs(path, epoch)
        summaries.drop_epochs(summaries.layers_path(path), epoch)
        if not exists:
            return
        state = flip_state.read(summaries.state_path(path), epoch)
        if state is None:
            warnings.warn(
                f"{summaries.state_path(path)} does not hold the state of epoch "
                f"{epoch}, from which this training resumes: never_flipped_ratio "
                f"{'' if self.start else 'and c2i_ratio '}count from here.",
                stacklevel=2,
            )
        elif set(state) == set(self._names) and self._is_start(state):
            self._counter.restore([state[name] for name in self._names])

    def _is_start(self, state: Mapping[str, Signs]) -> bool:
        """Returns whether a state is of a training that started as this one did."""
        return self.start is None or all(
            np.array_equal(signs.start, is_negative(kernel, self.start[name]))
            for kernel, (name, signs) in zip(self._kernels, state.items())
        )

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Fetches the counts before the device has no more room for them."""
        super().on_train_batch_end(batch, logs)
        if batch + 1 - self._fetched + self._execution > self._counter.capacity:
            self._fetch(batch + 1)
        self._last = batch + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's flips into the logs and the tables, and warns."""
        if self._drift is not None:
            self._drift.warn()
            self._drift = None
        self._fetch(self._last)
        flips = np.concatenate(self._flips)
        total = flips.sum(axis=1) / self._sizes.sum()
        ratios = flips / self._sizes
        # Of accumulated batches only the last one flips weights.
        steps = len(total)
        if self._accumulate_steps > 1:
            steps = self._steps() - self._steps_before
        ratio = float(total.sum() / max(1, steps))
        self.print_line(epoch, {**(logs or {}), "flips %": 100 * ratio})
        layers = dict(zip(self._names, self._counter.epoch()))
        means = dict(zip(self._names, ratios.sum(axis=0) / max(1, steps)))
        if logs is not None:
            logs["flip_ratio"] = ratio
            for name, mean in means.items():
                logs[f"flip_ratio/{name}"] = float(mean)
            changed = self._counter.changed_since_start()
            logs["c2i_ratio"] = 1.0 - changed / int(self._sizes.sum())
            for name, layer in layers.items():
                if layer.unused is not None:
                    logs[f"unused_ratio/{name}"] = layer.unused
            logs.update(summaries.shares(list(layers.values()), self._sizes))
        if steps:
            self._warn(epoch, means, layers)
        if self.csv_path is None:
            return
        summaries.append_rows(
            self.csv_path,
            [*summaries.FIRST_COLUMNS, *self._names],
            (
                [epoch, batch, *(f"{value:.6g}" for value in (whole, *parts))]
                for batch, (whole, parts) in enumerate(zip(total, ratios))
            ),
        )
        summaries.append_layers(self.csv_path, epoch, means, layers)
        if self._probe_log is not None:
            self._probe_log.end_epoch(epoch)
        flip_state.write(
            summaries.state_path(self.csv_path),
            epoch + 1,
            dict(zip(self._names, self._counter.state())),
        )

    def _warn(
        self, epoch: int, means: dict[str, float], layers: dict[str, KernelEpoch]
    ) -> None:
        """Warns of the faults of an epoch."""
        self._warnings.check_epoch(
            epoch,
            means,
            {name: layer.positive for name, layer in layers.items()},
            {name: layer.dead for name, layer in layers.items()},
            rates_of(self.model.optimizer, self._kernels),
        )

    def _steps(self) -> int:
        """Returns the number of steps that the optimizer has taken."""
        return int(self.model.optimizer.iterations.numpy())

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the model's own training step and draws the plot."""
        self._counter.detach()
        if self.csv_path is None or self.plot_path is None:
            return
        try:
            with replacing(self.plot_path) as picture:
                plot_flips(self.csv_path, picture)
        except Exception as error:  # No picture is worth a training.
            warnings.warn(
                f"{self.plot_path} could not be drawn ({error}). The training is "
                "complete.",
                stacklevel=2,
            )

    def _fetch(self, steps: int) -> None:
        """Fetches the counts up to a number of steps of this epoch."""
        self._flips.append(self._counter.fetch(steps - self._fetched))
        if self._probe_log is not None:
            self._probe_log.fetch(steps - self._fetched)
        self._fetched = steps
