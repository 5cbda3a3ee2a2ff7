"""Every option of Keras's optimizers, set late, works as in Keras or is refused."""

import functools
import inspect
import warnings

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.optimizers import (
    Bop,
    Bop2ndOrder,
    CaseOptimizer,
    Diode,
    GradientFilter,
    IIRFilter,
    legacy,
)

schedules = tf.keras.optimizers.schedules
KERAS = {"new": tf.keras.optimizers, "legacy": tf.keras.optimizers.legacy}
CASE = {"new": CaseOptimizer, "legacy": legacy.CaseOptimizer}
FLIPS = {
    "diode": Diode,
    "filter": GradientFilter,
    "iir": lambda **options: IIRFilter([0.1, 0.1], [1.0, -0.8], **options),
    "bop": Bop,
    "bop_second_order": Bop2ndOrder,
    "legacy_diode": legacy.Diode,
    "legacy_filter": legacy.GradientFilter,
    "legacy_iir": lambda **o: legacy.IIRFilter([0.1, 0.1], [1.0, -0.8], **o),
    "legacy_bop_second_order": legacy.Bop2ndOrder,
}
slow = pytest.mark.slow
both_apis = pytest.mark.parametrize("api", ["new", "legacy"])
every_flip = pytest.mark.parametrize("kind", FLIPS)
GRADIENTS = ([30.0, -40.0], [0.3], [-2.0, 7.0])


@tf.keras.saving.register_keras_serializable("switches")
def is_first(variable):
    return "first" in variable.name


@tf.keras.saving.register_keras_serializable("switches")
def is_binary(variable):
    return "binary" in variable.name


def variables():
    names = ("first/kernel", "second/bias", "second/kernel")
    starts = ([1.0, -2.0], [0.5], [3.0, 0.25])
    return [tf.Variable(start, name=name) for start, name in zip(starts, names)]


def one_of_keras(api, name="SGD", **options):
    return getattr(KERAS[api], name)(0.1, **options)


def two_in_one(api, name="SGD", **options):
    """A CaseOptimizer that must equal one optimizer of all variables."""
    return CASE[api](
        (is_first, one_of_keras(api, name, **options)),
        default_optimizer=one_of_keras(api, name, **options),
    )


def after_steps(optimizer, steps=3):
    held = variables()
    for step in range(1, steps + 1):
        gradients = [tf.constant(gradient) / step for gradient in GRADIENTS]
        optimizer.apply_gradients(list(zip(gradients, held)))
    return [variable.numpy() for variable in held]


