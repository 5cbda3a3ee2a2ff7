"""One table drives the tests of every optimizer, in both Keras APIs."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import larq as lq
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from larq_bnnopt.optimizers import (
    Bop,
    Bop2ndOrder,
    Diode,
    GradientFilter,
    IIRFilter,
    legacy,
    rules,
)

STEPS = 20


def steps(values):
    """A schedule that changes after nine steps."""
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay([9], values)


@dataclasses.dataclass
class Case:
    """An optimizer in both APIs, and the rule that it must follow."""

    new: type
    legacy: type | None
    arguments: dict[str, Any]
    states: int
    rule: Callable  # (gradient, theta, state, number of the step) -> theta, state
    # A schedule that ends all flips, `None` where nothing is scheduled.
    freeze: dict[str, Any] | None = None


def diode_rule(gradient, theta, state, step):
    theta, *state = rules.diode(gradient, theta, *state, eta=1.0, alpha=0.8, beta=0.95)
    return theta, tuple(state)


def filter_rule(gradient, theta, state, step):
    return rules.gradient_filter(gradient, theta, state, alpha=0.05, gamma=0.2)


B, A = scipy.signal.butter(3, 0.2)


def iir_rule(gradient, theta, state, step):
    return rules.iir_filter(gradient, theta, state, b=tuple(B), a=tuple(A))


def bop_rule(gradient, theta, state, step):
    theta, m = rules.bop(gradient, theta, *state, gamma=0.2, threshold=0.01)
    return theta, (m,)


def second_order_rule(gradient, theta, state, step, unbias=(1.0, 1.0)):
    theta, *state = rules.bop_second_order(
        gradient, theta, *state, gamma=0.2, sigma=0.1, threshold=0.05, unbias=unbias
    )
    return theta, tuple(state)


def unbiased_rule(gradient, theta, state, step):
    unbias = (1 - 0.8**step, 1 - 0.9**step)
    return second_order_rule(gradient, theta, state, step, unbias)


SECOND_ORDER = {"gamma": 0.2, "sigma": 0.1, "threshold": 0.05}
CASES = {
    "diode": Case(
        Diode,
        legacy.Diode,
        {"alpha": 0.8, "beta": 0.95},
        2,
        diode_rule,
        {"learning_rate": steps([0.5, 0.0])},
    ),
    "filter": Case(
        GradientFilter,
        legacy.GradientFilter,
        {"alpha": 0.05, "gamma": 0.2},
        2,
        filter_rule,
        {"alpha": steps([0.5, 0.0])},
    ),
    "filter_order_1": Case(
        GradientFilter,
        legacy.GradientFilter,
        {"alpha": 0.05, "order": 1},
        1,
        filter_rule,
        {"alpha": steps([0.5, 0.0])},
    ),
    "iir": Case(IIRFilter, legacy.IIRFilter, {"b": list(B), "a": list(A)}, 3, iir_rule),
    "bop": Case(
        Bop,
        None,
        {"gamma": 0.2, "threshold": 0.01},
        1,
        bop_rule,
        {"gamma": steps([0.5, 0.0])},
    ),
    "bop_second_order": Case(
        Bop2ndOrder,
        legacy.Bop2ndOrder,
        SECOND_ORDER,
        2,
        second_order_rule,
        {"threshold": steps([1e-3, 1e9])},
    ),
    "bop_unbiased": Case(
        Bop2ndOrder,
        legacy.Bop2ndOrder,
        {**SECOND_ORDER, "bias_correction": True},
        2,
        unbiased_rule,
        {"threshold": steps([1e-3, 1e9])},
    ),
}
both_apis = pytest.mark.parametrize("api", ["new", "legacy"])
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_case_and_api = pytest.mark.parametrize(
    "case, api",
    [
        pytest.param(case, api, id=f"{name}-{api}")
        for name, case in CASES.items()
        for api in ("new", "legacy")
        if getattr(case, api) is not None
    ],
)


def binary_variable(shape=(40,), seed=1):
    values = np.sign(np.random.default_rng(seed).normal(size=shape))
    return tf.Variable(values.astype(np.float32), name="kernel")


def make(case, api, **kwargs):
    return getattr(case, api)(**{**case.arguments, **kwargs})


@every_case_and_api
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
        theta, state = case.rule(tf.zeros_like(theta), theta, state, 1)
        step = tf.function(step, jit_compile=mode == "jit")
    flips = 0
    stream = np.random.default_rng(2).normal(size=(STEPS, 40))
    for number, gradient in enumerate(stream, start=1 if mode == "eager" else 2):
        before = variable.numpy()
        gradient = tf.constant(gradient, tf.float32)
        step(gradient)
        theta, state = case.rule(gradient, theta, state, number)
        np.testing.assert_array_equal(variable.numpy(), theta.numpy())
        flips += (variable.numpy() != before).sum()
    assert flips > 40
    if mode != "eager":
        assert step.experimental_get_tracing_count() == 1


@every_case_and_api
def test_config_survives_a_new_name(case, api):
    options = dict(case.freeze or {})
    if "on_zero" in make(case, api).get_config():
        options["on_zero"] = "positive"
    optimizer = make(case, api, name="mine", **options)
    copy = type(optimizer).from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert copy.get_config()["name"] == "mine"
    first, second = binary_variable(), binary_variable()
    for gradient in np.random.default_rng(2).normal(size=(STEPS, 40)):
        gradient = tf.constant(gradient, tf.float32)
        optimizer.apply_gradients([(gradient, first)])
        copy.apply_gradients([(gradient, second)])
        np.testing.assert_array_equal(first.numpy(), second.numpy())


@every_case_and_api
def test_a_schedule_that_stops_freezes_the_weights(case, api):
    if case.freeze is None:
        with pytest.raises(TypeError):
            make(case, api, alpha=steps([0.5, 0.0]))
        return
    optimizer, variable = make(case, api, **case.freeze), binary_variable()
    history = []
    for gradient in np.random.default_rng(2).normal(size=(STEPS, 40)):
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
        history.append(variable.numpy())
    flips = (np.diff(history, axis=0) != 0).any(axis=1)
    # Step 10 is the first to read the schedule after its change.
    assert flips[:9].any() and not flips[9:].any()


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
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_averages_are_float32_whatever_the_weights_are(api, dtype):
    variable = tf.Variable(tf.ones(4, dtype), name="half")
    optimizer = make(CASES["diode"], api)
    optimizer.apply_gradients([(tf.ones(4, dtype), variable)])
    kept = optimizer.variables if api == "new" else optimizer.weights
    assert {v.dtype for v in kept if v.shape.rank} == {tf.float32}
    assert tf.cast(variable, tf.float32).numpy().tolist() == [-1] * 4


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
        (lambda c: c["iir"]([1.0], [0.0]), r"a\[0\] must not be 0"),
        (lambda c: c["iir"]([1.0], [1.0, -1.0]), "The filter is not stable"),
        (lambda c: c["bop_second_order"](threshold=-1.0), "threshold must be at least"),
        (lambda c: c["bop_second_order"](gamma=0.0), r"gamma must be in \(0, 1\]"),
        (lambda c: c["bop_second_order"](epsilon=0.0), "epsilon must be positive"),
        (
            lambda c: c["bop_second_order"](gamma=1.0, bias_correction=True),
            "bias_correction needs a constant gamma and sigma below 1",
        ),
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


def test_only_latent_free_kernels_are_claimed():
    def variables(layer):
        layer.build((None, 3))
        return layer.trainable_variables

    free = lq.layers.QuantDense(2, kernel_quantizer=lq.quantizers.NoOp(1))
    latent = lq.layers.QuantDense(2, kernel_quantizer="ste_sign")
    for predicate in (Diode.is_binary_variable, legacy.Diode.is_binary_variable):
        assert [predicate(v) for v in variables(free)] == [True, False]
        assert [predicate(v) for v in variables(latent)] == [False, False]


def test_bop_is_larqs_bop_where_that_is_defined():
    """On random gradients, whose averages never equal the threshold."""
    ours, theirs = binary_variable(), binary_variable()
    new = Bop(threshold=0.01, gamma=0.1)
    old = lq.optimizers.Bop(threshold=0.01, gamma=0.1)
    flips = 0
    for gradient in np.random.default_rng(2).normal(size=(100, 40)):
        before = ours.numpy()
        gradient = tf.constant(gradient, tf.float32)
        new.apply_gradients([(gradient, ours)])
        old.apply_gradients([(gradient, theirs)])
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        flips += (ours.numpy() != before).sum()
    assert flips > 100


def test_bop_flips_no_weight_at_the_threshold():
    variable = tf.Variable([1.0, -1.0, 1.0, -1.0])
    Bop(threshold=0.0, gamma=1.0).apply_gradients(
        [(tf.constant([0.0, 0.0, 1.0, 1.0]), variable)]
    )
    assert variable.numpy().tolist() == [1, -1, -1, -1]


@pytest.mark.parametrize("name", ["filter", "iir", "bop", "bop_second_order"])
def test_there_is_no_learning_rate_to_set(name):
    optimizer = make(CASES[name], "new")
    with pytest.raises(AttributeError, match="has no learning rate"):
        optimizer.learning_rate = 0.1
    assert not hasattr(optimizer, "learning_rate")


@both_apis
@pytest.mark.parametrize("total", [1, 10, 1000, 30_000, 10**7])
def test_averages_fit_the_length_of_a_run(api, total):
    """Diode ends at the paper's constants; both decay to nothing."""
    diode = getattr(CASES["diode"], api).for_steps(total)
    assert 1 / (1 - float(diode.alpha)) == pytest.approx(
        np.clip(total / 200, 1, 100), rel=1e-9
    )
    assert 1 / (1 - float(diode.beta)) == pytest.approx(
        np.clip(total / 3, 1, 10_000), rel=1e-9
    )
    filtered = getattr(CASES["filter"], api).for_steps(total, order=1)
    assert filtered.order == 1 and float(filtered.gamma) == pytest.approx(0.1)
    eta = diode.get_config()["learning_rate"]["config"]
    alpha = filtered.get_config()["alpha"]["config"]
    assert (eta["initial_learning_rate"], eta["decay_steps"]) == (1.0, total)
    assert alpha["initial_learning_rate"] == pytest.approx(np.clip(10 / total, 1e-5, 1))
    assert alpha["decay_steps"] == total and alpha["alpha"] == 0.0


