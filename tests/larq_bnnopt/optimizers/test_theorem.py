"""The theorems of the papers hold for the optimizers."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.optimizers import (
    Bop,
    Bop2ndOrder,
    Diode,
    GradientFilter,
    IIRFilter,
    legacy,
    rules,
)

STEPS, WEIGHTS = 500, 200
DIODE = {"new": Diode, "legacy": legacy.Diode}
FILTER = {"new": GradientFilter, "legacy": legacy.GradientFilter}
both_apis = pytest.mark.parametrize(
    "api", ["new", pytest.param("legacy", marks=pytest.mark.slow)]
)


def gradients(steps=STEPS, seed=0):
    """Correlated gradients, float32: (steps, weights)."""
    generator = np.random.default_rng(seed)
    stream, trend = np.zeros((steps, WEIGHTS)), np.zeros(WEIGHTS)
    for step in range(steps):
        trend = 0.95 * trend + 0.3 * generator.normal(size=WEIGHTS)
        stream[step] = trend + generator.normal(size=WEIGHTS)
    return stream.astype(np.float32)


def binary_variable(seed=1):
    signs = np.sign(np.random.default_rng(seed).normal(size=WEIGHTS))
    return tf.Variable(signs.astype(np.float32), name="kernel")


def average(optimizer, variable, name):
    """The variable that holds the average called `name`, in either API."""
    if isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        return optimizer.get_slot(variable, name)
    (found,) = [v for v in optimizer.variables if f"/{name}/" in f"/{v.name}"]
    return found


def replay(optimizer, stream, names=(), variable=None):
    """Weights after every step, then the named averages after every step."""
    variable = binary_variable() if variable is None else variable

    def step(gradient):
        optimizer.apply_gradients([(gradient, variable)])
        kept = [variable, *(average(optimizer, variable, name) for name in names)]
        return [value.read_value() for value in kept]

    @tf.function(autograph=False)
    def run(stream):
        types = [tf.float32] * (1 + len(names))
        return tf.map_fn(step, stream, types, parallel_iterations=1)

    # The first step creates the averages, which would cost a second tracing.
    first = step(tf.constant(stream[0]))
    return [
        np.concatenate([[one], rest])
        for one, rest in zip(first, run(tf.constant(stream[1:])))
    ]


def ties(inertia, width=2e-6):
    """Where a sign depends on rounding."""
    return np.abs(inertia) <= width * np.abs(inertia).max(axis=0)


class Table(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A value for every step."""

    def __init__(self, values):
        self.values = np.asarray(values, np.float32)

    def __call__(self, step):
        return tf.gather(tf.constant(self.values), tf.cast(step, tf.int32))


def cosine(steps=STEPS):
    return 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))


def latent_sgd(stream, rate, decay, gamma, start):
    """Latent weights after every step of Keras's SGD."""
    sgd = tf.keras.optimizers.SGD(rate, momentum=1 - gamma, weight_decay=decay)
    (latent,) = replay(sgd, stream, variable=tf.Variable(start, name="latent"))
    return latent


@both_apis
def test_the_filter_has_the_signs_of_sgd_on_latent_weights(api):
    """Paper 001, eq. 3 and 10: alpha = lr * wd, latent weights from zero."""
    stream, gamma, rate, decay = gradients(), 0.1, 0.1, 0.1
    zero = np.zeros(WEIGHTS, np.float32)
    latent = latent_sgd(stream, rate, decay, gamma, zero)
    theta, g = replay(FILTER[api](rate * decay, gamma), stream, ["g"])
    np.testing.assert_array_equal(theta, -np.sign(g))
    different = theta != np.sign(latent)
    assert different.sum() <= 1e-5 * theta.size
    assert not (different & ~ties(g)).any()
    assert (np.diff(theta, axis=0) != 0).sum() > 2 * WEIGHTS
    # Keras's momentum sums gradients where m averages them, hence gamma.
    clear = ~ties(g, 1e-2)
    np.testing.assert_allclose((latent / g)[clear], -1 / (decay * gamma), rtol=1e-4)


def test_sgd_from_other_weights_or_with_another_decay_is_not_the_filter():
    """The theorem's conditions are needed."""
    stream, gamma, rate, decay = gradients(), 0.1, 0.1, 0.1
    theta, _ = replay(GradientFilter(rate * decay, gamma), stream, ["g"])
    zero, one = np.zeros(WEIGHTS, np.float32), np.ones(WEIGHTS, np.float32)
    for wrong in (
        latent_sgd(stream, rate, decay, gamma, one),
        latent_sgd(stream, rate, decay / 4, gamma, zero),
    ):
        assert (theta != np.sign(wrong)).mean() > 1e-2


