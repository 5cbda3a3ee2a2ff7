"""Keras callbacks that count sign flips and warn while a binary network trains."""

from larq_bnnopt.callbacks.flip_monitor import FlipMonitor
from larq_bnnopt.callbacks.flips import binary_kernels
from larq_bnnopt.callbacks.plots import plot_flips
from larq_bnnopt.callbacks.probe_files import Histogram, read_histograms, read_probes
from larq_bnnopt.callbacks.probe_plots import plot_histograms, plot_probes
from larq_bnnopt.callbacks.probes import Probes

__all__ = [
    "FlipMonitor",
    "Histogram",
    "Probes",
    "binary_kernels",
    "plot_flips",
    "plot_histograms",
    "plot_probes",
    "read_histograms",
    "read_probes",
]
