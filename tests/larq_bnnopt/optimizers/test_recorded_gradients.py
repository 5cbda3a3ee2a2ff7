"""Every optimizer on gradients recorded from the quickstart's network on real images.

The weights and averages expected are computed here in float64, apart from the library.
"""

import dataclasses

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from larq_bnnopt.callbacks import binary_kernels
from larq_bnnopt.optimizers import (
    Bop,
    Bop2ndOrder,
    Diode,
    GradientFilter,
    IIRFilter,
    legacy,
)
from larq_bnnopt.recipes import OneStep

STEPS, BATCH = 30, 32
LAYERS = ("stage1_1_conv", "stage2_1_conv", "stage3_1_conv")


@dataclasses.dataclass
class Recording:
    """Of every layer: weights at the start, gradients and weights of every step."""

    start: list[np.ndarray]
    gradients: list[np.ndarray]
    weights: list[np.ndarray]


@pytest.fixture(scope="module")
def recording():
    recipe = OneStep(
        optimizer="diode", epochs=1, batch_size=BATCH, alpha=0.9, beta=0.999
    )
    data = recipe.load_data()
    model = recipe.build_model(data)
    kernels = [binary_kernels(model)[layer] for layer in LAYERS]
    start = [kernel.numpy() for kernel in kernels]

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = model.compiled_loss(labels, model(images, training=True))
        variables = model.trainable_variables
        found = tape.gradient(loss, variables)
        model.optimizer.apply_gradients(zip(found, variables))
        of = {id(variable): gradient for variable, gradient in zip(variables, found)}
        return [of[id(kernel)] for kernel in kernels]

    gradients, weights = [], []
    for images, labels in data.train_from(0).take(STEPS):
        gradients.append([value.numpy() for value in step(images, labels)])
        weights.append([kernel.numpy() for kernel in kernels])
    return Recording(
        start,
        [np.stack(of_layer) for of_layer in zip(*gradients)],
        [np.stack(of_layer) for of_layer in zip(*weights)],
    )


def near_zero(values, width=3e-6):
    """Where a sign depends on rounding, unlike the zero of a dead weight."""
    largest = np.abs(values).max(axis=0)
    return (np.abs(values) <= width * largest) & (largest > 0)


def opposed(inertia, theta):
    """The weights of every step, opposite to an inertia; at zero a weight stays."""
    history = []
    for value in inertia:
        theta = np.where(value == 0, theta, -np.sign(value))
        history.append(theta)
    return np.stack(history)


def flipped(push, theta, threshold):
    """The weights of every step, flipped where theta * inertia exceeds a threshold."""
    history, near = [], []
    for value in push:
        beyond = theta * value - threshold
        theta = np.where(beyond > 0, -theta, theta)
        history.append(theta)
        near.append(np.abs(beyond) <= 3e-6 * (np.abs(value) + threshold))
    # A weight that did not flip at the threshold may flip later.
    return np.stack(history), np.maximum.accumulate(near)


def low_pass(values, weight):
    """An exponential moving average from zero, by scipy."""
    return scipy.signal.lfilter([weight], [1, weight - 1], values, axis=0)


# Every expectation returns the weights of every step, where they depend on rounding,
# and the last averages.


def expected_diode(gradients, theta, alpha, beta, etas=1.0):
    u = low_pass(gradients, 1 - alpha)
    etas = np.broadcast_to(etas, len(u)).reshape(-1, *[1] * theta.ndim)
    m = low_pass(etas * np.sign(u), 1 - beta)
    # After a vote that depends on rounding, so does m.
    unsure = near_zero(m) | np.maximum.accumulate(near_zero(u))
    return opposed(m, theta), unsure, (u[-1], m[-1])


def expected_filter(gradients, theta, alpha, gamma=1.0, order=2):
    m = gradients if order == 1 else low_pass(gradients, gamma)
    b, a = [alpha], [1, alpha - 1]
    if order == 2:  # In one go, where the optimizer has two filters.
        b, a = [alpha * gamma], np.convolve(a, [1, gamma - 1])
    g = scipy.signal.lfilter(b, a, gradients, axis=0)
    averages = (g[-1],) if order == 1 else (m[-1], g[-1])
    return opposed(g, theta), near_zero(g), averages


def expected_iir(gradients, theta, b, a):
    initial = np.zeros((len(a) - 1, *theta.shape))
    y, state = scipy.signal.lfilter(b, a, gradients, axis=0, zi=initial)
    return opposed(y, theta), near_zero(y), tuple(state)


def expected_bop(gradients, theta, gamma, threshold):
    m = low_pass(gradients, gamma)
    history, near = flipped(m, theta, threshold)
    return history, near, (m[-1],)


def expected_second_order(
    gradients, theta, gamma, sigma, threshold, bias_correction=False
):
    m, v = low_pass(gradients, gamma), low_pass(gradients**2, sigma)
    push, square = m, v
    if bias_correction:
        steps = np.arange(1, len(m) + 1).reshape(-1, *[1] * theta.ndim)
        push, square = m / (1 - (1 - gamma) ** steps), v / (1 - (1 - sigma) ** steps)
    push = push / (np.sqrt(square) + 1e-10)
    history, near = flipped(push, theta, threshold)
    return history, near, (m[-1], v[-1])


