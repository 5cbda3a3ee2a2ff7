"""A search: what it draws, keeps, stops, resumes and reports."""

import csv
import json
import multiprocessing
import os
import shlex
import signal
import types

import numpy as np
import pytest
import tensorflow as tf

import larq_bnnopt.cli
from larq_bnnopt import datasets, recipe_fields, tuning
from larq_bnnopt.cli import main, train
from larq_bnnopt.recipes import TrainingDivergedError
from larq_bnnopt.tuning import Choices, Search, Span, Trial, journal, objective
from larq_bnnopt.tuning.objective import halves, main_score

pytest.importorskip("optuna")
SPACE = {"alpha": Span(0.5, 0.999, "log1m"), "learning_rate": Span(1e-4, 1.0, "log")}


def hill(kind, fields, report=lambda epoch, value: None):
    """A peak at alpha = 0.95 and a learning rate of 0.01."""
    distance = (np.log10(1 - fields["alpha"]) - np.log10(0.05)) ** 2
    distance += 0.25 * (np.log10(fields["learning_rate"]) + 2) ** 2
    accuracy = float(np.exp(-distance))
    for epoch in range(3):
        report(epoch, accuracy * (epoch + 1) / 3)
    return accuracy, accuracy / 2


def tune(folder, fit=hill, space=SPACE, fields=None, **options):
    options.setdefault("prune", False)
    return tuning.tune(fields or {}, folder, space=space, fit=fit, **options)


def drawn(search):
    return [(trial.number, dict(trial.values)) for trial in search.trials]


def test_it_finds_the_peak_sooner_than_chance(tmp_path):
    random = np.random.default_rng(0)
    best, by_chance = [], []
    for seed in range(3):
        fields = {"seed": seed}
        found = tune(tmp_path / str(seed), fields=fields, trials=30)
        best.append(found.best.accuracy)
        gaps, rates = 10 ** random.uniform([[-3], [-4]], [[-0.3], [0]], (2, 30))
        pairs = zip(1 - gaps, rates)
        by_chance.append(
            max(hill("", {"alpha": a, "learning_rate": r})[0] for a, r in pairs)
        )
    assert np.mean(best) > np.mean(by_chance) and min(best) > 0.9


def test_values_lie_in_their_ranges_and_fill_them(tmp_path):
    space = {
        **SPACE,
        "batch_size": Span(8, 64, is_integer=True),
        "schedule": Choices(("cosine", "linear")),
    }
    found = tune(tmp_path, space=space, trials=40)
    columns = {name: [t.values[name] for t in found.trials] for name in space}
    for name, span in SPACE.items():
        low, high = min(columns[name]), max(columns[name])
        assert span.low <= low < high <= span.high
    # Drawn evenly on the scale of the gap, most alphas are near 1.
    assert np.median(columns["alpha"]) > 0.85
    assert all(isinstance(size, int) for size in columns["batch_size"])
    assert set(columns["schedule"]) == {"cosine", "linear"}


def test_a_resumed_search_is_the_uninterrupted_one(tmp_path):
    whole = tune(tmp_path / "whole", trials=12)
    tune(tmp_path / "parts", trials=5)
    parts = tune(tmp_path / "parts", trials=12)
    assert drawn(parts) == drawn(whole) and len(parts.trials) == 12
    # There are enough: nothing is trained.
    again = tune(tmp_path / "parts", trials=12, fit=None)
    assert drawn(again) == drawn(whole)


def test_a_bad_trial_is_stopped_at_an_epoch(tmp_path):
    seen = []

    def fit(kind, fields, report):
        number = len(seen)
        seen.append([])
        accuracy = 0.1 if number == 8 else 0.5 + number / 100
        for epoch in range(4):
            seen[-1].append(epoch)
            report(epoch, accuracy)
        return accuracy, accuracy

    found = tune(tmp_path, fit=fit, trials=10, prune=True)
    assert [trial.state for trial in found.trials[:8]] == ["complete"] * 8
    bad = found.trials[8]
    assert bad.state == "pruned" and bad.accuracy == 0.1
    # Not after the first epoch, which says little.
    assert seen[8] == [0, 1] and seen[9] == [0, 1, 2, 3]
    assert found.best.number == 9


