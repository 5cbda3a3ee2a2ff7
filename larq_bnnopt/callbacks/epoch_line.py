"""Keras's line of an epoch, kept to what a line holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_WIDEST = 120
# "94/94 [==] - 3s 20ms/step" without the bar, with room for longer numbers.
_FIXED = 28
_BAR = 30


class EpochLine(tf.keras.callbacks.ProgbarLogger):
    """Keras's progress bar, which shows a part of the logs and fits a line.

    Keras adds no bar of its own where it finds one among the callbacks. With this one,
    a callback that counts hundreds of things can put them into the logs, for the tables
    of other callbacks, behind the line that is printed.
    """

    def __init__(self) -> None:
        super().__init__(count_mode="steps")

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Takes what Keras says of the training; its own bar does not keep it."""
        super().set_params(params)
        self.params = params

    def _implements_train_batch_hooks(self) -> bool:
        # Keras's bar wants none where it prints none; what counts steps does.
        return True

    def print_line(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Prints the line of an epoch.

        Args:
            epoch: Its number.
            logs: What it shows.
        """
        if self.progbar is not None:
            # " - name: 0.1234"; small numbers, as 1.2345e-05, take four more.
            shown = sum(len(f" - {name}: ") + 6 for name in logs)
            self.progbar.width = max(1, min(_BAR, _WIDEST - _FIXED - shown))
        super().on_epoch_end(epoch, logs)
