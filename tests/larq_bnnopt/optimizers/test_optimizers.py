"""One table drives the tests of every optimizer, in both Keras APIs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.optimizers import Diode, GradientFilter, legacy, rules

STEPS = 20


@dataclasses.dataclass
class Case:
    """An optimizer in both APIs, beside the rule that it must follow."""

    new: type
    legacy: type
    arguments: dict[str, Any]
    states: int
    rule: Callable  # (gradient, theta, state) -> theta, state


def diode_rule(gradient, theta, state):
    theta, *state = rules.diode(gradient, theta, *state, eta=1.0, alpha=0.8, beta=0.95)
    return theta, tuple(state)


def filter_rule(gradient, theta, state):
    return rules.gradient_filter(gradient, theta, state, alpha=0.05, gamma=0.2)


CASES = {
    "diode": Case(Diode, legacy.Diode, {"alpha": 0.8, "beta": 0.95}, 2, diode_rule),
    "filter": Case(
        GradientFilter,
        legacy.GradientFilter,
        {"alpha": 0.05, "gamma": 0.2},
        2,
        filter_rule,
    ),
    "filter_order_1": Case(
        GradientFilter,
        legacy.GradientFilter,
        {"alpha": 0.05, "order": 1},
        1,
        filter_rule,
    ),
}
both_apis = pytest.mark.parametrize("api", ["new", "legacy"])
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def binary_variable(shape=(40,), seed=1):
    values = np.sign(np.random.default_rng(seed).normal(size=shape))
    return tf.Variable(values.astype(np.float32), name="kernel")


def make(case, api, **kwargs):
    return getattr(case, api)(**{**case.arguments, **kwargs})


@every_case
@both_apis
@pytest.mark.parametrize("mode", ["eager", "graph", "jit"])
def test_follows_its_rule(case, api, mode):
    optimizer, variable = make(case, api), binary_variable()
    theta = tf.constant(variable.numpy())
    state = (tf.zeros_like(theta),) * case.states

    def step(gradient):
        optimizer.apply_gradients([(gradient, variable)])

    if mode != "eager":
        # Legacy optimizers create their variables outside of a compiled function.
        step(tf.zeros_like(theta))
        theta, state = case.rule(tf.zeros_like(theta), theta, state)
        step = tf.function(step, jit_compile=mode == "jit")
    flips = 0
    for gradient in np.random.default_rng(2).normal(size=(STEPS, 40)):
        before = variable.numpy()
        gradient = tf.constant(gradient, tf.float32)
        step(gradient)
        theta, state = case.rule(gradient, theta, state)
        np.testing.assert_array_equal(variable.numpy(), theta.numpy())
        flips += (variable.numpy() != before).sum()
    assert flips > 40
    if mode != "eager":
        assert step.experimental_get_tracing_count() == 1


@every_case
@both_apis
def test_config_survives_a_new_name(case, api):
    schedule = tf.keras.optimizers.schedules.CosineDecay(0.05, 10)
    key = "learning_rate" if case.new is Diode else "alpha"
    optimizer = make(case, api, name="mine", on_zero="positive", **{key: schedule})
    copy = type(optimizer).from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert copy.get_config()["name"] == "mine"
    first, second = binary_variable(), binary_variable()
    for gradient in np.random.default_rng(2).normal(size=(STEPS, 40)):
        gradient = tf.constant(gradient, tf.float32)
        optimizer.apply_gradients([(gradient, first)])
        copy.apply_gradients([(gradient, second)])
        np.testing.assert_array_equal(first.numpy(), second.numpy())


@every_case
@both_apis
def test_sparse_gradients_equal_dense_ones(case, api):
    """Duplicate rows are summed before anything takes a sign."""
    dense, sparse = binary_variable((6, 5)), binary_variable((6, 5))
    one, other = make(case, api), make(case, api)
    generator = np.random.default_rng(3)
    for _ in range(STEPS):
        rows = generator.integers(0, 6, size=4)
        values = tf.constant(generator.normal(size=(4, 5)), tf.float32)
        full = tf.math.unsorted_segment_sum(values, rows, 6)
        one.apply_gradients([(full, dense)])
        slices = tf.IndexedSlices(values, tf.constant(rows), tf.constant([6, 5]))
        other.apply_gradients([(slices, sparse)])
        np.testing.assert_array_equal(dense.numpy(), sparse.numpy())


@every_case
def test_a_schedule_that_stops_freezes_the_weights(case):
    stops = tf.keras.optimizers.schedules.PiecewiseConstantDecay([9], [0.5, 0.0])
    key = "learning_rate" if case.new is Diode else "alpha"
    for api in ("new", "legacy"):
        optimizer, variable = make(case, api, **{key: stops}), binary_variable()
        history = []
        for gradient in np.random.default_rng(2).normal(size=(STEPS, 40)):
            optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
            history.append(variable.numpy())
        flips = (np.diff(history, axis=0) != 0).any(axis=1)
        assert flips[:9].any() and not flips[9:].any(), api


@both_apis
@pytest.mark.parametrize("inertia, survives", [(0.0, 0), (0.5, 1)])
def test_initial_inertia_lets_a_start_survive(api, inertia, survives):
    optimizer = make(CASES["diode"], api, initial_inertia=inertia, learning_rate=4.0)
    variable = binary_variable()
    start = variable.numpy()
    optimizer.apply_gradients([(tf.constant(start), variable)])
    assert (variable.numpy() == start).mean() == survives


@both_apis
def test_inertia_needs_a_first_vote(api):
    warmup = tf.keras.optimizers.schedules.PolynomialDecay(0.0, 100, 1.0)
    optimizer = make(CASES["diode"], api, initial_inertia=0.5, learning_rate=warmup)
    with pytest.raises(ValueError, match="first learning rate, which is 0"):
        optimizer.apply_gradients([(tf.zeros(40), binary_variable())])


@both_apis
def test_averages_are_float32_or_a_warning_says_so(api):
    variable = tf.Variable(tf.ones(4, tf.float16), name="half")
    optimizer = make(CASES["diode"], api)
    if api == "legacy":
        with pytest.warns(UserWarning, match="half:0 in float16"):
            optimizer.apply_gradients([(tf.ones(4, tf.float16), variable)])
    else:
        optimizer.apply_gradients([(tf.ones(4, tf.float16), variable)])
        assert {v.dtype for v in optimizer.variables[2:]} == {tf.float32}
    assert variable.numpy().tolist() == [-1] * 4


@both_apis
def test_weights_that_are_not_binary_are_named(api):
    variable = tf.Variable([0.3, -0.2, 0.0], name="latent_kernel")
    optimizer = make(CASES["diode"], api)
    with pytest.warns(UserWarning, match="latent_kernel.*BernoulliSign"):
        optimizer.apply_gradients([(tf.zeros(3), variable)])
    assert variable.numpy().tolist() == [1, -1, 1]


@both_apis
@pytest.mark.parametrize(
    "make_wrong, message",
    [
        (lambda c: c["diode"](alpha=1.0), r"alpha must be in \[0, 1\). Received: 1.0"),
        (lambda c: c["diode"](beta=-0.1), r"beta must be in \[0, 1\)"),
        (
            lambda c: c["diode"](initial_inertia=-1),
            "initial_inertia must be at least 0",
        ),
        (lambda c: c["diode"](on_zero="x"), "on_zero must be one of .* Received: 'x'"),
        (lambda c: c["filter"](alpha=0.0), r"alpha must be in \(0, 1\]"),
        (lambda c: c["filter"](gamma=1.5), r"gamma must be in \(0, 1\]"),
        (lambda c: c["filter"](order=3), "order must be 1 or 2. Received: 3"),
    ],
)
def test_wrong_arguments_are_refused(api, make_wrong, message):
    classes = {name: getattr(case, api) for name, case in CASES.items()}
    with pytest.raises(ValueError, match=message):
        make_wrong(classes)


@every_case
@pytest.mark.parametrize("option", [{"use_ema": True}, {"weight_decay": 0.1}])
def test_averages_and_decay_of_binary_weights_are_refused(case, option):
    with pytest.raises(ValueError, match=f"Received: {next(iter(option))}"):
        make(case, "new", **option)


def test_only_kernels_that_are_binary_themselves_are_claimed():
    def variables(layer):
        layer.build((None, 3))
        return layer.trainable_variables

    free = lq.layers.QuantDense(2, kernel_quantizer=lq.quantizers.NoOp(1))
    latent = lq.layers.QuantDense(2, kernel_quantizer="ste_sign")
    for predicate in (Diode.is_binary_variable, legacy.Diode.is_binary_variable):
        assert [predicate(v) for v in variables(free)] == [True, False]
        assert [predicate(v) for v in variables(latent)] == [False, False]
