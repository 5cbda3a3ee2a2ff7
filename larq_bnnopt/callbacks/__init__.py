"""Keras callbacks that count sign flips and warn while a binary network trains."""

from larq_bnnopt.callbacks.flip_monitor import FlipMonitor
from larq_bnnopt.callbacks.flips import binary_kernels
from larq_bnnopt.callbacks.plots import plot_flips

__all__ = ["FlipMonitor", "binary_kernels", "plot_flips"]
