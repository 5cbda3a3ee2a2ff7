"""The command as a user calls it: its exit code, what it prints."""

import contextlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from converters.runtime.host import free_cores
from larq_bnnopt import recipes
from larq_bnnopt.cli import main
from larq_bnnopt.cli.console import console
from larq_bnnopt.recipes import Run

BNNOPT = pathlib.Path(sys.executable).with_name("bnnopt")


def process(*arguments, cwd, code=0, env=None):
    """Runs the command in a process of its own, which takes seconds to start."""
    run = subprocess.run(
        [BNNOPT, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "COLUMNS": "100", **(env or {})},
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run


def bnnopt(*arguments, cwd, code=0):
    """Runs the command here."""
    out, err, before = io.StringIO(), io.StringIO(), os.getcwd()
    console.width = 100
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            got = main([str(argument) for argument in arguments])
    except SystemExit as ended:
        got = ended.code
    finally:
        os.chdir(before)
    run = types.SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue())
    assert got == code, run.stdout + run.stderr
    return run


@pytest.fixture(scope="module")
def quickstart(made_once):
    def fill(folder):
        run = process("quickstart", "--epochs", 1, cwd=folder)
        (folder / "stdout.txt").write_text(run.stdout, encoding="utf-8")

    folder = made_once("quickstart", fill)
    return folder, (folder / "stdout.txt").read_text(encoding="utf-8")


def test_quickstart_leaves_everything(quickstart):
    folder, stdout = quickstart
    files = {path.name for path in (folder / "runs" / "quickstart-1").iterdir()}
    assert files == {
        "config.json", "history.csv", "flips.csv", "flips_layers.csv",
        "flips_state.npz", "flips.png", "confusion.png",
        "model.keras", "model.tflite", "report.html", "report.json",
        "report.md", "samples.json",
    }  # fmt: skip
    for line in ("accuracy in Keras", "binary layers converted", "6 of 6"):
        assert line in stdout
    report = json.loads((folder / "runs/quickstart-1/report.json").read_text())
    verification = report["conversion"]["verification"]
    assert verification["passed"] and verification["samples"] == 1000
    assert verification["agreement"] >= 0.995
    assert verification["moved"] == verification["moved_with_tie"]
    # An epoch of a network with 10 classes.
    assert report["test"]["accuracy"] == verification["keras_accuracy"] > 0.7
    assert "flips.png" in (folder / "runs/quickstart-1/report.md").read_text()


def test_verify_compares_a_run(quickstart):
    folder, _ = quickstart
    run = bnnopt("verify", "runs/quickstart-1", "--json", cwd=folder)
    content = json.loads(run.stdout)
    assert content["verification"]["passed"]
    # Another file in its place is noticed.
    other = folder / "other.tflite"
    other.write_bytes(b"not a model")
    run = bnnopt("verify", "runs/quickstart-1", other, cwd=folder, code=2)
    assert run.stderr.count("\n") == 1 and "is not a .tflite" in run.stderr
    run = bnnopt("verify", "runs/quickstart-1/model.tflite", cwd=folder, code=2)
    assert "name its run, its .keras file before it, or the folder" in run.stderr
    bare = folder / "bare"
    bare.mkdir()
    shutil.copy(folder / "runs" / "quickstart-1" / "config.json", bare)
    run = bnnopt("verify", bare, cwd=folder, code=2)
    assert f"bare has no .tflite yet. Make it: bnnopt convert {bare}" in run.stderr


@pytest.mark.slow
def test_profile_lists_the_operators_of_a_run(quickstart):
    folder, _ = quickstart
    words = ("profile", "runs/quickstart-1", "--seconds", "0.1", "--json")
    content = json.loads(bnnopt(*words, cwd=folder).stdout)
    assert content["num_bytes"] > content["constant_bytes"] > 80_000
    layers = [one["layer"] for one in content["operators"] if one["layer"]]
    assert len(layers) == 6 and layers[0] == "stage1_1_conv"
    table = bnnopt("profile", "runs/quickstart-1/model.tflite", "--seconds", "0.1",
                   cwd=folder).stdout  # fmt: skip
    assert "ms for one input" in table and "LceQuantize" in table


