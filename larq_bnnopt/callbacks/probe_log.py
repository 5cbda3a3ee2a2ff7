"""The probes of a training: recorded in its steps, written after each epoch."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from larq_bnnopt.callbacks import probe_files, summaries
from larq_bnnopt.callbacks.probe_recorder import ProbeRecorder
from larq_bnnopt.callbacks.probes import Probes


class ProbeLog:
    """Writes the records of a `ProbeRecorder` beside the table of flips.

    Args:
        probes: The weights to record.
        csv_path: The table of flips.
        model: A built and compiled model.
        kernels: The binary kernels, by the name of their layer.
        capacity: Number of batches whose records the device can hold.

    Raises:
        ValueError: If a weight is not there, or the model has several devices.
    """

    def __init__(
        self,
        probes: Probes,
        csv_path: pathlib.Path,
        model: tf.keras.Model,
        kernels: Mapping[str, tf.Variable],
        capacity: int,
    ):
        self._probes = probes
        self._table = probe_files.probes_path(csv_path)
        self._pictures = probe_files.histograms_path(csv_path)
        shapes = {name: kernel.shape for name, kernel in kernels.items()}
        self._chosen = probes.chosen(shapes)
        self.recorder = ProbeRecorder(model, kernels, self._chosen, capacity)
        self._histograms: list[probe_files.Histogram] = []
        self._records: list[tuple[np.ndarray, np.ndarray]] = []

    def resume(self, epoch: int) -> None:
        """Continues the files after their earlier epochs.

        Args:
            epoch: First epoch of this training, from 0.

        Raises:
            FileExistsError: At epoch 0 if a file exists, or if it has other columns.
            ValueError: If a file is damaged.
        """
        for path in (self._table, self._pictures):
            if epoch == 0 and path.exists():
                raise FileExistsError(
                    f"{path} holds the probes of an earlier training. Name another "
                    "csv_path or move it away."
                )
        if self._pictures.exists():
            earlier = probe_files.read_histograms(self._pictures)
            self._histograms = [one for one in earlier if one.epoch < epoch]
        if self._table.exists():
            summaries.require_header(self._table, probe_files.COLUMNS)
            summaries.drop_epochs(self._table, epoch)

    def begin_epoch(self) -> None:
        """Forgets the records of the epoch before."""
        self._records = []

    def fetch(self, batches: int) -> None:
        """Fetches the records of the last batches from the device."""
        self._records.append(self.recorder.fetch(batches))

    def end_epoch(self, epoch: int) -> None:
        """Writes the records of an epoch and its histograms.

        Args:
            epoch: Its number, from 0.
        """
        steps, values = (np.concatenate(parts) for parts in zip(*self._records))
        wanted = steps % self._probes.every == 0
        known = {layer: self.recorder.known(layer) for layer in self._chosen}
        summaries.append_rows(
            self._table,
            probe_files.COLUMNS,
            probe_files.probe_rows(
                epoch, steps[wanted], values[wanted], self._chosen, known
            ),
        )
        kernels = self.recorder.kernel_values() if len(steps) else {}
        self._histograms += probe_files.histograms_of(epoch, kernels, self._probes.bins)
        probe_files.write_histograms(self._pictures, self._histograms)
