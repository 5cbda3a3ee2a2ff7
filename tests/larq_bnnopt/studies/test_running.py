"""The work list: resumed, shared, with damaged lines; a run is a line of numbers."""

import csv
import dataclasses
import json
import multiprocessing
import os
import signal
import time

import pytest

from larq_bnnopt import studies
from larq_bnnopt.recipes import Run
from larq_bnnopt.studies import Arm, Curves, RunResult, Study, higher, running, work
from larq_bnnopt.studies.measures import TEST_ACCURACY
from larq_bnnopt.studies.running import finished


def study(**changes):
    fields = {
        "name": "small",
        "title": "Small",
        "paper": "001",
        "place": "nowhere",
        "claim": "More is more.",
        "paper_setup": "nothing",
        "arms": [Arm("less", {"alpha": 0.1}), Arm("more", {"alpha": 0.9})],
        "fields": {"epochs": 2, "optimizer": "gradient_filter"},
        "comparisons": [higher(TEST_ACCURACY, "more", "less")],
        "panels": [Curves("val_accuracy", "test accuracy")],
        "measures": [TEST_ACCURACY],
        "minutes": 1,
    }
    return Study(**{**fields, **changes})


def result_of(one, arm, seed, quick=False):
    accuracy = 0.5 + 0.1 * (arm.name == "more") + 0.01 * seed
    return RunResult(
        study=one.name,
        arm=arm.name,
        seed=seed,
        kind=arm.kind,
        fields=one.recipe_fields(arm, seed),
        series={"val_accuracy": [0.1, accuracy]},
        numbers={},
        quick=quick,
        seconds=2.0,
    )


class Trainer:
    """Counts what it trains, and fails when it is told to."""

    def __init__(self, fails_at=None):
        self.trained, self.fails_at = [], fails_at

    def __call__(self, one, arm, seed, quick):
        if len(self.trained) == self.fails_at:
            raise KeyboardInterrupt
        self.trained.append((arm.name, seed))
        return result_of(one, arm, seed, quick)


ALL = [(name, seed) for seed in range(5) for name in ("less", "more")]


def test_settings_take_turns(tmp_path):
    trainer = Trainer()
    progress = work(study(), tmp_path, train=trainer)
    assert trainer.trained == ALL
    assert progress == studies.Progress(done=10, wanted=10, trained=10, elsewhere=0)


def test_a_study_may_have_a_way_of_its_own(tmp_path):
    trainer = Trainer()
    work(study(train=trainer, seeds=1), tmp_path)
    assert trainer.trained == ALL[:2]


def test_an_interrupted_study_loses_no_run_and_repeats_none(tmp_path):
    first, second = Trainer(fails_at=3), Trainer()
    with pytest.raises(KeyboardInterrupt):
        work(study(), tmp_path, train=first)
    work(study(), tmp_path, train=second)
    assert first.trained + second.trained == ALL
    whole = tmp_path / "whole"
    work(study(), whole, train=Trainer())
    assert finished(study(), tmp_path) == finished(study(), whole)


def test_more_seeds_later(tmp_path):
    work(dataclasses.replace(study(), seeds=2), tmp_path, train=Trainer())
    later = Trainer()
    work(study(), tmp_path, train=later)
    assert later.trained == ALL[4:]


def test_no_run_begins_after_the_time(tmp_path):
    lines, trainer = [], Trainer()
    progress = work(study(), tmp_path, 1e-9, say=lines.append, train=trainer)
    assert trainer.trained == [] and progress.done == 0
    assert lines == ["The 1e-09 minutes are used."]


def torn(text):
    return text[: len(text) // 2 + 100]


def swapped(text):
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:4], "{}\n", *lines[5:]])


@pytest.mark.parametrize(("damage", "line"), [(torn, None), (swapped, 5)])
def test_a_damaged_line_is_named(tmp_path, damage, line):
    work(study(), tmp_path, train=Trainer())
    path = tmp_path / "results.jsonl"
    text = damage(path.read_text())
    path.write_text(text)
    line = line or len(text.splitlines())
    with pytest.raises(ValueError, match=rf"results\.jsonl, line {line}, is damaged"):
        work(study(), tmp_path, train=Trainer())
    assert path.read_text() == text
    # As the message says: without the line its run is trained again, and no other.
    lines = text.splitlines(keepends=True)
    path.write_text("".join(lines[: line - 1] + lines[line:]))
    again = Trainer()
    work(study(), tmp_path, train=again)
    assert again.trained == (ALL[4:5] if damage is swapped else ALL[line - 1 :])


def test_a_line_that_is_damaged_meanwhile_loses_no_finished_run(tmp_path):
    path = tmp_path / "results.jsonl"

    def train(one, arm, seed, quick):
        with path.open("a") as file:
            file.write('{"torn')
        return result_of(one, arm, seed, quick)

    with pytest.raises(ValueError, match="line 1, is damaged"):
        work(study(), tmp_path, train=train)
    lines = path.read_text().splitlines()
    assert lines[0] == '{"torn' and json.loads(lines[1])["arm"] == "less"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": {"epochs": 3, "optimizer": "gradient_filter"}}, "epochs=2, and"),
        ({"arms": [Arm("less", {"alpha": 0.2}), Arm("more")]}, "alpha=0.1, and"),
    ],
)
def test_results_of_other_settings_are_not_mixed(tmp_path, changes, words):
    work(study(), tmp_path, train=Trainer())
    with pytest.raises(ValueError, match=f"line 1: 'less' was trained with {words}"):
        work(study(**changes), tmp_path, train=Trainer())


