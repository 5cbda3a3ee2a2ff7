"""Averages in bfloat16: stochastic rounding has no bias and repeats on resuming."""

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.optimizers import Diode, GradientFilter, legacy, noise, storage

both_apis = pytest.mark.parametrize("module", [None, legacy], ids=["new", "legacy"])


def values(count=20_000, seed=0):
    generator = np.random.default_rng(seed)
    scale = np.exp2(generator.integers(-60, 60, count))
    return (generator.normal(size=count) * scale).astype(np.float32)


def neighbours(x):
    """The neighbouring bfloat16 numbers, towards zero and away from it."""
    bits = x.view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32), (bits + np.uint32(0x10000)).view(np.float32)


def test_rounding_to_the_nearest_equals_tensorflow():
    x = values()
    ours = storage.decode(storage.encode(tf.constant(x), tf.uint16)).numpy()
    nearest = tf.cast(tf.cast(x, tf.bfloat16), tf.float32).numpy()
    low, high = neighbours(x)
    half_way = np.abs(x - low) == np.abs(high - x)
    np.testing.assert_array_equal(ours[~half_way], nearest[~half_way])


def test_stochastic_rounding_takes_one_of_the_two_neighbours():
    x = values()
    bits = noise.random_bits(tf.zeros(x.shape), tf.constant([5, 2]), 0)
    ours = storage.decode(storage.encode(tf.constant(x), tf.uint16, bits)).numpy()
    low, high = neighbours(x)
    assert ((ours == low) | (ours == high)).all()
    assert 0.4 < (ours == high).mean() < 0.6


def test_stochastic_rounding_has_no_bias():
    """A number 30 % of the way up is rounded up in 30 % of the cases."""
    x = np.full(100_000, 1.0 + 0.3 / 128, np.float32)
    means = []
    for step in range(4):
        bits = noise.random_bits(tf.zeros(x.shape), tf.constant([step, 0]), 1)
        stored = storage.decode(storage.encode(tf.constant(x), tf.uint16, bits)).numpy()
        assert set(stored.tolist()) == {1.0, 1.0 + 1 / 128}
        means.append((stored.mean(dtype=np.float64) - 1.0) * 128)
    # Five standard errors of a share of 100,000 draws.
    np.testing.assert_allclose(means, 0.3, atol=5 * np.sqrt(0.21 / 100_000))
    assert len(set(means)) == 4


def test_bfloat16_numbers_are_stored_exactly():
    exact = np.float32([0.0, -0.0, 1.0, -0.5, 2.0**-126, 3e38, np.inf, -np.inf])
    exact = tf.cast(tf.cast(exact, tf.bfloat16), tf.float32).numpy()
    bits = tf.fill(exact.shape, tf.constant(65535, tf.uint32))
    stored = storage.decode(storage.encode(tf.constant(exact), tf.uint16, bits)).numpy()
    np.testing.assert_array_equal(stored.view(np.uint32), exact.view(np.uint32))


def test_a_nan_stays_a_nan():
    nans = np.uint32([0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001])
    bits = tf.fill(nans.shape, tf.constant(65535, tf.uint32))
    stored = storage.encode(tf.constant(nans.view(np.float32)), tf.uint16, bits)
    assert np.isnan(storage.decode(stored).numpy()).all()


def test_random_bits_are_fair_and_do_not_repeat():
    weights = tf.zeros([300, 100])
    draws = {
        (step, variable, salt): noise.random_bits(
            weights, tf.constant([step, variable]), salt
        ).numpy()
        for step in (0, 1, 2)
        for variable in (0, 1)
        for salt in (0, 1)
    }
    again = noise.random_bits(weights, tf.constant([1, 1]), 1).numpy()
    np.testing.assert_array_equal(again, draws[1, 1, 1])
    flat = np.stack([draw.ravel() for draw in draws.values()]) / 65536 - 0.5
    count = flat.shape[1]
    assert (np.abs(flat.mean(axis=1)) < 5 / np.sqrt(12 * count)).all()
    # Every bit is as often set as not, and no two draws are correlated.
    for bit in range(16):
        share = np.mean([(draw >> bit) & 1 for draw in draws.values()])
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(flat.size)
    correlation = np.corrcoef(flat)[np.triu_indices(len(flat), 1)]
    assert (np.abs(correlation) < 5 / np.sqrt(count)).all()


@pytest.mark.parametrize(
    "module",
    [None, pytest.param(legacy, marks=pytest.mark.slow)],
    ids=["new", "legacy"],
)
def test_signs_agree_where_rounding_to_the_nearest_would_freeze_them(module):
    """Diode's m moves by 1e-3 of the distance: less than half of a last digit."""
    kind = module.Diode if module else Diode
    signs = {}
    for dtype in ("float32", "bfloat16"):
        optimizer = kind(alpha=0.9, beta=0.999, state_dtype=dtype)
        theta = tf.Variable(tf.ones(4000))
        generator = np.random.default_rng(0)
        drift = np.linspace(-0.3, 0.3, 4000)

        @tf.function
        def step(gradient, optimizer=optimizer, theta=theta):
            optimizer.apply_gradients([(gradient, theta)])

        optimizer.apply_gradients([(tf.constant(drift, tf.float32), theta)])
        for _ in range(1500):
            step(tf.constant(drift + generator.normal(size=4000), tf.float32))
        signs[dtype] = theta.numpy()
    different = (signs["float32"] != signs["bfloat16"]).mean()
    assert 0 < different < 0.02
    state = optimizer.weights if module else optimizer.variables
    assert {v.dtype for v in state if v.shape.rank} == {tf.uint16}


@both_apis
def test_inertia_starts_the_same_for_both_signs(module):
    kind = module.Diode if module else Diode
    optimizer = kind(initial_inertia=0.3, beta=0.9, state_dtype="bfloat16")
    theta = tf.Variable([1.0, -1.0] * 8)
    start = theta.numpy()
    optimizer.apply_gradients([(tf.constant(start), theta)])
    np.testing.assert_array_equal(theta.numpy(), start)


@both_apis
def test_an_unknown_type_is_refused(module):
    kind = module.GradientFilter if module else GradientFilter
    with pytest.raises(ValueError, match="state_dtype must be one of"):
        kind(state_dtype="int8")
