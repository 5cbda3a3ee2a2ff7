"""Runs on texts: trained, resumed, taught, evaluated, predicted, refused."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets, recipes
from larq_bnnopt.callbacks import binary_kernels
from larq_bnnopt.cli import main
from larq_bnnopt.recipes import FineTune, OneStep, Run, TwoStep

from .test_training import StopAfter

WORDS = "good bad film story actor plot fine dull great poor".split()
NET = {
    "num_layers": 1,
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 64,
}


def sentences(count, seed=0):
    random = np.random.default_rng(seed)
    for _ in range(count):
        words = [WORDS[i] for i in random.integers(0, 10, 5)]
        yield " ".join(words), "good" in words or "great" in words


def fill(folder, row, header, count=32):
    folder.mkdir()
    for seed, (name, rows) in enumerate((("train", count), ("test", 16))):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(row(*one) for one in sentences(rows, seed))
    return str(folder)


def labelled(folder):
    classes = {True: "good", False: "bad"}
    fill(folder, lambda text, good: (text, classes[good]), ("text", "label"))
    (folder / "data.json").write_text(
        json.dumps({"metrics": ["accuracy", "f1", "matthews"]})
    )
    return str(folder)


def recipe(data, cls=OneStep, **options):
    fields = {
        "model": "binary_bert",
        "model_options": NET,
        # Twice the tokens of a sentence, so that attention is alive at first.
        "text_length": 16,
        "vocab_size": 100,
        "batch_size": 16,
        "epochs": 2,
        **options,
    }
    return cls(dataset=data, **fields)


@pytest.fixture(scope="module")
def run(made_once):
    """A run of a binary BERT by Diode, beside its data."""

    def train(at):
        data = labelled(at / "data")
        recipes.train(recipe(data, embedding_updates="seen_rows"), at / "run")

    return Run(made_once("texts", train) / "run")


@pytest.fixture
def copy(run, tmp_path):
    return Run(shutil.copytree(run.folder, tmp_path / "run"))


def bnnopt(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    return capsys.readouterr()


def test_a_run_has_the_metrics_of_its_data_and_keeps_its_tokenizer(run):
    history = recipes.History.of(run)
    model, own = recipes.load_model(run.folder), recipes.recipe_of(run)
    found = recipes.evaluate(model, recipes.data_of(run, own, model))
    for name in ("accuracy", "f1", "matthews"):
        wanted = history.last(f"val_{name}")
        assert found.as_dict()[name] == pytest.approx(wanted, abs=1e-6)
    assert "F1" in history.row()[6] and "Matthews" in history.row()[6]
    settings = recipes.text_settings_of(run)
    assert settings == dict(own.load_data().settings)
    assert len(run.config.read_text()) < 5000
    assert "embeddings_word" in " ".join(binary_kernels(model))
    assert "embeddings_word" in (run.folder / "flips_layers.csv").read_text()
    page = (run.folder / "report.html").read_text()
    assert "accuracy on the test texts" in page and "F1 of the test" in page


def test_texts_are_read_by_the_tokenizer_that_was_kept(copy, tmp_path):
    """Also where another one would be made of the data now."""
    own = recipes.recipe_of(copy)
    folder = shutil.copytree(own.dataset, tmp_path / "data")
    moved = dataclasses.replace(own, dataset=str(folder))
    with open(folder / "train.csv", "a") as file:
        file.write("zebra zebra zebra zoo zoo zoo,good\n")
    data = recipes.data_of(copy, moved)
    assert data.settings == own.load_data().settings != moved.load_data().settings
    content = json.loads(copy.tokenizer.read_text())
    content["added_tokens"] = content["added_tokens"][:-1]
    copy.tokenizer.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not the tokenizer that"):
        recipes.text_settings_of(copy)
    copy.tokenizer.unlink()
    with pytest.raises(FileNotFoundError, match=r"reads texts\. Restore it"):
        recipes.text_settings_of(copy)


def assert_equal_runs(*folders):
    """Asserts that two runs are equal in every bit; returns one of the models."""
    one, other = map(recipes.load_model, folders)
    for ours, theirs in (
        (one.weights, other.weights),
        (one.optimizer.variables, other.optimizer.variables),
    ):
        for variable, same in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(variable, same, err_msg=variable.name)
    texts = [(folder / "history.csv").read_text() for folder in folders]
    assert texts[0] == texts[1]
    return one, texts[0]


@pytest.mark.slow
def test_a_taught_run_that_is_resumed_equals_the_uninterrupted_one(run, tmp_path):
    """With dropout, the teacher's weights as the first ones, and its attention."""
    own = recipe(
        recipes.recipe_of(run).dataset,
        teacher=str(run.folder),
        tokenizer=str(run.tokenizer),
        vocab_size=None,
        first_weights="teacher",
        distill_attention=0.5,
        hard_labels=0.5,
    )
    recipes.train(own, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        recipes.train(own, tmp_path / "stopped", [StopAfter(1, 0)])
    recipes.resume(Run(tmp_path / "stopped"))
    one, history = assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")
    assert "hidden_loss" in history and "attention_loss" in history
    # Diode's first votes start from the signs of the teacher.
    start = recipes.load_model(run.folder).get_layer("layer_0_query").kernel
    kernel = one.get_layer("layer_0_query").kernel
    assert 0.5 < np.mean(start.numpy() == kernel.numpy()) < 1


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "diode"])
def test_two_steps_on_texts(optimizer, run, tmp_path):
    data = recipes.recipe_of(run).dataset
    two = recipe(data, TwoStep, optimizer=optimizer, epochs=1)
    model = recipes.train(two, tmp_path / "two")
    first = recipes.load_model(Run(tmp_path / "two").step(1))
    for name in ("layer_0_query", "pooler"):
        layer = first.get_layer(name)
        assert layer.kernel_quantizer is None and layer.input_quantizer is not None
    assert first.get_layer("embeddings_word").embeddings_quantizer is None
    names = " ".join(binary_kernels(model))
    assert "layer_0_query" in names and "embeddings_word" in names