B, A = (list(values) for values in scipy.signal.butter(3, 0.2))
DIODE = {"new": Diode, "legacy": legacy.Diode}
FILTER = {"new": GradientFilter, "legacy": legacy.GradientFilter}
IIR = {"new": IIRFilter, "legacy": legacy.IIRFilter}
SECOND_ORDER = {"new": Bop2ndOrder, "legacy": legacy.Bop2ndOrder}
QUOTIENT = {"gamma": 0.1, "sigma": 0.05, "threshold": 0.25}
CASES = {
    "diode": (DIODE, {"alpha": 0.9, "beta": 0.999}, ("u", "m"), expected_diode),
    "diode_as_published": (
        DIODE,
        {"alpha": 0.99, "beta": 0.9999},
        ("u", "m"),
        expected_diode,
    ),
    "filter": (FILTER, {"alpha": 0.02, "gamma": 0.1}, ("m", "g"), expected_filter),
    "filter_as_published": (
        FILTER,
        {"alpha": 1e-3, "gamma": 0.1},
        ("m", "g"),
        expected_filter,
    ),
    "filter_order_1": (FILTER, {"alpha": 0.1, "order": 1}, ("g",), expected_filter),
    "iir": (IIR, {"b": B, "a": A}, ("z1", "z2", "z3"), expected_iir),
    "bop": (
        {"new": Bop},
        {"gamma": 0.1, "threshold": "the median"},
        ("m",),
        expected_bop,
    ),
    "bop_second_order": (SECOND_ORDER, QUOTIENT, ("m", "v"), expected_second_order),
    "bop_unbiased": (
        SECOND_ORDER,
        {**QUOTIENT, "bias_correction": True},
        ("m", "v"),
        expected_second_order,
    ),
}


def average(optimizer, variable, name):
    """The average called `name` of a variable, in either API."""
    if isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        return optimizer.get_slot(variable, name).numpy()
    ending = f"/{name}/{variable._shared_name}:"
    (found,) = [v for v in optimizer.variables if ending in f"/{v.name}"]
    return found.numpy()


def test_the_gradients_come_from_a_training(recording):
    """They are neither noise nor all of one size, and the weights change."""
    for gradients, start, weights in zip(
        recording.gradients, recording.start, recording.weights
    ):
        assert gradients.shape == (STEPS, *start.shape) and gradients.dtype == "f4"
        assert np.isfinite(gradients).all()
        flat = gradients.reshape(STEPS, -1)
        sizes = np.abs(flat).mean(axis=0)
        assert np.quantile(sizes, 0.9) > 1.5 * np.quantile(sizes, 0.1)
        # A weight's gradient depends on the one before: by five standard errors.
        before, after = flat[:-1].ravel(), flat[1:].ravel()
        assert np.corrcoef(before, after)[0, 1] > 5 / np.sqrt(before.size)
        flips = (np.diff(weights, axis=0) != 0).mean()
        assert 1e-3 < flips < 0.5


@pytest.mark.parametrize(
    "name, api",
    [
        pytest.param(name, api, marks=[pytest.mark.slow] if "published" in name else [])
        for name, case in CASES.items()
        for api in case[0]
    ],
)
def test_a_replay_is_what_float64_expects(recording, name, api):
    classes, arguments, names, expect = CASES[name]
    if name == "bop":
        middle = np.median(np.abs(recording.gradients[0]))
        arguments = {**arguments, "threshold": float(np.float32(middle / 4))}
    optimizer = classes[api](**arguments)
    layers = range(len(LAYERS))
    variables = [
        tf.Variable(start, name=layer) for start, layer in zip(recording.start, LAYERS)
    ]
    history = [[] for _ in layers]
    for step in range(STEPS):
        gradients = [tf.constant(recording.gradients[i][step]) for i in layers]
        optimizer.apply_gradients(zip(gradients, variables))
        for i in layers:
            history[i].append(variables[i].numpy())
    for i in layers:
        exact = recording.gradients[i].astype(np.float64)
        start = recording.start[i].astype(np.float64)
        weights, unsure, averages = expect(exact, start, **arguments)
        assert unsure.mean() < 2e-3
        ours = np.stack(history[i])
        np.testing.assert_array_equal(ours[~unsure], weights[~unsure])
        flips = (np.diff(weights, axis=0) != 0).sum()
        assert flips > weights[0].size / 100
        sure = ~unsure[-1]
        for key, expected in zip(names, averages):
            found = average(optimizer, variables[i], key)
            error = np.abs(found - expected)[sure]
            assert error.max() <= 1e-5 * np.abs(expected).max(), key


def test_the_recorded_training_itself_is_what_float64_expects(recording):
    """Diode under the recipe's cosine, in a CaseOptimizer, beside Adam."""
    steps = OneStep(epochs=1, batch_size=BATCH).load_data().steps_per_epoch
    etas = 0.5 * (1 + np.cos(np.pi * np.arange(STEPS) / steps))
    for start, gradients, ours in zip(
        recording.start, recording.gradients, recording.weights
    ):
        exact, start = gradients.astype(np.float64), start.astype(np.float64)
        weights, near, _ = expected_diode(exact, start, 0.9, 0.999, etas)
        assert near.mean() < 2e-3
        np.testing.assert_array_equal(ours[~near], weights[~near])