@both_apis
@pytest.mark.parametrize("name", ["diode", "filter"])
def test_arguments_replace_the_rule_of_for_steps(api, name):
    kind = getattr(CASES[name], api)
    assert float(kind.for_steps(100, alpha=0.25).alpha) == 0.25
    with pytest.raises(ValueError, match="whole number of steps"):
        kind.for_steps(0)


# Zeros, the smallest subnormal number, subnormal and normal ones, large ones.
EDGES = [0.0, 2.0**-149, 2.0**-127, 2.0**-126, 2.0**-24, 1.0, 2.0**15, 2.0**60]


@every_case_and_api
@pytest.mark.parametrize(
    "dtype, state_dtype",
    [
        ("float32", "float32"),
        ("float16", "bfloat16"),
        pytest.param("bfloat16", "float32", marks=pytest.mark.slow),
        pytest.param("float64", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_weights_are_binary_after_any_gradient(case, api, dtype, state_dtype):
    """Any start, any gradient: also zeros, subnormal and large numbers."""
    optimizer = make(case, api, state_dtype=state_dtype)
    variable = tf.Variable(tf.ones(8, dtype))
    optimizer.apply_gradients([(tf.zeros(8, dtype), variable)])
    kept = optimizer.variables if api == "new" else optimizer.weights
    edges = EDGES if dtype != "float16" else EDGES[:-1]
    gradients = st.lists(
        st.sampled_from(edges + [-edge for edge in edges]) | st.floats(-9, 9),
        min_size=16,
        max_size=16,
    )
    starts = st.lists(st.floats(-2, 2), min_size=8, max_size=8)

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(start=starts, stream=gradients)
    def check(start, stream):
        variable.assign(tf.cast(tf.constant(start, tf.float64), dtype))
        for value in kept:
            if value.shape.rank:
                value.assign(tf.zeros_like(value))
        for gradient in np.reshape(stream, (2, 8)):
            optimizer.apply_gradients([(tf.cast(gradient, dtype), variable)])
            theta = tf.cast(variable, tf.float64).numpy()
            assert set(theta.tolist()) <= {-1.0, 1.0}

    check()


@every_case_and_api
@pytest.mark.parametrize(
    "option",
    [
        {"clipnorm": 1.0},
        pytest.param({"clipvalue": 0.1}, marks=pytest.mark.slow),
        pytest.param({"global_clipnorm": 1.0}, marks=pytest.mark.slow),
    ],
)
def test_gradients_are_clipped_as_keras_clips_them(case, api, option):
    """One optimizer clips, the other gets the gradients clipped: they agree."""
    clipping, other = make(case, api, **option), make(case, api)
    ours = [binary_variable((5, 4), seed) for seed in (1, 2)]
    theirs = [binary_variable((5, 4), seed) for seed in (1, 2)]
    generator = np.random.default_rng(4)
    changed = 0
    for _ in range(STEPS):
        gradients = [
            tf.constant(generator.normal(size=(5, 4)), tf.float32) for _ in ours
        ]
        if "clipnorm" in option:
            clipped = [tf.clip_by_norm(g, 1.0) for g in gradients]
        elif "clipvalue" in option:
            clipped = [tf.clip_by_value(g, -0.1, 0.1) for g in gradients]
        else:
            clipped = tf.clip_by_global_norm(gradients, 1.0)[0]
        changed += any(
            (a.numpy() != b.numpy()).any() for a, b in zip(gradients, clipped)
        )
        clipping.apply_gradients(zip(gradients, ours))
        other.apply_gradients(zip(clipped, theirs))
        for one, two in zip(ours, theirs):
            np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert changed == STEPS


@every_case_and_api
def test_variables_of_equal_shapes_have_their_own_state(case, api):
    """As if each were trained alone."""
    optimizer = make(case, api)
    first, second = binary_variable(seed=1), binary_variable(seed=2)
    alone = make(case, api)
    copy = tf.Variable(tf.convert_to_tensor(second))
    for number in range(STEPS):
        gradient = tf.constant(
            np.random.default_rng(number).normal(size=40), tf.float32
        )
        optimizer.apply_gradients([(-gradient, first), (gradient, second)])
        alone.apply_gradients([(gradient, copy)])
        np.testing.assert_array_equal(second.numpy(), copy.numpy())
    assert (first.numpy() != second.numpy()).any()


@every_case_and_api
def test_a_hyperparameter_is_set_as_a_learning_rate_is(case, api):
    """By an assignment that reaches a traced step and a saved file."""
    optimizer, other = make(case, api), binary_variable()
    for name in optimizer.scheduled:
        old = getattr(optimizer, name)
        setattr(optimizer, name, 0.25)
        assert getattr(optimizer, name) is old and float(old) == 0.25
        assert optimizer.get_config()[name] == 0.25
        with pytest.raises(TypeError, match=f"{name} was made as a"):
            setattr(optimizer, name, steps([0.5, 0.0]))
        with pytest.raises(ValueError, match=f"{name} must be .* Received: -3"):
            setattr(optimizer, name, -3.0)
        # A callback may set the variable itself, and the file must still be read.
        old.assign(0.0)
        copy = type(optimizer).from_config(optimizer.get_config())
        assert float(getattr(copy, name)) == 0.0
        old.assign(0.25)
    optimizer.apply_gradients([(tf.ones(40), other)])
    if case.freeze is not None:
        (name,) = case.freeze
        if name in optimizer.scheduled:
            scheduled = make(case, api, **case.freeze)
            with pytest.raises(TypeError, match=f"{name} was made as a Piecewise"):
                setattr(scheduled, name, 0.1)


@pytest.mark.parametrize(
    "new, old",
    [
        (Diode, legacy.Diode),
        (GradientFilter, legacy.GradientFilter),
        (IIRFilter, legacy.IIRFilter),
        (Bop2ndOrder, legacy.Bop2ndOrder),
    ],
)
def test_both_apis_show_the_same_arguments(new, old):
    arguments = inspect.signature(new).parameters
    assert arguments == inspect.signature(old).parameters
    assert arguments["name"].default == new.__name__
    assert arguments["state_dtype"].default == "float32"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("option", ["lr", "decay"])
def test_former_options_are_refused(name, option):
    if CASES[name].legacy is not None:
        with pytest.raises(ValueError, match=f"no argument '{option}'"):
            make(CASES[name], "legacy", **{option: 0.1})
