"""Texts as data: splits, labels, tokens in batches that repeat, and bad files by line.

No accuracy is measured on these texts, which are made up.
"""

import csv
import importlib.util
import io
import json
import os
import pathlib
import tarfile
import warnings
import zipfile

import numpy as np
import pytest

from larq_bnnopt import datasets
from larq_bnnopt.datasets import text_files
from larq_bnnopt.datasets.text_files import Rows, read_table, split
from larq_bnnopt.datasets.texts import text_rows

pytest.importorskip("tokenizers")

WORDS = (
    "film",
    "story",
    "end",
    "part",
    "scene",
    "cast",
    "plot",
    "tone",
    "pace",
    "joke",
)
LENGTH = 24
OPTIONS = {"text_length": LENGTH, "vocab_size": 120, "batch_size": 4}


def sentences(count, start=0):
    """Texts that differ, with a label that a word tells."""
    for number in range(start, start + count):
        label = ("bad", "good")[number % 2]
        yield f"the {WORDS[number % 10]} {number} is {label}", label


def write(path, rows, header=("text", "label")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "train.csv", sentences(20))
    write(tmp_path / "test.csv", sentences(8, start=20))
    return tmp_path


def load(folder, **options):
    return datasets.load(os.fspath(folder), **{**OPTIONS, **options})


def test_a_folder_of_texts_is_a_data_set_that_repeats(folder):
    data = load(folder, seed=2)
    assert datasets.kind_of(os.fspath(folder)) == data.kind == "texts"
    assert (data.task, data.metrics) == ("classification", ("accuracy",))
    assert data.class_names == ("bad", "good") and data.input_shape == (LENGTH,)
    assert (data.train_size, data.test_size) == (20, 8)
    straight = list(data.train_from(0).take(15).as_numpy_iterator())
    resumed = list(load(folder, seed=2).train_from(2).take(5).as_numpy_iterator())
    for (inputs, labels), (same_inputs, same_labels) in zip(straight[10:], resumed):
        assert inputs.keys() == same_inputs.keys()
        for name in inputs:
            assert inputs[name].dtype == np.int32 and inputs[name].shape == (4, LENGTH)
            np.testing.assert_array_equal(inputs[name], same_inputs[name])
        np.testing.assert_array_equal(labels, same_labels)
        assert labels.dtype == np.int64
    # Each epoch holds every text once, in another order.
    epochs = [straight[:5], straight[5:10]]
    seen = [[x.tobytes() for i, _ in e for x in i["input_ids"]] for e in epochs]
    assert sorted(seen[0]) == sorted(seen[1]) and seen[0] != seen[1]
    assert len(set(seen[0])) == 20


def test_tokens_in_batches_are_those_of_the_tokenizer_in_the_settings(folder):
    data = load(folder)
    tokenizer = datasets.Tokenizer(data.settings["tokenizer"])
    assert tokenizer.length == data.settings["text_length"] == LENGTH
    assert tokenizer.vocab_size == data.settings["vocab_size"] <= 120
    assert data.settings["pairs"] is False
    json.dumps(dict(data.settings))
    inputs, labels = data.test_arrays()
    expected = tokenizer.encode([text for text, _ in sentences(8, start=20)])
    for name, array in expected.items():
        np.testing.assert_array_equal(inputs[name], array)
    assert labels.tolist() == [0, 1] * 4
    # The label is a function of the tokens, in the training as well.
    first, classes = data.train_arrays(20)
    word = json.loads(data.settings["tokenizer"])["model"]["vocab"]["good"]
    np.testing.assert_array_equal((first["input_ids"] == word).any(axis=1), classes)


def test_pairs_have_token_types_and_more_than_one_column(tmp_path):
    header = ("label", "text_b", "text_a")
    for name, start in (("train", 0), ("test", 20)):
        rows = [(label, "is it so", text) for text, label in sentences(20, start)]
        write(tmp_path / f"{name}.csv", rows, header)
    data = load(tmp_path, text_length=40)
    assert data.settings["pairs"] is True
    inputs, _ = data.test_arrays()
    tokenizer = datasets.Tokenizer(data.settings["tokenizer"])
    texts = [text for text, _ in sentences(20, start=20)]
    expected = tokenizer.encode(texts, ["is it so"] * 20)
    for name, array in expected.items():
        np.testing.assert_array_equal(inputs[name], array)
    assert inputs["token_type_ids"].max() == 1
    write(tmp_path / "test.csv", sentences(4))
    with pytest.raises(ValueError, match=r"must have the same columns"):
        load(tmp_path)


