"""Folding of scales into batch normalizations: the algebra in float64."""

import numpy as np
import pytest

from zoo_extensions.folding import BatchNormParameters, fold


def normalized(z, norm, epsilon):
    factor = 1.0 if norm.gamma is None else norm.gamma
    offset = 0.0 if norm.beta is None else norm.beta
    return factor * (z - norm.mean) / np.sqrt(norm.variance + epsilon) + offset


def a_norm(gamma=True, beta=True, variance=(0.5, 30.0, 4.0)):
    return BatchNormParameters(
        np.array([1.5, -0.7, 0.2]) if gamma else None,
        np.array([0.3, 2.0, -1.0]) if beta else None,
        np.array([4.0, -2.0, 0.1]),
        np.array(variance),
    )


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
@pytest.mark.parametrize("bias", [None, (0.5, -3.0, 100.0)])
@pytest.mark.parametrize(
    "scale, options",
    [
        ((0.5, 0.01, 3.0), {}),
        ((1.0, 1.0, 1.0), {}),
        ((1e-3, 1e-5, 1e3), {"beta": False}),
        ((0.5, 0.01, 0.2), {"gamma": False}),
        ((0.5, 0.01, 0.2), {"gamma": False, "beta": False}),
        # The first two channels are constants, up to 1e-20 of what was there.
        ((0.0, 1e-20, 0.5), {}),
        ((0.0, 1e-200, 1e-320), {}),
        ((0.5, 1e-3, 0.2), {"variance": (0.0, 0.0, 1e-40)}),
    ],
)
def test_the_folded_norm_computes_the_same(scale, options, bias, epsilon):
    norm, scale = a_norm(**options), np.array(scale)
    bias = None if bias is None else np.array(bias)
    new = fold(norm, scale, bias, epsilon, 1e19)
    z = np.random.default_rng(0).integers(-100, 100, (50, 3)).astype(float)
    added = 0.0 if bias is None else bias
    expected = normalized(scale * z + added, norm, epsilon)
    actual = normalized(z + added, new, epsilon)
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)
    assert (new.gamma is None) == (norm.gamma is None)
    assert (new.beta is None) == (norm.beta is None)
    used = scale > 1e-8
    if norm.gamma is not None:
        # What z + bias has, if scale * z + bias has what the moving averages say.
        variance = norm.variance[used] / scale[used] ** 2
        np.testing.assert_allclose(new.variance[used], variance)
        if norm.beta is not None:
            np.testing.assert_array_equal(new.beta[used], norm.beta[used])
    for values in (new.gamma, new.beta, new.mean, new.variance):
        assert values is None or np.all(np.abs(values) < 1e19)
    assert np.all(new.variance >= 0)


@pytest.mark.parametrize(
    "scale, options",
    [
        ((0.5, 0.0, 1.0), {"gamma": False}),
        ((0.5, 0.0, 1.0), {"beta": False}),
        # (0.0 + 0.5) / 9 < 0.5: no variance is small enough.
        ((3.0, 1.0, 1.0), {"gamma": False, "variance": (0.0, 1.0, 1.0)}),
    ],
)
def test_what_no_batch_normalization_can_compute(scale, options):
    assert fold(a_norm(**options), np.array(scale), None, 0.5, 1e19) is None
