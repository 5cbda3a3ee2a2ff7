"""Dropout that repeats: shares, masks by step, files, replicas."""

import numpy as np
import pytest
import tensorflow as tf

from zoo_extensions.dropout import SeededDropout


def masks(layer, steps, shape=(4, 64)):
    return [layer(tf.ones(shape), training=True).numpy() for _ in range(steps)]


def test_it_keeps_its_share_and_the_mean():
    x = SeededDropout(0.25, seed=0)(tf.ones((200, 500)), training=True).numpy()
    assert set(np.unique(x)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    # 5 standard errors of a share of 100,000 numbers.
    assert abs((x == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / x.size)


def test_masks_of_steps_and_seeds_are_independent():
    one = masks(SeededDropout(0.5, seed=0), 3, (100, 500))
    other = masks(SeededDropout(0.5, seed=1), 2, (100, 500))
    for first, second in ((one[0], one[1]), (one[1], one[2]), (one[0], other[0])):
        agree = ((first == 0) == (second == 0)).mean()
        assert abs(agree - 0.5) < 5 * 0.5 / np.sqrt(first.size)


def test_without_a_training_or_a_rate_nothing_changes():
    layer = SeededDropout(0.5, seed=0)
    x = tf.random.normal((3, 5))
    for training in (False, None):
        np.testing.assert_array_equal(layer(x, training=training), x)
    assert layer.calls.numpy() == 0
    np.testing.assert_array_equal(SeededDropout(0.0)(x, training=True), x)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_stored_layer_goes_on_with_its_masks(suffix, tmp_path):
    tf.keras.utils.set_random_seed(3)
    model = tf.keras.Sequential([SeededDropout(0.5, input_shape=(64,))])
    x = tf.ones((4, 64))
    before = [model(x, training=True).numpy() for _ in range(2)]
    model.save(tmp_path / f"model.{suffix}")
    after = [model(x, training=True).numpy() for _ in range(2)]
    loaded = tf.keras.models.load_model(tmp_path / f"model.{suffix}")
    for wanted in after:
        np.testing.assert_array_equal(loaded(x, training=True), wanted)
    tf.keras.utils.set_random_seed(3)
    again = tf.keras.Sequential([SeededDropout(0.5, input_shape=(64,))])
    np.testing.assert_array_equal(again(x, training=True), before[0])


def test_replicas_have_masks_of_their_own_and_count_a_step_once():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = SeededDropout(0.5, seed=0)
        layer.build((None, 64))

    @tf.function
    def step():
        return strategy.run(lambda: layer(tf.ones((4, 64)), training=True))

    for number in (1, 2):
        first, second = (one.numpy() for one in step().values)
        assert (first != second).any()
        assert layer.calls.numpy() == number


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_out_of_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
        SeededDropout(rate)
