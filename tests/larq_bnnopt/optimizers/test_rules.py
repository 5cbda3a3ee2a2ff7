"""The update rules equal float64 NumPy, scipy and the identities of the papers."""

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from larq_bnnopt.optimizers import rules

STEPS, WEIGHTS = 60, 200


def gradients(dtype=np.float64, seed=0):
    """A stream of correlated gradients, (steps, weights)."""
    noise = np.random.default_rng(seed).normal(size=(STEPS, WEIGHTS))
    return (noise + np.linspace(-1, 1, WEIGHTS)).astype(dtype)


def run_diode(stream, etas, alpha=0.9, beta=0.99, theta=None, **options):
    theta = tf.ones(WEIGHTS, stream.dtype) if theta is None else tf.constant(theta)
    u = m = tf.zeros_like(theta)
    thetas = []
    for gradient, eta in zip(stream, etas):
        theta, u, m = rules.diode(
            tf.constant(gradient),
            theta,
            u,
            m,
            eta=eta,
            alpha=alpha,
            beta=beta,
            **options,
        )
        thetas.append(theta.numpy())
    return np.stack(thetas), u.numpy(), m.numpy()


def run_filter(stream, alphas, gamma=0.1, order=2):
    theta = tf.ones(WEIGHTS, stream.dtype)
    averages = (tf.zeros_like(theta),) * order
    outputs = []
    for gradient, alpha in zip(stream, alphas):
        theta, averages = rules.gradient_filter(
            tf.constant(gradient), theta, averages, alpha=alpha, gamma=gamma
        )
        outputs.append(averages[-1].numpy())
    return np.stack(outputs), theta.numpy()


def test_diode_is_equations_10_to_13():
    stream, alpha, beta = gradients(), 0.9, 0.99
    etas = 0.5 * (1 + np.cos(np.pi * np.arange(STEPS) / STEPS))
    u = m = np.zeros(WEIGHTS)
    for gradient, eta in zip(stream, etas):
        u = alpha * u + (1 - alpha) * gradient
        m = beta * m + (1 - beta) * eta * np.sign(u)
    thetas, u_ours, m_ours = run_diode(stream, etas, alpha, beta)
    np.testing.assert_allclose(u_ours, u, rtol=1e-12)
    np.testing.assert_allclose(m_ours, m, rtol=1e-11)
    np.testing.assert_array_equal(thetas[-1], -np.sign(m))


def test_diode_without_memory_is_the_sign_of_the_gradient():
    stream = gradients()
    thetas, _, _ = run_diode(stream, np.ones(STEPS), alpha=0.0, beta=0.0)
    np.testing.assert_array_equal(thetas, -np.sign(stream))


def test_without_memory_small_gradients_count_after_large_ones():
    stream = np.float32([[1.0] * WEIGHTS, [-1e-9] * WEIGHTS])
    thetas, _, _ = run_diode(stream, [1.0, 1.0], alpha=0.0, beta=0.0)
    np.testing.assert_array_equal(thetas[:, 0], [-1, 1])


def test_an_infinite_gradient_shows():
    """A weight whose average is NaN must not stop silently."""
    stream = np.ones((3, WEIGHTS), np.float32)
    stream[0, 0] = np.inf
    thetas, _, _ = run_diode(stream, np.ones(3))
    assert np.isnan(thetas[-1, 0]) and (thetas[:, 1:] == -1).all()


@pytest.mark.parametrize("power", [-9, 5])
def test_diode_ignores_the_scale_of_gradients_and_of_eta(power):
    stream = gradients(np.float32)
    base, _, _ = run_diode(stream, np.ones(STEPS, np.float32))
    scale = np.float32(2.0**power)
    scaled, _, _ = run_diode(stream * scale, np.ones(STEPS, np.float32))
    np.testing.assert_array_equal(scaled, base)
    scaled, _, _ = run_diode(stream, np.full(STEPS, scale))
    np.testing.assert_array_equal(scaled, base)


