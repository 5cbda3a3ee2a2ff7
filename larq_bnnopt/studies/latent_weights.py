"""How far latent weights have moved from their start, in the logs of each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt.datasets import Dataset

# A weight that has moved by less than this share of the mean size of a weight.
_STILL = 0.1


def watch(model: tf.keras.Model, data: Dataset) -> list[tf.keras.callbacks.Callback]:
    """Returns a callback that logs the way of latent weights, for `Study.callbacks`.

    It adds to the logs of each epoch, over all binary kernels:

    - `latent_distance`: the mean of |w - w_0|;
    - `latent_still`: the share of weights with |w - w_0| below a tenth of the mean of
      |w_0| in their kernel: they have hardly been trained.

    Args:
        model: A model with latent weights.
        data: Its data; not used.
    """
    import tensorflow as tf

    from larq_bnnopt.callbacks import binary_kernels

    kernels = list(binary_kernels(model).values())
    starts = [kernel.numpy() for kernel in kernels]

    class Watch(tf.keras.callbacks.Callback):
        """Logs the way of latent weights."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            """Adds the numbers of an epoch to its logs."""
            if logs is not None:
                ways = [
                    way(start, kernel.numpy()) for start, kernel in zip(starts, kernels)
                ]
                logs.update(summary(starts, ways))

    return [Watch()]


def way(start: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Returns how far each weight of a kernel is from its start."""
    return np.abs(now - start)


def summary(starts: list[np.ndarray], ways: list[np.ndarray]) -> dict[str, float]:
    """Returns the numbers of an epoch.

    Args:
        starts: The first weights of each kernel.
        ways: How far each weight is from them.

    Example:
        >>> start = np.array([1.0, -1.0])
        >>> summary([start], [np.array([0.0, 0.5])])
        {'latent_distance': 0.25, 'latent_still': 0.5}
    """
    still = [one < _STILL * np.abs(start).mean() for start, one in zip(starts, ways)]
    return {
        "latent_distance": float(np.concatenate([w.ravel() for w in ways]).mean()),
        "latent_still": float(np.concatenate([s.ravel() for s in still]).mean()),
    }