def test_tabs_separate_and_nothing_is_quoted(tmp_path):
    lines = ["text\tlabel", 'he said "no, never\tbad', '"good" film\tgood', ""]
    (tmp_path / "train.tsv").write_text("\r\n".join(lines), encoding="utf-8")
    rows = read_table(tmp_path / "train.tsv")
    assert rows.texts == ('he said "no, never', '"good" film')
    assert rows.labels == ("bad", "good")
    assert rows.places[1].endswith("train.tsv, line 3")


def test_quotes_hold_commas_quotes_and_line_breaks(tmp_path):
    text = '\ufefftext,label\n"a, ""b""\nc",good\n\nd , bad \n'
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    rows = read_table(tmp_path / "train.csv")
    assert rows.texts == ('a, "b"\nc', "d ") and rows.labels == ("good", "bad")
    assert [place.rpartition(" ")[2] for place in rows.places] == ["2", "5"]


def test_a_single_table_is_split_by_its_texts(tmp_path):
    rows = list(sentences(200))
    write(tmp_path / "reviews.csv", rows)
    train, test = text_rows(tmp_path)
    _, validation = text_rows(tmp_path, "validation")
    parts = [set(part.texts) for part in (train, validation, test)]
    assert sum(map(len, parts)) == 200 == len(set().union(*parts))
    # 160, 20, 20 are expected; four standard deviations.
    assert abs(len(parts[0]) - 160) < 23
    assert all(abs(len(part) - 20) < 17 for part in parts[1:])
    # Further texts, equal ones and another order move none.
    more = [*sentences(50, start=200), *reversed(rows), *rows[:20]]
    write(tmp_path / "reviews.csv", more)
    again = [*text_rows(tmp_path), text_rows(tmp_path, "validation")[1]]
    for part, found in zip((parts[0], parts[2], parts[1]), again):
        assert part <= set(found.texts)
    assert not set(again[0].texts) & (set(again[1].texts) | set(again[2].texts))
    assert sum(len(found.texts) for found in again) == len(more)


def test_the_split_is_fixed():
    """A test that was kept yesterday is kept today."""
    rows = Rows(("a", "b", "c", "d", "ad"), None, ("1",) * 5, ("",) * 5)
    assert [part.texts for part in split(rows)] == [("b", "d"), ("ad",), ("a", "c")]


def test_folders_of_text_files_are_classes(tmp_path):
    for number, (text, label) in enumerate(sentences(100)):
        path = tmp_path / label / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"Subject: news\n\n{text}\n", encoding="utf-8")
    data = load(tmp_path, text_length=40)
    assert (data.kind, data.class_names) == ("texts", ("bad", "good"))
    train, test = text_rows(tmp_path)
    assert data.train_size == len(train.texts) and data.test_size == len(test.texts)
    for part in (train, test):
        assert all(
            text.strip().endswith(label) for text, label in zip(part.texts, part.labels)
        )


def test_folders_train_and_test_of_text_files_are_taken(tmp_path):
    for part, count, start in (("train", 6, 10), ("validation", 4, 20)):
        for number, (text, label) in enumerate(sentences(count, start)):
            path = tmp_path / part / label / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    data = load(tmp_path)
    assert (data.train_size, data.test_size) == (6, 4)
    for path in (tmp_path / "validation").rglob("*.txt"):
        path.unlink()
    with pytest.raises(ValueError, match="has train, but no test or validation or"):
        load(tmp_path)


def test_a_text_file_with_bytes_of_no_encoding_is_named(tmp_path):
    for number, (text, label) in enumerate(sentences(60)):
        path = tmp_path / label / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{text}\n".encode() + (b"caf\xe9" if number == 7 else b""))
    with pytest.raises(
        ValueError, match=r"1 of the 60 texts of .*7.txt, line 2 is no UTF.*latin-1"
    ):
        load(tmp_path)
    (tmp_path / "data.json").write_text('{"encoding": "latin-1"}')
    parts = [text_rows(tmp_path, held_out) for held_out in ("test", "validation")]
    (train, test), (_, validation) = parts
    texts = [*train.texts, *test.texts, *validation.texts]
    assert len(texts) == 60 and sum("café" in text for text in texts) == 1
    load(tmp_path)


def test_a_text_that_csv_cannot_hold_is_named(folder):
    write(folder / "test.csv", [("one", "good"), ("a " * 70_000, "bad")])
    with pytest.raises(ValueError, match=r"in line 3: a text has more than 131,072 ch"):
        load(folder)