def test_diode_freezes_when_eta_is_zero_but_not_before():
    stream = gradients()
    etas = np.where(np.arange(STEPS) < STEPS // 2, 1.0, 0.0)
    thetas, _, _ = run_diode(stream, etas)
    flips = (thetas[1:] != thetas[:-1]).any(axis=1)
    assert flips[: STEPS // 2 - 1].any()
    assert not flips[STEPS // 2 - 1 :].any()


@pytest.mark.parametrize("order", [1, 2])
def test_gradient_filter_is_the_filter_of_scipy(order):
    stream, alpha, gamma = gradients(), 0.05, 0.2
    b, a = ([alpha], [1, alpha - 1])  # eq. 15
    if order == 2:  # eq. 16 with the leading 1 of `a` that the print omits
        b, a = ([alpha * gamma], np.convolve([1, gamma - 1], [1, alpha - 1]))
    expected = scipy.signal.lfilter(b, a, stream, axis=0)
    outputs, theta = run_filter(stream, np.full(STEPS, alpha), gamma, order)
    np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(theta, -np.sign(expected[-1]))


@pytest.mark.parametrize(
    "b, a",
    [
        scipy.signal.butter(3, 0.05),
        scipy.signal.cheby1(4, 1, 0.1),
        ([0.2, 0.3], [2.0, -1.0, 0.4]),
        ([1.0], [1.0]),
    ],
    ids=["butterworth", "chebyshev", "unnormalised", "none"],
)
def test_iir_filter_is_the_filter_of_scipy(b, a):
    stream = gradients()
    expected = scipy.signal.lfilter(b, a, stream, axis=0)
    from larq_bnnopt.optimizers.updates.iir_filter import normalized

    normal_b, normal_a = normalized(b, a)
    theta = tf.ones(WEIGHTS, tf.float64)
    z = (tf.zeros_like(theta),) * (len(normal_a) - 1)
    for gradient, output in zip(stream, expected):
        theta, z = rules.iir_filter(
            tf.constant(gradient), theta, z, b=normal_b, a=normal_a
        )
        np.testing.assert_array_equal(theta, -np.sign(output))
    if z:
        # The state is scipy's own, which lfilter returns after the whole stream.
        initial = np.zeros((len(z), WEIGHTS))
        _, final = scipy.signal.lfilter(b, a, stream, axis=0, zi=initial)
        np.testing.assert_allclose(np.stack(z), final, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_filter_is_an_iir_filter(order):
    stream, alpha, gamma = gradients(), 0.05, 0.2
    b, a = (alpha,), (1.0, alpha - 1)
    if order == 2:
        b, a = (alpha * gamma,), tuple(np.convolve([1, gamma - 1], [1, alpha - 1]))
    b = (*b, *[0.0] * order)
    theta = tf.ones(WEIGHTS, tf.float64)
    z = (tf.zeros_like(theta),) * order
    for gradient in stream:
        theta, z = rules.iir_filter(tf.constant(gradient), theta, z, b=b, a=a)
    _, filtered = run_filter(stream, np.full(STEPS, alpha), gamma, order)
    np.testing.assert_array_equal(theta, filtered)


def test_bop_is_its_algorithm():
    stream, gamma, tau = gradients(), 0.1, 0.03
    theta = np.ones(WEIGHTS)
    m = np.zeros(WEIGHTS)
    ours, state = tf.ones(WEIGHTS, tf.float64), tf.zeros(WEIGHTS, tf.float64)
    for gradient in stream:
        m = (1 - gamma) * m + gamma * gradient
        theta = np.where((np.abs(m) > tau) & (np.sign(m) == theta), -theta, theta)
        ours, state = rules.bop(
            tf.constant(gradient), ours, state, gamma=gamma, threshold=tau
        )
        np.testing.assert_array_equal(ours, theta)
    assert 0.2 < (theta == 1).mean() < 0.8


def test_unbiased_second_order_bop_is_its_algorithm():
    stream, gamma, sigma, tau = gradients(), 0.1, 0.02, 0.2
    theta, m, v = np.ones(WEIGHTS), np.zeros(WEIGHTS), np.zeros(WEIGHTS)
    ours = tf.ones(WEIGHTS, tf.float64)
    state = (tf.zeros_like(ours), tf.zeros_like(ours))
    for step, gradient in enumerate(stream, start=1):
        m = (1 - gamma) * m + gamma * gradient
        v = (1 - sigma) * v + sigma * gradient**2
        scaled = m / (1 - (1 - gamma) ** step)
        scaled /= np.sqrt(v / (1 - (1 - sigma) ** step)) + 1e-10
        theta = np.where(theta * scaled > tau, -theta, theta)
        count = tf.constant(float(step), tf.float64)
        ours, *state = rules.bop_second_order(
            tf.constant(gradient), ours, *state, gamma=gamma, sigma=sigma,
            threshold=tau, unbias=(rules.bias(gamma, count), rules.bias(sigma, count)),
        )  # fmt: skip
        np.testing.assert_array_equal(ours, theta)
    assert 0.2 < (theta == 1).mean() < 0.8


@pytest.mark.parametrize("weight", [1e-7, 1e-3, 0.5])
@pytest.mark.parametrize("step", [1, 1000, 1e6])
def test_bias_keeps_its_digits_in_float32(weight, step):
    exact = -np.expm1(step * np.log1p(-weight))
    ours = rules.bias(weight, tf.constant(step, tf.float32))
    np.testing.assert_allclose(ours, exact, rtol=1e-6)


def test_gradient_filter_under_decay_is_the_corrected_recursion():
    """Eq. 17 with alpha_{i-1} where the print has alpha_i; the printed one differs."""
    stream, gamma = gradients(), 0.2
    alphas = 0.05 * 0.5 * (1 + np.cos(np.pi * np.arange(STEPS) / STEPS)) + 1e-6
    outputs, _ = run_filter(stream, alphas, gamma)

    def recursion(previous_alpha):
        g = np.zeros((STEPS + 2, WEIGHTS))
        for i, gradient in enumerate(stream):
            new, old = alphas[i], previous_alpha(i)
            g[i + 2] = (
                new * gamma * gradient
                + (1 - new) * g[i + 1]
                + (1 - gamma) * (new / old) * (g[i + 1] - (1 - old) * g[i])
            )
        return g[2:]

    corrected = recursion(lambda i: alphas[max(i - 1, 0)])
    printed = recursion(lambda i: alphas[i])
    np.testing.assert_allclose(outputs, corrected, rtol=1e-8, atol=1e-15)
    assert np.abs(printed - corrected).max() > 1e-4 * np.abs(corrected).max()


@pytest.mark.parametrize("decay", ["constant", "cosine"])
def test_gradient_filter_is_sgd_with_weight_decay_bit_for_bit(decay):
    """Paper 001, eq. 3: g = -lambda w for latent w from zero and alpha = eps lambda."""
    stream, gamma, decay_rate = gradients(np.float32), np.float32(0.1), 2.0**-13
    cosine = 0.5 * (1 + np.cos(np.pi * np.arange(STEPS) / STEPS))
    factor = np.ones(STEPS) if decay == "constant" else cosine
    rates = (0.3 * factor).astype(np.float32)
    outputs, _ = run_filter(stream, rates * np.float32(decay_rate), gamma)
    w, m = tf.zeros(WEIGHTS), tf.zeros(WEIGHTS)
    for i, gradient in enumerate(stream):
        m = m + gamma * (gradient - m)
        w = w - rates[i] * (m + np.float32(decay_rate) * w)
        np.testing.assert_array_equal(outputs[i], -np.float32(decay_rate) * w.numpy())


def test_gradient_filter_with_gamma_one_is_order_one():
    stream = gradients()
    first, _ = run_filter(stream, np.full(STEPS, 0.05), order=1)
    second, _ = run_filter(stream, np.full(STEPS, 0.05), gamma=1.0, order=2)
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-15)


def test_an_undecided_weight_follows_on_zero():
    theta = tf.constant([1.0, -1.0, 1.0, -1.0])
    inertia = tf.constant([0.0, -0.0, 2.0, -2.0])
    keep = rules.opposite_sign(inertia, theta, "keep").numpy()
    positive = rules.opposite_sign(inertia, theta, "positive").numpy()
    assert keep.tolist() == [1, -1, -1, 1]
    assert positive.tolist() == [1, 1, -1, 1]
    with pytest.raises(ValueError, match="Received: 'maybe'"):
        rules.opposite_sign(inertia, theta, "maybe")


def test_random_on_zero_is_fair_and_a_function_of_the_seed():
    zero, theta = tf.zeros(10_000), tf.ones(10_000)
    draws = [
        rules.opposite_sign(zero, theta, "random", tf.constant(seed)).numpy()
        for seed in ([3, 1], [3, 1], [4, 1])
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert set(draws[0]) == {-1.0, 1.0}
    # Five standard deviations of a fair coin.
    assert abs(draws[0].mean()) < 5 / 100
    assert abs((draws[0] * draws[2]).mean()) < 5 / 100


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.float32, 6, elements=st.floats(width=32, allow_nan=False)),
    hnp.arrays(np.float32, 6, elements=st.floats(-2, 2, width=32)),
    st.sampled_from(rules.ON_ZERO),
)
def test_weights_are_binary_after_any_gradient(gradient, theta, on_zero):
    options = {"on_zero": on_zero, "seed": tf.constant([1, 2])}
    zero = tf.zeros(6)
    diode, *_ = rules.diode(
        gradient,
        tf.constant(theta),
        zero,
        zero,
        eta=1.0,
        alpha=0.9,
        beta=0.9,
        **options,
    )
    filtered, _ = rules.gradient_filter(
        tf.constant(gradient),
        tf.constant(theta),
        (zero, zero),
        alpha=0.1,
        gamma=0.1,
        **options,
    )
    for result in (diode, filtered):
        assert set(result.numpy().tolist()) <= {-1.0, 1.0}