def test_a_failed_training_is_a_failed_trial(tmp_path):
    numbers = iter(range(9))

    def fit(kind, fields, report):
        number = next(numbers)
        if number == 1:
            raise TrainingDivergedError("The loss became NaN.")
        if number == 2:
            return float("nan"), 0.0
        return 0.5, 0.5

    found = tune(tmp_path, fit=fit, trials=4)
    states = [trial.state for trial in found.trials]
    assert states == ["complete", "failed", "failed", "complete"]
    assert found.trials[1].reason == "The loss became NaN."
    assert found.trials[2].reason == "the accuracy is nan"
    assert tuning.best_so_far(found.trials) == [0.5] * 4


def test_nothing_but_failures_has_no_best(tmp_path):
    def fit(kind, fields, report):
        raise TrainingDivergedError("The loss became NaN.")

    found = tune(tmp_path, fit=fit, trials=2)
    assert found.best is None and len(found.trials) == 2
    assert "No trial is complete" in tuning.best_in_words(found)
    assert len(tuning.write(found)) == 2


def test_an_error_ends_the_search_and_loses_no_trial(tmp_path):
    numbers = iter(range(9))

    def fit(kind, fields, report):
        if next(numbers) == 3:
            raise KeyboardInterrupt
        return hill(kind, fields, report)

    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path, fit=fit, trials=6)
    found = tune(tmp_path, trials=6)
    # The interrupted one is not counted.
    assert [trial.number for trial in found.trials] == [0, 1, 2, 4, 5, 6]


@pytest.mark.parametrize("at", [0, 3, 8])
def test_a_trial_that_was_stopped_inside_is_drawn_again(at, tmp_path):
    numbers = iter(range(12))

    def fit(kind, fields, report):
        report(0, 0.1)
        if next(numbers) == at:
            raise KeyboardInterrupt
        return hill(kind, fields)

    whole = tune(tmp_path / "whole", trials=10)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "parts", fit=fit, trials=10)
    parts = tune(tmp_path / "parts", trials=10)
    assert len(parts.trials) == 10
    assert [t.values for t in parts.trials] == [t.values for t in whole.trials]


def test_processes_at_once_draw_other_values(tmp_path):
    seen = []

    def fit(kind, fields, report):
        seen.append(fields["alpha"])
        if len(seen) == 1:
            # Another process works while this trial runs; it takes four more draws.
            tune(tmp_path, fit=fit, trials=5)
        return hill(kind, fields)

    found = tune(tmp_path, fit=fit, trials=5)
    assert len(found.trials) == 5 and len(set(seen)) == 5
    # Together they draw what one would have drawn at random.
    alone = tune(tmp_path / "alone", trials=5)
    assert sorted(t.values["alpha"] for t in alone.trials) == sorted(seen)


def test_a_trial_that_needs_too_much_memory_is_a_failed_one(tmp_path, monkeypatch):
    def out_of_memory(kind, fields, report, adapt):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    monkeypatch.setattr(objective, "_trained", out_of_memory)
    found = tune(tmp_path, fit=tuning.fit_recipe, trials=2)
    assert [trial.state for trial in found.trials] == ["failed"] * 2
    assert found.trials[0].reason == "The memory does not hold a batch of 64."


def test_a_full_disk_is_no_failed_trial(tmp_path, monkeypatch):
    def full(kind, fields, report, adapt):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(objective, "_trained", full)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        tune(tmp_path, fit=tuning.fit_recipe, trials=2)


@pytest.mark.parametrize("span", [Span(0.99994, 0.99999), Span(1.00004, 1.00009)])
def test_rounded_values_stay_in_their_range(span, tmp_path):
    name = "beta" if span.high < 1 else "learning_rate"
    trained = []

    def fit(kind, fields, report):
        trained.append(fields[name])
        return hill(kind, {"alpha": 0.9, "learning_rate": 0.01})

    found = tune(tmp_path, fit=fit, space={name: span}, trials=8)
    assert all(span.low <= value <= span.high for value in trained)
    assert [trial.values[name] for trial in found.trials] == trained


def test_choices_are_reported_as_they_were_trained(tmp_path):
    space = {"learning_rate": Choices((0.0123456, 0.0234567))}
    found = tune(tmp_path, fit=lambda *_: (0.5, 0.5), space=space, trials=2)
    values = {trial.values["learning_rate"] for trial in found.trials}
    assert values <= {0.0123456, 0.0234567}


