"""Distribution strategies: several devices and processes train the same as one."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes import OneStep, Run, strategy_of
from larq_bnnopt.recipes.strategies import is_chief

SCRIPT = pathlib.Path(__file__).with_name("two_workers.py")


def start(folder, images, *words, **env):
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, images, *words],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def together(folder, images, workers):
    """Runs two processes that train together; returns what they printed."""
    processes = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        env = {"TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"}
        processes.append(start(folder, images, "multi_worker", **env))
    texts = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(texts)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_runs(run, expected, flips=1e-3):
    models = [
        tf.keras.models.load_model(folder / "model.keras", compile=False)
        for folder in (run, expected)
    ]
    for ours, theirs in zip(*(model.get_weights() for model in models)):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    for ours, theirs in zip(
        table(run / "history.csv"), table(expected / "history.csv")
    ):
        assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), rel=1e-3)
        names = ("flip_ratio", "c2i_ratio", "never_flipped_ratio", "dead_ratio")
        for name in names:
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=flips)


@pytest.mark.slow
def test_two_processes_train_the_same_as_one(images, two_addresses, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    alone = start(one, images)
    assert alone.wait(400) == 0, alone.stdout.read()
    together(two, images, two_addresses())
    assert_equal_runs(two, one)
    # Only one of them wrote.
    names = [{path.name for path in run.iterdir()} for run in (one, two)]
    assert names[0] == names[1]
    assert len(table(two / "flips.csv")) == len(table(one / "flips.csv")) == 12
    # They resume from an earlier epoch.
    run = Run(two)
    os.replace(run.previous, run.model)
    together(two, images, two_addresses())
    assert_equal_runs(two, one)


@pytest.mark.slow
def test_replicas_of_one_process_train_the_same_as_one(images, two_replicas, tmp_path):
    recipe = OneStep(dataset=images, image_size=16, batch_size=24, epochs=1)
    model = recipes.train(recipe, tmp_path / "two", strategy=two_replicas)
    assert model.distribute_strategy is two_replicas
    rows = table(tmp_path / "two" / "history.csv")
    assert len(rows) == 1 and 0 < float(rows[0]["flip_ratio"]) < 0.5
    # One device resumes the run.
    run = Run(tmp_path / "two")
    assert recipes.trained_epochs(run, recipe, model, recipe.load_data()) == 1
    with pytest.raises(ValueError, match=r"multiple of 2\. Received: 25"):
        recipes.train(
            OneStep(dataset=images, batch_size=25),
            tmp_path / "new",
            strategy=two_replicas,
        )
    assert not (tmp_path / "new").exists()


def test_who_is_chief(two_replicas):
    assert is_chief(strategy_of(None)) and is_chief(two_replicas)

    class Cluster:
        def __init__(self, kind, index, jobs):
            self.cluster_resolver = self
            self.task_type, self.task_id, self.jobs = kind, index, jobs

        def cluster_spec(self):
            return self

        def as_dict(self):
            return self.jobs

    workers = {"worker": ["a", "b"]}
    assert is_chief(Cluster("worker", 0, workers))
    assert not is_chief(Cluster("worker", 1, workers))
    both = {"chief": ["a"], "worker": ["b"]}
    assert is_chief(Cluster("chief", 0, both))
    assert not is_chief(Cluster("worker", 0, both))


def test_wrong_strategies_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="There are: mirrored, multi_worker"):
        strategy_of("miror")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        strategy_of("multi_worker")
