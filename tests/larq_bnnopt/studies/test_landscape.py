"""The landscape is that of Li et al., computed by hand."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.studies.landscape import (
    filter_axes,
    filter_normalized,
    loss_landscape,
    movable_variables,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=(12, 2)).astype(np.float32)
BATCHES = [(X[:8], Y[:8]), (X[8:], Y[8:])]


def dense(**options):
    model = tf.keras.Sequential(
        [
            tf.keras.Input((3,)),
            lq.layers.QuantDense(2, bias_initializer="ones", **options),
        ]
    )
    model.compile(loss="mse")
    return model


def by_hand(model, sign, points, span, seed):
    """In float64: two directions, filters normalized, all examples at once."""
    kernel, bias = (value.astype(float) for value in model.get_weights())
    directions = []
    for number in range(2):
        d = np.random.default_rng([seed, number]).normal(size=kernel.shape)
        for column in range(2):
            length = np.linalg.norm(d[:, column])
            d[:, column] *= np.linalg.norm(kernel[:, column]) / length
        directions.append(d)
    steps = np.linspace(-span, span, points)
    losses = np.empty((points, points))
    for row, a in enumerate(steps):
        for column, b in enumerate(steps):
            moved = kernel + a * directions[0] + b * directions[1]
            if sign:
                moved = np.where(moved < 0, -1, 1)
            losses[row, column] = np.mean((X @ moved + bias - Y) ** 2)
    return losses


@pytest.mark.parametrize("latent", [False, True])
def test_losses_equal_those_by_hand(latent):
    """A quadratic for real weights, steps of the signs for latent ones."""
    model = dense(**({"kernel_quantizer": "ste_sign"} if latent else {}))
    weights = model.get_weights()
    found = loss_landscape(model, BATCHES, points=5, span=2.0, seed=3)
    expected = by_hand(model, latent, 5, 2.0, 3)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.steps, [-2, -1, 0, 1, 2])
    assert found.losses[2, 2] == pytest.approx(model.evaluate(X, Y, verbose=0), 1e-5)
    assert len(np.unique(expected)) > 5
    for before, after in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(before, after)


def test_a_quadratic_has_constant_second_differences():
    losses = loss_landscape(dense(), BATCHES, points=5).losses
    for axis in (0, 1):
        second = np.diff(losses, n=2, axis=axis)
        np.testing.assert_allclose(second, second.flat[0], rtol=1e-3)
        assert second.min() > 0


def test_what_moves_and_what_stays():
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            tf.keras.layers.DepthwiseConv2D(3),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantConv2D(4, 3, kernel_quantizer="ste_sign"),
            lq.layers.QuantConv2D(4, 3, kernel_quantizer=lq.quantizers.NoOp(1)),
        ]
    )
    variables = movable_variables(model)
    assert [tuple(v.shape) for v in variables] == [(3, 3, 3, 1), (3, 3, 3, 4)]
    assert [filter_axes(v) for v in variables] == [(0, 1), (0, 1, 2)]
    values = [v.numpy() for v in variables]
    axes = [filter_axes(v) for v in variables]
    moved = filter_normalized(values, axes, np.random.default_rng(0))
    for value, own, direction in zip(values, axes, moved):
        np.testing.assert_allclose(
            np.linalg.norm(direction, axis=(0, 1)).shape, value.shape[2:]
        )
        lengths = np.sqrt((direction**2).sum(own))
        np.testing.assert_allclose(lengths, np.sqrt((value**2).sum(own)), rtol=1e-5)


def test_the_same_seed_gives_the_same_landscape():
    model = dense()
    one, same, other = (
        loss_landscape(model, BATCHES, points=3, seed=seed).losses for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_weights_are_restored_when_it_is_interrupted(monkeypatch):
    model = dense()
    before = model.get_weights()[0]

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "compute_loss", stop)
    with pytest.raises(KeyboardInterrupt):
        loss_landscape(model, BATCHES, points=3)
    np.testing.assert_array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"points": 4}, "points must be odd, at least 3. Received: 4"),
        ({"span": 0.0}, r"span must be above 0. Received: 0.0"),
        ({"batches": []}, "batches is empty"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        loss_landscape(dense(), **{"batches": BATCHES, **options})


def test_a_model_that_cannot_be_judged_or_moved():
    model = dense(kernel_quantizer=lq.quantizers.NoOp(1))
    with pytest.raises(ValueError, match="has no trainable real-valued or latent"):
        loss_landscape(model, BATCHES)
    plain = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))])
    with pytest.raises(ValueError, match="has no loss"):
        loss_landscape(plain, BATCHES)
