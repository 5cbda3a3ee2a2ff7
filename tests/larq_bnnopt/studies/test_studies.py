"""A table of all studies: their recipes are valid; one of them from end to end."""

import csv
import dataclasses
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from larq_bnnopt import cli, studies
from larq_bnnopt.cli import names as known_names
from larq_bnnopt.studies.measures import TEST_ACCURACY
from larq_bnnopt.studies.running import wanted
from larq_bnnopt.studies.statistics import Verdict, judge

NAMES = studies.names()
# What is in the package, and what tensorflow-datasets and the pages name.
DATA = {"fashion_mnist_mini", "fashion_mnist", "cifar10", "cifar100"}
# A folder that tools/prepare_texts.py makes.
DATA |= {"rotten_tomatoes"}
CHEAPEST = "paper_001_fig5_alpha"


@pytest.mark.parametrize("name", NAMES)
def test_every_run_has_a_valid_recipe(name):
    study = studies.get(name)
    assert study.name == name and study.seeds >= 5 and 0 < study.minutes <= 30
    for one in (study, study.made_quick()):
        for arm in one.arms:
            fields = one.recipe_fields(arm, 0)
            known_names.require_model(fields["model"])
            assert fields["dataset"] in DATA
    assert study.panels and study.comparisons and study.measures
    assert study.claim.endswith(".") and not study.paper_setup.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_compared(name):
    study = studies.get(name)
    compared = {arm for one in study.comparisons for arm in one.arms}
    assert {arm.name for arm in study.arms} == compared


# Standard deviation of the accuracy from seed to seed: 0.5 to 0.8 points in the
# published studies. A difference of two runs has sqrt(2) times as much.
SPREAD = 0.0065 * 2**0.5


@pytest.mark.parametrize("name", NAMES)
def test_equal_accuracies_are_found_equal_in_most_studies(name):
    study = studies.get(name)
    margins = [
        one.margin
        for one in study.comparisons
        if one.measure == TEST_ACCURACY and one.margin is not None
    ]
    if not margins:
        return
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        verdicts = [
            judge(list(rng.normal(0, SPREAD, study.seeds)), margin, len(margins))
            for margin in margins
        ]
        found.append(all(one is Verdict.HOLDS for one in verdicts))
    assert np.mean(found) >= 0.7


def test_a_real_twin_that_is_no_better_is_found_so_in_most_studies():
    study = studies.get("paper_002_fig3_float")
    (one,) = [c for c in study.comparisons if c.words.startswith("margin of 1.5")]
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        leads = 0.015 - rng.normal(0, SPREAD, study.seeds)
        found.append(judge(list(leads), one.margin) is Verdict.HOLDS)
    assert np.mean(found) >= 0.7


def test_list_loads_no_tensorflow(tmp_path):
    program = (
        "import sys; from larq_bnnopt import cli; cli.main(['study', '--list']); "
        "sys.exit('tensorflow' in sys.modules or 'scipy' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in NAMES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paper_001_fig5"], "Nearest: paper_001_fig5_alpha"),
        ([], "bnnopt study --list shows all"),
        (["--list", "paper_001_fig5_alpha"], "leave out paper_001_fig5_alpha"),
        ([CHEAPEST, "--dataset", "./nowhere"], "./nowhere does not exist"),
        ([CHEAPEST, "--quick", "--dataset", "cifar10"], "leave out --dataset"),
    ],
)
def test_wrong_words(words, message, capsys):
    assert cli.main(["study", *words]) == 2
    assert message in capsys.readouterr().err


def test_data_that_are_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["study", CHEAPEST, "--dataset", "cifar10", "--data-dir", str(tmp_path)]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "needs cifar10, which is not on this machine" in error
    assert "--dataset cifar10 --epochs 1" in error and error.count("\n") == 1


def test_scipy_is_missing(monkeypatch, capsys):
    find = importlib.util.find_spec
    hidden = lambda name: None if name == "scipy" else find(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    assert cli.main(["study", CHEAPEST]) == 1
    error = capsys.readouterr().err
    assert "larq-bnnopt[studies]" in error and error.count("\n") == 1


def test_a_damaged_line_is_named_before_the_long_work(tmp_path, capsys):
    (tmp_path / "results.jsonl").write_text('{"arm"')
    assert cli.main(["study", CHEAPEST, "--folder", str(tmp_path)]) == 2
    assert "results.jsonl, line 1, is damaged" in capsys.readouterr().err


def quick(name, folder, capsys, *more):
    assert cli.main(["study", name, "--quick", "--folder", str(folder), *more]) == 0
    assert "shows nothing about the claim" in capsys.readouterr().out
    study = studies.get(name).made_quick()
    if more:
        study = dataclasses.replace(study, seeds=1)
    with (folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(wanted(study))
    for measure in study.measures:
        found = studies.finished(study, folder, quick=True)
        assert any(measure.value(run) is not None for run in found)
    assert (folder / "picture.png").stat().st_size > 1000
    return rows


def test_a_quick_study_from_end_to_end(tmp_path, capsys, monkeypatch):
    # Two of five settings, to save the time of tracing the others.
    study = studies.get(CHEAPEST)
    short = dataclasses.replace(
        study, arms=study.arms[2:4], comparisons=study.comparisons[2:3]
    )
    module = sys.modules[f"larq_bnnopt.studies.{CHEAPEST}"]
    monkeypatch.setattr(module, "STUDY", short)
    rows = quick(CHEAPEST, tmp_path / "new", capsys, "--seeds", "1")
    assert {row["alpha"] for row in rows} == {"0.001", "0.01"}
    assert all(row["quick"] == "True" and row["commit"] for row in rows)
    # All is there: nothing is trained again.
    before = (tmp_path / "new" / "results.jsonl").read_bytes()
    quick(CHEAPEST, tmp_path / "new", capsys, "--seeds", "1")
    assert (tmp_path / "new" / "results.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_of_every_study(name, tmp_path, capsys):
    quick(name, tmp_path / "new", capsys)
