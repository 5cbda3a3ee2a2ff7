"""Metrics of GLUE: the formulas in float64 and SciPy, whatever the batches."""

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes.text_metrics import (
    F1,
    METRICS,
    MatthewsCorrelation,
    PearsonCorrelation,
    SpearmanCorrelation,
)


def measured(metric, labels, outputs, batch=7):
    metric.reset_state()
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        metric.update_state(tf.constant(labels[part]), tf.constant(outputs[part]))
    return float(metric.result())


def classified(classes=2, count=101, skill=1.0):
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), labels] += skill
    return labels, logits


def confusion(labels, logits):
    predicted = logits.argmax(axis=1)
    tp = np.sum((predicted == 1) & (labels == 1))
    fp = np.sum((predicted == 1) & (labels == 0))
    fn = np.sum((predicted == 0) & (labels == 1))
    return tp, fp, fn, len(labels) - tp - fp - fn


def test_f1_and_matthews_are_the_formulas_of_two_classes():
    labels, logits = classified()
    tp, fp, fn, tn = map(float, confusion(labels, logits))
    f1 = tp / (tp + (fp + fn) / 2)
    matthews = (tp * tn - fp * fn) / np.sqrt(
        (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    )
    assert 0.5 < f1 < 0.9 and 0.3 < matthews < 0.8
    probabilities = tf.nn.softmax(logits).numpy()
    for outputs in (logits, probabilities):
        for batch in (7, 101):
            assert measured(F1(), labels, outputs, batch) == pytest.approx(f1, 1e-12)
            found = measured(MatthewsCorrelation(), labels, outputs, batch)
            assert found == pytest.approx(matthews, rel=1e-12)


def test_matthews_of_more_classes_is_the_correlation_of_one_hot_vectors():
    labels, logits = classified(4)
    true, predicted = np.eye(4)[labels], np.eye(4)[logits.argmax(axis=1)]
    true, predicted = true - true.mean(axis=0), predicted - predicted.mean(axis=0)
    wanted = np.sum(true * predicted) / np.sqrt(np.sum(true**2) * np.sum(predicted**2))
    found = measured(MatthewsCorrelation(), labels, logits)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_f1_refuses_more_classes():
    labels, logits = classified(3)
    with pytest.raises(ValueError, match=r"'f1' is one of 2 classes, and .* has 3"):
        F1().update_state(labels, logits)


@pytest.mark.parametrize("always", [0, 1])
def test_a_model_that_gives_one_class_correlates_with_nothing(always):
    labels, _ = classified()
    logits = np.tile(np.eye(2, dtype=np.float32)[always], (len(labels), 1))
    assert measured(MatthewsCorrelation(), labels, logits) == 0
    share = labels.mean()
    wanted = 2 * share / (1 + share) if always else 0
    assert measured(F1(), labels, logits) == pytest.approx(wanted, rel=1e-12)
    # And where there is one class alone.
    assert measured(MatthewsCorrelation(), np.ones_like(labels), logits) == 0


def test_f1_without_the_class_is_0():
    labels, logits = np.zeros(9, int), np.tile([[1.0, 0.0]], (9, 1))
    assert measured(F1(), labels, logits) == 0


def predicted(center=2.5, spread=1.5, count=203, numbers=1):
    random = np.random.default_rng(0)
    labels = center + spread * random.normal(size=(count, numbers))
    # Ties, as the labels of STS-B have them.
    labels = np.round(5 * labels) / 5
    outputs = labels + spread * random.normal(size=(count, numbers))
    outputs[::10] = outputs[0]
    return labels.astype(np.float32), outputs.astype(np.float32)


@pytest.mark.parametrize("numbers", [1, 2])
@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_correlations_are_those_of_scipy(name, numbers):
    stats = pytest.importorskip("scipy.stats")
    labels, outputs = predicted(numbers=numbers)
    scipy = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[name]
    wanted = np.mean(
        [
            scipy(labels[:, i].astype(float), outputs[:, i].astype(float))[0]
            for i in range(numbers)
        ]
    )
    assert 0.4 < wanted < 0.9
    for batch in (7, 203):
        found = measured(METRICS[name](), labels, outputs, batch)
        assert found == pytest.approx(wanted, rel=1e-9)


def test_pearson_far_from_zero():
    stats = pytest.importorskip("scipy.stats")
    labels, outputs = predicted(1e4, 1)
    wanted = stats.pearsonr(labels[:, 0].astype(float), outputs[:, 0].astype(float))[0]
    found = measured(PearsonCorrelation(), labels, outputs)
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("metric", [PearsonCorrelation, SpearmanCorrelation])
@pytest.mark.parametrize("value", [0.0, 0.1, 3.7])
def test_constant_predictions_correlate_with_nothing(metric, value):
    labels, outputs = predicted()
    constant = np.full_like(outputs, value)
    assert measured(metric(), labels, constant) == 0
    assert measured(metric(), constant, outputs) == 0
    assert float(metric().result()) == 0


@pytest.mark.parametrize("metric", [PearsonCorrelation, SpearmanCorrelation])
def test_nan_is_not_hidden(metric):
    labels, outputs = predicted()
    outputs[3] = np.nan
    assert np.isnan(measured(metric(), labels, outputs))


def test_weights_count_inputs_several_times():
    labels, logits = classified()
    numbers, outputs = predicted(count=101)
    weights = 1 + (np.arange(101) < 10)
    for metric, true, given in (
        (F1(), labels, logits),
        (MatthewsCorrelation(), labels, logits),
        (PearsonCorrelation(), numbers, outputs),
    ):
        twice = [np.concatenate([one, one[:10]]) for one in (true, given)]
        wanted = measured(metric, *twice)
        metric.reset_state()
        metric.update_state(true, given, sample_weight=weights)
        assert float(metric.result()) == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(ValueError, match="'spearman' knows no weights"):
        SpearmanCorrelation().update_state(numbers, outputs, sample_weight=weights)


def test_spearman_refuses_replicas():
    labels, outputs = predicted(count=8)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        metric = SpearmanCorrelation()
        with pytest.raises(ValueError, match=r"on one device\. Leave out the strategy"):
            metric.update_state(labels, outputs)


@pytest.mark.parametrize(
    "suffix", ["keras", pytest.param("h5", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_a_stored_model_measures_as_before(suffix, task, tmp_path):
    if task == "classes":
        names, loss = ("f1", "matthews"), "sparse_categorical_crossentropy"
        labels, inputs = classified()
        inputs, size = tf.nn.softmax(inputs).numpy(), 2
    else:
        names, loss = ("pearson", "spearman"), "mean_squared_error"
        labels, inputs = predicted()
        size = 1
    wanted = {name: measured(METRICS[name](), labels, inputs) for name in names}
    model = tf.keras.Sequential([tf.keras.layers.Dense(size, input_shape=(size,))])
    model.compile("sgd", loss=loss, metrics=[METRICS[name]() for name in names])
    model.fit(inputs, labels, batch_size=7, epochs=2, verbose=0)
    model.layers[0].set_weights([np.eye(size), np.zeros(size)])
    model.save(tmp_path / f"model.{suffix}")
    loaded = recipes.load_model(tmp_path / f"model.{suffix}")
    for one in (model, loaded):
        found = one.evaluate(inputs, labels, batch_size=7, verbose=0, return_dict=True)
        for name in names:
            assert found[name] == pytest.approx(wanted[name], rel=1e-6)
    # It can be trained and stored again.
    loaded.fit(inputs, labels, batch_size=7, verbose=0)
    loaded.save(tmp_path / f"again.{suffix}")