@pytest.mark.slow
def test_a_package_is_made_and_replayed(quickstart):
    folder, _ = quickstart
    words = ("package", "runs/quickstart-1", "many", "--samples", "1001")
    run = bnnopt(*words, cwd=folder, code=2)
    assert "has 1000 test images. Received: --samples 1001" in run.stderr
    words = ("package", "runs/quickstart-1", "device", "--samples", "5")
    assert "all 5 inputs gave the golden" in bnnopt(*words, cwd=folder).stdout
    assert "Ankle boot" in (folder / "device" / "labels.txt").read_text()
    content = json.loads(bnnopt("verify", "device", "--json", cwd=folder).stdout)
    assert content["passed"] and content["samples"] == 5
    many = free_cores() + 1
    words = ("profile", "device", "--seconds", "0.1", "--brief", "--threads", many)
    run = bnnopt(*words, cwd=folder)
    assert "ms for one input" in run.stdout
    assert run.stdout.count(f"Warning: num_threads={many} on") == 1
    with open(folder / "device" / "model.tflite", "ab") as file:
        file.write(b"x")
    run = bnnopt("verify", "device", cwd=folder, code=2)
    assert "model.tflite of device is damaged" in run.stderr
    assert run.stderr.count("\n") == 1


def test_runs_are_listed_and_compared(quickstart):
    folder, _ = quickstart
    shown = bnnopt("runs", cwd=folder).stdout
    accuracy = recipes.History.of(Run(folder / "runs" / "quickstart-1"))
    assert f"{accuracy.last('val_accuracy'):.2%}" in shown
    words = ("compare", "runs/quickstart-1", "runs/quickstart-1", "-o", "both.png")
    assert "Their curves are in both.png" in bnnopt(*words, cwd=folder).stdout
    assert (folder / "both.png").read_bytes().startswith(b"\x89PNG")
    run = bnnopt(*words, cwd=folder, code=2)
    assert "both.png exists and is not overwritten" in run.stderr
    words = ("report", "runs/quickstart-1", "-o", "page.html")
    assert "The report is page.html" in bnnopt(*words, cwd=folder).stdout
    page = (folder / "page.html").read_text()
    # Three curves, flips, confusion, twelve test images.
    assert page.count("<img") == 17 and page.count("<figure>") == 12
    # What convert said, too.
    assert "<th>size of the .tflite</th>" in page
    assert "<th>binary layers converted</th><td>6 of 6</td>" in page


@pytest.mark.slow
def test_convert_a_keras_file_but_never_over_another(quickstart):
    folder, _ = quickstart
    keras = folder / "runs" / "quickstart-1" / "model.keras"
    out = folder / "copy.tflite"
    words = ("convert", keras, "-o", out, "--dataset", "fashion_mnist_mini")
    assert "6 of 6" in bnnopt(*words, cwd=folder).stdout
    assert out.stat().st_size > 10_000
    run = bnnopt(*words, cwd=folder, code=2)
    assert "exists and is not overwritten" in run.stderr
    run = bnnopt("convert", "runs/quickstart-1", cwd=folder, code=2)
    assert "Remove it to convert again" in run.stderr
    run = bnnopt("convert", out, cwd=folder, code=2)
    assert "is a .tflite already" in run.stderr
    int8 = folder / "int8.tflite"
    words = ("convert", keras, "-o", int8, "--dataset", "fashion_mnist_mini")
    assert "6 of 6" in bnnopt(*words, "--int8-io", cwd=folder).stdout
    assert int8.stat().st_size < 0.8 * out.stat().st_size


def test_a_complete_run_that_is_converted_is_unchanged(quickstart):
    folder, _ = quickstart
    run = bnnopt("train", "--resume", "runs/quickstart-1", cwd=folder)
    assert "All 1 epochs were trained before. It is converted: " in run.stdout
    assert (folder / "runs" / "quickstart-1" / "model.tflite").exists()