def test_a_killed_process_loses_its_trial_alone(tmp_path):
    def killed():
        numbers = iter(range(9))

        def fit(kind, fields, report):
            if next(numbers) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return hill(kind, fields, report)

        tune(tmp_path, fit=fit, trials=5)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    found = tune(tmp_path, trials=5)
    assert [trial.number for trial in found.trials] == [0, 1, 3, 4, 5]
    assert {trial.state for trial in found.trials} == {"complete"}


def test_processes_share_a_folder(tmp_path):
    def work():
        tune(tmp_path, trials=9)
        # An ordinary end waits for locks of the forked process, as coverage's.
        os.kill(os.getpid(), signal.SIGKILL)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert {process.exitcode for process in processes} == {-signal.SIGKILL}
    found = tune(tmp_path, trials=9, fit=None)
    assert [trial.number for trial in found.trials] == list(range(9))


def test_the_minutes_are_kept(tmp_path):
    said = []
    found = tune(tmp_path, trials=9, minutes=1e-9, say=said.append)
    assert found.trials == [] and said == ["The 1e-09 minutes are used."]


def test_seeds_repeat_a_trial(tmp_path):
    seeds = []

    def fit(kind, fields, report):
        seeds.append(fields["seed"])
        report(0, 0.5)
        return float(fields["seed"]), 0.0

    found = tune(tmp_path, fit=fit, fields={"seed": 4}, trials=2, seeds=3)
    assert seeds == [4, 5, 6] * 2
    assert [trial.accuracy for trial in found.trials] == [5.0, 5.0]


def test_another_search_is_refused(tmp_path):
    tune(tmp_path, trials=1)
    with pytest.raises(ValueError, match=r"another search: epochs is 12 there, and 3"):
        tune(tmp_path, fields={"epochs": 3}, trials=1)
    with pytest.raises(ValueError, match=r"alpha is '0.5:0.999:log1m' there, and '0.5"):
        tune(tmp_path, space={**SPACE, "alpha": Span(0.5, 0.9)}, trials=1)
    with pytest.raises(ValueError, match="seeds is 1 there, and 2 now"):
        tune(tmp_path, seeds=2, trials=1)
    with pytest.raises(ValueError, match="another search: recipe is 'one_step' there"):
        tune(tmp_path, kind="two_step", space={"learning_rate": Span(0.1, 1)}, trials=1)
    # Where the data lie says nothing.
    tune(tmp_path, fields={"data_dir": os.fspath(tmp_path)}, trials=1)


def test_a_search_of_a_release_with_fewer_fields_goes_on(tmp_path, monkeypatch):
    known = recipe_fields.defaults_of

    def fewer(kind):
        return {
            name: value
            for name, value in known(kind).items()
            if name not in ("label_smoothing", "color_jitter")
        }

    with monkeypatch.context() as before:
        before.setattr(recipe_fields, "defaults_of", fewer)
        tune(tmp_path, trials=2)
    assert len(tune(tmp_path, trials=3).trials) == 3
    with pytest.raises(ValueError, match=r"label_smoothing is 0\.0 there, and 0"):
        tune(tmp_path, fields={"label_smoothing": 0.5}, trials=3)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda lines: [*lines[:3], b"{half\n", *lines[3:]], "line 4 is no record"),
        (lambda lines: [*lines[:-1], lines[-1][:9]], "is no record of a trial"),
        (lambda lines: [b"[]\n"], "line 1 is no record"),
        (lambda lines: [*lines, lines[-1].rstrip(b"\n")], "has no end"),
    ],
)
def test_a_damaged_file_is_named(damage, message, tmp_path):
    tune(tmp_path, trials=2)
    path = tmp_path / journal.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(damage(lines)))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as caught:
        tune(tmp_path, trials=3)
    assert "\n" not in str(caught.value) and path.read_bytes() == before


def test_other_records_are_refused(tmp_path):
    (tmp_path / journal.NAME).write_text(json.dumps({"op_code": 4}) + "\n")
    with pytest.raises(ValueError, match="is damaged, or no file of a search"):
        tune(tmp_path, trials=1)


def test_without_optuna_it_says_what_to_install(monkeypatch, capsys):
    from larq_bnnopt.tuning import search

    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'larq-bnnopt\[tune\]'"):
        tuning.require_optuna()


# Reports.