def test_images_and_sounds_win_over_a_table_beside_them(tmp_path):
    write(tmp_path / "labels.csv", sentences(3))
    assert datasets.kind_of(os.fspath(tmp_path)) == "texts"
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    assert datasets.kind_of(os.fspath(tmp_path)) == "images"


# Labels.


def labelled(folder, labels, facts=None):
    """Writes texts with these labels as training and test."""
    for name in ("train", "test"):
        texts = [f"{name} {text}" for text, _ in sentences(len(labels))]
        write(folder / f"{name}.csv", zip(texts, labels))
    if facts is not None:
        (folder / "data.json").write_text(json.dumps(facts))
    return load(folder, batch_size=1)


@pytest.mark.parametrize(
    "labels, facts, names, classes",
    [
        (["b", "a", "b"], None, ("a", "b"), [1, 0, 1]),
        # Numbers in their order, not that of their digits.
        (["10", "9", "10"], None, ("9", "10"), [1, 0, 1]),
        (["1.0", "0.0"], None, ("0.0", "1.0"), [1, 0]),
        (["0", "1"], {"class_names": ["bad", "good"]}, ("bad", "good"), [0, 1]),
        (["x", "y"], {"class_names": ["y", "x", "z"]}, ("y", "x", "z"), [1, 0]),
        (["1", "3"], {"class_names": ["3", "1"]}, ("3", "1"), [1, 0]),
        (["1.5", "2"], {"task": "classification"}, ("1.5", "2"), [0, 1]),
    ],
)
def test_labels_name_classes(tmp_path, labels, facts, names, classes):
    data = labelled(tmp_path, labels, facts)
    assert (data.task, data.class_names) == ("classification", names)
    assert data.test_arrays()[1].tolist() == classes


@pytest.mark.parametrize(
    "labels, facts, numbers",
    [
        (["0.5", "-2", "1e-1"], None, [0.5, -2, 0.1]),
        (["3", "4", "4"], {"task": "regression"}, [3, 4, 4]),
    ],
)
def test_numbers_are_a_regression(tmp_path, labels, facts, numbers):
    data = labelled(tmp_path, labels, facts)
    assert (data.task, data.class_names) == ("regression", ("label",))
    assert data.metrics == ("pearson", "spearman")
    found = data.test_arrays()[1]
    assert found.dtype == np.float32 and found.shape == (3, 1)
    np.testing.assert_allclose(found[:, 0], numbers, rtol=1e-7)


@pytest.mark.parametrize(
    "labels, facts, message",
    [
        (["a", "a"], None, r"All training texts of .* have the label 'a'"),
        (["1.5", "nan"], None, "line 3 has the label 'nan', which is no finite"),
        (["1.5", "1e99"], None, "line 3 has the label '1e99', which is no finite"),
        (["1", "x"], {"task": "regression"}, "line 3 has the label 'x', which is no"),
        (
            ["a", "b"],
            {"class_names": ["a", "c"]},
            r"line 3 has the label 'b', .*\(a, c",
        ),
        (["0", "2"], {"class_names": ["a", "c"]}, r"line 3 has the label '2'"),
        (["a", "b"], {"metrics": ["acc"]}, "No metric of a classification"),
        (["a", "b"], {"metrics": ["pearson"]}, "No metric of a classification"),
        (["a", "b", "c"], {"metrics": ["f1"]}, "f1 is of two classes"),
        (["a", "b"], {"metrics": "f1"}, "metrics must be a list of names"),
        (["a", "b"], {"encoding": "utf-16"}, "No encoding in .*'utf-16'"),
        (["a", "b"], {"shape": [3]}, "No entry of .*'shape'"),
        (
            ["1.5", "2"],
            {"task": "regression", "class_names": ["a", "b"]},
            "names 2 numbers of a label, and a text has one",
        ),
    ],
)
def test_wrong_labels_are_one_line(tmp_path, labels, facts, message):
    with pytest.raises(ValueError, match=message) as error:
        labelled(tmp_path, labels, facts)
    assert "\n" not in str(error.value)


def test_a_label_of_the_test_that_no_training_text_has_is_named(folder):
    write(folder / "test.csv", [("one", "good"), ("two", "so so")])
    with pytest.raises(
        ValueError,
        match=r"1 of the 2 labels .*test.csv, line 3 has .* 'so so'.*\(bad, good\)",
    ):
        load(folder)


