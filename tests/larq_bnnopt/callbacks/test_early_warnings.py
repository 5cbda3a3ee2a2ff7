"""Warnings during training: each fault once, while it can still be corrected."""

import warnings

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.callbacks import FlipMonitor
from larq_bnnopt.callbacks.early_warnings import EarlyWarnings
from larq_bnnopt.callbacks.rates import rates_of
from larq_bnnopt.optimizers import CaseOptimizer, Diode, GradientFilter, legacy
from larq_bnnopt.schedules import cosine


def texts(epochs, **changes):
    """Checks epochs that have no fault but the changes, (epoch -> value)."""
    watch = EarlyWarnings(len(epochs))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in epochs:
            values = {
                "flips": {"a": 0.1 / (epoch + 1), "b": 0.05 / (epoch + 1)},
                "positive": {"a": 0.5, "b": 0.4},
                "dead": {"a": 0.0, "b": 0.2},
                "rates": {"learning_rate": 1 - epoch / len(epochs)},
            }
            for name, change in changes.items():
                values[name] = {**values[name], **change(epoch)}
            watch.check_epoch(epoch, **values)
    return [str(w.message) for w in caught]


def test_a_healthy_training_causes_no_warning():
    assert texts(range(100)) == []


def test_a_kernel_without_flips_is_named_once():
    (text,) = texts(range(10), flips=lambda epoch: {"b": 0.0})
    assert text.startswith("No binary weight of b flipped in epoch 1, though")
    (text,) = texts(range(10), flips=lambda e: {"b": 0.0}, dead=lambda e: {"b": 1.0})
    assert text.startswith("No binary weight of b had a gradient in epoch 1")
    # A training that applies no gradients.
    (text,) = texts(range(10), flips=lambda e: {"b": 0.0}, dead=lambda e: {"b": None})
    assert "flipped in epoch 1" in text


def test_flips_may_stop_in_the_second_half():
    assert texts(range(10), flips=lambda epoch: {"a": 0.0} if epoch >= 5 else {}) == []
    (text,) = texts(range(10), flips=lambda epoch: {"a": 0.0} if epoch >= 4 else {})
    assert "No binary weight of a flipped in epoch 5" in text


@pytest.mark.parametrize("share", [0.0, 0.005, 0.995, 1.0])
def test_a_kernel_of_one_sign_is_named_once(share):
    (text,) = texts(range(10), positive=lambda epoch: {"a": share})
    assert f"Positive shares: a ({share:.1%})." in text


def test_flips_that_do_not_settle_are_named_once():
    (text,) = texts(range(100), flips=lambda epoch: {"a": 0.1})
    assert "The flips of a do not settle: in epoch 91 " in text
    assert "when learning_rate was 1, and it is 0.1 now" in text
    # The rate rises in a warm-up, and may stay constant.
    assert texts(range(100), flips=lambda e: {"a": 0.1}, rates=rising) == []


def rising(epoch):
    return {"learning_rate": min(1.0, epoch / 10)}


def test_rates_come_from_the_optimizer_of_the_kernels():
    kernel, real = tf.Variable(tf.ones((3, 2))), tf.Variable(tf.ones(2))
    binary = (lambda variable: variable is kernel, Diode(learning_rate=0.5))
    both = CaseOptimizer(binary, default_optimizer=tf.keras.optimizers.Adam(0.1))
    assert rates_of(both, [kernel])["learning_rate"] == 0.5
    assert rates_of(both, [kernel, real]) == {}
    scaled = tf.keras.mixed_precision.LossScaleOptimizer(both)
    assert rates_of(scaled, [kernel])["learning_rate"] == 0.5


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: tf.keras.optimizers.Adam(rate),
        lambda rate: tf.keras.optimizers.legacy.SGD(rate),
        lambda rate: Diode(rate),
        lambda rate: legacy.Diode(rate),
    ],
)
def test_rates_of_schedules_are_current(optimizer):
    optimizer = optimizer(cosine(0.8, 10))
    variable = tf.Variable(tf.ones(2))
    for _ in range(6):
        optimizer.apply_gradients([(tf.zeros(2), variable)])
    # Keras has the rate of the last step, its legacy optimizers the next one.
    last, following = (0.4 * (1 + np.cos(np.pi * step / 10)) for step in (5, 6))
    rate = rates_of(optimizer, [variable])["learning_rate"]
    assert min(abs(rate / last - 1), abs(rate / following - 1)) < 1e-5


def test_the_rates_of_the_gradient_filter():
    assert rates_of(GradientFilter(alpha=0.5, gamma=0.25), []) == {
        "alpha": 0.5,
        "gamma": 0.25,
    }


def test_flip_monitor_warns_while_the_training_runs():
    tf.keras.utils.set_random_seed(0)
    options = {"kernel_quantizer": "ste_sign", "kernel_initializer": "ones"}
    model = tf.keras.Sequential(
        [
            tf.keras.Input((4,)),
            lq.layers.QuantDense(8, name="stuck", **options),
            tf.keras.layers.Dense(2),
        ]
    )
    # A flip would take 1e9 steps.
    model.compile(tf.keras.optimizers.SGD(1e-9), "mse")
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, x[:, :2], epochs=3, verbose=0, callbacks=[FlipMonitor()])
    texts = [str(w.message) for w in caught if "binary weight" in str(w.message)]
    assert len(texts) == 2
    assert "No binary weight of stuck flipped in epoch 1, though" in texts[0]
    assert "Positive shares: stuck (100.0%)." in texts[1]