def test_the_command_trains_the_recipe_of_the_trial(tmp_path):
    fields = {"augment": False, "model_options": {"clip_value": 1.5}, "epochs": 3}
    found = tune(tmp_path, fields=fields, space={**SPACE}, trials=3)
    for trial in found.trials:
        wanted = found.fields_of(trial)
        words = shlex.split(tuning.train_command(found.kind, wanted))
        arguments = larq_bnnopt.cli._parser().parse_args(words[1:])
        train.check_recipe(arguments)
        whole = {**recipe_fields.defaults_of("one_step")}
        assert {**whole, **train.given_fields(arguments)} == wanted


def test_the_report_has_every_trial_and_the_best_first(tmp_path):
    found = tune(tmp_path, trials=6)
    files = tuning.write(found)
    assert {file.name for file in files} == {
        "trials.csv", "report.md", "history.png", "slices.png", "epochs.png",
    }  # fmt: skip
    with open(tmp_path / "trials.csv", newline="") as file:
        heading, *rows = csv.reader(file)
    assert heading == [
        "trial", "state", "accuracy", "test", "alpha", "learning_rate", "seconds",
    ]  # fmt: skip
    assert len(rows) == 6 and rows[0][0] == str(found.best.number)
    assert float(rows[0][4]) == found.best.values["alpha"]
    page = (tmp_path / "report.md").read_text()
    assert tuning.train_command("one_step", found.fields_of(found.best)) in page
    assert page.count("| complete |") == 6
    for file in files[2:]:
        image = tf.io.decode_png(file.read_bytes())
        assert image.shape[1] > 300 and np.std(image) > 5


def test_rows_are_the_best_ones():
    trials = [Trial(n, "complete", {"eta": n}, n / 100, 0.5) for n in range(30)]
    trials.append(Trial(30, "failed", {"eta": 1}, reason="x"))
    search = Search("one_step", {}, {"eta": Span(0, 30)}, 1, trials, "x")
    _, *rows = tuning.rows(search)
    assert [row[0] for row in rows] == [str(n) for n in range(29, 19, -1)]
    assert tuning.rows(search, None)[-1][1] == "failed"
    assert tuning.summary(search) == "31 trials: 30 complete, 1 failed"


def test_r2_is_no_accuracy(tmp_path):
    values = iter([-0.5, float("nan"), -12.0, -0.25])
    said = []

    def fit(kind, fields, report):
        value = next(values)
        return value, value - 1, "R2"

    found = tune(tmp_path, fit=fit, trials=4, say=said.append)
    assert found.score == "R2" and found.best.number == 3
    assert tuning.best_so_far(found.trials) == [-0.5, -0.5, -0.5, -0.25]
    assert said[0].startswith("trial 0: R2 -0.5000 (best -0.5000); alpha=")
    assert said[1].startswith("trial 1: failed: the R2 is nan (best -0.5000); ")
    assert said[2].startswith("trial 2: R2 -12.0000 (best -0.5000); ")
    heading, *rows = tuning.rows(found)
    assert heading[2:4] == ("R2", "test")
    assert [row[0] for row in rows] == ["3", "0", "2", "1"]
    assert rows[0][2:4] == ("-0.2500", "-1.2500") and rows[3][2:4] == ("", "")
    best = tuning.best_in_words(found)
    assert best.startswith("Best: trial 3, R2 -0.2500, on the other half of the test ")
    assert "accuracy" not in tuning.page(found) and "sees the R2" in tuning.page(found)
    # Before a complete trial there is no best one.
    assert tuning.best_so_far([Trial(0, "failed", {})]) == [None]


def test_stopped_trials_stand_before_failed_ones_also_below_zero():
    trials = [Trial(0, "failed", {}), Trial(1, "pruned", {}, -0.5)]
    search = Search("one_step", {}, {"eta": Span(0, 1)}, 1, trials, "x")
    assert [row[0] for row in tuning.rows(search)[1:]] == ["1", "0"]


# The real objective.


def test_halves_are_a_split_that_repeats():
    data = datasets.load("fashion_mnist_mini", augment=False)
    both = [np.concatenate([y for _, y in half]) for half in halves(data.test, 100)]
    again = [np.concatenate([y for _, y in half]) for half in halves(data.test, 100)]
    for one, other in zip(both, again):
        np.testing.assert_array_equal(one, other)
    _, labels = data.test_arrays()
    assert sorted(np.concatenate(both)) == sorted(labels)
    # Five standard deviations of a fair coin; each class is in both.
    assert abs(len(both[0]) - 500) < 80
    assert min(np.bincount(half, minlength=10).min() for half in both) > 25


