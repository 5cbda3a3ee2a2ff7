"""Optimizers for binary weights, for use with `tf.keras.optimizers`.

`larq_bnnopt.optimizers.legacy` has the same for `tf.keras.optimizers.legacy`.
"""

from larq_bnnopt.optimizers import legacy
from larq_bnnopt.optimizers.bop import Bop, Bop2ndOrder
from larq_bnnopt.optimizers.case import CaseOptimizer
from larq_bnnopt.optimizers.diode import Diode
from larq_bnnopt.optimizers.gradient_filter import GradientFilter
from larq_bnnopt.optimizers.iir_filter import IIRFilter
from larq_bnnopt.optimizers.predicates import is_binary_variable
from larq_bnnopt.optimizers.radam import RAdam

__all__ = [
    "Bop",
    "Bop2ndOrder",
    "CaseOptimizer",
    "Diode",
    "GradientFilter",
    "IIRFilter",
    "RAdam",
    "is_binary_variable",
    "legacy",
]
