"""The rules equal NumPy ports of the code that the papers' authors published.

Two steps are ported: DiodeMix for the kernels of linear and convolutional layers, and
CEMA, the gradient filter. Where the code departs from the paper, the port follows the
code.
"""

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.optimizers import Diode, GradientFilter, legacy, rules

STEPS, WEIGHTS, DEAD = 400, 200, 10
both_apis = pytest.mark.parametrize("api", ["new", "legacy"])
both_precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def gradients(dtype=np.float32, seed=0, steps=STEPS):
    """Correlated gradients; the first `DEAD` weights have none."""
    generator = np.random.default_rng(seed)
    stream = np.zeros((steps, WEIGHTS))
    trend = np.zeros(WEIGHTS)
    for step in range(steps):
        trend = 0.95 * trend + 0.3 * generator.normal(size=WEIGHTS)
        stream[step] = trend + generator.normal(size=WEIGHTS)
    stream[:, :DEAD] = 0
    return stream.astype(dtype)


def random_signs(dtype=np.float32, seed=1):
    draw = np.random.default_rng(seed).normal(size=WEIGHTS)
    return np.where(draw < 0, -1, 1).astype(dtype)


def diodemix(gradient, theta, u, m, *, lr, alpha=0.99, beta=0.9999):
    """One step of DiodeMix, in the precision of its arguments."""
    number = theta.dtype.type
    u = u + number(1 - alpha) * (gradient - u)
    vote = np.sign(u) * number(lr)
    m = m + number(1 - beta) * (vote - m)
    wanted = -np.sign(m)
    wanted[wanted == 0] = 1
    return np.where(wanted != np.sign(theta), -theta, theta), u, m


def run_diodemix(stream, theta, m, rates, **constants):
    u, history = np.zeros_like(theta), []
    for gradient, lr in zip(stream, rates):
        theta, u, m = diodemix(gradient, theta, u, m, lr=lr, **constants)
        history.append((theta, u, m))
    return tuple(np.stack(values) for values in zip(*history))


def random_inertia(theta, seed=2):
    """The start of m in DiodeMix: towards theta, of a size up to 1e-3."""
    size = np.random.default_rng(seed).uniform(0, 1e-3, size=theta.shape)
    return (-theta * size).astype(theta.dtype)


def cema(gradient, theta, m, g, *, alpha, gamma):
    """One step of CEMA, in the precision of its arguments."""
    number = theta.dtype.type
    m = number(1 - gamma) * m + number(gamma) * gradient
    g = number(1 - alpha) * g + number(alpha) * m
    return np.where(g * theta > 0, -theta, theta), m, g


def run_cema(stream, theta, alphas, gamma):
    m, g = np.zeros_like(theta), np.zeros_like(theta)
    thetas, inertias = [], []
    for gradient, alpha in zip(stream, alphas):
        theta, m, g = cema(gradient, theta, m, g, alpha=alpha, gamma=gamma)
        thetas.append(theta)
        inertias.append(g)
    return np.stack(thetas), np.stack(inertias)


def replay(optimizer, stream, theta):
    """Returns the weights after every step of an optimizer."""
    variable = tf.Variable(theta)

    def step(gradient):
        optimizer.apply_gradients([(gradient, variable)])
        return variable.read_value()

    @tf.function(autograph=False)
    def run(stream):
        return tf.map_fn(step, stream, parallel_iterations=1)

    # The first step creates the averages, which would cost a second tracing.
    first = step(tf.constant(stream[0]))
    return np.concatenate([[first], run(tf.constant(stream[1:]))])


def ties(inertia, width=2e-6):
    """Where the sign depends on rounding, unlike the zeros of a dead weight."""
    size = np.abs(inertia)
    largest = size.max(axis=0)
    return (size <= width * largest) & (largest > 0)


def assert_equal_signs(ours, theirs, tied, share=1e-4):
    assert tied.mean() < share
    np.testing.assert_array_equal(ours[~tied], theirs[~tied])


def diode_ties(u, m):
    """Where m is near zero, and all steps after a vote that depends on rounding.

    As many votes for as against leave almost nothing of an m with a long memory, in
    which four hundred roundings have added up.
    """
    return ties(m, 2e-5) | np.maximum.accumulate(ties(u))


def flips(thetas):
    return int((np.diff(thetas, axis=0) != 0).sum())


