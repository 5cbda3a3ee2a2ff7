"""Schedules equal their formulas in float64."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import optimizers, schedules
from larq_bnnopt.optimizers import Diode, GradientFilter, legacy

STEPS, START, END = 200, 0.3, 0.003
T = np.arange(STEPS + 1)
SHARE = T / STEPS
FORMULAS = {
    "cosine": (
        lambda **k: schedules.cosine(START, STEPS, end=END, **k),
        END + (START - END) * 0.5 * (1 + np.cos(np.pi * SHARE)),
    ),
    "linear": (
        lambda **k: schedules.linear(START, STEPS, end=END, **k),
        START + (END - START) * SHARE,
    ),
    "exponential": (
        lambda **k: schedules.exponential(START, STEPS, end=END, **k),
        START * (END / START) ** SHARE,
    ),
    "step": (
        lambda **k: schedules.step(START, STEPS, at=(0.25, 0.6), factor=0.5, **k),
        START * 0.5 ** ((SHARE > 0.25).astype(int) + (SHARE > 0.6)),
    ),
}
every_shape = pytest.mark.parametrize("make, formula", FORMULAS.values(), ids=FORMULAS)


def values(schedule, steps=T):
    return np.array([float(schedule(tf.constant(t, tf.int64))) for t in steps])


@every_shape
def test_a_schedule_equals_its_formula(make, formula):
    np.testing.assert_allclose(values(make()), formula, rtol=2e-5)


@every_shape
def test_warm_up_rises_linearly_and_then_follows(make, formula):
    warm = values(make(warmup=40))
    np.testing.assert_allclose(warm[:40], START * np.arange(1, 41) / 41, rtol=1e-5)
    # The steps after the warm-up hold the whole decay.
    shortened = np.interp((T[40:] - 40) / 160, SHARE, formula)
    close = np.isclose(warm[40:], shortened, rtol=2e-3)
    assert close.mean() > 0.97 and close[0] and close[-1]


@every_shape
@pytest.mark.parametrize("warmup", [0, 7])
def test_a_schedule_survives_serialization(make, formula, warmup):
    schedule = make(warmup=warmup)
    for optimizer in (Diode(schedule), legacy.Diode(schedule)):
        copy = type(optimizer).from_config(optimizer.get_config())
        assert copy.get_config() == optimizer.get_config()
    copy = GradientFilter.from_config(GradientFilter(alpha=schedule).get_config())
    np.testing.assert_array_equal(values(copy.alpha), values(schedule))


@every_shape
def test_matching_schedules_keep_their_ratio(make, formula, request):
    shape = getattr(schedules, request.node.callspec.id)
    options = {"end": 0.001} if shape is not schedules.step else {}
    real, binary = schedules.matching(
        shape, 100, real=0.01, binary=1.0, warmup=10, **options
    )
    steps = range(101)
    np.testing.assert_allclose(values(binary, steps), 100 * values(real, steps), 1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: schedules.cosine(0.0, 10), "start > end >= 0"),
        (lambda: schedules.linear(0.1, 10, end=-1.0), "start > end >= 0"),
        (lambda: schedules.cosine(0.1, 10, warmup=10), "does not fit into 10 steps"),
        (lambda: schedules.exponential(0.1, 10, end=0.0), "never reaches 0"),
        (lambda: schedules.step(0.1, 10, at=(0.7, 0.5)), "at must rise"),
        (lambda: schedules.step(0.1, 10, factor=1.5), "factor must be in"),
        (lambda: schedules.WarmUp(schedules.cosine(1.0, 5), 0), "at least 1 step"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("api", ["new", "legacy"])
def test_a_saved_model_loads_with_its_warm_up(api, suffix, tmp_path):
    """HDF5 files name the class of a schedule without its package."""
    if (api, suffix) == ("legacy", "keras"):
        pytest.skip("Keras stores no legacy optimizer in a .keras file")
    rate = schedules.cosine(0.5, 20, warmup=5)
    if api == "legacy":
        adam, shell = tf.keras.optimizers.legacy.Adam(rate), legacy
    else:
        adam, shell = tf.keras.optimizers.Adam(rate), optimizers
    diode = shell.Diode(rate)
    binary = lq.layers.QuantDense(
        3,
        kernel_quantizer=lq.quantizers.NoOp(precision=1),
        kernel_initializer=zx.initializers.BernoulliSign(seed=0),
    )
    model = tf.keras.Sequential(
        [tf.keras.Input((4,)), binary, tf.keras.layers.Dense(3)]
    )
    model.compile(
        shell.CaseOptimizer(
            (shell.Diode.is_binary_variable, diode), default_optimizer=adam
        ),
        "mse",
    )
    inputs, targets = np.ones((8, 4), np.float32), np.ones((8, 3), np.float32)
    model.fit(inputs, targets, epochs=3, verbose=0)
    model.save(tmp_path / f"model.{suffix}")
    loaded = tf.keras.models.load_model(tmp_path / f"model.{suffix}")
    for trained in (model, loaded):
        trained.fit(inputs, targets, epochs=4, initial_epoch=3, verbose=0)
    for own, read in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(own, read)
    for own, read in zip(model.optimizer.optimizers, loaded.optimizer.optimizers):
        assert read.get_config()["learning_rate"] == own.get_config()["learning_rate"]
