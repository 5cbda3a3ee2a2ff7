"""Paper 001, figure 8: what a search of the study trains, keeps and compares."""

import importlib.util

import numpy as np
import pytest

from larq_bnnopt import cli, recipes, studies, tuning
from larq_bnnopt.cli import study as study_command
from larq_bnnopt.studies import paper_001_fig8_tuning as fig8
from larq_bnnopt.studies.comparing import findings, verdict
from larq_bnnopt.studies.latent_rates import is_latent
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.statistics import Verdict

pytest.importorskip("optuna")
STUDY = fig8.STUDY
FILTER, LATENT = (arm.name for arm in STUDY.arms)


def result(arm, seed, best):
    return RunResult.of_numbers(arm, seed, series={"best_accuracy": best})


def runs(latent_at, filter_at, last=0.8):
    """Searches that reach the best accuracy at a trial, ten of each setting."""
    return [
        result(name, seed, [0.5] * (at - 1) + [last] * (26 - at))
        for seed in range(10)
        for name, at in ((LATENT, latent_at + seed % 3), (FILTER, filter_at))
    ]


def test_the_claim_holds_where_latent_weights_need_more_trials():
    found = findings(STUDY.comparisons, runs(15, 5))
    assert verdict(found) is Verdict.HOLDS
    # 15, 16, 17, 15, ... less 5.
    assert found[0].interval.mean == pytest.approx(10.9)
    against = findings(STUDY.comparisons, runs(5, 15))
    assert against[0].verdict is Verdict.FAILS


def test_a_search_that_never_comes_near_counts_one_trial_more():
    seed = [result(LATENT, 0, [0.6] * 25), result(FILTER, 0, [0.5, *[0.8] * 24])]
    assert STUDY.comparisons[0].differences(seed) == {0: 26 - 2}
    # Nor are they equally accurate then.
    assert STUDY.comparisons[1].differences(seed) == {0: pytest.approx(0.2)}


@pytest.mark.parametrize("arm", STUDY.arms, ids=[FILTER, LATENT])
def test_a_search_tunes_its_hyperparameters_alone(arm):
    seen = []

    def fit(kind, fields, report):
        seen.append(fields)
        return 0.5 + len(seen) / 100, 0.4

    run = fig8.search(STUDY, arm, 3, fit=fit)
    assert len(seen) == 25
    best = [0.5 + n / 100 for n in range(1, 26)]
    assert run.series["best_accuracy"] == pytest.approx(best)
    assert run.numbers == {"failed_trials": 0, "unseen_accuracy": 0.4}
    changing = {name for name in seen[0] if len({str(one[name]) for one in seen}) > 1}
    latent = {"learning_rate", "momentum", "weight_decay", "latent_scale"}
    expected = {FILTER: {"alpha", "gamma"}, LATENT: latent | {"model_options"}}
    assert changing == expected[arm.name]
    assert {one["seed"] for one in seen} == {3}
    if arm.name == LATENT:
        pairs = {
            (o["scaling"], o["clipping"]) for o in (f["model_options"] for f in seen)
        }
        assert len(pairs) == 4
        assert {one["model_options"]["units"] for one in seen} == {128}


def _step(monkeypatch, values):
    """Trains a step as the study does; returns the latent and the other changes."""
    found = {}

    def fit_recipe(kind, fields, report, adapt):
        recipe = recipes.RECIPES[kind].of(fields)
        data = recipe.load_data()
        model = recipe.build(0, data)
        recipe.prepare(model, 0)
        adapt(model, data, recipe)
        model.run_eagerly = True
        images, labels = next(iter(data.train_from(0)))
        before = [v.numpy() for v in model.trainable_variables]
        model.train_on_batch(images, labels)
        for variable, start in zip(model.trainable_variables, before):
            place = "latent" if is_latent(variable) else "real"
            change = variable.numpy() - start
            found.setdefault(place, []).append((start, change))
        return 0.5, 0.5, "accuracy"

    monkeypatch.setattr(tuning, "fit_recipe", fit_recipe)
    fields = {
        **STUDY.recipe_fields(STUDY.arms[1], 0),
        "model_options": {"units": 16, "scaling": False, "clipping": False},
        **values,
    }
    fig8.fit_latent("one_step", fields, lambda epoch, value: None)
    return found


def _norms(pairs):
    return [np.abs(change).sum() for _, change in pairs]


def test_what_is_tuned_trains_latent_weights_alone(monkeypatch):
    tuned = {"learning_rate": 0.5, "momentum": 0.6, "weight_decay": 0.0}
    one = _step(monkeypatch, tuned)
    decay = _step(monkeypatch, {**tuned, "weight_decay": 0.25})
    fast = _step(monkeypatch, {**tuned, "learning_rate": 2.0})
    assert len(one["latent"]) == 3 and min(_norms(one["latent"])) > 0
    assert min(_norms(one["real"])) > 0
    for other in (decay, fast):
        for (_, mine), (_, theirs) in zip(one["real"], other["real"]):
            np.testing.assert_allclose(theirs, mine, atol=1e-6)
    # A step of SGD: -rate (gradient + decay * weight).
    for (start, mine), (_, decayed), (_, faster) in zip(
        one["latent"], decay["latent"], fast["latent"]
    ):
        np.testing.assert_allclose(decayed - mine, -0.5 * 0.25 * start, atol=1e-6)
        np.testing.assert_allclose(faster, 4 * mine, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scaling", [True, False])
def test_scaled_kernels_are_latent_weights_too(scaling):
    options = {"units": 16, "scaling": scaling}
    fields = {**STUDY.recipe_fields(STUDY.arms[1], 0), "model_options": options}
    recipe = recipes.OneStep.of(fields)
    model = recipe.build(0, recipe.load_data())
    assert sum(map(is_latent, model.trainable_variables)) == 3


def test_both_settings_train_real_valued_weights_alike():
    known = ("learning_rate", "momentum", "weight_decay", "schedule")
    one, other = (STUDY.recipe_fields(arm, 0) for arm in STUDY.arms)
    assert {n: one[n] for n in known} == {n: other[n] for n in known}
    assert one["learning_rate"] == 0.1


def test_without_optuna_a_line_says_what_to_install(monkeypatch, capsys):
    find = importlib.util.find_spec

    def without_optuna(name):
        return None if name == "optuna" else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_optuna)

    def never():
        raise AssertionError("TensorFlow is loaded.")

    monkeypatch.setattr(study_command, "import_tensorflow", never)
    assert cli.main(["study", STUDY.name]) == 1
    error = capsys.readouterr().err.strip()
    assert "pip install 'larq-bnnopt[tune]'" in error and "\n" not in error


def test_its_runs_are_kept_and_drawn(tmp_path):
    def fit(kind, fields, report):
        return fields.get("alpha") or fields["learning_rate"] / 100, 0.5

    def train(study, arm, seed, quick):
        return fig8.search(study, arm, seed, True, fit)

    one = STUDY.made_quick()
    studies.work(one, tmp_path, quick=True, train=train)
    found = studies.finished(one, tmp_path, quick=True)
    assert len(found) == 4
    studies.write(one, found, tmp_path, "bnnopt study")
    assert (tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_command_runs_it(tmp_path, capsys):
    words = [STUDY.name, "--quick", "--seeds", "1", "--folder", str(tmp_path)]
    assert cli.main(["study", *words]) == 0
    assert "shows nothing about the claim" in capsys.readouterr().out
