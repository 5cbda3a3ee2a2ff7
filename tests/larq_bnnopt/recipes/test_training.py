"""Training and resuming: a resumed run equals an uninterrupted one in every bit."""

import csv
import dataclasses
import json
import resource
import warnings

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes import OneStep, Run

SHORT = OneStep(epochs=3, batch_size=500)


class StopAfter(tf.keras.callbacks.Callback):
    """Ends the process's training in the middle of an epoch, as Ctrl-C does."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def few(images):
    """Seconds instead of minutes: six steps an epoch."""
    return dataclasses.replace(SHORT, dataset=images, image_size=16, batch_size=24)


@pytest.fixture(
    scope="module", params=["diode", pytest.param("adam", marks=pytest.mark.slow)]
)
def uninterrupted(request, few, tmp_path_factory):
    recipe = dataclasses.replace(few, optimizer=request.param)
    folder = tmp_path_factory.mktemp("runs") / "straight"
    return recipe, recipes.train(recipe, folder), folder


@pytest.mark.parametrize("place", [(0, 5), (2, 3)])
@pytest.mark.slow
def test_an_interrupted_run_equals_the_uninterrupted(uninterrupted, place, tmp_path):
    recipe, straight, folder = uninterrupted
    with pytest.raises(KeyboardInterrupt):
        recipes.train(recipe, tmp_path / "stopped", [StopAfter(*place)])
    # The half-trained model was converted; that must not pass for the trained one.
    (tmp_path / "stopped" / "model.tflite").write_bytes(b"of the half-trained model")
    resumed = recipes.resume(Run(tmp_path / "stopped"))
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)
    for name in ("history.csv", "flips.csv", "flips_layers.csv"):
        assert rows(tmp_path / "stopped" / name) == rows(folder / name), name
    names = sorted(path.name for path in (tmp_path / "stopped").iterdir())
    assert names == [
        "config.json", "flips.csv", "flips.png", "flips_layers.csv",
        "flips_state.npz", "history.csv", "model.keras", "previous.keras",
        "report.html",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_damaged_checkpoint_costs_an_epoch(uninterrupted, tmp_path):
    recipe, straight, folder = uninterrupted
    run = Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        recipes.train(recipe, run.folder, [StopAfter(2, 3)])
    content = run.model.read_bytes()
    run.model.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=r"Resuming from .*previous\.keras"):
        resumed = recipes.resume(run)
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)
    for name in ("history.csv", "flips.csv", "flips_layers.csv"):
        assert rows(run.folder / name) == rows(folder / name), name


class FillDisk(tf.keras.callbacks.Callback):
    """From an epoch on no file may grow beyond 100 kB."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))