def test_convert_refuses_what_is_not_binary(tmp_path):
    model = tf.keras.Sequential(
        [
            tf.keras.Input((28, 28, 1)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(10, "softmax"),
        ]
    )
    model.save(tmp_path / "float.keras")
    words = ("convert", "float.keras", "--dataset", "fashion_mnist_mini")
    run = bnnopt(*words, cwd=tmp_path, code=1)
    assert "holds no layer with quantizers" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "float.tflite").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["quikstart"], "unknown command 'quikstart'. Nearest: quickstart."),
        (["train", "--epoch", "3"], "unknown option '--epoch'. Nearest: --epochs"),
        (["train", "--epochs", "none"], "needs a positive integer. Received: 'none'"),
        (
            ["train", "--model", "tiny_r"],
            "No model 'tiny_r'. Nearest: tiny_residual_bnn.",
        ),
        (["train", "--optimizer", "dide"], "No optimizer 'dide'. Nearest: diode"),
        (["train", "--dataset", "mnst"], "No data set 'mnst'. Nearest: mnist"),
        (["train", "--dataset", "fashion-mnist"], "Nearest: fashion_mnist"),
        (["train", "--dataset", "imdb_reviews"], "has no features 'image'"),
        (["train", "--resume", "nowhere"], "nowhere is no run"),
        (["train", "--resume", "x", "--epochs", "3"], "leave out --epochs"),
        (["train", "--resume", "x", "--preset", "y"], "leave out --preset"),
        (["train", "--recipe", "twostep"], "No recipe 'twostep'. Nearest: two_step"),
        (["train", "--preset", "adambnn"], "No preset 'adambnn'. Nearest: adambnn_im"),
        (["train", "--first-epochs", "3"], "recipe 'one_step' has no first_epochs."),
        (
            ["train", "--temperature", "2"],
            "temperature has no effect without a teacher",
        ),
        (
            ["train", "--teacher", ".", "--label-smoothing", "0.1"],
            "label_smoothing has no effect beside a teacher without hard_labels",
        ),
        (["train", "--data-dir", "x"], "data_dir is a folder of tensorflow-datasets"),
        (["train", "--teacher", "no.keras"], "no.keras does not exist"),
        (["train", "--run", "."], "exists and is not overwritten"),
        (["convert", "missing.keras", "--dataset", "mnist"], "does not exist"),
        (["convert", "missing.keras"], "does not exist"),
        (["quickstart", "--runs", "/dev/null"], "/dev/null is a file and no folder"),
        (["train", "--batch-size", "7000"], "larger than the 6000 training images"),
        (["verify", "missing.keras"], "missing.keras does not exist"),
        (["convert", "missing.tflite"], "does not exist"),
        (["profile", "missing.tflite"], "missing.tflite does not exist"),
        (["package", "nowhere", "device"], "nowhere is no run"),
        (["runs"], "runs is no folder"),
        (["runs", "."], "holds no run"),
        (["compare", "nowhere"], "nowhere is no run"),
        (["report", "nowhere"], "nowhere is no run"),
        (["quickstart", "now"], "unexpected word 'now'"),
        (["models", "foo"], "No model 'foo'. `bnnopt models` shows all.\n"),
        (["models", "tiny_r"], "No model 'tiny_r'. Nearest: tiny_residual_bnn."),
        (["models", "--json", "--markdown"], "not allowed with argument --json"),
    ],
)
def test_wrong_input_is_one_line_and_two(words, message, tmp_path):
    run = bnnopt(*words, cwd=tmp_path, code=2)
    assert message in run.stderr
    assert run.stderr.startswith("bnnopt") and run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_wrong_input_of_a_process_is_one_line_and_two(tmp_path):
    run = process("train", "--optimizer", "dide", cwd=tmp_path, code=2)
    assert run.stderr.startswith("bnnopt: No optimizer 'dide'. Nearest: diode")
    assert run.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_dry_run_shows_the_recipe_and_makes_nothing(tmp_path):
    words = ("--preset", "adambnn_imagenet", "--model", "tiny_residual_bnn")
    words = (*words, "--dataset", "fashion_mnist_mini", "--epochs", 2, "--dry-run")
    run = bnnopt("train", *words, cwd=tmp_path)
    assert "Paper 000 (AdamBNN)" in run.stdout
    table = " ".join(run.stdout.split())
    for line in ("kind │ two_step", "epochs │ 2", "learning_rate │ 0.00125"):
        assert line in table
    # 24 batches of 256 an epoch.
    assert "96, 24 an epoch" in table and "309,418, of which 294,912 binary" in table
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        "quickstart",
        "train",
        "runs",
        "report",
        "compare",
        "convert",
        "verify",
        "profile",
        "package",
        "models",
    ],
)
def test_help_needs_no_tensorflow(command, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('imported')")
    env = {"PYTHONPATH": str(tmp_path)}
    run = process(command, "--help", cwd=tmp_path, env=env)
    assert "usage: bnnopt" in run.stdout


@pytest.mark.slow
def test_models_shows_one_network(tmp_path):
    # The table is whole however narrow the terminal is, as a pipe's 80 columns.
    env = {"COLUMNS": "80"}
    run = process("models", "tiny_residual_bnn", cwd=tmp_path, env=env)
    assert run.stdout.startswith("9,861,120 binary MACs / 64 + 289,152 others = 443")
    (line,) = (line for line in run.stdout.splitlines() if "stage3_2_conv" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == [
        "stage3_2_conv", "QuantConv2D", "1/1", "3x3x128x128", "4x4x128",
        "2,359,296", "0", "8.3%", "18.0",
    ]  # fmt: skip
    words = ("models", "tiny_residual_bnn")
    content = json.loads(bnnopt(*words, "--json", cwd=tmp_path).stdout)
    assert content["bops"] == sum(layer["binary_macs"] for layer in content["layers"])
    page = bnnopt(*words, "--markdown", cwd=tmp_path).stdout
    assert page.startswith("# Operations of tiny_residual_bnn\n")


@pytest.mark.slow
def test_the_page_of_models_is_the_commands(tmp_path):
    docs = pathlib.Path(__file__).parents[3] / "docs" / "models.md"
    page = bnnopt("models", "--markdown", cwd=tmp_path).stdout
    assert page == docs.read_text(encoding="utf-8")
    content = json.loads(bnnopt("models", "--json", cwd=tmp_path).stdout)
    verdicts = {c["verdict"] for row in content["published"] for c in row["compared"]}
    assert "contradicts" not in verdicts


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def training(images):
    """Words of a training of seconds, six steps an epoch."""
    size = ("--image-size", "16", "--batch-size", "24", "--epochs", "6")
    return ("train", "--dataset", images, *size)


@pytest.fixture(scope="module")
def straight(training, made_once):
    def fill(folder):
        bnnopt(*training, "--run", "straight", cwd=folder)

    return made_once("straight", fill) / "straight"


def start(*words, cwd):
    return subprocess.Popen(
        [BNNOPT, *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Started in the background, a shell's jobs ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def assert_equal_runs(run, expected):
    models = [recipes.load_model(folder / "model.keras") for folder in (expected, run)]
    for weights, ours in zip(*(model.weights for model in models)):
        np.testing.assert_array_equal(ours.numpy(), weights.numpy(), weights.name)
    for name in ("history.csv", "flips.csv", "flips_layers.csv"):
        assert (run / name).read_text() == (expected / name).read_text()


@pytest.mark.parametrize(
    "kill", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_a_killed_training_resumes_exactly(kill, training, straight, tmp_path):
    killed = start(*training, "--run", "killed", cwd=tmp_path)
    wait_for((tmp_path / "killed" / "model.keras").exists)
    killed.send_signal(kill)
    stdout, _ = killed.communicate(timeout=60)
    if kill == signal.SIGINT:
        assert killed.returncode == 130
        assert "Resume with: bnnopt train --resume killed" in " ".join(stdout.split())
    process("train", "--resume", "killed", cwd=tmp_path)
    assert_equal_runs(tmp_path / "killed", straight)
    assert (tmp_path / "killed" / "previous.keras").exists()


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(training, straight, tmp_path):
    began = time.monotonic()
    process(*training, "--run", "timed", cwd=tmp_path)
    whole = time.monotonic() - began
    generator, kills, runs = random.Random(0), 0, 0
    while kills < 10:
        runs += 1
        run = tmp_path / f"run{runs}"
        while True:
            words, is_whole = (*training, "--run", run.name), not run.exists()
            if not is_whole:
                words = ("train", "--resume", run.name)
            began = time.monotonic()
            going = start(*words, cwd=tmp_path)
            try:
                _, errors = going.communicate(timeout=generator.uniform(0.3, 1) * whole)
            except subprocess.TimeoutExpired:
                going.kill()
                going.communicate()
                kills += 1
                continue
            assert going.returncode == 0, errors
            # The machine may be faster by now, and every moment would be too late.
            if is_whole:
                whole = min(whole, time.monotonic() - began)
            break
        assert_equal_runs(run, straight)
