"""Keras's progress line of an epoch, kept within the width of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_WIDEST = 120
# "94/94 [==] - 3s 20ms/step" without the bar, with room for longer numbers.
_FIXED = 28
_BAR = 30


class EpochLine(tf.keras.callbacks.ProgbarLogger):
    """Keras's progress bar, which shows a part of the logs and fits into one line.

    Keras adds no bar of its own where it finds one among the callbacks. With this bar a
    callback can print its line first and then add hundreds of values to the logs, for
    the tables of other callbacks.
    """

    def __init__(self) -> None:
        super().__init__(count_mode="steps")

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Stores the parameters of the training, which Keras's own bar does not."""
        super().set_params(params)
        self.params = params

    def _implements_train_batch_hooks(self) -> bool:
        # Keras's bar skips the hooks if it prints nothing; a counter needs them.
        return True

    def print_line(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Prints the line of an epoch.

        Args:
            epoch: Its number.
            logs: The values that the line shows.
        """
        if self.progbar is not None:
            # " - name: 0.1234"; small numbers, as 1.2345e-05, take four more.
            shown = sum(len(f" - {name}: ") + 6 for name in logs)
            self.progbar.width = max(1, min(_BAR, _WIDEST - _FIXED - shown))
        super().on_epoch_end(epoch, logs)