def test_metrics_are_those_of_the_data(tmp_path):
    data = labelled(tmp_path, ["a", "b"], {"metrics": ["f1", "accuracy"]})
    assert data.metrics == ("f1", "accuracy")


# Bad files.


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a film,good\n", "first line must name the columns text,label or text_a,te"),
        (b"id,text,label\n1,a,b\n", "must name the columns .*: 'id,text,label'"),
        (b"text;label\na;b\n", "Received: 'text;label'"),
        (b"text,text\na,b\n", "must name the columns"),
        (b"", "must name the columns .* Received: ''"),
        (b"text,label\n", "has no text below its first line"),
        (b"text,label\na,b\nc\n", "1 of the 2 lines of .*, line 3 has 1 fields, not 2"),
        (b"text,label\na, b,c\n", "line 2 has 3 fields, not 2"),
        (
            b"text,label\na,\nb, \n",
            "2 of the 2 lines .*, line 2 has no label; .* 3 has",
        ),
        (b"text,label\n ,b\n", "line 2 has no text"),
        (b"text_a,text_b,label\na,,c\n", "line 2 has no text_b"),
        (
            b'text,label\na,b\n"c,d\n',
            "begins in line 3: unexpected end of data. A text",
        ),
        (b'text,label\n"a" b,c\n', "begins in line 2: .* stands in quotes, its own"),
        (b"text,label\ncaf\xe9,b\n", r"line 2 is no UTF-8 \(byte 0xe9\).*latin-1"),
        (b"text,label\na\0b,c\n", "line 2 holds a NUL byte"),
        (b"\xff\xfet\0e\0", "line 1 holds a NUL byte"),
    ],
)
def test_bad_tables_are_one_line(folder, content, message):
    (folder / "train.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert "train.csv" in str(error.value) and "\n" not in str(error.value)


def test_an_endless_line_is_refused_and_not_read(folder):
    with (folder / "train.csv").open("wb") as file:
        file.write(b"text,label\n")
        file.seek(100 << 20)
        file.write(b"a,b\n")
    with pytest.raises(ValueError, match=r"train.csv, line 2 has more than 1 MiB"):
        load(folder)
    long = "a" * (1 << 18)
    write(folder / "train.csv", [(long, "a")])
    with pytest.raises(ValueError, match="line 2: a text has more than 131,072 char"):
        load(folder)


def test_what_lies_in_a_folder_must_be_clear(tmp_path):
    write(tmp_path / "train.csv", sentences(4))
    with pytest.raises(ValueError, match=r"has train.csv, but no test or validation"):
        load(tmp_path)
    write(tmp_path / "train.tsv", sentences(4))
    with pytest.raises(ValueError, match=r"has train.csv and train.tsv. Remove one"):
        load(tmp_path)
    (tmp_path / "train.tsv").unlink()
    (tmp_path / "train.csv").rename(tmp_path / "a.csv")
    write(tmp_path / "b.csv", sentences(4))
    with pytest.raises(ValueError, match=r"has a.csv, b.csv: call them train and test"):
        load(tmp_path)
    (tmp_path / "b.csv").unlink()
    write(tmp_path / "a.csv", sentences(1))
    with pytest.raises(ValueError, match="has 1 texts, too few to keep some for the"):
        load(tmp_path)
    (tmp_path / "a.csv").unlink()
    (tmp_path / "train.csv").mkdir()
    write(tmp_path / "test.csv", sentences(4))
    with pytest.raises(ValueError, match=r"train.csv is no file"):
        load(tmp_path)


def test_long_texts_and_those_of_the_training_are_counted(folder):
    write(folder / "test.csv", [*sentences(3), ("a " * 23, "good")])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(folder)
    words = [str(one.message) for one in caught if one.category is UserWarning]
    assert len(words) == 2
    assert "3 of the 4 test texts" in words[0] and "training texts, too" in words[0]
    assert "1 of the 4 test texts" in words[1] and "(the longest has 25)" in words[1]


def test_a_tokenizer_of_another_language_is_noted(folder):
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "le", "film"])
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load(folder, vocab_size=None)
    # All but film of [CLS] the film 0 is bad [SEP], which two of the 20 have:
    # (18 * 5 + 2 * 4) of 20 * 7.
    words = [str(one.message) for one in caught if one.category is UserWarning]
    assert len(words) == 2 and words[0].startswith("70% of the tokens of the training")
    assert data.settings["vocab_size"] == 6
    assert data.test_arrays()[0]["input_ids"].max() == 5


# The tokenizer.


