"""Paper 001, figure 8: two hyperparameters are tuned in fewer trials than six.

Tuned are those of the binary, or latent, weights alone; the real-valued weights of both
settings are trained alike, so that neither search gets a good rate for them for free.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from larq_bnnopt import tuning
from larq_bnnopt.studies import machine
from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import Comparison, equal
from larq_bnnopt.studies.latent_rates import give_latent, is_latent
from larq_bnnopt.studies.measures import Measure
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.study import Study
from larq_bnnopt.tuning import Choices, Fit, Space

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt.datasets import Dataset
    from larq_bnnopt.recipes import Recipe

_FILTER, _LATENT = "gradient filter, 2", "latent SGD, 6"
_TRIALS = 25
# A search has come near when it is within a point of the best of both.
_NEAR = 0.01
_SPACES: Mapping[str, Space] = {
    _FILTER: {
        name: tuning.SPACES["gradient_filter"][name] for name in ("alpha", "gamma")
    },
    _LATENT: {
        **tuning.SPACES["sgd"],
        "model_options.scaling": Choices((True, False)),
        "model_options.clipping": Choices((True, False)),
    },
}
# What trains the real-valued weights of both settings, by SGD with momentum 0.9.
_REAL = {"learning_rate": 0.1, "momentum": None, "weight_decay": 0.0}
_BEST = Measure("best_accuracy", "best accuracy after 25 trials")
_ON_THE_WAY = Measure("best_accuracy", "best accuracy so far, mean of trials", "mean")
_UNSEEN = Measure("unseen_accuracy", "accuracy of the best on the other half")
_NEEDED = Measure("trials", "trials", is_share=False)


def fit_latent(
    kind: str, fields: Mapping[str, Any], report: tuning.Report
) -> tuple[float, float, str]:
    """Trains as `tuning.fit_recipe` does, the real-valued weights by SGD at 0.1.

    Args:
        kind: The kind of the recipe.
        fields: Its fields, of which learning rate, momentum and weight decay are those
            of the latent weights.
        report: Is called after each epoch.
    """
    adapt = functools.partial(_give_latent, fields)
    return tuning.fit_recipe(kind, {**fields, **_REAL}, report, adapt)


def _give_latent(
    fields: Mapping[str, Any], model: tf.keras.Model, data: Dataset, recipe: Recipe
) -> None:
    """Gives the latent weights of a model the optimizer and the decay of fields."""
    from larq_bnnopt import recipes
    from larq_bnnopt.recipes.recipe import add_decay

    steps = data.steps_per_epoch
    own = recipes.RECIPES[recipe.kind].of(fields)
    for variable in filter(is_latent, model.trainable_variables):
        add_decay(model, variable, own.weight_decay)
    give_latent(model, own.build_optimizer(recipe.epochs * steps, steps))


# How a setting is trained.
_FITS: Mapping[str, Fit] = {_FILTER: tuning.fit_recipe, _LATENT: fit_latent}


def search(
    study: Study, arm: Arm, seed: int, quick: bool = False, fit: Fit | None = None
) -> RunResult:
    """Tunes a setting with a seed; returns the best accuracy after each trial.

    Args:
        study: The study.
        arm: The setting.
        seed: The seed of the search and of its trainings.
        quick: Whether to take two trials of two steps. Defaults to `False`.
        fit: Trains a recipe. Defaults to `None`, the setting's own.
    """
    from larq_bnnopt import recipes

    fields, start = study.recipe_fields(arm, seed), time.perf_counter()
    trained = {**fields, "batch_size": 3000} if quick else fields
    with tempfile.TemporaryDirectory() as folder:
        found = tuning.tune(
            trained,
            folder,
            kind=arm.kind,
            space=_SPACES[arm.name],
            trials=2 if quick else _TRIALS,
            prune=False,
            fit=fit or _FITS[arm.name],
        )
    numbers = {"failed_trials": float(sum(t.state == "failed" for t in found.trials))}
    if found.best is not None and found.best.test_accuracy is not None:
        numbers["unseen_accuracy"] = found.best.test_accuracy
    return RunResult(
        study=study.name,
        arm=arm.name,
        seed=seed,
        kind=arm.kind,
        fields=fields,
        series={
            "best_accuracy": [one or 0.0 for one in tuning.best_so_far(found.trials)]
        },
        numbers=numbers,
        quick=quick,
        seconds=time.perf_counter() - start,
        commit=machine.commit(),
        processor=machine.processor(),
        versions=recipes.versions(),
    )


def needed(run: RunResult, accuracy: float) -> int:
    """Returns how many trials a search needed for an accuracy.

    One more than it had if it never reached it.

    Example:
        >>> series = {"best_accuracy": [0.1, 0.5, 0.5]}
        >>> run = RunResult.of_numbers("a", 0, series=series)
        >>> needed(run, 0.5), needed(run, 0.6)
        (2, 4)
    """
    best = [value or 0.0 for value in run.series["best_accuracy"]]
    return next((n for n, v in enumerate(best, 1) if v >= accuracy), len(best) + 1)


def _more_trials(arm: str, than: str) -> Callable[[Mapping[str, Any]], float]:
    def contrast(runs: Mapping[str, RunResult]) -> float:
        best = max(
            runs[name].series["best_accuracy"][-1] or 0.0 for name in (arm, than)
        )
        goal = best - _NEAR
        return float(needed(runs[arm], goal) - needed(runs[than], goal))

    return contrast


STUDY = Study(
    name="paper_001_fig8_tuning",
    title="Tuning two hyperparameters or six",
    paper="001",
    place="figure 8",
    claim=(
        "Bayesian optimization needs fewer trials for the filter's two hyperparameters "
        "than for the six of SGD on latent weights, and both become as accurate."
    ),
    paper_setup=(
        "a fully connected network of four layers on spoken digits, 25 trials in each "
        "of 20 searches; latent weights needed around 10 trials more"
    ),
    fields={
        "model": "audio_mlp",
        "model_options": {"units": 128},
        "epochs": 3,
        "batch_size": 100,
        "augment": False,
    },
    arms=[
        Arm(
            _FILTER,
            {"optimizer": "gradient_filter", "real_optimizer": "sgd", **_REAL},
        ),
        Arm(_LATENT, {"optimizer": "sgd", **_REAL}),
    ],
    comparisons=[
        Comparison(
            f"trials that '{_LATENT}' needs to come within a point of the best, minus "
            f"those of '{_FILTER}'",
            _NEEDED,
            (_LATENT, _FILTER),
            _more_trials(_LATENT, _FILTER),
        ),
        equal(_BEST, _FILTER, _LATENT, margin=_NEAR),
    ],
    panels=[
        Curves("best_accuracy", "best accuracy so far", x_label="trial"),
        Dots(_BEST),
    ],
    measures=[_BEST, _ON_THE_WAY, _UNSEEN],
    minutes=30,
    seeds=10,
    train=search,
    require=tuning.require_optuna,
    note=(
        "Tuned are alpha and gamma, or of the latent weights learning rate, scale of "
        "the start, momentum, weight decay, scaling and clipping, in the ranges of "
        "`bnnopt tune`; the real-valued weights of both are trained by SGD with "
        "momentum 0.9 at 0.1, as in section 4, without weight decay. Other ranges need "
        "other numbers of trials."
    ),
)