def assert_equal(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def set_all(optimizer, switches):
    for name, value in switches.items():
        setattr(optimizer, name, value)
    return optimizer


@both_apis
@pytest.mark.parametrize(
    "switches",
    [
        {"clipnorm": 0.5},
        {"clipvalue": 0.1},
        {"global_clipnorm": 0.1},
        {"clipnorm": 0.5, "clipvalue": 0.1},
        {"global_clipnorm": 1e9},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["SGD", pytest.param("Adam", marks=slow)])
def test_clipping_equals_that_of_one_optimizer_for_all(api, switches, kind):
    expected = after_steps(set_all(one_of_keras(api, kind), switches))
    ours = set_all(two_in_one(api, kind), switches)
    assert_equal(after_steps(ours), expected)
    plain = after_steps(one_of_keras(api, kind))
    if "global_clipnorm" not in switches or switches["global_clipnorm"] < 1:
        assert any((one != other).any() for one, other in zip(expected, plain))
    copy = type(ours).from_config(ours.get_config())
    with warnings.catch_warnings():
        # Another test is about the warning of averages that were not saved.
        warnings.simplefilter("ignore")
        assert_equal(after_steps(copy), expected)


@both_apis
def test_clipping_sees_the_mean_of_the_batches(api):
    """Not each batch: the mean makes the step, and is clipped."""
    optimizer = CASE[api](
        (is_first, one_of_keras(api)),
        default_optimizer=one_of_keras(api),
        accumulate_steps=3,
    )
    optimizer.global_clipnorm = 0.5
    mean = np.mean([1.0, 1 / 2, 1 / 3])
    held = variables()
    reference = one_of_keras(api, global_clipnorm=0.5)
    reference.apply_gradients(
        [(tf.constant(g) * mean, v) for g, v in zip(GRADIENTS, held)]
    )
    assert_equal(after_steps(optimizer), [variable.numpy() for variable in held])


def test_global_clipping_bounds_the_step():
    optimizer = two_in_one("new")
    optimizer.global_clipnorm = 0.1
    held = variables()
    pairs = [(tf.fill(v.shape, 1000.0), v) for v in held]
    before = np.concatenate([v.numpy() for v in held])
    optimizer.apply_gradients(pairs)
    moved = np.concatenate([v.numpy() for v in held]) - before
    assert np.linalg.norm(moved) == pytest.approx(0.1 * 0.1, rel=1e-4)


def test_transformers_of_legacy_gradients_work_on_all():
    def doubled(pairs):
        return [(2 * gradient, variable) for gradient, variable in pairs]

    expected = after_steps(one_of_keras("legacy", gradient_transformers=[doubled]))
    ours = set_all(two_in_one("legacy"), {"gradient_transformers": [doubled]})
    assert_equal(after_steps(ours), expected)


@pytest.mark.parametrize(
    "excluded",
    [
        lambda held: {"var_names": ["bias"]},
        lambda held: {"var_names": ["gamma", "kernel"]},
        lambda held: {"var_list": [held[2]]},
    ],
    ids=["names", "several_names", "variables"],
)
def test_exclusion_from_weight_decay_reaches_the_optimizers(excluded):
    def stepped(optimizer):
        held = variables()
        optimizer.exclude_from_weight_decay(**excluded(held))
        optimizer.apply_gradients([(tf.zeros_like(v), v) for v in held])
        return [variable.numpy() for variable in held]

    options = {"name": "AdamW", "weight_decay": 0.04}
    expected = stepped(one_of_keras("new", **options))
    assert_equal(stepped(two_in_one("new", **options)), expected)
    with pytest.raises(ValueError, match="before"):
        built = two_in_one("new", **options)
        after_steps(built)
        built.exclude_from_weight_decay(var_names=["bias"])


def test_exclusion_skips_binary_kernels():
    optimizer = CaseOptimizer(
        (is_binary, Diode()),
        default_optimizer=one_of_keras("new", "AdamW", weight_decay=0.04),
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma"])
    gamma = tf.Variable([2.0], name="norm/gamma")
    kernel = tf.Variable([1.0, -1.0], name="binary/kernel")
    optimizer.apply_gradients([(tf.zeros(1), gamma), (tf.zeros(2), kernel)])
    assert gamma.numpy().tolist() == [2.0] and kernel.numpy().tolist() == [1.0, -1.0]
    with pytest.raises(ValueError, match="Diode has no weight decay"):
        Diode().exclude_from_weight_decay(var_names=["gamma"])


@both_apis
def test_options_of_one_optimizer_are_refused_for_all(api):
    optimizer = two_in_one(api)
    for name, value in {
        "weight_decay": 0.01,
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 3,
    }.items():
        with pytest.raises(ValueError, match=f"default_optimizer=.*Received: {name}="):
            setattr(optimizer, name, value)
    set_all(optimizer, {"weight_decay": None, "use_ema": False, "ema_momentum": 0.99})
    assert_equal(after_steps(optimizer), after_steps(one_of_keras(api)))


@pytest.mark.parametrize("overwrite", [None, 2])
def test_weight_averages_of_each_optimizer_equal_those_of_one(overwrite):
    """The remedy that the refusal names."""
    options = {
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": overwrite,
    }

    def finished(optimizer):
        held = variables()
        for _ in range(3):
            optimizer.apply_gradients(
                [(tf.constant(g), v) for g, v in zip(GRADIENTS, held)]
            )
        optimizer.finalize_variable_values(held)
        return [variable.numpy() for variable in held]

    expected = finished(one_of_keras("new", **options))
    assert_equal(finished(two_in_one("new", **options)), expected)


@every_flip
@pytest.mark.parametrize(
    "name, value",
    [
        ("use_ema", True),
        ("weight_decay", 0.1),
        ("weight_decay", float("nan")),
        ("ema_momentum", 0.5),
        ("ema_overwrite_frequency", 1),
    ],
)
def test_binary_weights_have_no_decay_and_no_average(kind, name, value):
    optimizer = FLIPS[kind]()
    with pytest.raises(ValueError, match=rf"\{{-1, \+1\}}.*Received: {name}="):
        setattr(optimizer, name, value)
    if not kind.startswith("legacy"):
        with pytest.raises(ValueError, match=f"Received: {name}="):
            FLIPS[kind](**{name: value})


def flipped_by(optimizer, first=None):
    kernel = tf.Variable(tf.where(tf.range(24) % 2 == 0, 1.0, -1.0), name="binary/k")
    if first:
        set_all(optimizer, first)
    stream = np.random.default_rng(3).standard_t(1.5, size=(12, 24))
    for gradient in stream:
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), kernel)])
    return kernel.numpy()


