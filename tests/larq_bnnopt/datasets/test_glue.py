"""GLUE by tensorflow-datasets: its own builder reads small files of GLUE's format.

GLUE itself is not downloaded: the texts are made up.
"""

import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from larq_bnnopt import datasets
from larq_bnnopt.datasets.glue import TASKS

pytest.importorskip("tokenizers")

# Columns of GLUE's files, as its builder reads them; labels as they are written there.
COLUMNS = {
    "cola": (None, ("0", "1")),
    "sst2": (("sentence", "label"), ("0", "1")),
    "qqp": (("question1", "question2", "is_duplicate"), ("0", "1")),
    "stsb": (("sentence1", "sentence2", "score"), ("2.500", "4.75")),
    "mnli": (("sentence1", "sentence2", "gold_label"), ("neutral", "contradiction")),
    "qnli": (("question", "sentence", "label"), ("entailment", "not_entailment")),
    "rte": (("sentence1", "sentence2", "label"), ("entailment", "not_entailment")),
    "wnli": (("sentence1", "sentence2", "label"), ("0", "1")),
    "mrpc": (("#1 String", "#2 String", "Quality"), ("0", "1")),
}
# A file of training or test -> its number of examples, and a word in each.
FILES = {
    "train": (8, "train"),
    "dev": (4, "rain"),
    "dev_matched": (4, "tin"),
    "dev_mismatched": (6, "ant"),
}


def texts(name, number):
    """The sentence, or two, of an example."""
    return [f'"the {FILES[name][1]} is {number}', f"is it {number}"]


def table(columns, labels, name):
    """A file of GLUE: tabs, and quotes that mean nothing."""
    lines = [] if columns is None else ["\t".join(columns)]
    for number in range(FILES[name][0]):
        label = labels[number % 2]
        if columns is None:
            fields = ["source", label, "", texts(name, number)[0]]
        else:
            fields = [*texts(name, number)[: len(columns) - 1], label]
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


