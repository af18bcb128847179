"""Intervals over replicas and images, compared with formulas and with known variances."""

import numpy as np
import pytest
from scipy import stats

from passband.matrices.crossed_intervals import (
    Share,
    half_width,
    jackknife,
    moderated,
    of_mean,
    variance,
)


def test_one_share_is_the_interval_of_students_t():
    samples = np.random.default_rng(0).normal(size=(3, 9))
    for row, half in zip(samples, half_width(0.9, of_mean(samples)), strict=True):
        low, high = stats.t.interval(0.9, 8, row.mean(), stats.sem(row))
        assert [row.mean() - half, row.mean() + half] == pytest.approx([low, high])


def test_two_shares_have_satterthwaites_degrees_of_freedom():
    """Welch's t-test adds the variances of two means in this way."""
    first, second = (np.random.default_rng(k).normal(0, k + 1, 5 + 3 * k) for k in range(2))
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert half_width(0.95, of_mean(first), of_mean(second)) == pytest.approx((high - low) / 2)


def test_an_unknown_share_is_left_out_and_without_any_there_is_no_interval():
    known = Share(np.array([0.01, 0.0]), np.array(4.0))
    unknown = Share(np.full(2, np.nan), 0.0)
    expected = [0.1 * stats.t.ppf(0.975, 4), 0]
    np.testing.assert_allclose(half_width(0.95, known, unknown), expected)
    assert np.isnan(half_width(0.95, unknown, unknown)).all()
    assert np.isnan(variance(np.ones((3, 1)))).all()


@pytest.mark.slow
def test_known_components_of_a_balanced_study():
    """With thousands of degrees of freedom, the width is that of a normal distribution."""
    random = np.random.default_rng(1)
    a = 0.03 * random.normal(size=(3000, 1))
    b = 0.05 * random.normal(size=3000)
    e = 0.02
    Y = a + b + e * random.normal(size=(3000, 3000))
    half = half_width(0.95, of_mean(Y.mean(1)), of_mean(Y.mean(0)))
    expected = np.sqrt((0.03**2 + 0.05**2) / 3000)
    assert half == pytest.approx(stats.norm.ppf(0.975) * expected, rel=0.03)


def test_jackknife_of_a_mean_is_its_standard_error():
    samples = np.random.default_rng(2).normal(size=7)
    without = np.array([np.delete(samples, k).mean() for k in range(7)])
    found = jackknife(without)
    expected = of_mean(samples)
    assert found.variance == pytest.approx(expected.variance)
    assert found.freedom == expected.freedom
    assert np.isnan(jackknife(np.empty(0)).variance)
    assert np.isnan(jackknife(np.ones(1)).variance)


def drawn(number, replicas, prior, seed=3):
    """Return true variances with a trend and `prior` degrees, estimates, and levels."""
    random = np.random.default_rng(seed)
    level = random.uniform(-1, 1, number)
    true = np.exp(2 * level) * prior / random.chisquare(prior, number)
    freedom = replicas - 1
    return true, true * random.chisquare(freedom, number) / freedom, level


@pytest.mark.parametrize("replicas", [2, 7])
def test_moderation_finds_the_trend_and_what_the_others_know(replicas):
    true, found, level = drawn(4000, replicas, 6)
    share = moderated(found, np.array(replicas - 1.0), level)
    np.testing.assert_allclose(share.freedom, 6 + replicas - 1, rtol=0.2)
    # The moderated variances are nearer to the true ones, and as large in the mean.
    errors = [np.square(np.log(each / true)).mean() for each in (share.variance, found)]
    assert errors[0] < errors[1] / (3 if replicas == 2 else 1.3)
    assert share.variance.mean() == pytest.approx(true.mean(), rel=0.1)
    assert stats.spearmanr(share.variance, level).statistic > 0.5


def test_equal_variances_are_known_by_all_networks_together():
    random = np.random.default_rng(4)
    share = moderated(random.chisquare(6, 3000) / 6, np.array(6.0), random.normal(size=3000))
    np.testing.assert_allclose(share.variance, 1, atol=0.2)
    assert share.freedom.min() > 100
    few = moderated(np.array([1.0, 1.2]), np.array(1.0), np.zeros(2))
    assert (few.freedom <= 2).all()


def test_a_condition_alone_keeps_its_own_variance():
    share = moderated(np.array([0.3]), np.array(2.0), np.array([0.5]))
    assert (share.variance.item(), share.freedom.item()) == pytest.approx((0.3, 2))


def test_single_replicas_have_what_the_others_lead_to_expect():
    _, found, level = drawn(400, 3, 6)
    freedom = np.full(400, 2.0)
    missing = np.arange(0, 400, 4)
    freedom[missing] = 0
    found[missing] = np.nan
    share = moderated(found, freedom, level)
    assert np.isfinite(share.variance).all()
    np.testing.assert_allclose(share.freedom[1] - share.freedom[0], 2, rtol=0.2)
    unknown = moderated(np.full(4, np.nan), np.zeros(4), np.zeros(4))
    assert np.isnan(unknown.variance).all()


def test_order_changes_nothing_and_cells_that_do_not_count_tell_nothing():
    _, found, level = drawn(50, 3, 6)
    freedom = np.full(50, 2.0)
    order = np.random.default_rng(5).permutation(50)
    share, turned = (moderated(found[k], freedom, level[k]) for k in (slice(None), order))
    np.testing.assert_allclose(turned.variance, share.variance[order])
    np.testing.assert_allclose(turned.freedom, share.freedom[order])
    counts = np.arange(50) < 40
    some = moderated(np.where(counts, found, 1e3), freedom, level, among=counts)
    few = moderated(found[:40], freedom[:40], level[:40])
    np.testing.assert_allclose(some.variance[:40], few.variance)


def test_variances_of_zero_stay_small():
    found = np.zeros((4, 3))
    assert (moderated(found, np.array(1.0), found).variance == 0).all()


def intervals(random, replicas, images, networks):
    """Return means and half widths of conditions whose networks differ, and whose mean is 0."""
    noise = np.sqrt(6 / random.chisquare(6, (networks, 1, 1)))
    Y = 0.02 * noise * random.normal(size=(networks, replicas, 1))
    Y = Y + 0.05 * random.normal(size=(networks, 1, images))
    Y = Y + 0.02 * random.normal(size=(networks, replicas, images))
    mean = Y.mean((1, 2))
    share = moderated(variance(Y.mean(2)), np.array(replicas - 1.0), mean)
    return mean, half_width(0.95, share / np.array(replicas), of_mean(Y.mean(1)))


@pytest.mark.parametrize("images", [8, 48])
@pytest.mark.parametrize("replicas", [2, 7])
def test_intervals_cover_the_mean_and_narrow_with_replicas_and_images(replicas, images):
    mean, half = intervals(np.random.default_rng(6), replicas, images, 2000)
    assert 0.93 < (abs(mean) <= half).mean() < 0.98
    _, fewer = intervals(np.random.default_rng(6), replicas, images // 4, 2000)
    _, more = intervals(np.random.default_rng(6), 2 * replicas, images, 2000)
    assert more.mean() < half.mean() < fewer.mean()