@pytest.mark.parametrize(
    "kind, options",
    [
        (GradientFilter, {"alpha": 0.2, "gamma": 0.4}),
        (Bop, {"threshold": 0.02, "gamma": 0.3}),
        (Diode, {"alpha": 0.8, "beta": 0.5}),
        pytest.param(legacy.GradientFilter, {"alpha": 0.2, "gamma": 0.4}, marks=slow),
        pytest.param(legacy.Diode, {"alpha": 0.8, "beta": 0.5}, marks=slow),
    ],
)
@pytest.mark.parametrize("clip", [{"clipnorm": 0.5}, {"clipvalue": 0.05}], ids=str)
def test_clipping_of_flips_may_be_set_late(kind, options, clip):
    """Clipping the outliers of a heavy tail changes signs."""
    expected = flipped_by(kind(**options, **clip))
    np.testing.assert_array_equal(flipped_by(kind(**options), clip), expected)
    if clip == {"clipvalue": 0.05}:
        assert (flipped_by(kind(**options)) != expected).any()


@pytest.mark.parametrize("make", [Diode, Bop, two_in_one, legacy.Diode])
@pytest.mark.parametrize("name", ["clipnorm", "global_clipnorm", "clipvalue"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), "0.1", [1.0]], ids=str)
def test_clipping_is_a_number(make, name, value):
    optimizer = make("new") if make is two_in_one else make()
    with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
        setattr(optimizer, name, value)
    setattr(optimizer, name, None)


HYPERPARAMETERS = [
    (Bop, "gamma", r"in \(0, 1\]", [5.0, 0.0, -0.1]),
    (Bop, "threshold", "at least 0", [-1e-9]),
    (Bop2ndOrder, "gamma", r"in \(0, 1\]", [1.1]),
    (Bop2ndOrder, "sigma", r"in \(0, 1\]", [2, np.float32(0)]),
    (Bop2ndOrder, "threshold", "at least 0", [-1]),
    (Diode, "alpha", r"in \[0, 1\)", [1.0, -0.5]),
    (Diode, "beta", r"in \[0, 1\)", [1, np.inf]),
    (Diode, "learning_rate", "at least 0 and finite", [-1.0, np.inf]),
    (Diode, "lr", "at least 0 and finite", [-1.0]),
    (GradientFilter, "alpha", r"in \(0, 1\]", [0, 1.5]),
    (GradientFilter, "gamma", r"in \(0, 1\]", [-1]),
    (legacy.Diode, "learning_rate", "at least 0 and finite", [-1.0]),
    (legacy.Diode, "lr", "at least 0 and finite", [-2]),
    (legacy.Diode, "beta", r"in \[0, 1\)", [1.0]),
    (legacy.GradientFilter, "alpha", r"in \(0, 1\]", [0]),
    (legacy.Bop2ndOrder, "sigma", r"in \(0, 1\]", [0]),
]


@pytest.mark.parametrize("kind, name, allowed, wrong", HYPERPARAMETERS)
def test_constants_are_checked_when_they_are_made_and_set(kind, name, allowed, wrong):
    optimizer = kind()
    before = float(tf.convert_to_tensor(getattr(optimizer, name)))
    for value in [*wrong, float("nan")]:
        with pytest.raises(ValueError, match=f"{name} must be {allowed}"):
            setattr(optimizer, name, value)
        if name != "lr":
            with pytest.raises(ValueError, match=f"{name} must be {allowed}"):
                kind(**{name: value})
    for value in ("0.5", b"0.5", [0.5, 0.5], {1, 2}, None):
        with pytest.raises((TypeError, ValueError), match=f"{name} must be a number"):
            setattr(optimizer, name, value)
    assert float(tf.convert_to_tensor(getattr(optimizer, name))) == before
    setattr(optimizer, name, 0.5)
    assert float(tf.convert_to_tensor(getattr(optimizer, name))) == 0.5