def test_quick_results_are_not_mixed_with_others(tmp_path):
    work(study(), tmp_path, quick=True, train=Trainer())
    with pytest.raises(ValueError, match="trained with --quick, and now it runs witho"):
        work(study(), tmp_path, train=Trainer())


def test_results_from_before_a_field_existed(tmp_path):
    work(study(), tmp_path, train=Trainer())
    path = tmp_path / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["fields"]["recalibrate"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = Trainer()
    work(study(), tmp_path, train=again)
    assert again.trained == []


def share(folder, names):
    def train(one, arm, seed, quick):
        time.sleep(0.02)
        names.put((arm.name, seed))
        return result_of(one, arm, seed, quick)

    # A process that finds all that is left reserved has nothing to do, and ends.
    work(study(), folder, train=train)


def test_two_processes_share_a_folder(tmp_path):
    fork = multiprocessing.get_context("fork")
    names = fork.Queue()
    processes = [fork.Process(target=share, args=(tmp_path, names)) for _ in range(2)]
    for one in processes:
        one.start()
    trained = [names.get(timeout=60) for _ in ALL]
    for one in processes:
        one.join(60)
        assert one.exitcode == 0
    assert names.empty() and sorted(trained) == sorted(ALL)
    assert [run.key for run in finished(study(), tmp_path)] == ALL


def test_a_run_of_another_process_is_left_to_it(tmp_path):
    place = tmp_path / ".running" / "1-0"
    place.mkdir(parents=True)
    with Run(place).locked():
        trainer = Trainer()
        progress = work(study(), tmp_path, train=trainer)
    assert trainer.trained == [key for key in ALL if key != ("more", 0)]
    assert (progress.done, progress.elsewhere) == (9, 1)


def test_a_finished_run_is_kept_where_the_lock_is_not_free(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_PATIENCE", 0.0)
    one = study(seeds=1)
    with Run(tmp_path).locked():
        progress = work(one, tmp_path, train=Trainer())
    assert (progress.done, progress.trained) == (2, 2)
    beside = tmp_path / f"results.{os.getpid()}.jsonl"
    assert len(beside.read_text().splitlines()) == 2
    assert not (tmp_path / "results.jsonl").exists()
    # Later runs join them, and none is trained again.
    again = Trainer()
    work(study(seeds=2), tmp_path, train=again)
    assert again.trained == ALL[2:4]
    assert [run.key for run in finished(study(seeds=2), tmp_path)] == ALL[:4]
    # A damaged line there is named as well.
    beside.write_text(beside.read_text() + "{}\n")
    with pytest.raises(ValueError, match=rf"{beside.name}, line 3, is damaged"):
        finished(study(seeds=2), tmp_path)


def hang(folder, ready):
    def train(one, arm, seed, quick):
        ready.put(True)
        time.sleep(600)

    work(study(), folder, train=train)


def test_a_killed_process_leaves_no_lock(tmp_path):
    fork = multiprocessing.get_context("fork")
    ready = fork.Queue()
    process = fork.Process(target=hang, args=(tmp_path, ready))
    process.start()
    ready.get(timeout=60)
    assert (tmp_path / ".running" / "0-0" / ".lock").exists()
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    trainer = Trainer()
    work(study(), tmp_path, train=trainer)
    assert trainer.trained == ALL


def test_the_table_holds_every_field_and_number(tmp_path):
    work(study(), tmp_path, train=Trainer())
    found = finished(study(), tmp_path)
    studies.write(study(), found, tmp_path, "bnnopt study small")
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], int(row["seed"])) for row in rows] == ALL
    assert set(found[0].fields) <= set(rows[0])
    assert rows[1]["alpha"] == "0.9" and rows[0]["seconds"] == "2.0"
    assert [float(v) for v in rows[1]["series:val_accuracy"].split()] == [0.1, 0.6]


def test_a_name_of_glue_is_no_folder_that_is_missing(tmp_path):
    fields = {"model": "binary_bert_tiny", "data_dir": str(tmp_path), "epochs": 1}
    advice = "Make it by a script"
    arms = [Arm("less", {"optimizer": "adam"}), Arm("more", {})]
    glue = study(fields={**fields, "dataset": "glue/sst2"}, arms=arms, advice=advice)
    with pytest.raises(
        FileNotFoundError, match=r"Get it by `bnnopt train .* glue/sst2"
    ):
        running.require_data(glue)
    folder = study(fields={**fields, "dataset": "reviews"}, arms=arms, advice=advice)
    with pytest.raises(FileNotFoundError, match=r"not here\. Make it by a script"):
        running.require_data(folder)