B, A = (0.2, 0.1, 0.05), (1.0, -0.9, 0.3)
SECOND_ORDER = {"gamma": 0.1, "sigma": 0.05, "threshold": 0.1}
ONE_STEP = {
    "diode": (
        DIODE,
        {"alpha": 0.99, "beta": 0.9999},
        ("u", "m"),
        lambda *a, **k: rules.diode(*a, eta=1.0, **k),
    ),
    "filter": (
        FILTER,
        {"alpha": 0.01, "gamma": 0.1},
        ("m", "g"),
        lambda gradient, theta, *averages, **k: rules.gradient_filter(
            gradient, theta, averages, **k
        ),
    ),
    "filter_order_1": (
        FILTER,
        {"alpha": 0.01, "order": 1},
        ("g",),
        lambda gradient, theta, *averages, alpha, order: rules.gradient_filter(
            gradient, theta, averages, alpha=alpha, gamma=1.0
        ),
    ),
    "iir": (
        {"new": IIRFilter, "legacy": legacy.IIRFilter},
        {"b": B, "a": A},
        ("z1", "z2"),
        lambda gradient, theta, *z, **k: rules.iir_filter(gradient, theta, z, **k),
    ),
    "bop": ({"new": Bop}, {"gamma": 0.1, "threshold": 0.02}, ("m",), rules.bop),
    "bop_second_order": (
        {"new": Bop2ndOrder, "legacy": legacy.Bop2ndOrder},
        SECOND_ORDER,
        ("m", "v"),
        rules.bop_second_order,
    ),
}


@pytest.mark.parametrize(
    "name, api", [(name, api) for name, case in ONE_STEP.items() for api in case[0]]
)
def test_a_step_is_the_rule_up_to_two_ulp(name, api):
    """From equal averages: fusing may change the last digits of one step."""
    classes, arguments, names, rule = ONE_STEP[name]
    optimizer, variable = classes[api](**arguments), binary_variable()
    optimizer.apply_gradients([(tf.zeros(WEIGHTS), variable)])
    averages = [average(optimizer, variable, key) for key in names]
    largest = [np.zeros(WEIGHTS, np.float32) for _ in names]
    flips = tied = 0
    for gradient in map(tf.constant, gradients(100)):
        start = variable.numpy()
        old = [tf.constant(value.numpy()) for value in averages]
        optimizer.apply_gradients([(gradient, variable)])
        result = rule(gradient, tf.constant(start), *old, **arguments)
        theta, *new = [value.numpy() for value in tf.nest.flatten(result)]
        for i, (ours, expected) in enumerate(zip(averages, new)):
            # Near zero an average is the difference of larger numbers.
            largest[i] = np.maximum(largest[i], np.abs(expected))
            if name == "iir":  # z2 even in one step, of the gradient and the output.
                largest[i] = np.maximum(largest[i], np.abs(gradient))
            error = np.abs(ours.numpy() - expected)
            assert (error <= 2 * np.spacing(largest[i])).all(), names[i]
        clear = np.ones(WEIGHTS, bool)
        if name.startswith(("diode", "filter")):
            clear = np.abs(new[-1]) > 1e-6 * largest[-1]
        np.testing.assert_array_equal(variable.numpy()[clear], theta[clear])
        flips += (variable.numpy() != start).sum()
        tied += (~clear).sum()
    assert flips > 20 and tied < 1e-3 * 100 * WEIGHTS


@both_apis
def test_alpha_and_gamma_may_be_swapped_while_both_are_constant(api):
    stream, make = gradients(), FILTER[api]
    theta, g = replay(make(0.02, 0.2), stream, ["g"])
    swapped, other = replay(make(0.2, 0.02), stream, ["g"])
    clear = ~ties(g)
    assert clear.mean() > 1 - 1e-4
    np.testing.assert_array_equal(theta[clear], swapped[clear])
    np.testing.assert_allclose(other, g, rtol=0, atol=2e-6 * np.abs(g).max())


@both_apis
def test_alpha_and_gamma_may_not_be_swapped_under_decay(api):
    stream, make = gradients(), FILTER[api]
    decayed = Table(0.02 * cosine())
    theta, g = replay(make(decayed, 0.2), stream, ["g"])
    swapped, other = replay(make(0.2, decayed), stream, ["g"])
    assert (theta != swapped).mean() > 1e-3
    assert np.abs(g - other)[-1].max() > 1e-2 * np.abs(g[-1]).max()