@pytest.mark.parametrize(
    "kind, options, message",
    [
        (Diode, {"initial_inertia": float("nan")}, "initial_inertia must be at least"),
        (Diode, {"initial_inertia": "1"}, "initial_inertia must be a number"),
        (Bop2ndOrder, {"epsilon": float("nan")}, "epsilon must be positive and finite"),
        (Bop2ndOrder, {"epsilon": None}, "epsilon must be a number"),
        (IIRFilter, {"b": [np.nan], "a": [1.0]}, "finite"),
        (IIRFilter, {"b": [1.0], "a": [1.0, np.inf]}, "finite"),
        (Diode, {"lr": 0.1}, "no argument 'lr'"),
        (Bop, {"lr": 0.1}, "no argument 'lr'"),
        (legacy.Diode, {"lr": 0.1}, "no argument 'lr'"),
        (Diode, {"decay": 0.1}, "decay"),
        (legacy.Diode, {"decay": 0.1}, "no argument 'decay'"),
        (Bop, {"learning_rate": 0.1}, "learning_rate"),
    ],
)
def test_arguments_that_would_do_nothing_or_harm_are_refused(kind, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**options)


@every_flip
def test_fixed_arguments_cannot_be_set_later(kind):
    optimizer = FLIPS[kind]()
    for name in type(optimizer).fixed:
        given = getattr(optimizer, name, None)
        if given is None:
            continue
        setattr(optimizer, name, given)
        with pytest.raises(AttributeError, match=f"{name} of .* is fixed"):
            setattr(optimizer, name, "positive" if name == "on_zero" else 0.125)
    if "eta" not in type(optimizer).ranges:
        for name in ("learning_rate", "lr"):
            with pytest.raises(AttributeError, match="has no learning rate"):
                setattr(optimizer, name, 0.1)


@tf.keras.saving.register_keras_serializable("switches")
class From(schedules.LearningRateSchedule):
    """A value, and from a step on another one."""

    def __init__(self, first, step, then):
        self.first, self.step, self.then = first, step, then

    def __call__(self, step):
        return tf.where(tf.cast(step, tf.float32) < self.step, self.first, self.then)

    def get_config(self):
        return {"first": self.first, "step": self.step, "then": self.then}


LEAVING = [
    (Bop, "gamma", 2.0),
    (Bop, "threshold", -1.0),
    (Bop2ndOrder, "gamma", 7.0),
    (Bop2ndOrder, "sigma", -0.5),
    (GradientFilter, "alpha", float("nan")),
    (GradientFilter, "gamma", 1.5),
    (Diode, "learning_rate", -1.0),
    (Diode, "learning_rate", float("nan")),
    (legacy.Diode, "learning_rate", -1.0),
    (legacy.GradientFilter, "alpha", 3.0),
    (legacy.Bop2ndOrder, "gamma", 3.0),
]


@pytest.mark.parametrize(
    "kind, name, wrong, mode",
    [
        pytest.param(*row, mode, marks=slow if mode == "graph" and index % 4 else ())
        for mode in ("eager", "graph")
        for index, row in enumerate(LEAVING)
    ],
)
def test_a_schedule_that_leaves_its_range_is_reported_by_name_and_step(
    kind, name, wrong, mode
):
    optimizer = kind(**{name: From(0.5, 3.0, wrong)})
    kernel = tf.Variable([1.0, -1.0, 1.0, -1.0], name="binary/k")

    def step(gradient):
        optimizer.apply_gradients([(gradient, kernel)])

    gradient = tf.constant([0.5, -0.25, -1.0, 2.0])
    step(gradient)
    if mode == "graph":
        step = tf.function(step)
    step(gradient)
    step(gradient)
    shown = "eta" if name == "learning_rate" else name
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        step(gradient)
    text = " ".join(str(caught.value).split())
    assert kind.__name__ in text and f"{shown} must be" in text, text
    assert "at step" in text and "3" in text.partition("at step")[2][:8]
    assert set(np.abs(kernel.numpy())) == {1.0}


