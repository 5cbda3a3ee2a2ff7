"""One way to load the images of a model, and names that commands know early."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import datasets, recipe_fields, recipes
from larq_bnnopt.cli import main, names, train
from larq_bnnopt.cli.parser import Parser
from larq_bnnopt.datasets import downloads
from larq_bnnopt.recipes import OneStep, Run, binary_optimizers, recipe

BNNOPT = pathlib.Path(sys.executable).with_name("bnnopt")


def bnnopt(*arguments, cwd, code=0):
    """Runs the command here."""
    out, err, before = io.StringIO(), io.StringIO(), os.getcwd()
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            got = main([str(argument) for argument in arguments])
    except SystemExit as ended:
        got = ended.code
    finally:
        os.chdir(before)
    assert got == code, out.getvalue() + err.getvalue()
    return types.SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue())


def test_the_names_are_all_there_are():
    assert list(names.MODELS) == zx.list_models()
    assert names.PRESETS == tuple(recipes.PRESETS)
    assert tuple(recipe_fields.KINDS) == tuple(recipes.RECIPES)
    for kind, fields in recipe_fields.KINDS.items():
        assert issubclass(recipes.RECIPES[kind], fields)
        assert list(names.DEFAULTS[kind]) == [
            field.name for field in dataclasses.fields(recipes.RECIPES[kind])
        ]
    settings = recipe_fields.settings()
    assert tuple(settings["optimizer"].choices) == tuple(binary_optimizers.FITTING)
    assert recipe_fields.LATENT_OPTIMIZERS == tuple(recipe._REAL)
    assert recipe_fields.DECAYING == tuple(binary_optimizers.DECAYING)
    assert tuple(settings["real_optimizer"].choices) == tuple(recipe._REAL)
    assert tuple(settings["schedule"].choices) == tuple(recipe._DECAYS)
    fitting = {key: of(1) for key, of in binary_optimizers.FITTING.items()}
    assert {name for name in settings if settings[name].ranges} == {
        name for fields in fitting.values() for name in fields
    }
    for name in settings:
        having = [key for key, fields in fitting.items() if name in fields]
        assert list(settings[name].ranges) == having
    assert names.STRATEGIES == recipes.STRATEGIES
    assert names.EMBEDDED == datasets.EMBEDDED
    options = {*recipes.field_names()}
    assert set(names.RECIPE_OPTIONS) == options
    parser = Parser()
    train.add_arguments(parser)
    words = {action.dest for action in parser._actions}
    assert options <= words


@pytest.mark.parametrize("kind", recipes.RECIPES)
def test_a_field_of_a_recipe_is_written_once(kind):
    """The documentation and the help have every field, with its default."""
    cls, settings = recipes.RECIPES[kind], recipe_fields.settings()
    parser = Parser()
    train.add_arguments(parser)
    helps = {action.dest: action.help for action in parser._actions}
    for field in dataclasses.fields(cls):
        text = settings[field.name].text
        documentation = " ".join(cls.__doc__.split())
        assert f"{field.name}: {text[0].upper()}{text[1:]}." in documentation
        default = recipe_fields.default_of(field)
        assert f"Defaults to `{default!r}`" in documentation
        if field.type != "bool":
            assert helps[field.name] == recipe_fields.option_help(field.name)
            assert text in helps[field.name]


def test_the_help_has_the_defaults_of_all_recipes():
    help_of = recipe_fields.option_help
    assert help_of("optimizer").endswith("; default: diode, of two_step adam")
    assert help_of("schedule").endswith("; default: cosine, of two_step linear")
    assert help_of("weight_decay").endswith("; default: 0, of two_step 5e-6")
    assert help_of("learning_rate").endswith("; default: 0.01, of fine_tune 0.001")
    assert help_of("label_smoothing").endswith("in [0, 1); default: 0")
    assert "of diode in [0, 1), of gradient_filter in (0, 1]" in help_of("alpha")
    assert help_of("head_epochs").startswith("of fine_tune: number of epochs")
    assert "default" not in help_of("start")


def test_the_names_of_tensorflow_datasets_are_among_those_known():
    import tensorflow_datasets as tfds

    # Not those that tests have defined in this process.
    builders = {
        name
        for name in tfds.list_builders(with_community_datasets=False)
        if tfds.builder_cls(name).__module__.startswith("tensorflow_datasets.")
    }
    assert len(builders) > 200 and builders <= set(names.tfds_names())
    for name in ("cifar10:3.0.2", "cifar10_corrupted/blur", "huggingface:x", None):
        names.require_dataset(name)
    names.require_dataset("of_my_own", data_dir="somewhere")


@pytest.mark.parametrize("name", ["BiRealNet20", "birealnet-20", "reactnet_A"])
def test_a_network_is_known_in_any_spelling(name):
    names.require_model(name)


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["train", "--model", "birealnet2"],
            "No model 'birealnet2'. Nearest: birealne",
        ),
        (["train", "--model", ""], "No model ''. `bnnopt models` shows all."),
        (["train", "--optimizer", "admm"], "No optimizer 'admm'. Nearest: adam"),
        (["train", "--real-optimizer", "diode"], "No real_optimizer 'diode'"),
        (["train", "--schedule", "cosin"], "No schedule 'cosin'. Nearest: cosine."),
        (["train", "--preset", "diode"], "No preset 'diode'. Nearest: diode_imagenet"),
        (["train", "--preset", "diode_imagenet", "--recipe", "one_step"], "leave out"),
        (["train", "--recipe", "fine-tune"], "No recipe 'fine-tune'. Nearest: fine_tu"),
        (
            ["train", "--recipe", "fine_tune", "--first-epochs", "1"],
            "has no first_epoc",
        ),
        (["train", "--start", "x.keras"], "recipe 'one_step' has no start."),
        (
            ["train", "--strategy", "mirored"],
            "No strategy 'mirored'. Nearest: mirrored",
        ),
        (["train", "--dataset", "./photos"], "The folder ./photos does not exist."),
        (["train", "--dataset", "/data/my/photos"], "/data/my/photos does not exist"),
        (["train", "--dataset", "cifar11"], "No data set 'cifar11'. Nearest: cifar10"),
        (["train", "--dataset", "photos/cats"], "No data set 'photos/cats'. Nearest"),
        (["train", "--teacher", "no.keras"], "no.keras does not exist"),
        (["train", "--recipe", "fine_tune", "--start", "no"], "no does not exist"),
        (["train", "--run", "."], ". exists and is not overwritten"),
        (["train", "--resume", "nowhere"], "nowhere is no run"),
        (["train", "--resume", "x", "--dry-run"], "leave out --dry-run"),
        (["train", "--resume", "x", "--model-option", "a=1"], "out --model-option."),
        (["train", "--dry-run", "--strategy", "mirrored"], "leave out --strategy"),
        (["models", "bnext"], "Nearest: bnext18, bnext_large"),
        (["report", "nowhere"], "nowhere is no run"),
        (["compare", "nowhere"], "nowhere is no run"),
        (["package", "nowhere", "out"], "nowhere is no run"),
        (["convert", "nowhere"], "nowhere does not exist"),
        (["convert", "."], ". is no run"),
        (["runs", "nowhere"], "nowhere is no folder"),
        (["quickstart", "--runs", "/dev/null"], "is a file and no folder for runs"),
    ],
)
def test_wrong_names_are_reported_without_tensorflow(
    words, message, tmp_path, monkeypatch
):
    def imported():
        raise AssertionError("TensorFlow was imported first")

    monkeypatch.setattr("larq_bnnopt.cli.import_tensorflow", imported)
    run = bnnopt(*words, cwd=tmp_path, code=2)
    assert message in run.stderr and run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_words_print_the_help_and_nothing_imports_tensorflow(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('imported')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for words, code in (((), 0), (("train", "--model", "x"), 2)):
        run = subprocess.run(
            [BNNOPT, *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert run.returncode == code, run.stderr
        assert ("usage: bnnopt" in run.stdout) == (code == 0)
        assert run.stderr.count("\n") == (code == 2)


@pytest.fixture(scope="module")
def run(images, made_once):
    """A run on a folder of images of 28 x 28, at 16 x 16 in colour."""
    recipe = OneStep(dataset=images, image_size=16, batch_size=72, epochs=1)
    folder = made_once("one_way", lambda at: recipes.train(recipe, at / "base"))
    return folder / "base"


@pytest.fixture
def converted(run, tmp_path):
    bnnopt("convert", shutil.copytree(run, tmp_path / "base"), cwd=tmp_path)
    return tmp_path / "base"


def test_each_command_takes_the_images_of_the_run(converted, images):
    for words in (
        ("verify", converted, "--json"),
        ("verify", converted / "model.keras", converted / "model.tflite",
         "--dataset", images, "--json"),
        ("verify", converted, "--dataset", images, "--json"),
    ):  # fmt: skip
        content = json.loads(bnnopt(*words, cwd=converted.parent).stdout)
        assert content["verification"]["passed"]
        assert content["verification"]["samples"] > 20
    other = converted.parent / "other.tflite"
    words = ("convert", converted / "model.keras", "-o", other, "--dataset", images)
    bnnopt(*words, cwd=converted.parent)
    assert other.stat().st_size > 10_000
    words = ("verify", converted, "--dataset", "fashion_mnist_mini")
    error = bnnopt(*words, cwd=converted.parent, code=2).stderr
    assert "The images of 'fashion_mnist_mini' are (28, 28, 1)" in error


def model_of(shape, classes=3):
    inputs = tf.keras.Input(shape)
    x = tf.keras.layers.Conv2D(2, 1)(inputs)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(classes)(x))


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((20, 24, 3), (20, 24, 3)),
        ((20, 24, 1), (20, 24, 1)),
        ((None, None, 3), (224, 224, 3)),
        ((None, None, 1), (224, 224, 1)),
        ((None, 32, 3), (224, 32, 3)),
    ],
)
def test_images_get_the_shape_that_a_model_takes(shape, expected, images):
    data = recipes.load_data_for(model_of(shape), images)
    assert data.input_shape == expected


def test_data_that_do_not_fit_a_model_are_reported(images):
    with pytest.raises(ValueError, match=r"5 outputs, and .* 3 classes \(bags, snea"):
        recipes.load_data_for(model_of((16, 16, 3), 5), images)
    with pytest.raises(ValueError, match="takes no grey or colour images"):
        recipes.load_data_for(model_of((16, 16, 4)), images)
    free = model_of((None, None, 1), 10)
    assert recipes.load_data_for(free, "fashion_mnist_mini").input_shape == (28, 28, 1)


def test_the_folder_of_a_run_stands_for_its_model(run, images, tmp_path):
    start = os.fspath(run)
    by_folder, by_file = (
        recipes.FineTune(start=path, dataset=images, batch_size=72, epochs=1)
        for path in (start, f"{start}/model.keras")
    )
    assert by_folder.files() == by_file.files()
    data = by_folder.load_data()
    assert data.input_shape == (16, 16, 3)
    teacher = recipes.load_model(start)
    np.testing.assert_array_equal(
        teacher.get_weights()[0],
        recipes.load_model(run / "model.keras").get_weights()[0],
    )
    # No epoch of it is complete.
    (tmp_path / "config.json").write_text('{"recipe": {}}')
    with pytest.raises(FileNotFoundError, match=r"has no model yet.*--resume"):
        recipes.load_model(tmp_path)


def test_silent_choices_are_reported(images, tmp_path):
    recipe = OneStep(dataset=images, batch_size=72)
    (note,) = recipe.notes(recipe.load_data())
    assert "are about 28 x 28 and are enlarged to 224 x 224, the default" in note
    assert "--image-size 28" in note
    assert not dataclasses.replace(recipe, image_size=28).notes(recipe.load_data())
    grey = datasets.load(images, batch_size=72, image_shape=(16, 16, 1))
    assert not dataclasses.replace(recipe, image_size=16).notes(grey)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(20):
            pixels = np.full((20, 20, 3), (200, 30, index), np.uint8)
            content = tf.io.encode_jpeg(pixels).numpy()
            (tmp_path / name / f"{index}.jpg").write_bytes(content)
    colour = datasets.load(str(tmp_path), batch_size=8, image_shape=(16, 16, 1))
    (note,) = dataclasses.replace(recipe, image_size=16).notes(colour)
    assert "have colors, and the model takes grey ones (16 x 16 x 1)" in note


def test_a_dry_run_shows_the_size_and_no_none(images, tmp_path):
    words = ("train", "--dataset", images, "--batch-size", "8", "--image-size", "16")
    table = " ".join(bnnopt(*words, "--dry-run", cwd=tmp_path).stdout.split())
    assert "16 x 16 x 3; stored as about 28 x 28" in table
    assert "training images │ 144" in table and "test images │ 36" in table
    assert "None" not in table
    assert not list(tmp_path.iterdir())


class Offline:
    """A builder of a data set that is not here."""

    name = "cifar10"
    MANUAL_DOWNLOAD_INSTRUCTIONS = None

    def __init__(self, data_dir):
        self.data_dir = os.fspath(data_dir / "cifar10" / "3.0.2")
        self.url_infos = {
            "https://no.such.host.invalid/a": types.SimpleNamespace(size=160 << 20),
            "http://neither.invalid/b": types.SimpleNamespace(size=2 << 20),
        }
        self.asked = False

    def download_and_prepare(self):
        self.asked = True


def test_a_dry_run_downloads_nothing(tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("It asked the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    words = ("train", "--dataset", "cifar10", "--data-dir", tmp_path, "--dry-run")
    run = bnnopt(*words, cwd=tmp_path)
    table = " ".join(run.stdout.replace("│", " ").split())
    assert "A training would download 162 MiB into" in table
    assert "cifar10" in table and "None" not in table
    assert not list(tmp_path.iterdir())


def test_without_a_network_a_download_is_one_line_within_seconds(tmp_path, monkeypatch):
    def answer(*arguments, **keywords):
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", answer)
    monkeypatch.setattr(downloads.urllib.request, "getproxies", dict)
    builder, began = Offline(tmp_path), time.monotonic()
    with pytest.raises(OSError, match=r"neither\.invalid, no\.such\.host\.invalid can"):
        downloads.prepare(builder, download=True)
    assert not builder.asked and time.monotonic() - began < 5
    with pytest.raises(datasets.NotDownloadedError, match="download 162 MiB into"):
        downloads.prepare(builder, download=False)
    # What was fetched before needs no network.
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "a.tar").touch()
    downloads.prepare(builder, download=True)
    assert builder.asked


def test_a_damaged_run_does_not_hide_the_others(run):
    other = run.parent / "damaged"
    other.mkdir()
    (other / "config.json").write_text("[]")
    try:
        shown = bnnopt("runs", run.parent, cwd=run.parent).stdout
    finally:
        (other / "config.json").unlink()
        other.rmdir()
    assert "base" in shown and "Not listed" in shown and "is damaged" in shown
    assert recipes.History.of(Run(run)).epochs == 1
