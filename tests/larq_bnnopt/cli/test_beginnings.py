"""Output of `bnnopt train`: data, stages, and warnings about little learned."""

import errno

import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.cli.progress_bar import ProgressBar
from larq_bnnopt.recipes import OneStep, training
from larq_bnnopt.recipes.guessing import best_guess, doubt

from .test_commands import bnnopt


@pytest.fixture(scope="module")
def shown(images, made_once):
    """What a training of two steps, of one epoch each, prints."""
    words = ("train", "--recipe", "two_step", "--dataset", images, "--epochs", 1)
    words = (*words, "--image-size", 16, "--batch-size", 72, "--run", "run")

    def fill(folder):
        stdout = bnnopt(*words, cwd=folder).stdout
        (folder / "stdout.txt").write_text(stdout, encoding="utf-8")

    return (made_once("beginnings", fill) / "stdout.txt").read_text(encoding="utf-8")


def test_a_training_prints_its_data_and_model(shown, images):
    (line,) = (line for line in shown.splitlines() if line.startswith("Data: "))
    assert line == (
        f"Data: {images}, 144 training and 36 test images of 3 classes, 16x16x3. "
        "Model: tiny_residual_bnn."
    )
    assert shown.startswith("Data: ")


def test_the_stages_of_two_step_are_named(shown):
    for number in (1, 2):
        assert shown.count(f"Stage {number} of 2, trained in ") == 1
    assert "Trained in" not in shown
    bar = ProgressBar((2, 3))
    assert [bar._stage_of(epoch) for epoch in range(5)] == [
        *["stage 1 of 2, "] * 2,
        *["stage 2 of 2, "] * 3,
    ]
    assert ProgressBar((2,))._stage_of(1) == ProgressBar()._stage_of(1) == ""


def test_a_training_of_few_steps_is_warned_of(shown):
    (line,) = (line for line in shown.splitlines() if line.startswith("Warning: "))
    # 72 of 144 images in a batch, two epochs.
    assert " 4 steps" in line
    for help in ("--epochs", "--batch-size", "--recipe fine_tune"):
        assert help in line
    assert shown.index("Warning: ") < shown.index("Convert it with")


@pytest.mark.parametrize(
    "accuracy, classes, images, steps, message",
    [
        # 1/3 + 2 sqrt(2/9 / 36) = 0.4905
        (0.49, 3, 36, 500, "49.0% after 500 steps is no better than guessing one of 3"),
        (0.4906, 3, 36, 500, None),
        (0.4906, 3, 36, 19, "only 19 steps"),
        (0.4906, 3, 36, 20, None),
        # 0.1 + 2 sqrt(0.09 / 900) = 0.12
        (0.1199, 10, 900, 10_000, "12.0% after 10,000 steps is no better"),
        (0.1201, 10, 900, 10_000, None),
        # 0.001 + 2 sqrt(0.000999 / 50,000) = 0.00128
        (0.0013, 1000, 50_000, 10_000, None),
        (0.0012, 1000, 50_000, 10_000, "0.1% after 10,000 steps is no better"),
        (0.0, 2, 1, 1, "0.0% after 1 step is no better than guessing one of 2"),
        (None, 2, 10, 1, "only 1 step,"),
        (None, 2, 10, 20, None),
        (float("nan"), 2, 10, 20, None),
    ],
)
def test_an_accuracy_no_better_than_guessing_is_reported(
    accuracy, classes, images, steps, message
):
    found = doubt(accuracy, classes, images, steps)
    assert found is None if message is None else message in found
    assert 1 / classes < best_guess(classes, images) <= 1


def test_one_of_several_machines_prints_it(monkeypatch):
    message = []
    for chief in (True, False):
        monkeypatch.setattr(training, "is_chief", lambda strategy, is_one=chief: is_one)
        training._call_begin(message.append, "data", tf.distribute.get_strategy())
    training._call_begin(None, "data", tf.distribute.get_strategy())
    assert message == ["data"]


class Fails(tf.keras.callbacks.Callback):
    """A disk that is full before the first step."""

    def on_train_begin(self, logs=None):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_reported_once(tmp_path):
    begun = []
    with pytest.raises(
        OSError, match=r"has no room for more\. Free some room"
    ) as error:
        recipes.train(
            OneStep(epochs=1), tmp_path / "run", [Fails()], begin=begun.append
        )
    assert str(error.value).count("Errno") == 1
    assert [data.test_size for data in begun] == [1000]
    assert not list(tmp_path.iterdir())