@both_precisions
@pytest.mark.parametrize("start", ["zero", "random"])
def test_diode_is_diodemix_bit_for_bit(dtype, start):
    """From the same m_0, under a rate that decays per epoch, as theirs does."""
    stream, theta = gradients(dtype), random_signs(dtype)
    rates = np.repeat(1e-4 * (1 - np.arange(8) / 8), STEPS // 8)
    m = random_inertia(theta) / dtype(1000) if start == "random" else 0 * theta
    constants = {"alpha": 0.9, "beta": 0.99}
    expected, _, inertia = run_diodemix(stream, theta, m, rates, **constants)
    ours, u, average = tf.constant(theta), tf.zeros_like(theta), tf.constant(m)
    for step, gradient in enumerate(stream):
        ours, u, average = rules.diode(
            tf.constant(gradient),
            ours,
            u,
            average,
            eta=rates[step],
            on_zero="positive",
            **constants,
        )
        np.testing.assert_array_equal(ours, expected[step])
        np.testing.assert_array_equal(average, inertia[step])
    assert flips(expected) > STEPS
    # Without gradients there are no votes: the start decides, and +1 for m = 0.
    dead = expected[-1, :DEAD]
    np.testing.assert_array_equal(
        dead, theta[:DEAD] if start == "random" else np.ones(DEAD)
    )


@both_apis
@pytest.mark.parametrize("rate", [1e-4, 1.0])
def test_the_optimizer_diode_is_diodemix_from_zero(api, rate):
    """With the published constants; the rate itself does not change the signs."""
    stream, theta = gradients(), random_signs()
    rates = np.full(STEPS, rate)
    expected, u, m = run_diodemix(stream, theta, 0 * theta, rates)
    make = {"new": Diode, "legacy": legacy.Diode}[api]
    ours = replay(make(rate, on_zero="positive"), stream, theta)
    tied = diode_ties(u, m)
    assert_equal_signs(ours, expected, tied, share=5e-3)
    assert flips(ours) > 50
    assert (ours[:, :DEAD] == 1).all()
    keeping = replay(make(rate, on_zero="keep"), stream, theta)
    clear = ~tied[:, DEAD:]
    np.testing.assert_array_equal(keeping[:, DEAD:][clear], ours[:, DEAD:][clear])
    np.testing.assert_array_equal(keeping[-1, :DEAD], theta[:DEAD])


@both_apis
def test_initial_inertia_is_an_m_0_that_follows_the_weights(api):
    stream, theta, rate = gradients(), random_signs(), 0.5
    start = -theta * np.float32(0.002 * rate)
    rates = np.full(STEPS, rate)
    expected, u, m = run_diodemix(stream, theta, start, rates)
    make = {"new": Diode, "legacy": legacy.Diode}[api]
    optimizer = make(rate, initial_inertia=0.002, on_zero="positive")
    ours = replay(optimizer, stream, theta)
    assert_equal_signs(ours, expected, diode_ties(u, m), share=5e-3)
    np.testing.assert_array_equal(ours[0], theta)
    assert (ours[-1] != theta).mean() > 0.1


def test_a_random_inertia_freezes_the_weights_if_the_rate_is_small():
    """Why m starts at zero here: theirs has one size, whatever the rate is."""
    stream, theta = gradients(steps=100), random_signs()

    def flipped(m, rate):
        thetas, *_ = run_diodemix(stream, theta, m, np.full(100, rate))
        return (thetas != theta).any(axis=0)[DEAD:].mean()

    zero, random = 0 * theta, random_inertia(theta)
    assert flipped(zero, 1e-4) == flipped(zero, 1.0) > 0.5
    assert flipped(random, 1.0) > 0.5
    assert flipped(random, 1e-4) < 0.02


def alphas_and_schedule(decay):
    """Alpha at every step, and the argument of the optimizers for it."""
    if decay == "constant":
        return np.full(STEPS, 0.02), 0.02
    epoch = STEPS // 8
    values = 0.02 * (1 - np.arange(8) / 8)
    last_steps = [int(epoch * k - 1) for k in range(1, 8)]
    schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay(
        last_steps, values.tolist()
    )
    return np.repeat(values, epoch), schedule


decays = pytest.mark.parametrize("decay", ["constant", "per_epoch"])


@decays
@both_precisions
def test_gradient_filter_is_cema(decay, dtype):
    stream, theta, gamma = gradients(dtype), random_signs(dtype), 0.1
    alphas, _ = alphas_and_schedule(decay)
    expected, inertia = run_cema(stream, theta, alphas, gamma)
    ours, averages, thetas = tf.constant(theta), (tf.zeros_like(theta),) * 2, []
    for gradient, alpha in zip(stream, alphas):
        ours, averages = rules.gradient_filter(
            tf.constant(gradient),
            ours,
            averages,
            alpha=alpha,
            gamma=gamma,
            on_zero="keep",
        )
        thetas.append(ours.numpy())
    assert_equal_signs(np.stack(thetas), expected, ties(inertia))
    scale = np.abs(inertia).max()
    tolerance = {np.float32: 1e-6, np.float64: 1e-14}[dtype] * scale
    np.testing.assert_allclose(averages[-1], inertia[-1], rtol=0, atol=tolerance)
    assert flips(expected) > 2 * WEIGHTS
    np.testing.assert_array_equal(expected[-1, :DEAD], theta[:DEAD])


@decays
@both_apis
def test_the_optimizer_gradient_filter_is_cema(decay, api):
    stream, theta = gradients(), random_signs()
    alphas, alpha = alphas_and_schedule(decay)
    expected, inertia = run_cema(stream, theta, alphas, 0.1)
    make = {"new": GradientFilter, "legacy": legacy.GradientFilter}[api]
    ours = replay(make(alpha, gamma=0.1, on_zero="keep"), stream, theta)
    assert_equal_signs(ours, expected, ties(inertia))
    np.testing.assert_array_equal(ours[:, :DEAD], expected[:, :DEAD])
    other = replay(make(alpha, gamma=0.1, on_zero="positive"), stream, theta)
    np.testing.assert_array_equal(other[:, DEAD:], ours[:, DEAD:])
    assert (other[:, :DEAD] == 1).all()


def test_a_weight_of_exactly_zero_is_lost_there_but_not_here():
    """Flipping the sign of zero gives zero; here a weight is always -1 or +1."""
    gradient, theta, zero = np.float32([0.5, -0.5, 0]), np.zeros(3, np.float32), 0
    theirs, *_ = cema(gradient, theta, zero, zero, alpha=0.5, gamma=0.5)
    assert theirs.tolist() == [0, 0, 0]
    ours, _ = rules.gradient_filter(
        tf.constant(gradient),
        tf.constant(theta),
        (tf.zeros(3), tf.zeros(3)),
        alpha=0.5,
        gamma=0.5,
    )
    assert ours.numpy().tolist() == [-1, 1, 1]
