"""What the studies of paper 001 compute themselves: filters, matching rates, scales."""

import numpy as np
import pytest
from scipy import signal

from larq_bnnopt import studies
from larq_bnnopt.studies.latent_rates import decay_of
from larq_bnnopt.studies.paper_001_fig2_filters import ema, roughness, turns
from larq_bnnopt.studies.paper_001_fig7_equivalence import matching

GRADIENTS = np.random.default_rng(0).normal(0.3, 1, (4, 400))


def test_ema_is_the_filter_of_scipy():
    expected = signal.lfilter([0.05], [1, -0.95], GRADIENTS)
    np.testing.assert_allclose(ema(GRADIENTS, 0.05), expected, rtol=1e-12)


def test_roughness_of_white_noise_is_two_and_of_a_line_almost_none():
    noise = np.random.default_rng(1).normal(size=(50, 2000))
    assert roughness(noise) == pytest.approx(2, abs=0.02)
    # Steps of 1, variance (n^2 - 1) / 12.
    line = np.arange(100.0)[None]
    assert roughness(line) == pytest.approx(12 / (100**2 - 1), rel=1e-12)


def test_turns_by_hand():
    assert turns(np.array([[1.0, -1.0, -1.0, 2.0, 3.0]])) == 50


@pytest.mark.parametrize(
    ("rate", "momentum", "decay"), [(0.1, 0.8, 0.01), (0.01, 0.5, 0.3), (1, 0, 0.2)]
)
def test_latent_weights_by_keras_are_the_matching_filter(rate, momentum, decay):
    # Keras's SGD: v = momentum v - rate (grad + decay w), w = w + v.
    w, v, latent = 0.0, 0.0, []
    for gradient in GRADIENTS[0]:
        v = momentum * v - rate * (gradient + decay * w)
        w += v
        latent.append(w)
    alpha, gamma = matching(rate, momentum, decay)
    filtered = ema(ema(GRADIENTS[:1], gamma), alpha)[0]
    # Equation 17 has gain 1, and latent weights -rate / (alpha gamma).
    np.testing.assert_allclose(latent, -rate * filtered / (alpha * gamma), rtol=1e-9)


@pytest.mark.parametrize("factor", [1 / 64, 1, 100])
@pytest.mark.parametrize("momentum", [0.0, 0.8, 0.9])
def test_the_decay_of_latent_weights_gives_the_alpha_that_was_asked(factor, momentum):
    rate = 0.1 * factor
    decay = decay_of(0.005, rate, momentum)
    alpha, gamma = matching(rate, momentum, decay)
    assert alpha == pytest.approx(0.005, rel=1e-9)
    assert gamma == pytest.approx(1 - momentum / 0.995, rel=1e-9)
    # The decay inside the momentum counts 1 / (1 - momentum) times, about.
    assert decay == pytest.approx(0.005 * (1 - momentum) / rate, rel=0.05)


def test_an_alpha_that_is_faster_than_the_momentum_is_refused():
    with pytest.raises(ValueError, match="at most 1 - sqrt"):
        decay_of(0.06, 0.1, 0.9)


def test_rates_that_no_filter_matches():
    with pytest.raises(ValueError, match="must be at least 4"):
        matching(0.1, 0.99, 0.01)


@pytest.mark.slow
def test_scaled_rates_and_starts_flip_the_same_weights():
    study = studies.get("paper_001_fig3_rate_and_start").made_quick()
    arms = {arm.name: arm for arm in study.arms}
    flips = [
        studies.train_arm(study, arms[name], 0, quick=True).series["step_flips"]
        for name in ("rate times 8", "start divided by 8")
    ]
    assert flips[0] == flips[1] and min(flips[0]) > 0
