"""Training schemes, and the folders that their runs leave."""

from larq_bnnopt.recipes.checkpoints import trained_epochs
from larq_bnnopt.recipes.distillation import Distiller
from larq_bnnopt.recipes.divergence import TrainingDivergedError
from larq_bnnopt.recipes.evaluation import Evaluation, evaluate
from larq_bnnopt.recipes.fine_tune import FineTune
from larq_bnnopt.recipes.fitting import load_data_for
from larq_bnnopt.recipes.histories import (
    HEADING,
    History,
    find_runs,
    plot_histories,
)
from larq_bnnopt.recipes.kinds import RECIPES, field_names, images_of, recipe_of
from larq_bnnopt.recipes.locking import RunInUseError
from larq_bnnopt.recipes.models import load_model, trusted_models
from larq_bnnopt.recipes.one_step import OneStep
from larq_bnnopt.recipes.pages import write_page
from larq_bnnopt.recipes.planning import Plan, plan
from larq_bnnopt.recipes.presets import PRESETS, Preset
from larq_bnnopt.recipes.recalibration import Recalibration, recalibrate
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.runs import Run, next_folder
from larq_bnnopt.recipes.strategies import STRATEGIES, strategy_of
from larq_bnnopt.recipes.training import resume, train
from larq_bnnopt.recipes.two_step import TwoStep

__all__ = [
    "HEADING",
    "PRESETS",
    "RECIPES",
    "STRATEGIES",
    "Distiller",
    "Evaluation",
    "FineTune",
    "History",
    "OneStep",
    "Plan",
    "Preset",
    "Recalibration",
    "Recipe",
    "Run",
    "RunInUseError",
    "TrainingDivergedError",
    "TwoStep",
    "evaluate",
    "field_names",
    "find_runs",
    "images_of",
    "load_data_for",
    "load_model",
    "next_folder",
    "plan",
    "plot_histories",
    "recalibrate",
    "recipe_of",
    "resume",
    "strategy_of",
    "train",
    "trained_epochs",
    "trusted_models",
    "write_page",
]
