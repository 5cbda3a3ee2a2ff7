"""The same optimizers for `tf.keras.optimizers.legacy` and larq's CaseOptimizer."""

from larq_bnnopt.optimizers.legacy.diode import Diode
from larq_bnnopt.optimizers.legacy.gradient_filter import GradientFilter

__all__ = ["Diode", "GradientFilter"]
