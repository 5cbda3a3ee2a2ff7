"""R2 of a training: NumPy's in float64, far from 0 too, and stored with models."""

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes.r2 import R2


def examples(center, spread, count=1000, numbers=2):
    random = np.random.default_rng(0)
    labels = center + spread * random.normal(size=(count, numbers))
    predictions = labels + spread / 2 * random.normal(size=(count, numbers))
    return labels.astype(np.float32), predictions.astype(np.float32)


def in_float64(labels, predictions):
    return recipes.Regression.of(labels, predictions, ("a", "b")).r2


def measured(metric, labels, predictions, batch=64):
    metric.reset_state()
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        metric.update_state(tf.constant(labels[part]), tf.constant(predictions[part]))
    return float(metric.result())


@pytest.mark.parametrize(
    "center, spread", [(0, 1), (-3, 1e-3), (1e4, 1), (3e5, 10), (-3e5, 10), (1e6, 10)]
)
def test_it_is_that_of_numpy_in_float64(center, spread):
    labels, predictions = examples(center, spread)
    wanted = in_float64(labels, predictions)
    assert 0.6 < wanted < 0.9
    assert abs(measured(R2(), labels, predictions) - wanted) < 1e-4


def test_batches_epochs_and_weights():
    labels, predictions = examples(1e4, 1)
    metric = R2()
    assert float(metric.result()) == 0
    whole = measured(metric, labels, predictions, batch=1000)
    # A second epoch knows nothing of the first.
    assert measured(metric, labels, predictions, batch=7) == pytest.approx(whole, 1e-7)
    metric.reset_state()
    twice = (
        np.concatenate([labels, labels[:10]]),
        np.concatenate([predictions, predictions[:10]]),
    )
    weights = 1 + (np.arange(1000) < 10)
    metric.update_state(labels, predictions, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(in_float64(*twice), 1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e5 / 3])
@pytest.mark.parametrize("off, wanted", [(0, 1.0), (1, 0.0), (np.nan, np.nan)])
def test_equal_labels_are_hit_or_not(value, off, wanted):
    labels = np.full((1000, 2), value, np.float32)
    np.testing.assert_equal(measured(R2(), labels, labels + np.float32(off)), wanted)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_stored_model_measures_as_before(suffix, tmp_path):
    labels, inputs = examples(1e4, 1, count=64)
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(2,))])
    model.compile("sgd", loss="mean_squared_error", metrics=[R2()])
    model.layers[0].set_weights([np.eye(2), np.zeros(2)])
    model.train_on_batch(inputs, inputs)  # The sums of a training are stored, too.
    model.layers[0].set_weights([np.eye(2), np.zeros(2)])
    model.save(tmp_path / f"model.{suffix}")
    loaded = recipes.load_model(tmp_path / f"model.{suffix}")
    for one in (model, loaded):
        found = one.evaluate(inputs, labels, verbose=0, return_dict=True)
        assert abs(found["r2"] - in_float64(labels, inputs)) < 1e-4
    assert any(isinstance(metric, R2) for metric in loaded.metrics)
