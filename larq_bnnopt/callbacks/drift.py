"""Warnings about binary kernels that an optimizer for real weights trains."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import larq as lq
import tensorflow as tf

from larq_bnnopt.callbacks.early_warnings import named


class DriftWatch:
    """Compares kernels that are +-c in each output channel with a later moment.

    Optimizers that flip signs keep every magnitude, whatever their name; others change
    every weight. Latent kernels, which are meant to change, and kernels that are no
    signs at the start are not watched.

    Args:
        kernels: Kernels when the training starts, by name.
    """

    def __init__(self, kernels: Mapping[str, tf.Variable]):
        fixed = {
            name: kernel
            for name, kernel in kernels.items()
            if isinstance(getattr(kernel, "quantizer", None), lq.quantizers.NoOp)
        }
        signs = _scaled_signs(fixed)
        self._kernels = {n: kernel for n, kernel in fixed.items() if n in signs}

    def warn(self) -> None:
        """Warns, by name, of the kernels that are no longer +-c."""
        binary = _scaled_signs(self._kernels)
        drifted = [name for name in self._kernels if name not in binary]
        if drifted:
            warnings.warn(
                f"The binary kernels of {named(drifted)} were signs when the "
                "training began and are real numbers now: an optimizer for real "
                "weights trains them. Use one that flips signs, as in "
                "CaseOptimizer((Diode.is_binary_variable, Diode()), "
                "default_optimizer=...).",
                stacklevel=2,
            )


def _scaled_signs(kernels: Mapping[str, tf.Variable]) -> set[str]:
    """Returns the names of the kernels that are +-c of each channel, the last axis."""
    if not kernels:
        return set()
    found = []
    for kernel in kernels.values():
        magnitude = tf.abs(tf.convert_to_tensor(kernel))
        flat = tf.reshape(magnitude, (-1, magnitude.shape[-1]))
        equal = tf.reduce_all(flat == flat[:1])
        found.append(equal & tf.reduce_all(flat[:1] > 0))
    return {name for name, yes in zip(kernels, tf.stack(found).numpy()) if yes}
