"""Keras callbacks that watch a binary network while it trains."""

from larq_bnnopt.callbacks.flip_monitor import FlipMonitor
from larq_bnnopt.callbacks.flips import binary_kernels
from larq_bnnopt.callbacks.plots import plot_flips

__all__ = ["FlipMonitor", "binary_kernels", "plot_flips"]