@pytest.mark.parametrize(
    "kind, name, wrong",
    [
        pytest.param(*row, marks=slow if index % 3 else ())
        for index, row in enumerate(LEAVING[:8])
    ],
)
def test_in_a_step_of_xla_it_is_clipped_to_its_range(kind, name, wrong):
    """There no error can be raised; the kernels stay binary."""
    optimizer = kind(**{name: From(0.5, 3.0, wrong)})
    end = 1.0 if wrong > 1 else 0.0
    held = kind(**{name: From(0.5, 3.0, end)})
    stream = np.random.default_rng(4).normal(size=(40, 16)).astype(np.float32)
    found = []
    for each in (optimizer, held):
        kernel = tf.Variable(tf.ones(16), name="binary/k")
        each.build([kernel])
        step = tf.function(
            lambda g, o=each, k=kernel: o.apply_gradients([(g, k)]), jit_compile=True
        )
        for gradient in stream:
            step(tf.constant(gradient))
        found.append(kernel.numpy())
    np.testing.assert_array_equal(*found)
    assert set(np.abs(found[0])) == {1.0}


def test_a_value_that_a_callback_assigns_is_reported_too():
    optimizer = Bop(gamma=0.5)
    kernel = tf.Variable([1.0, -1.0], name="binary/k")
    optimizer.gamma.assign(5.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="gamma must be in"):
        optimizer.apply_gradients([(tf.ones(2), kernel)])
    optimizer.gamma.assign(1.0)
    optimizer.apply_gradients([(tf.ones(2), kernel)])
    assert kernel.numpy().tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("kind", [Bop2ndOrder, legacy.Bop2ndOrder])
def test_an_unbiased_average_with_a_rate_of_0_harms_no_weight(kind):
    optimizer = kind(gamma=0.5, sigma=0.5, threshold=0.1, bias_correction=True)
    kernel = tf.Variable([1.0, -1.0], name="binary/k")
    for name in ("gamma", "sigma"):
        getattr(optimizer, name).assign(0.0)
    optimizer.apply_gradients([(tf.constant([3.0, 0.0]), kernel)])
    assert kernel.numpy().tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda s: Bop(gamma=s), "gamma"),
        (lambda s: GradientFilter(alpha=s), "alpha"),
        (lambda s: Diode(s), "learning_rate"),
        (lambda s: legacy.Diode(s), "learning_rate"),
        (lambda s: legacy.Bop2ndOrder(sigma=s), "sigma"),
    ],
)
@pytest.mark.parametrize("start", [-0.5, float("nan")])
def test_a_schedule_that_starts_outside_is_refused_at_once(make, name, start):
    with pytest.raises(ValueError, match=rf"{name} must be .* at every step.*starts"):
        make(From(start, 3.0, 0.5))


def test_schedules_may_end_where_constants_may_not():
    """An update rate of 0 freezes the kernels, which is allowed."""
    optimizer = Bop(threshold=0.0, gamma=From(1.0, 1.0, 0.0))
    kernel = tf.Variable([1.0, -1.0], name="binary/k")
    optimizer.apply_gradients([(tf.constant([1.0, 1.0]), kernel)])
    optimizer.apply_gradients([(tf.constant([-9.0, -9.0]), kernel)])
    assert kernel.numpy().tolist() == [-1.0, -1.0]


class Unregistered(schedules.LearningRateSchedule):
    """As users write one."""

    def __init__(self, value):
        self.value = value

    def __call__(self, step):
        return tf.constant(self.value, tf.float32)

    def get_config(self):
        return {"value": self.value}


@pytest.mark.parametrize(
    "kind, name",
    [
        (Diode, "learning_rate"),
        (GradientFilter, "alpha"),
        (GradientFilter, "gamma"),
        (Bop, "threshold"),
        (Bop2ndOrder, "sigma"),
        (legacy.Diode, "learning_rate"),
        (legacy.GradientFilter, "alpha"),
        (legacy.Bop2ndOrder, "gamma"),
    ],
)
def test_custom_objects_reach_every_schedule(kind, name):
    given = {"Unregistered": Unregistered}
    config = kind(**{name: Unregistered(0.25)}).get_config()
    named = kind.from_config(config, custom_objects=given)
    placed = kind.from_config(kind(**{name: Unregistered(0.25)}).get_config(), given)
    for copy in (named, placed):
        assert copy.get_config()[name]["config"] == {"value": 0.25}


