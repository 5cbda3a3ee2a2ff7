"""Intervals against SciPy and by hand, and the verdicts that follow."""

import math

import numpy as np
import pytest
from scipy import stats

from larq_bnnopt.studies.statistics import (
    Verdict,
    deciding,
    interval,
    judge,
    together,
)


@pytest.mark.parametrize("count", [2, 5, 17])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_interval_is_that_of_scipy(count, confidence):
    values = np.random.default_rng(count).normal(3, 2, count)
    found = interval(list(values), confidence)
    low, high = stats.t.interval(
        confidence, count - 1, loc=values.mean(), scale=stats.sem(values)
    )
    np.testing.assert_allclose([found.low, found.high], [low, high], rtol=1e-12)
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.count == count


def test_interval_by_hand():
    # Mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776445 from a printed table.
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert found.low == pytest.approx(3 - half, abs=1e-6)
    assert found.high == pytest.approx(3 + half, abs=1e-6)


def test_an_interval_agrees_with_the_paired_test():
    rng = np.random.default_rng(0)
    for shift in (0.3, 0.8, 1.2):
        one, two = rng.normal(shift, 1, 8), rng.normal(0, 1, 8)
        p = stats.ttest_rel(one, two).pvalue
        found = interval(list(one - two))
        assert (found.low > 0 or found.high < 0) == (p < 0.05)


def test_one_value_tells_nothing():
    assert interval([7.0]).low == -math.inf and interval([7.0]).high == math.inf


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_interval_refuses(values):
    with pytest.raises(ValueError, match="finite values"):
        interval(values)


UP = [1.0, 1.2, 0.8, 1.1, 0.9]


@pytest.mark.parametrize(
    ("values", "margin", "verdict"),
    [
        (UP, None, Verdict.HOLDS),
        ([-v for v in UP], None, Verdict.FAILS),
        ([1.0, -1.2, 0.8, -1.1, 0.9], None, Verdict.OPEN),
        (UP[:4], None, Verdict.OPEN),  # fewer than 5 seeds, however clear
        ([0.0] * 5, None, Verdict.OPEN),
        ([0.5] * 5, None, Verdict.HOLDS),
        ([0.0] * 5, 0.1, Verdict.HOLDS),
        ([0.1, -0.1, 0.05, 0.0, -0.05], 0.2, Verdict.HOLDS),
        (UP, 0.5, Verdict.FAILS),
        ([-v for v in UP], 0.5, Verdict.FAILS),
        (UP, 1.0, Verdict.OPEN),
        (UP, 2.0, Verdict.HOLDS),
    ],
)
def test_verdicts(values, margin, verdict):
    assert judge(values, margin) is verdict


def test_one_of_many_comparisons_must_contradict_more_clearly():
    # Below zero at 95 %, and not at 1 - 0.05 / 10.
    values = [-1.0, -0.1, -0.9, -0.2, -0.8]
    assert stats.ttest_1samp(values, 0).pvalue == pytest.approx(0.0325, abs=1e-3)
    assert judge(values) is Verdict.FAILS
    assert judge(values, claims=10) is Verdict.OPEN
    assert judge([-v for v in values], claims=10) is Verdict.HOLDS


def test_the_interval_that_decides():
    values = [-1.0, -0.1, -0.9, -0.2, -0.8]
    assert deciding(values, claims=1) == interval(values)
    # The wider one decides where that of 95 % contradicts.
    assert deciding(values, claims=10) == interval(values, 0.995)
    assert deciding(values, claims=10).confidence == pytest.approx(0.995)
    assert deciding([-v for v in values], claims=10) == interval([-v for v in values])
    assert deciding(values, margin=0.2, claims=10) == interval(values)
    assert deciding(UP, margin=0.5, claims=10) == interval(UP, 0.995)


def test_parts_of_a_claim():
    holds, fails, open_ = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN
    assert together([holds, holds]) is holds
    assert together([holds, open_]) is open_
    assert together([open_, fails, holds]) is fails
    assert together([]) is open_
