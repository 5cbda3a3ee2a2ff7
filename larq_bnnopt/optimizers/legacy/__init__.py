"""The same optimizers for `tf.keras.optimizers.legacy` and larq's CaseOptimizer.

Larq's CaseOptimizer loses its variables when a model is loaded, and no `.keras` file
keeps the state of a legacy optimizer: resume with `tf.train.Checkpoint` or
`model.save_weights`, or use `larq_bnnopt.optimizers.CaseOptimizer`.
"""

from larq_bnnopt.optimizers.legacy.bop import Bop2ndOrder
from larq_bnnopt.optimizers.legacy.diode import Diode
from larq_bnnopt.optimizers.legacy.gradient_filter import GradientFilter
from larq_bnnopt.optimizers.legacy.iir_filter import IIRFilter

__all__ = ["Bop2ndOrder", "Diode", "GradientFilter", "IIRFilter"]
