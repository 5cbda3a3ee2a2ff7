"""Diverged trainings: a NaN loss ends them, and the last good epoch is kept."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes import OneStep, Run, TrainingDivergedError
from larq_bnnopt.recipes.divergence import StopAtNaN, first_not_finite


class Spoil(tf.keras.callbacks.Callback):
    """Makes a weight NaN in the middle of an epoch, once."""

    def __init__(self, epoch):
        super().__init__()
        self.when = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.when:
            kernel = self.model.get_layer("stem_conv").kernel
            kernel.assign(kernel * np.nan)


@pytest.fixture
def recipe(images):
    return OneStep(dataset=images, image_size=16, epochs=3, batch_size=24)


@pytest.mark.slow
def test_a_rate_that_is_too_high_is_reported_with_the_layer(recipe, tmp_path):
    wild = dataclasses.replace(recipe, learning_rate=1e30)
    with pytest.raises(TrainingDivergedError) as stopped:
        recipes.train(wild, tmp_path / "run")
    text = str(stopped.value)
    assert "in epoch 0" in text and "The first that was not finite is" in text
    assert "lower learning rate" in text
    assert not Run(tmp_path / "run").model.exists()


@pytest.mark.slow
def test_the_last_good_epoch_is_kept(recipe, tmp_path):
    with pytest.raises(TrainingDivergedError, match="holds the last good epoch"):
        recipes.train(recipe, tmp_path / "run", [Spoil(1)])
    model = recipes.load_model(Run(tmp_path / "run").model)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    data = recipe.load_data()
    assert int(model.optimizer.iterations) == data.steps_per_epoch
    straight = recipes.train(recipe, tmp_path / "straight")
    resumed = recipes.resume(Run(tmp_path / "run"))
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())


def dense(first="linear"):
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            tf.keras.Input((3,)),
            tf.keras.layers.Dense(4, first, name="one"),
            tf.keras.layers.Dense(2, "softmax", name="two"),
        ]
    )


def test_the_first_layer_that_is_not_finite_is_named():
    model = dense(first=tf.math.log)  # Of a negative number there is none.
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches = [(np.ones((5, 3), np.float32), np.zeros(5))] * 3
    assert first_not_finite(model, batches) == (
        "the output of the layer one, in step 0 of the epoch"
    )


def test_an_update_that_is_not_finite_is_named():
    model = dense()
    model.compile(tf.keras.optimizers.SGD(np.inf), "sparse_categorical_crossentropy")
    found = first_not_finite(model, [(np.ones((5, 3), np.float32), np.zeros(5))])
    assert found.startswith("the update of two/bias")
    fine = dense()
    fine.compile("sgd", "sparse_categorical_crossentropy")
    assert not first_not_finite(fine, [(np.ones((5, 3), np.float32), np.zeros(5))])


def test_the_loss_is_checked_within_20_batches():
    watch = StopAtNaN()
    watch.on_epoch_begin(2)
    for batch in range(1, 20):
        watch.on_train_batch_end(batch, {"loss": tf.constant(np.nan)})
    with pytest.raises(TrainingDivergedError, match="nan in epoch 2, by batch 20"):
        watch.on_train_batch_end(20, {"loss": tf.constant(np.nan)})
    with pytest.raises(TrainingDivergedError, match="at its end"):
        watch.on_epoch_end(2, {"loss": np.inf})