@pytest.mark.slow
def test_a_full_disk_leaves_what_was_saved(few, tmp_path):
    run, limits = Run(tmp_path / "run"), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match="before is still there; free some room"):
            recipes.train(few, run.folder, [FillDisk(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    data, model = few.load_data(), recipes.load_model(run.model)
    assert recipes.trained_epochs(run, few, model, data) == 1
    assert not list(run.folder.glob(".*part*"))
    # Changed settings are not resumed silently.
    config = json.loads(run.config.read_text())
    content = run.model.read_bytes()
    for name, value in (("batch_size", 50), ("learning_rate", 0.1)):
        changed = {**config, "recipe": {**config["recipe"], name: value}}
        run.config.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=r"has changed: recipe\. Restore it"):
            recipes.resume(run)
    assert len(config["began_with"]["data"]) == 64
    changed = {**config, "began_with": {**config["began_with"], "training images": 9}}
    run.config.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="has changed: training images"):
        recipes.resume(run)
    assert run.model.read_bytes() == content


@pytest.mark.slow
def test_a_complete_run_is_unchanged(few, tmp_path):
    model = recipes.train(dataclasses.replace(few, epochs=1), tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    again = recipes.resume(Run(tmp_path / "run"))
    for ours, expected in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(ours, expected)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before
    # The process ended before it drew the picture.
    (tmp_path / "run" / "flips.png").unlink()
    recipes.resume(Run(tmp_path / "run"))
    assert (tmp_path / "run" / "flips.png").read_bytes() == before["flips.png"]


@pytest.mark.slow
def test_the_configuration_repeats_the_run(few, tmp_path):
    recipe = dataclasses.replace(
        few, epochs=1, batch_size=8, optimizer="gradient_filter", seed=4
    )
    model = recipes.train(recipe, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    # What was left to the recipe is written down.
    steps = recipe.load_data().steps_per_epoch
    assert config["recipe"]["alpha"] == 10 / steps and config["recipe"]["gamma"] == 0.1
    assert config["versions"]["tensorflow"] == tf.__version__
    recipe = recipes.recipe_of(Run(tmp_path / "run"))
    again = recipes.train(recipe, tmp_path / "again")
    for ours, expected in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(ours, expected)


def test_the_schedules_end_at_zero():
    optimizer = SHORT.build_optimizer(100)
    diode, adam = optimizer.optimizers
    for rate, start in ((diode._learning_rate, 1.0), (adam._learning_rate, 0.01)):
        assert float(rate(0)) == pytest.approx(start)
        assert float(rate(50)) == pytest.approx(start / 2)
        assert float(rate(100)) == pytest.approx(0, abs=1e-8)


def test_nothing_is_overwritten_and_nothing_left_by_wrong_input(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(FileExistsError, match="exists and is not overwritten"):
        recipes.train(SHORT, tmp_path / "old")
    for wrong in ({"model": "meliusnt"}, {"dataset": "fashon_mnist"}):
        with pytest.raises(ValueError, match="Nearest"):
            recipes.train(dataclasses.replace(SHORT, **wrong), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_damaged_runs_are_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no run"):
        recipes.resume(Run(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        recipes.resume(Run(tmp_path))
    (tmp_path / "config.json").write_text('{"recipe": {"speed": 3}}')
    with pytest.raises(ValueError, match="is of another version"):
        recipes.resume(Run(tmp_path))
    config = {"recipe": dataclasses.replace(SHORT, epochs=1).as_dict()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.keras").write_bytes(b"half a model")
    with pytest.raises(ValueError, match=r"model\.keras cannot be read"):
        recipes.resume(Run(tmp_path))
    assert (tmp_path / "model.keras").read_bytes() == b"half a model"


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"optimizer": "dide"}, "No optimizer 'dide'. Nearest: diode"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"gamma": 0.1}, "optimizer 'diode' has no gamma"),
    ],
)
def test_wrong_recipes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        OneStep(**wrong)


def test_next_folder_counts_on(tmp_path):
    assert recipes.next_folder(tmp_path, "quickstart").name == "quickstart-1"
    for name in ("quickstart-2", "quickstart-x", "train-7"):
        (tmp_path / name).mkdir()
    assert recipes.next_folder(tmp_path, "quickstart").name == "quickstart-3"


def test_evaluation_counts_every_test_image(tmp_path):
    data = SHORT.load_data()
    model = SHORT.build_model(data)
    evaluation = recipes.evaluate(model, data)
    assert evaluation.confusion.sum(axis=1).tolist() == [100] * 10
    assert evaluation.accuracy == np.trace(evaluation.confusion) / 1000
    evaluation.plot(tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["diode", "adam"])
def test_accumulated_batches_continue_over_the_ends_of_epochs(optimizer, few, tmp_path):
    recipe = dataclasses.replace(
        few, optimizer=optimizer, epochs=3, warmup_epochs=1, accumulate_steps=4
    )
    data = recipe.load_data()
    batches = data.steps_per_epoch
    assert batches % 4  # Otherwise this shows nothing.
    straight = recipes.train(recipe, tmp_path / "straight")
    assert int(straight.optimizer.iterations) == 3 * batches // 4
    with pytest.raises(KeyboardInterrupt):
        recipes.train(recipe, tmp_path / "stopped", [StopAfter(2, 1)])
    run = Run(tmp_path / "stopped")
    model = recipes.load_model(run.model)
    assert recipes.trained_epochs(run, recipe, model, data) == 2
    resumed = recipes.resume(run)
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)
    assert int(resumed.optimizer.accumulator.count) == 3 * batches % 4


def test_averages_and_decay_count_optimizer_steps_not_batches(few):
    recipe = dataclasses.replace(few, epochs=8, warmup_epochs=2, accumulate_steps=4)
    grouped = recipe.build_optimizer(80, 10)
    plain = dataclasses.replace(recipe, accumulate_steps=1).build_optimizer(20, 2.5)
    for step in range(21):
        rates = [optimizer.learning_rate for optimizer in (grouped, plain)]
        assert grouped.accumulate_steps == 4 and plain.accumulate_steps == 1
        for one, other in zip(grouped.optimizers, plain.optimizers):
            one.iterations.assign(step)
            other.iterations.assign(step)
            assert float(one.learning_rate) == float(other.learning_rate), rates
    assert (
        recipe.resolved(10).alpha
        == dataclasses.replace(recipe, accumulate_steps=1, epochs=2, warmup_epochs=0)
        .resolved(10)
        .alpha
    )
    with pytest.raises(ValueError, match=r"81 is more than the 80 batches of a stage"):
        dataclasses.replace(recipe, accumulate_steps=81).build_optimizer(80, 10)
    with pytest.raises(ValueError, match=r"accumulate_steps must be at least 1"):
        dataclasses.replace(recipe, accumulate_steps=0)


@pytest.mark.slow
def test_a_plan_says_what_loading_warned_of(monkeypatch):
    load = OneStep.load_data

    def warning(self, **options):
        warnings.warn("half of the images are dark", stacklevel=2)
        return load(self, **options)

    monkeypatch.setattr(OneStep, "load_data", warning)
    assert "half of the images are dark" in recipes.plan(OneStep(epochs=1)).notes