@pytest.mark.slow
def test_fine_tuning_takes_tokens_and_tokenizer_of_its_start(run, tmp_path):
    data = fill(
        tmp_path / "data",
        lambda text, good: (text, text.split()[0] if good else "none"),
        ("text", "label"),
        count=200,
    )
    names = datasets.load(data, text_length=16).class_names
    rows = [r for r in open(f"{data}/test.csv") if r.strip().split(",")[1] in names]
    (tmp_path / "data" / "test.csv").write_text("text,label\n" + "".join(rows))
    tuned = FineTune(
        start=str(run.folder), dataset=data, epochs=1, head_epochs=1, batch_size=64
    )
    settings = tuned.load_data().settings
    assert settings["tokenizer"] == recipes.text_settings_of(run)["tokenizer"]
    model = recipes.train(tuned, tmp_path / "tuned")
    assert model.output_shape == (None, len(names))
    # The start of Diode's votes keeps most signs.
    start = recipes.load_model(run.folder).get_layer("layer_0_query").kernel
    kernel = model.get_layer("layer_0_query").kernel
    assert np.mean(start.numpy() == kernel.numpy()) > 0.5


@pytest.mark.slow
def test_a_regression_of_pairs_in_float16(tmp_path):
    """STS-B's form: its correlations, LossScaleOptimizer, a resumed run."""

    def row(text, good):
        turned = " ".join(reversed(text.split()))
        return text, turned, f"{5 * good - len(text) / 50:.2f}"

    # Enough steps that not all of an epoch are skipped while the scale falls.
    data = fill(tmp_path / "data", row, ("text_a", "text_b", "label"), count=160)
    own = recipe(
        data, compute_dtype="mixed_float16", learning_rate=1e-3, text_length=32
    )
    recipes.train(own, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        recipes.train(own, tmp_path / "run", [StopAfter(1, 0)])
    model = recipes.resume(Run(tmp_path / "run"))
    scaled = tf.keras.mixed_precision.LossScaleOptimizer
    assert isinstance(model.optimizer, scaled)
    assert float(model.optimizer.loss_scale) < 2**15
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    history = recipes.History.of(Run(tmp_path / "run"))
    assert history.epochs == 2 and history.accuracy is None
    assert {"Pearson correlation", "Spearman correlation"} == set(history.scores())
    found = recipes.evaluate(model, own.load_data())
    for name in ("pearson", "spearman"):
        wanted = history.last(f"val_{name}")
        assert found.metrics[name] == pytest.approx(wanted, abs=1e-3)


def test_commands_take_the_run(copy, tmp_path, capsys):
    at = copy.folder
    shown = bnnopt(capsys, "evaluate", at).out
    assert "of 16 test texts" in shown and "F1, Keras" in shown
    said = json.loads(
        bnnopt(capsys, "predict", at, "--json", "--text", "good film").out
    )
    (one,) = said["texts"]
    assert one["class"] in ("good", "bad") and 0.5 <= one["score"] <= 1
    table = tmp_path / "new.csv"
    table.write_text('text,other\n"good, film",1\n' + f"{'dull ' * 20},2\n")
    shown = bnnopt(capsys, "predict", at, table).out
    assert "good, film" in shown and "1 text has more than 16 tokens" in shown
    shown = bnnopt(capsys, "runs", tmp_path).out
    assert "binary_bert" in shown
    bnnopt(capsys, "compare", at, "-o", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_becomes_a_file_and_a_package(copy, tmp_path, capsys):
    at, device = copy.folder, tmp_path / "device"
    shown = bnnopt(capsys, "convert", at).out
    assert "7 of 7" in shown and "products of two activations" in shown
    content = json.loads((at / "report.json").read_text())
    (table,) = content["conversion"]["audit"]["embeddings"]
    assert table["layer"] == "embeddings_word"
    assert "embeddings_word as bits" in bnnopt(capsys, "verify", at).out
    bnnopt(capsys, "package", at, device, "--samples", 4)
    assert (device / "tokenizer.json").read_text() == copy.tokenizer.read_text()
    assert "golden inputs" in bnnopt(capsys, "verify", device).out
    words = ["--text", "good film", "--text", "dull", "--json"]
    here, there = (
        json.loads(bnnopt(capsys, "predict", folder, *words).out)["texts"]
        for folder in (at, device)
    )
    assert here == there
    shown = bnnopt(capsys, "profile", device, "--seconds", 0.1).out
    assert "FULLY_CONNECTED" in shown and "LceBconv2d" in shown


@pytest.mark.parametrize(
    "words, message",
    [
        (["--text", "a", "--pair", "b"], "was trained on one text each"),
        (["--text", "a", "--pair", "b", "--pair", "c"], "Each --text needs its --pair"),
        (["--text", " "], "A text is empty"),
        ([], 'Name texts: --text "..."'),
        (["photo.png"], "photo.png holds no texts (.csv, .tsv, .txt)"),
        (["missing.csv"], "missing.csv does not exist"),
        (["photo.png", "--text", "a"], "Give --text or files of texts, not both"),
    ],
)
def test_predictions_that_cannot_be_made_are_explained(words, message, run, capsys):
    (line,) = bnnopt(capsys, "predict", run.folder, *words, code=2).err.splitlines()
    assert message in line


@pytest.mark.slow
def test_the_quickstart_of_texts_leaves_a_file(tmp_path, capsys):
    names = ("bad", "good")
    data = fill(
        tmp_path / "data",
        lambda text, good: (" ".join([text] * 4), names[good]),
        ("text", "label"),
        count=640,
    )
    words = ("quickstart", "--text", "--data", data, "--epochs", 1)
    shown = bnnopt(capsys, *words, "--runs", tmp_path / "runs").out
    assert "640 training and 16 test texts" in shown
    made = Run(tmp_path / "runs" / "quickstart-1")
    assert made.tflite.is_file() and made.tokenizer.is_file()
    shown = bnnopt(capsys, "predict", made.folder, "--text", "a good film").out
    assert "a good film" in shown and "Keras" not in shown


@pytest.mark.parametrize(
    "words, message",
    [
        (["--text"], "--text needs a folder of texts: --data FOLDER. No licence lets"),
        (["--data", "x"], "--data names texts; add --text"),
        (["--text", "--data", "no/such"], "The folder no/such does not exist. No lic"),
    ],
)
def test_the_quickstart_says_how_to_get_texts(words, message, capsys):
    (line,) = bnnopt(capsys, "quickstart", *words, code=2).err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "the first line must name the column text"),
        ("text_a,label\nx,y\n", "or text_a and text_b. Received: 'text_a,label'"),
        ("text,label\ngood film\n", "line 2 has 1 fields, not 2"),
        ("text\n \nfilm\n", "line 2 has no text"),
        ("text\n", "has no text below its first line"),
        ('text\n"open\n', "line 2: unexpected end of data"),
    ],
)
def test_tables_that_cannot_be_predicted_are_named(
    content, message, run, tmp_path, capsys
):
    path = tmp_path / "t.csv"
    path.write_text(content)
    (line,) = bnnopt(capsys, "predict", run.folder, path, code=2).err.splitlines()
    assert message in line and str(path) in line


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"text_length": 32}, "holds images, and no texts, which have text_length"),
        ({"embedding_updates": "dense"}, "which have embedding_updates; leave it out"),
        ({"tokenizer": "vocab.txt"}, "which have tokenizer; leave it out"),
    ],
)
def test_images_have_no_fields_of_texts(fields, message):
    with pytest.raises(ValueError, match=message):
        OneStep(**fields).load_data()


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"distill_hidden": 1.0}, "distill_hidden has no effect without a teacher"),
        ({"first_weights": "teacher"}, "first_weights has no effect without a teacher"),
        ({"embedding_updates": "seen_rows", "optimizer": "adam"}, "no effect beside"),
        ({"embedding_updates": "all"}, "No embedding_updates 'all'"),
        ({"text_length": 3}, "text_length must be an integer from 4 to 4096"),
        (
            {"compute_dtype": "mixed_float16", "accumulate_steps": 2},
            "cannot be counted where mixed_float16 skips batches",
        ),
    ],
)
def test_fields_without_an_effect_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        OneStep(model="binary_bert_tiny", **fields)


def test_networks_and_data_that_do_not_fit_are_named(run):
    texts = recipes.recipe_of(run).load_data()
    with pytest.raises(ValueError, match=r"takes no texts, .* binary_bert_tiny"):
        OneStep().create_model(texts, False)
    images = datasets.load("fashion_mnist_mini")
    with pytest.raises(ValueError, match=r"bert_tiny takes texts, and .* images"):
        OneStep(model="binary_bert_tiny").create_model(images, False)
    model = recipes.load_model(run.folder)
    with pytest.raises(ValueError, match="takes texts, and fashion_mnist_mini has"):
        recipes.evaluate(model, images)
    with pytest.raises(ValueError, match="texts, which have no normalize"):
        recipe(texts.name, normalize="per_channel").load_data()