@both_apis
def test_order_1_is_bop_without_a_threshold_but_for_zeros(api):
    """At m = 0 our Bop keeps the weight; larq's, the legacy one, takes +1."""
    stream = gradients()
    stream[:, :10] = 0
    make = FILTER[api]
    bop = {"new": Bop, "legacy": lq.optimizers.Bop}[api](threshold=0.0, gamma=0.05)
    (flipped,) = replay(bop, stream)
    like_bop, other = {"new": "keep", "legacy": "positive"}[api], "positive"
    if api == "legacy":
        other = "keep"
    theta, g = replay(make(0.05, order=1, on_zero=like_bop), stream, ["g"])
    clear = ~ties(g)
    clear[:, :10] = True  # Exactly zero: nothing was rounded.
    assert clear.mean() > 1 - 1e-4
    np.testing.assert_array_equal(theta[clear], flipped[clear])
    assert (np.diff(theta, axis=0) != 0).sum() > 5 * WEIGHTS
    (theta,) = replay(make(0.05, order=1, on_zero=other), stream)
    assert (theta != flipped)[-1, :10].any()
    np.testing.assert_array_equal(
        theta[:, 10:][clear[:, 10:]], flipped[:, 10:][clear[:, 10:]]
    )


@both_apis
@pytest.mark.parametrize("power, inertia", [(-9, 0.0), (6, 0.01)])
def test_diode_ignores_a_power_of_two_bit_for_bit(api, power, inertia):
    """Scaling the gradients scales u alone, scaling eta scales m alone."""
    stream, scale = gradients(150), np.float32(2.0**power)
    options = {"alpha": 0.9, "beta": 0.99, "initial_inertia": inertia}
    make, names = DIODE[api], ["u", "m"]
    theta, u, m = replay(make(1.0, **options), stream, names)
    scaled, scaled_u, scaled_m = replay(make(1.0, **options), scale * stream, names)
    np.testing.assert_array_equal(scaled, theta)
    np.testing.assert_array_equal(scaled_u, scale * u)
    np.testing.assert_array_equal(scaled_m, m)
    scaled, scaled_u, scaled_m = replay(make(scale, **options), stream, names)
    np.testing.assert_array_equal(scaled, theta)
    np.testing.assert_array_equal(scaled_u, u)
    np.testing.assert_array_equal(scaled_m, scale * m)
    assert (np.diff(theta, axis=0) != 0).sum() > WEIGHTS


@both_apis
def test_a_decaying_eta_settles_the_signs(api):
    """The vote shrinks, not the average: outside of it eta would have no effect."""
    stream, options = gradients(), {"alpha": 0.9, "beta": 0.99}
    last = STEPS // 10

    def late_flips(eta):
        theta, m = replay(DIODE[api](eta, **options), stream, ["m"])
        return (np.diff(theta[-last:], axis=0) != 0).sum(), theta, m

    constant, _, _ = late_flips(1.0)
    settling, _, _ = late_flips(Table(cosine()))
    assert constant > 5 * settling
    etas = np.ones(STEPS)
    etas[-last:] = 0
    frozen, theta, m = late_flips(Table(etas))
    assert frozen == 0
    np.testing.assert_array_equal(theta[-last:], -np.sign(m[-last:]))
    np.testing.assert_allclose(m[-1], m[-last] * 0.99 ** (last - 1), rtol=1e-4)


@both_apis
def test_an_eta_that_jumps_changes_signs(api):
    """Only a constant factor has no effect."""
    stream, options = gradients(200), {"alpha": 0.9, "beta": 0.99}
    etas = np.random.default_rng(3).uniform(0.01, 2.0, size=len(stream))
    steady, _ = replay(DIODE[api](float(etas.mean()), **options), stream, ["m"])
    jumping, _ = replay(DIODE[api](Table(etas), **options), stream, ["m"])
    assert (steady != jumping).mean() > 1e-2


@both_apis
def test_gradients_may_be_scaled_by_a_constant_but_not_from_a_step_on(api):
    """As by a loss scale that is not divided out."""
    stream, scale = gradients(200), np.float32(1024)
    options = {"alpha": 0.9, "beta": 0.99}
    theta, u = replay(DIODE[api](**options), stream, ["u"])
    constant, scaled_u = replay(DIODE[api](**options), stream * scale, ["u"])
    np.testing.assert_array_equal(constant, theta)
    np.testing.assert_array_equal(scaled_u, u * scale)
    later = stream.copy()
    later[100:] *= scale
    changed, u_changed = replay(DIODE[api](**options), later, ["u"])
    np.testing.assert_array_equal(changed[:100], theta[:100])
    # In u the new gradients outweigh the old ones in the average.
    just_after = slice(100, 110)
    votes = np.sign(u_changed[just_after]) != np.sign(u[just_after])
    assert votes.mean() > 0.05
    assert (changed != theta).mean() > 1e-3
