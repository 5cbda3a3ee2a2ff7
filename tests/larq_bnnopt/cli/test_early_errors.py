"""Errors about numbers, images and folders come before TensorFlow is imported."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from larq_bnnopt import recipes
from larq_bnnopt.cli import names
from larq_bnnopt.recipes import FineTune, OneStep, TwoStep

from .test_one_way import bnnopt

BNNOPT = pathlib.Path(sys.executable).with_name("bnnopt")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def at_once(monkeypatch, tmp_path):
    """Calls a command that must fail by wrong words, and must not need TensorFlow."""

    def imported():
        raise AssertionError("TensorFlow was imported first")

    for place in ("larq_bnnopt.cli", "larq_bnnopt.cli.silence"):
        monkeypatch.setattr(f"{place}.import_tensorflow", imported)

    def call(*words, code=2):
        stderr = bnnopt(*words, cwd=tmp_path, code=code).stderr
        assert stderr.count("\n") == 1, stderr
        return stderr

    return call


@pytest.fixture
def folders(tmp_path):
    """A run, one whose configuration is damaged, a SavedModel, and files."""
    for name, config in (("run", {"recipe": {"dataset": "/my photos"}}), ("bad", None)):
        (tmp_path / name).mkdir()
        text = "{" if config is None else json.dumps(config)
        (tmp_path / name / "config.json").write_text(text)
    for name in ("run/model.keras", "run/model.tflite", "x.tflite"):
        (tmp_path / name).touch()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "config.json")
    (tmp_path / "good.png").write_bytes(PNG)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "x.npy").write_text("no array")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    return tmp_path


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--learning-rate", "inf", "positive and finite"),
        ("--learning-rate", "nan", "positive and finite"),
        ("--learning-rate", "0", "positive and finite"),
        ("--learning-rate", "1e39", "positive and finite"),
        ("--alpha", "nan", "in [0, 1)"),
        ("--alpha", "1", "in [0, 1)"),
        ("--alpha", "2", "in [0, 1)"),
        ("--alpha", "two", "a number"),
        ("--beta", "1", "in [0, 1)"),
        ("--gamma", "2", "in (0, 1]"),
        ("--gamma", "0", "in (0, 1]"),
        ("--hard-labels", "2", "in [0, 1]"),
        ("--label-smoothing", "1.5", "in [0, 1)"),
        ("--label-smoothing", "1", "in [0, 1)"),
        ("--weight-decay", "-1", "at least 0 and finite"),
        ("--weight-decay", "inf", "at least 0 and finite"),
        ("--temperature", "-inf", "positive and finite"),
        ("--warmup-epochs", "99", "at least 0 and below the 12 epochs"),
        ("--warmup-epochs", "12", "at least 0 and below the 12 epochs"),
        ("--warmup-epochs", "-1", "at least 0"),
        ("--seed", "-1", "an integer from 0 to 4294967295"),
        ("--seed", "99999999999999999999", "an integer from 0 to 4294967295"),
        ("--seed", "1.5", "an integer from 0 to 4294967295"),
        ("--image-size", "1000000", "an integer from 1 to 4096"),
        ("--image-size", "4097", "an integer from 1 to 4096"),
        ("--image-size", "0", "an integer from 1 to 4096"),
        ("--head-epochs", "-1", "an integer, at least 0"),
    ],
)
def test_a_number_out_of_range_is_reported_with_its_option(
    option, value, message, at_once
):
    for more in ((), ("--dry-run",)):
        stderr = at_once("train", f"{option}={value}", *more)
        assert option in stderr and f"must be {message}" in stderr
        assert "Received: " in stderr and value.split(".")[0] in stderr


@pytest.mark.parametrize(
    "words, message",
    [
        ("--optimizer gradient_filter --alpha 2", "--alpha must be in (0, 1]"),
        ("--optimizer gradient_filter --alpha 0", "--alpha must be in (0, 1]"),
        ("--preset diode_imagenet --alpha 1", "--alpha must be in [0, 1)"),
        ("--preset meliusnet_imagenet --warmup-epochs 120", "below the 120 epochs"),
        ("--epochs 3 --warmup-epochs 3", "below the 3 epochs"),
        ("--recipe two_step --first-epochs 2 --warmup-epochs 2", "below the 2 epochs"),
        ("--recipe fine_tune --start . --warmup-epochs 3", "below the 3 epochs"),
        ("--recipe fine_tune --start . --head-epochs 0 --warmup-epochs 12", "the 12 e"),
        ("--model-option squeeze=1", "tiny_residual_bnn has no option 'squeeze'."),
        ("--model bnext18 --model-option squeeze_excite=2", "must be true or false. R"),
        (
            "--model bnext18 --model-option squeeze_excit=true",
            "Nearest: squeeze_excite",
        ),
        ("--model bnext18 --model-option stem", "An option of a model is NAME=VALUE"),
        ("--model bnext18 --model-option num_classes=3", "the data set sets it"),
        ("--preset diode_imagenet --model-option units=3", "reactnet_a has no option"),
        ("--preset diode_cifar100 --model-option stem=3x3 --gamma 0.1", "has no gamma"),
        ("--preset diode_cifar100 --binary-schedule slow", "No binary_schedule 'slow'"),
        ("--recipe two_step --precision float", "two_step makes weights binary"),
        (
            "--preset adambnn_imagenet --precision float",
            "two_step makes weights binary",
        ),
        ("--precision float", "precision 'float' has no binary weights for optimizer"),
        (
            "--optimizer adam --binary-schedule step",
            "nothing decays in optimizer 'adam'",
        ),
        ("--optimizer iir --binary-schedule step", "nothing decays in optimizer 'iir'"),
        (
            "--schedule slow",
            "No schedule 'slow'. Known: cosine, linear, step, exponent",
        ),
        (
            "--threshold 1e-8",
            "optimizer 'diode' has no threshold. Those that have it: b",
        ),
        ("--optimizer iir --b 1,x", "argument --b: must be numbers with commas betwee"),
        ("--optimizer iir --b 1", "A filter needs both b and a"),
        ("--momentum 0.5", "momentum has no effect without sgd"),
        ("--final-factor 0.1", "final_factor has no effect without schedule exponent"),
        ("--latent-scale 2", "latent_scale has no effect without latent weights"),
        ("--compute-dtype float16", "No compute_dtype 'float16'"),
        ("--precision ternary", "No precision 'ternary'"),
        (
            "--recipe fine_tune --start . --model-option stem=cifar",
            "belongs to a new mo",
        ),
    ],
)
def test_numbers_are_checked_beside_others(words, message, at_once):
    assert message in at_once("train", *words.split())


def test_the_defaults_that_commands_know_are_those_of_the_recipes():
    chosen = {name: preset.recipe for name, preset in recipes.PRESETS.items()}
    chosen |= {"one_step": OneStep(), "two_step": TwoStep()}
    chosen["fine_tune"] = FineTune(start="x.keras")
    assert set(names.DEFAULTS) == set(chosen)
    for name, facts in names.DEFAULTS.items():
        fields = chosen[name].as_dict()
        required = {"start": "x.keras"} if name == "fine_tune" else {}
        assert {**facts, **required} == {key: fields[key] for key in facts}
        stages = [facts.get(stage, fields.get(stage)) for stage in names.STAGES]
        fewest = min(epochs for epochs in stages if epochs)
        assert fewest == min(chosen[name].stage_epochs())


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"seed": -1}, "seed must be an integer from 0 to 4294967295. Received: -1"),
        ({"seed": 2**32}, "Received: 4294967296"),
        ({"image_size": 4097}, "image_size must be an integer from 1 to 4096"),
        ({"alpha": 1.0}, r"alpha must be in \[0, 1\)"),
        ({"alpha": 0.0, "optimizer": "gradient_filter"}, r"alpha must be in \(0, 1\]"),
        ({"beta": 1.0}, r"beta must be in \[0, 1\)"),
        ({"gamma": 0.0, "optimizer": "gradient_filter"}, r"gamma must be in \(0, 1\]"),
        ({"warmup_epochs": 12}, "below the 12 epochs. Received: 12"),
        ({"learning_rate": 1e39}, "learning_rate must be positive and finite"),
    ],
)
def test_a_recipe_of_a_script_has_the_same_ranges(fields, message):
    with pytest.raises(ValueError, match=message):
        OneStep(**fields)
    assert OneStep(seed=2**32 - 1, image_size=4096).seed == 2**32 - 1


@pytest.mark.parametrize(
    "images, message",
    [
        (["none.png"], "none.png does not exist"),
        (["pipe.png"], "pipe.png is no file"),
        (["/dev/zero"], "/dev/zero is no file"),
        (["loop.png"], "loop.png is a link that leads to no file"),
        (["text.png"], "text.png is no JPEG, PNG, GIF or BMP image"),
        (["x.npy"], "x.npy is no array of NumPy"),
        (["run"], "run holds no image"),
        (["none.png", "text.png"], "none.png does not exist. text.png is no JPEG"),
    ],
)
def test_a_file_that_is_no_image_is_reported_before_the_model_is_loaded(
    images, message, folders, at_once
):
    assert message in at_once("predict", "run", *images)


def test_a_file_that_is_no_image_does_not_hide_the_others(folders, at_once):
    with pytest.raises(AssertionError, match="TensorFlow was imported"):
        at_once("predict", "run", "none.png", "good.png")


@pytest.mark.parametrize(
    "words",
    [
        "convert saved --dataset fashion_mnist_mini -o y.tflite",
        "convert saved",
        "evaluate saved --dataset fashion_mnist_mini",
        "verify saved x.tflite --dataset fashion_mnist_mini",
        "predict saved good.png",
    ],
)
def test_a_saved_model_is_no_run(words, folders, at_once):
    message = at_once(*words.split())
    assert "saved is not loaded: it is a SavedModel" in message and "--trust" in message


def test_a_trusted_saved_model_is_loaded_like_a_file(folders, at_once):
    words = "convert saved --trust --dataset fashion_mnist_mini".split()
    with pytest.raises(AssertionError, match="TensorFlow was imported"):
        at_once(*words)
    for words in (
        "package saved device",
        "report saved",
        "compare saved",
        "train --resume saved",
    ):
        assert "saved is a SavedModel and no folder of a run" in at_once(*words.split())


@pytest.mark.parametrize(
    "words",
    [
        "train --resume bad",
        "report bad",
        "compare bad",
        "package bad device",
        "convert bad",
        "evaluate bad",
        "verify bad",
        "predict bad good.png",
    ],
)
def test_a_damaged_configuration_is_reported_in_our_words(words, folders, at_once):
    message = at_once(*words.split())
    assert "bad/config.json is damaged: it is no JSON" in message


@pytest.mark.parametrize("words", ["report piped", "train --resume piped"])
def test_a_configuration_that_is_no_file_is_reported(words, folders, at_once):
    assert "piped/config.json is no file, so piped is no run" in at_once(*words.split())


@pytest.mark.parametrize(
    "words, whole",
    [
        (
            "convert run --int8 -o y.tflite",
            "bnnopt convert run/model.keras --int8 --dataset '/my photos' "
            "--output y.tflite",
        ),
        (
            "convert run --dataset fashion_mnist_mini",
            "bnnopt convert run/model.keras --dataset fashion_mnist_mini",
        ),
        (
            "evaluate run --dataset fashion_mnist_mini --tflite --json",
            "bnnopt evaluate run/model.keras --json --dataset fashion_mnist_mini "
            "--tflite",
        ),
        (
            "evaluate run --data-dir there",
            "bnnopt evaluate run/model.keras --dataset '/my photos' --data-dir there",
        ),
    ],
)
def test_the_error_for_a_run_has_the_whole_command(words, whole, folders, at_once):
    message = at_once(*words.split()).strip()
    assert message.endswith(f": {whole}")
    # It passes what it is asked next.
    (folders / "run" / "model.tflite").unlink()
    again = [word for word in shlex.split(whole)[1:] if word != "--tflite"]
    again = ["fashion_mnist_mini" if "photos" in word else word for word in again]
    with pytest.raises(AssertionError, match="TensorFlow was imported"):
        at_once(*again)


def test_the_error_for_the_model_of_a_run_names_its_data(folders, at_once):
    for command in ("convert", "evaluate"):
        message = at_once(command, "run/model.keras")
        assert "name a --dataset, such as '/my photos'." in message
        (folders / "alone.keras").touch()
        assert "such as fashion_mnist_mini." in at_once(command, "alone.keras")


def test_a_picture_in_the_way_is_reported_with_its_option(folders, at_once):
    (folders / "compare.png").touch()
    message = at_once("compare", "run")
    assert (
        "compare.png exists and is not overwritten. Name another file by -o." in message
    )


def test_a_process_needs_no_tensorflow_for_early_errors(folders):
    (folders / "tensorflow.py").write_text("raise RuntimeError('imported')")
    env = {**os.environ, "PYTHONPATH": str(folders)}
    for words, message in (
        ("predict run none.png", "none.png does not exist"),
        ("train --seed -1", "argument --seed: must be an integer from 0 to"),
        ("train --resume bad", "is damaged"),
    ):
        run = subprocess.run(
            [BNNOPT, *words.split()],
            cwd=folders,
            env=env,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 2 and message in run.stderr, run.stderr
        assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words, message",
    [
        ("claims 999", "No claim '999'. `bnnopt claims` shows all."),
        ("study nosuch", "No study 'nosuch'. `bnnopt study --list` shows all."),
        ("study paper_fig5", "Nearest: paper_001_fig5_alpha, "),
    ],
)
def test_a_wrong_name_among_many_says_what_lists_them(words, message, at_once):
    assert message in at_once(*words.split())
