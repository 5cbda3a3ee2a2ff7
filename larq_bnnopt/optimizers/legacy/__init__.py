"""Optimizers for binary weights, for use with `tf.keras.optimizers.legacy`.

Pass them to larq's CaseOptimizer, or to the `CaseOptimizer` here, which is larq's made
safe to save and load. No `.keras` file keeps the state of a legacy optimizer: save as
`.h5`, or with `tf.train.Checkpoint` or `model.save_weights`.
"""

from larq_bnnopt.optimizers.legacy.bop import Bop2ndOrder
from larq_bnnopt.optimizers.legacy.case import CaseOptimizer
from larq_bnnopt.optimizers.legacy.diode import Diode
from larq_bnnopt.optimizers.legacy.gradient_filter import GradientFilter
from larq_bnnopt.optimizers.legacy.iir_filter import IIRFilter

__all__ = ["Bop2ndOrder", "CaseOptimizer", "Diode", "GradientFilter", "IIRFilter"]