@pytest.mark.parametrize("kind", [IIRFilter, legacy.IIRFilter])
def test_custom_objects_may_be_passed_without_custom_schedules(kind):
    config = kind([0.1], [1.0, -0.5]).get_config()
    for copy in (kind.from_config(config, {}), kind.from_config(config, None)):
        assert copy.get_config() == config
    assert kind.from_config(config, custom_objects={}).get_config() == config


@both_apis
def test_custom_objects_reach_the_optimizers_of_a_case(api):
    diode = Diode if api == "new" else legacy.Diode
    optimizer = CASE[api](
        (is_binary, diode(Unregistered(0.5))),
        default_optimizer=KERAS[api].Adam(Unregistered(0.125)),
    )
    given = {"Unregistered": Unregistered}
    for copy in (
        CASE[api].from_config(optimizer.get_config(), given),
        CASE[api].from_config(optimizer.get_config(), custom_objects=given),
    ):
        configs = [each.get_config() for each in copy.optimizers]
        values = [config["learning_rate"]["config"]["value"] for config in configs]
        assert values == [0.5, 0.125]


@both_apis
def test_the_learning_rate_is_the_default_optimizers(api):
    optimizer = two_in_one(api)
    for name, rate in {"learning_rate": 0.5, "lr": 0.25}.items():
        setattr(optimizer, name, rate)
        inner = optimizer.default_optimizer.learning_rate
        assert float(inner) == float(optimizer.lr) == rate


def test_jit_compile_is_set_on_all_optimizers():
    optimizer = CaseOptimizer(
        (is_binary, Diode()), default_optimizer=one_of_keras("new")
    )
    optimizer.jit_compile = False
    assert not any(each.jit_compile for each in optimizer.optimizers)
    optimizer.jit_compile = True
    assert optimizer.jit_compile is True
    assert all(each.jit_compile for each in optimizer.optimizers)


@both_apis
def test_each_optimizer_counts_its_own_steps(api):
    optimizer = two_in_one(api)
    with pytest.raises(AttributeError, match=r"\*optimizer.optimizers"):
        optimizer.iterations = tf.Variable(7, dtype=tf.int64)
    after_steps(optimizer)
    for each in (optimizer, *optimizer.optimizers):
        each.iterations.assign(7)
    assert [int(o.iterations) for o in optimizer.optimizers] == [7, 7]


def test_a_single_variable_is_updated_by_its_optimizer():
    held, gradient = variables(), tf.constant([1.0, 1.0])
    optimizer = two_in_one("new")
    optimizer.build(held)
    optimizer.update_step(gradient, held[0])
    np.testing.assert_allclose(held[0].numpy(), [0.9, -2.1], rtol=1e-6)


def test_unknown_arguments_of_a_step_are_refused():
    with pytest.raises(TypeError, match="no argument agregate"):
        optimizer, held = two_in_one("new"), variables()
        optimizer.apply_gradients([(v, v) for v in held], agregate=True)


@both_apis
def test_a_step_of_no_variables_does_nothing_as_in_keras(api):
    optimizer = two_in_one(api)
    optimizer.apply_gradients([])
    assert_equal(after_steps(optimizer), after_steps(one_of_keras(api)))


def test_the_name_of_a_step_is_the_scope_of_its_operations():
    optimizer, held = two_in_one("new"), variables()
    optimizer.build(held)

    @tf.function
    def step():
        pairs = [(tf.ones_like(v), v) for v in held]
        optimizer.apply_gradients(pairs, name="mine")

    graph = step.get_concrete_function().graph
    assert any(op.name.startswith("mine/") for op in graph.get_operations())


def test_minimize_and_gradients_are_keras_s():
    ours, theirs = variables(), variables()
    for optimizer, held in ((two_in_one("new"), ours), (one_of_keras("new"), theirs)):

        def loss(held=held):
            return tf.add_n([tf.reduce_sum(v**2) for v in held])

        optimizer.minimize(loss, held)
        pairs = optimizer.compute_gradients(loss, held)
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
    assert_equal([v.numpy() for v in ours], [v.numpy() for v in theirs])


