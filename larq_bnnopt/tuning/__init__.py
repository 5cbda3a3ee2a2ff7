"""Bayesian search over the fields of a recipe, shared by processes and resumable.

It needs Optuna: `pip install 'larq-bnnopt[tune]'`. Importing it loads neither Optuna
nor TensorFlow.
"""

from larq_bnnopt.tuning.commands import train_command
from larq_bnnopt.tuning.objective import Report, fit_recipe
from larq_bnnopt.tuning.reports import best_in_words, draw, page, rows, summary, write
from larq_bnnopt.tuning.search import (
    Fit,
    Search,
    Trial,
    best_so_far,
    require_optuna,
    tune,
)
from larq_bnnopt.tuning.spaces import (
    SCALES,
    SPACES,
    Choices,
    Space,
    Span,
    default_space,
    read_space,
    require_space,
)

__all__ = [
    "SCALES",
    "SPACES",
    "Choices",
    "Fit",
    "Report",
    "Search",
    "Space",
    "Span",
    "Trial",
    "best_in_words",
    "best_so_far",
    "default_space",
    "draw",
    "fit_recipe",
    "page",
    "read_space",
    "require_optuna",
    "require_space",
    "rows",
    "summary",
    "train_command",
    "tune",
    "write",
]
