"""Fine-tuning: a trained model learns the classes of a folder of images."""

import types

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import recipes
from larq_bnnopt.recipes import FineTune, OneStep, Run
from larq_bnnopt.recipes.new_classifier import with_new_classifier

from .test_training import StopAfter


@pytest.fixture(
    scope="module", params=["diode", pytest.param("adam", marks=pytest.mark.slow)]
)
def start(request, one_epoch, tmp_path_factory):
    """A model of ten classes, trained for an epoch."""
    if request.param == "diode":
        return str(one_epoch.model)
    folder = tmp_path_factory.mktemp("start") / "run"
    recipes.train(OneStep(optimizer=request.param, epochs=1, batch_size=100), folder)
    return str(Run(folder).model)


def recipe(start, images, **options):
    return FineTune(
        **{"start": start, "dataset": images, "batch_size": 16, "epochs": 2,
           "head_epochs": 1, "augment": False, "learning_rate": 0.01, **options}
    )  # fmt: skip


def test_the_classifier_is_trained_first_and_then_the_model(start, images, tmp_path):
    tuning = recipe(start, images)
    model = recipes.train(tuning, tmp_path / "run")
    assert model.output_shape == (None, 3)
    first = recipes.load_model(Run(tmp_path / "run").step(1))
    earlier = recipes.load_model(start)
    if earlier.get_layer("stage1_1_conv").kernel_constraint is not None:  # Latent.
        earlier = zx.to_latent_free(earlier)
    for layer in first.layers[:-2]:
        for ours, expected in zip(layer.weights, earlier.get_layer(layer.name).weights):
            np.testing.assert_array_equal(ours, expected, err_msg=ours.name)
    assert not np.array_equal(
        first.get_layer("new_classes").kernel, model.get_layer("new_classes").kernel
    )
    kernel = model.get_layer("stage1_1_conv").kernel.numpy()
    assert set(np.unique(kernel)) == {-1, 1}
    assert not np.array_equal(kernel, first.get_layer("stage1_1_conv").kernel)
    data = tuning.load_data()
    assert data.input_shape == (28, 28, 1)
    # Three classes that look nothing alike.
    assert recipes.evaluate(model, data).accuracy > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("place", [(0, 3), (2, 4)])
def test_a_stopped_run_resumes_exactly(place, start, images, tmp_path):
    tuning = recipe(start, images, augment=True)
    straight = recipes.train(tuning, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        recipes.train(tuning, tmp_path / "run", [StopAfter(*place)])
    resumed = recipes.resume(Run(tmp_path / "run"))
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)


def test_without_head_epochs_the_whole_model_is_trained(start, images):
    tuning = recipe(start, images, head_epochs=0)
    assert tuning.stage_epochs() == (2,)
    model = tuning.build(0, tuning.load_data())
    assert all(layer.trainable for layer in model.layers)
    diode = model.optimizer.optimizers[0]
    inertia = tuning.resolved(tuning.load_data().steps_per_epoch).initial_inertia
    assert diode.get_config()["initial_inertia"] == inertia > 0


@pytest.mark.parametrize("steps", [8, 20, 60, 1000, 10**6])
def test_the_first_vote_keeps_the_signs_of_the_start(steps):
    """m = beta m + (1 - beta) v, where m starts at the inertia against v (eq. 12)."""
    averages = FineTune(start="model.keras").averages(steps)
    beta, inertia = averages["beta"], averages["initial_inertia"]
    assert beta * inertia > 1 - beta
    assert steps < 60 or inertia == pytest.approx(0.1)


@pytest.mark.parametrize("optimizer", ["gradient_filter", "iir", "diode"])
def test_optimizers_that_forget_the_start_are_noted(optimizer):
    notes = FineTune(start="model.keras", optimizer=optimizer).notes(
        types.SimpleNamespace(kind="texts")
    )
    assert len(notes) == (optimizer != "diode")
    assert all(f"averages of {optimizer} start at 0" in note for note in notes)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"start": ""}, "needs start"),
        ({"model": "meliusnet22"}, "has its model from start"),
        ({"head_epochs": -1}, "head_epochs must be at least 0"),
        ({"image_size": 32}, "image_size of fine_tune is that of its model"),
    ],
)
def test_wrong_recipes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        FineTune(**{"start": "model.keras", **wrong})


def test_models_without_a_classifier_are_refused():
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.ReLU()])
    with pytest.raises(ValueError, match=r"end with a dense layer .* but with ReLU"):
        with_new_classifier(model, 3)
