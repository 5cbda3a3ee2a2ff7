"""Recipes: training from data to a run folder, with everything to resume it."""

from larq_bnnopt.recipes.bert_distillation import BertDistiller
from larq_bnnopt.recipes.checkpoints import trained_epochs
from larq_bnnopt.recipes.distillation import Distiller
from larq_bnnopt.recipes.divergence import TrainingDivergedError
from larq_bnnopt.recipes.evaluation import Evaluation, compared, evaluate
from larq_bnnopt.recipes.fine_tune import FineTune
from larq_bnnopt.recipes.fitting import load_data_for
from larq_bnnopt.recipes.fitting_texts import takes_texts, tokenizer_beside
from larq_bnnopt.recipes.guessing import doubt
from larq_bnnopt.recipes.histories import (
    HEADING,
    History,
    differing_settings,
    find_runs,
    plot_histories,
)
from larq_bnnopt.recipes.kinds import (
    RECIPES,
    data_of,
    field_names,
    images_of,
    inputs_of,
    recipe_of,
    require_same_settings,
    sound_settings_of,
    text_settings_of,
)
from larq_bnnopt.recipes.locking import RunInUseError
from larq_bnnopt.recipes.models import load_model, trusted_models
from larq_bnnopt.recipes.one_step import OneStep
from larq_bnnopt.recipes.pages import try_to_write_page, write_page
from larq_bnnopt.recipes.planning import Plan, plan, settings_of
from larq_bnnopt.recipes.presets import PRESETS, Preset
from larq_bnnopt.recipes.recalibration import Recalibration, recalibrate
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.regression import Regression
from larq_bnnopt.recipes.runs import Run, next_folder, versions
from larq_bnnopt.recipes.samples import Samples
from larq_bnnopt.recipes.strategies import STRATEGIES, is_chief, strategy_of
from larq_bnnopt.recipes.text_metrics import METRICS
from larq_bnnopt.recipes.training import resume, train
from larq_bnnopt.recipes.two_step import TwoStep
from larq_bnnopt.recipes.words import METRIC_WORDS, percent

__all__ = [
    "HEADING",
    "METRICS",
    "METRIC_WORDS",
    "PRESETS",
    "RECIPES",
    "STRATEGIES",
    "BertDistiller",
    "Distiller",
    "Evaluation",
    "FineTune",
    "History",
    "OneStep",
    "Plan",
    "Preset",
    "Recalibration",
    "Recipe",
    "Regression",
    "Run",
    "RunInUseError",
    "Samples",
    "TrainingDivergedError",
    "TwoStep",
    "compared",
    "data_of",
    "differing_settings",
    "doubt",
    "evaluate",
    "field_names",
    "find_runs",
    "images_of",
    "inputs_of",
    "is_chief",
    "load_data_for",
    "load_model",
    "next_folder",
    "percent",
    "plan",
    "plot_histories",
    "recalibrate",
    "recipe_of",
    "require_same_settings",
    "resume",
    "settings_of",
    "sound_settings_of",
    "strategy_of",
    "takes_texts",
    "text_settings_of",
    "tokenizer_beside",
    "train",
    "trained_epochs",
    "trusted_models",
    "try_to_write_page",
    "versions",
    "write_page",
]
