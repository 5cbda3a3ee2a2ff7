"""Diverged trainings: a NaN or infinite loss ends them and is traced to a layer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

# Reading the loss makes the device wait; a mean over the epoch stays NaN.
_EVERY = 20


class TrainingDivergedError(ArithmeticError):
    """The loss became NaN or infinite; the last good epoch is kept."""


class StopAtNaN(tf.keras.callbacks.Callback):
    """Ends a training whose loss is NaN or infinite, within 20 steps.

    Before the checkpoint callback, it also keeps a model with NaN from being saved.

    Attributes:
        epoch: The current epoch.

    Raises:
        TrainingDivergedError: At such a loss, with epoch and batch.
    """

    def __init__(self) -> None:
        super().__init__()
        # Otherwise Keras fetches the logs from the device at every step.
        self._supports_tf_logs = True
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the epoch."""
        self.epoch = epoch

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Checks the mean loss of the epoch every 20 batches."""
        if batch % _EVERY == 0:
            self._check(logs, f"by batch {batch}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the loss of the whole epoch."""
        self._check(logs, "at its end")

    def _check(self, logs: dict[str, float] | None, when: str) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not np.isfinite(loss):
            raise TrainingDivergedError(
                f"The loss is {loss} in epoch {self.epoch}, {when}."
            )


def first_not_finite(
    trainer: tf.keras.Model, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]
) -> str | None:
    """Trains until something is NaN or infinite, and returns the first such place.

    Args:
        trainer: The compiled model, as it was before.
        batches: The batches that it was trained on, in order.

    Returns:
        The first place in words, or `None` if all stayed finite.
    """
    for step, (images, labels) in enumerate(batches):
        before = trainer.get_weights()
        loss = trainer.train_on_batch(images, labels, return_dict=True)["loss"]
        after = trainer.weights
        if np.isfinite(loss) and all(np.isfinite(w.numpy()).all() for w in after):
            continue
        not_finite = [w.name for w in after if not np.isfinite(w.numpy()).all()]
        trainer.set_weights(before)
        where = _first_output(trainer, images)
        if where is None and np.isfinite(loss):
            # Backpropagation reaches the first layers last.
            where = f"the update of {not_finite[-1]}"
        return f"{where or 'the loss'}, in step {step} of the epoch"
    return None


def _first_output(trainer: tf.keras.Model, images: tf.Tensor) -> str | None:
    """Returns the first layer whose output is not finite, for a batch."""
    model = getattr(trainer, "student", trainer)
    layers = [layer for layer in model.layers if len(layer._inbound_nodes) == 1]
    inner = tf.keras.Model(model.inputs, [layer.output for layer in layers])
    for layer, output in zip(layers, inner(images, training=True)):
        if not all(np.isfinite(part).all() for part in tf.nest.flatten(output)):
            return f"the output of the layer {layer.name}"
    return None