def test_a_tokenizer_is_given_or_in_the_folder_or_trained(folder, tmp_path_factory):
    trained = load(folder)
    other = tmp_path_factory.mktemp("other") / "tokenizer.json"
    other.write_text(trained.settings["tokenizer"], encoding="utf-8")
    given = load(folder, tokenizer=other, vocab_size=None)
    assert given.settings == trained.settings
    assert given.fingerprint == trained.fingerprint
    smaller = load(folder, vocab_size=70)
    assert smaller.settings != trained.settings
    assert smaller.fingerprint != trained.fingerprint
    (folder / "tokenizer.json").write_text(smaller.settings["tokenizer"])
    assert load(folder, vocab_size=None).settings == smaller.settings
    # Rows for further tokens are allowed, fewer are not.
    assert load(folder, vocab_size=74).settings["vocab_size"] == 74
    with pytest.raises(
        ValueError, match=r"tokenizer.json has 70 tokens, and the model rows for 69"
    ):
        load(folder, vocab_size=69)
    tokenizer = datasets.Tokenizer(smaller.settings["tokenizer"])
    datasets.require_vocabulary(tokenizer, 70, "run")
    with pytest.raises(ValueError, match="run has 70 tokens"):
        datasets.require_vocabulary(tokenizer, 69, "run")


def test_the_fingerprint_changes_with_texts_and_labels(folder):
    before = load(folder).fingerprint
    assert load(folder).fingerprint == before
    rows = list(sentences(8, start=20))
    write(folder / "test.csv", [(rows[0][0], "good"), *rows[1:]])
    assert load(folder).fingerprint != before
    write(folder / "test.csv", rows)
    assert load(folder).fingerprint == before


def test_too_many_tokens_are_refused(folder, monkeypatch):
    monkeypatch.setattr("larq_bnnopt.datasets.token_source.LARGEST_IN_MEMORY", 100)
    with pytest.raises(
        ValueError, match=r"The tokens of .* smaller text_length than 24"
    ):
        load(folder)


@pytest.mark.parametrize(
    "option, value",
    [
        ("text_length", 8),
        ("vocab_size", 9),
        ("tokenizer", "a"),
        ("held_out", "validation"),
    ],
)
def test_options_of_texts_are_refused_for_images(option, value):
    with pytest.raises(
        ValueError, match=f"holds images, and no texts. Leave out {option}"
    ):
        datasets.load("fashion_mnist_mini", **{option: value})


def test_options_of_images_are_refused_for_texts(folder):
    with pytest.raises(ValueError, match="holds texts, which have no image_size"):
        load(folder, image_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="holds texts, which have no colors"):
        load(folder, color_jitter=0.2)
    with pytest.raises(ValueError, match=r"No held_out 'tests'. Nearest: test"):
        load(folder, held_out="tests")
    with pytest.raises(ValueError, match="texts, whose tokens have no channels"):
        datasets.channel_statistics(load(folder))
    with pytest.raises(ValueError, match="larger than the 20 training texts"):
        load(folder, batch_size=21)


# The tool that makes folders of real texts.


@pytest.fixture
def tool():
    path = pathlib.Path(__file__).parents[3] / "tools" / "prepare_texts.py"
    spec = importlib.util.spec_from_file_location("prepare_texts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tool_writes_reviews_of_one_source(tool, tmp_path):
    rows = [("a, good one", "1", "imdb"), ("bad", "0", "imdb"), ("x", "1", "other")]
    table = write(tmp_path / "table.csv", rows, ("text", "label", "source"))
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as package:
        package.write(table, tool.TABLE)
    made = tmp_path / "made"
    assert tool.fill_reviews(tmp_path / "package.whl", "imdb", made) == 2
    rows = read_table(made / "imdb.csv")
    assert (rows.texts, rows.labels) == (("a, good one", "bad"), ("good", "bad"))


def test_the_tool_writes_mails_by_class(tool, tmp_path):
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        for name in ("easy-ham-1/1.txt", "spam-2/2.txt", "spam-2/2.json", "x/3.txt"):
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = 4
            package.addfile(member, io.BytesIO(b"caf\xe9"))
    made = tmp_path / "made"
    assert tool.fill_mails(tmp_path / "package.tgz", "spam_assassin", made) == 2
    rows = text_files.read_classes(made, "latin-1")
    assert rows.texts == ("café", "café") and rows.labels == ("spam", "wanted")
    assert datasets.kind_of(os.fspath(made)) == "texts"
    assert json.loads((made / "data.json").read_text()) == {"encoding": "latin-1"}
