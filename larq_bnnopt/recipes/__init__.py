"""Training schemes, and the folders that their runs leave."""

from larq_bnnopt.recipes.evaluation import Evaluation, evaluate
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.one_step import OneStep, recipe_of, resume, train
from larq_bnnopt.recipes.runs import Run, next_folder

__all__ = [
    "Evaluation",
    "OneStep",
    "Run",
    "evaluate",
    "load_model",
    "next_folder",
    "recipe_of",
    "resume",
    "train",
]