@both_apis
@pytest.mark.parametrize("name", ["default_optimizer", "optimizers", "predicates"])
def test_the_optimizers_of_a_case_stay(api, name):
    """They are fixed when the CaseOptimizer is made."""
    optimizer = two_in_one(api)
    before = getattr(optimizer, name)
    with pytest.raises(AttributeError, match=name):
        setattr(optimizer, name, [])
    assert getattr(optimizer, name) is before


@pytest.mark.parametrize("value", ["x", 1, None])
def test_jit_compile_must_be_a_boolean(value):
    with pytest.raises(TypeError, match="jit_compile must be True or False"):
        two_in_one("new").jit_compile = value


def test_a_boolean_is_no_number():
    with pytest.raises(TypeError, match=r"alpha must be a number\. Received: True"):
        Diode(alpha=True)


def test_slots_and_variables_of_legacy_optimizers_are_found():
    optimizer = two_in_one("legacy", "Adam")
    held = variables()
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in held])
    for variable in held:
        np.testing.assert_allclose(
            optimizer.get_slot(variable, "m").numpy(), 0.1, rtol=1e-6
        )
    assert len(optimizer.variables()) == len(optimizer.weights) == 1 + 2 + 2 * 3


# Each public name of Keras's optimizers, and where it is tested or why it needs none.
TREATED = {
    "add_variable",
    "add_variable_from_reference",
    "aggregate_gradients",
    "apply_gradients",
    "build",
    "clipnorm",
    "clipvalue",
    "compute_gradients",
    "ema_momentum",
    "ema_overwrite_frequency",
    "exclude_from_weight_decay",
    "finalize_variable_values",
    "from_config",
    "get_config",
    "global_clipnorm",
    "iterations",
    "jit_compile",
    "learning_rate",
    "load_own_variables",
    "lr",
    "minimize",
    "name",
    "save_own_variables",
    "set_weights",
    "update_step",
    "use_ema",
    "variables",
    "weight_decay",
}


def test_every_option_of_keras_is_in_the_table():
    optimizer = tf.keras.optimizers.Optimizer
    public = {name for name in dir(optimizer) if not name.startswith("_")}
    options = set(inspect.signature(optimizer.__init__).parameters)
    assert (public | options) - {"self", "kwargs"} <= TREATED


def test_variables_that_are_added_are_saved():
    optimizer = two_in_one("new")
    extra = optimizer.add_variable([2], name="extra")
    after_steps(optimizer)
    assert any(variable is extra for variable in optimizer.variables)


PREDICATES = {
    "lambda": lambda variable: "binary" in variable.name,
    "bound": "binary/k".startswith,
}


@both_apis
@pytest.mark.parametrize("name", [*PREDICATES, "local", "partial"])
def test_predicates_that_cannot_be_saved_are_named_at_once(api, name):
    def local(variable):
        return "binary" in variable.name

    claims = {**PREDICATES, "local": local, "partial": functools.partial(local)}
    diode = Diode if api == "new" else legacy.Diode
    with pytest.warns(UserWarning, match="has no registered name.*model.save will"):
        CASE[api](
            (claims[name], diode()),
            default_optimizer=KERAS[api].SGD(),
        )


@both_apis
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_larqs_own_predicate_is_saved_and_found(api, suffix, tmp_path):
    diode = Diode if api == "new" else legacy.Diode
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = CASE[api](
            (lq.optimizers.Bop.is_binary_variable, diode()),
            default_optimizer=KERAS[api].SGD(),
        )
    model = tf.keras.Sequential(
        [
            tf.keras.Input((3,)),
            lq.layers.QuantDense(
                2,
                kernel_quantizer=lq.quantizers.NoOp(precision=1),
                kernel_initializer="ones",
            ),
        ]
    )
    model.compile(optimizer, "mse")
    model.fit(np.ones((4, 3)), np.zeros((4, 2)), verbose=0)
    model.save(tmp_path / f"model{suffix}")
    loaded = tf.keras.models.load_model(tmp_path / f"model{suffix}")
    assert loaded.optimizer.predicates == (lq.optimizers.Bop.is_binary_variable,)