def write_mrpc(folder):
    """The three files of MRPC, one of which says what is for the test."""
    head = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    lines, held = [head], []
    for name in ("train", "dev"):
        for number in range(FILES[name][0]):
            ids = [f"{name}{number}", f"{name}{number}b"]
            held += ["\t".join(ids)] * (name == "dev")
            lines.append("\t".join([str(number % 2), *ids, *texts(name, number)]))
    (folder / "train.txt").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    (folder / "dev_ids.txt").write_text("\n".join(held))
    (folder / "test.txt").write_text(f"{head}\n0\t1\t2\tone\ttwo\n")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepares a task from small files, by the builder of tensorflow-datasets."""

    def prepare(task):
        columns, labels = COLUMNS[task]
        source = tmp_path / "source"
        folder = source / (tfds.builder(f"glue/{task}").builder_config.data_dir or "")
        folder.mkdir(parents=True)
        if task == "mrpc":
            write_mrpc(source)
            columns, labels = COLUMNS["wnli"]
        names = ["dev"] if task != "mnli" else ["dev_matched", "dev_mismatched"]
        for name in ["train", *names]:
            content = table(columns, labels, name)
            (folder / f"{name}.tsv").write_text(content, encoding="utf-8")
        # The files of the test have no labels.
        ends = ["test"] if task != "mnli" else ["test_matched", "test_mismatched"]
        for name in ends:
            lines = ["\t".join(["sentence", *(columns or ("x",))[:-1]])]
            lines += ["\t".join(["x", *texts("dev", 0)])] * 2
            (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")

        class Files:
            def download_and_extract(self, url):
                return str(source)

            def download(self, urls):
                return {name: str(source / f"{name}.txt") for name in urls}

        own = tfds.text.Glue._split_generators
        monkeypatch.setattr(
            tfds.text.Glue, "_split_generators", lambda self, _: own(self, Files())
        )
        monkeypatch.setattr(
            "larq_bnnopt.datasets.downloads._require_network", lambda builder: None
        )
        return tmp_path / "data"

    return prepare


def load(task, data_dir, **options):
    fixed = {"batch_size": 4, "text_length": 40, "vocab_size": 120}
    return datasets.load(f"glue/{task}", data_dir=data_dir, **{**fixed, **options})


@pytest.mark.parametrize("task", sorted(COLUMNS))
def test_a_task_has_its_texts_labels_and_metrics(task, prepared):
    folder = prepared(task)
    data = load(task, folder)
    assert data.kind == datasets.kind_of(f"glue/{task}") == "texts"
    assert (data.train_size, data.test_size) == (8, 4)
    is_pair = len(TASKS[task].columns) == 2
    assert data.settings["pairs"] is is_pair
    inputs, labels = data.test_arrays()
    name = "dev_matched" if task == "mnli" else "dev"
    rows = [texts(name, number) for number in range(4)]
    tokenizer = datasets.Tokenizer(data.settings["tokenizer"])
    pairs = [second for _, second in rows] if is_pair else None
    expected = tokenizer.encode([first for first, _ in rows], pairs)
    # Tfds shuffles the examples of a split once.
    order = [
        int(np.flatnonzero((expected["input_ids"] == row).all(axis=1))[0])
        for row in inputs["input_ids"]
    ]
    assert sorted(order) == [0, 1, 2, 3]
    written = [COLUMNS[task][1][number % 2] for number in order]
    if task == "stsb":
        assert data.task == "regression"
        np.testing.assert_allclose(labels[:, 0], [float(one) for one in written])
    else:
        assert data.task == "classification"
        named = [data.class_names[label] for label in labels]
        digits = [str(label) for label in labels]
        assert written in (named, digits)


def test_metrics_are_those_of_paper_003():
    """Section 4.3: accuracy, F1 (QQP, MRPC), Pearson (STS-B), Matthews (CoLA)."""
    first = {task: one.metrics[0] for task, one in TASKS.items()}
    assert first.pop("stsb") == "pearson" and first.pop("cola") == "matthews"
    assert first.pop("qqp") == first.pop("mrpc") == "f1"
    assert set(first.values()) == {"accuracy"}
    assert TASKS["stsb"].metrics == ("pearson", "spearman")


def test_each_task_of_tensorflow_datasets_is_known():
    configs = {config.name for config in tfds.text.Glue.BUILDER_CONFIGS}
    # It has no training.
    assert configs - {"ax"} == TASKS.keys()
    for name, task in TASKS.items():
        features = tfds.builder(f"glue/{task.builder or name}").info.features
        assert set(task.columns) == set(features) - {"label", "idx"}


def test_the_other_test_of_mnli_goes_with_the_same_training(prepared):
    folder = prepared("mnli")
    matched, other = load("mnli", folder), load("mnli_mismatched", folder)
    assert load("mnli_matched", folder).fingerprint == matched.fingerprint
    assert (matched.test_size, other.test_size) == (4, 6)
    assert matched.settings == other.settings
    assert matched.fingerprint != other.fingerprint


def test_texts_without_labels_are_refused(prepared, monkeypatch):
    folder = prepared("sst2")
    own = tfds.text.Glue._generate_examples

    def unlabelled(self, data_file, split, mrpc_files=None):
        for key, example in own(self, data_file, split, mrpc_files):
            yield key, {**example, "label": -1}

    monkeypatch.setattr(tfds.text.Glue, "_generate_examples", unlabelled)
    with pytest.raises(ValueError, match=r"8 of the 8 texts of the split 'train'.*-1"):
        load("sst2", folder)


def test_the_validation_of_glue_is_its_test(tmp_path):
    with pytest.raises(ValueError, match=r"validation split already, .*Leave out held"):
        datasets.load("glue/rte", data_dir=tmp_path, held_out="validation")


def test_names_and_missing_data_are_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"No task of GLUE 'sst'. Nearest: sst2"):
        load("sst", tmp_path)
    with pytest.raises(ValueError, match=r"No task of GLUE 'ax'. Known: cola"):
        load("ax", tmp_path)
    with pytest.raises(datasets.NotDownloadedError, match="'glue' is not on this mach"):
        load("sst2", tmp_path, download=False)
    assert not list(pathlib.Path(tmp_path).iterdir())