@pytest.mark.slow
def test_the_objective_is_the_training_of_the_recipe():
    from larq_bnnopt import recipes

    fields = {"epochs": 2, "batch_size": 200, "seed": 3}
    reports = []
    whole = {**recipe_fields.defaults_of("one_step"), **fields}
    seen, unseen, score = tuning.fit_recipe(
        "one_step", whole, lambda epoch, value: reports.append((epoch, value))
    )
    assert score == "accuracy"
    recipe = recipes.OneStep(**fields)
    data = recipe.load_data()
    model = recipe.build(0, data)
    model.fit(
        data.train_from(0), steps_per_epoch=data.steps_per_epoch, epochs=2, verbose=0
    )
    both = model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]
    size = sum(len(y) for _, y in halves(data.test, 100)[0])
    mean = (size * seen + (data.test_size - size) * unseen) / data.test_size
    assert mean == pytest.approx(both, abs=2 / data.test_size)
    assert [epoch for epoch, _ in reports] == [0, 1]
    assert reports[-1][1] == pytest.approx(seen, abs=1e-6)


def test_a_regression_is_tuned_by_r2(tmp_path):
    random = np.random.default_rng(5)
    for name, count in (("train", 256), ("test", 64)):
        inputs = random.normal(size=(count, 6)).astype(np.float32)
        labels = inputs[:, :2].sum(axis=1)
        np.savez(tmp_path / f"{name}.npz", inputs=inputs, labels=labels)
    reports = []
    whole = {
        **recipe_fields.defaults_of("one_step"),
        "model": "audio_mlp",
        "model_options": {"units": 32},
        "dataset": os.fspath(tmp_path),
        "epochs": 2,
        "batch_size": 32,
    }
    seen, unseen, score = tuning.fit_recipe(
        "one_step", whole, lambda epoch, value: reports.append(value)
    )
    assert score == "R2" and seen <= 1 and unseen <= 1 and seen != unseen
    assert reports[-1] == pytest.approx(seen, abs=1e-5)


@pytest.mark.parametrize(
    "metrics, task, score",
    [
        (("matthews",), "classification", "matthews"),
        (("f1", "accuracy"), "classification", "f1"),
        (("pearson", "spearman"), "regression", "pearson"),
        ((), "classification", "accuracy"),
        ((), "regression", "R2"),
    ],
)
def test_the_first_metric_of_the_data_is_the_main_one(metrics, task, score):
    data = types.SimpleNamespace(metrics=metrics, task=task)
    assert main_score(data) == score


@pytest.mark.slow
def test_texts_are_tuned_by_their_main_metric(tmp_path):
    for name, count in (("train", 64), ("test", 32)):
        labels = ("bad", "good", "good") * count
        rows = [f"{label} film,{label}" for label in labels[:count]]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(rows))
    (tmp_path / "data.json").write_text('{"metrics": ["f1", "accuracy"]}')
    reports = []
    whole = {
        **recipe_fields.defaults_of("one_step"),
        "model": "binary_bert",
        "model_options": {"num_layers": 1, "hidden_size": 16, "num_heads": 2},
        "dataset": os.fspath(tmp_path),
        "text_length": 8,
        "epochs": 1,
        "batch_size": 32,
    }
    seen, _, score = tuning.fit_recipe(
        "one_step", whole, lambda epoch, value: reports.append(value)
    )
    assert score == "f1" and reports[-1] == pytest.approx(seen, abs=1e-5)


@pytest.mark.slow
def test_the_command_tunes_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["tune", "--epochs", "1", "--batch-size", "400", "--space", "alpha"]
    assert main([*words, "--trials", "1"]) == 0
    assert "1 trial: 1 complete" in capsys.readouterr().out
    assert main([*words, "--trials", "2"]) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "tunes" / "tiny_residual_bnn-diode-fashion_mnist_mini"
    assert "2 trials: 2 complete" in shown and (folder / "report.md").exists()
    assert "bnnopt train --epochs 1 --batch-size 400 --alpha 0." in shown
    assert main([*words, "--trials", "2", "--learning-rate", "0.1"]) == 2
    assert "belongs to another search: learning_rate" in capsys.readouterr().err
