"""The loss scale of a training in float16: in the history of a run, and resumed.

Files of Keras hold the optimizer inside a LossScaleOptimizer, and not its scale.
"""

from __future__ import annotations

import csv

import tensorflow as tf

from larq_bnnopt.recipes.runs import Run

# Columns of `history.csv`: the scale, and the steps since it changed last.
_SCALE, _COUNT = "loss_scale", "loss_scale_steps"


class LossScaleLog(tf.keras.callbacks.Callback):
    """Adds the loss scale to the logs of an epoch, of a training that has one."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the scale, and how many steps it has stayed."""
        optimizer = self.model.optimizer
        if logs is not None and _is_dynamic(optimizer):
            logs[_SCALE] = float(optimizer.loss_scale)
            logs[_COUNT] = int(optimizer.dynamic_counter)


def restore_loss_scale(model: tf.keras.Model, run: Run, epochs: int) -> None:
    """Gives the optimizer of a loaded model the loss scale that it had.

    Args:
        model: The model, loaded from the run.
        run: The run.
        epochs: Epochs of the run that the model has trained.
    """
    optimizer = model.optimizer
    if not _is_dynamic(optimizer) or not epochs or not run.history.exists():
        return
    with run.history.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["epoch"] == str(epochs - 1)]
    if rows and rows[0].get(_SCALE):
        state = optimizer._loss_scale
        state.current_loss_scale.assign(float(rows[0][_SCALE]))
        state.counter.assign(int(rows[0][_COUNT]))


def computes_in_float16(model: tf.keras.Model) -> bool:
    """Whether a layer of a model computes in float16, so that its loss is scaled.

    Args:
        model: The model, new or loaded.
    """
    return any(
        isinstance(layer, tf.keras.layers.Layer) and layer.compute_dtype == "float16"
        for layer in model.submodules
    )


def _is_dynamic(optimizer: tf.keras.optimizers.Optimizer) -> bool:
    return bool(getattr(optimizer, "dynamic", False))
