"""Poisson counts compared with their distribution, and random bits with published bits."""

import re

import numpy as np
import pytest
from scipy import stats

from passband.imaging import poisson
from passband.imaging.poisson import PARTS, TABLED, alias_tables, draw


def drawn(means, seed, electrons=1.0, dtype=np.float64):
    """Return the Poisson counts of an image whose pixels have these means."""
    image = np.ascontiguousarray(means, dtype)
    counts = np.empty_like(image)
    draw(image, electrons, seed, counts)
    return counts


# Distribution


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "mean", [0.1, 1, 5, 9.9, 10.1, 36, 100, TABLED - 0.1, TABLED + 0.1, 1000, 2e4]
)
def test_counts_are_poissons(mean, dtype):
    counts = drawn(np.ones((512, 512)), 20261124, mean, dtype)
    number = counts.size
    assert np.array_equal(counts, np.rint(counts))
    assert counts.min() >= 0
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / number))
    # The variance of a Poisson sample's variance is (mean + 2·mean²)/n.
    assert counts.var() == pytest.approx(mean, abs=4 * np.sqrt((mean + 2 * mean**2) / number))
    edges = np.unique(stats.poisson.ppf(np.linspace(1e-4, 1 - 1e-4, 200), mean))
    expected = np.diff(stats.poisson.cdf([-1, *edges, np.inf], mean)) * number
    found = np.histogram(counts, [-0.5, *(edges + 0.5), np.inf])[0]
    keep = expected > 5
    chi_square = np.sum((found[keep] - expected[keep]) ** 2 / expected[keep])
    assert stats.chi2.sf(chi_square, keep.sum() - 1) > 1e-3


@pytest.mark.parametrize("highest", [1, 10, 2 * TABLED, 1e4])
def test_pixels_have_means_of_their_own(highest):
    """Draw a uniform number between the cumulative probabilities of k − 1 and k.

    If k is a Poisson count, this number is uniform between 0 and 1 for any mean μ.
    """
    random = np.random.default_rng(1)
    means = random.uniform(0, highest, (400, 400))
    counts = drawn(means, 99)
    below = stats.poisson.cdf(counts - 1, means)
    even = below + random.random(means.shape) * (stats.poisson.cdf(counts, means) - below)
    found = np.histogram(even, 400, (0, 1))[0]
    assert stats.chisquare(found).pvalue > 1e-3
    # And so it is in every part of the means' range.
    table = np.histogram2d(means.ravel(), even.ravel(), (50, 20))[0]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_no_electron_comes_where_none_is_expected():
    assert not drawn(np.zeros((64, 64)), 3).any()
    assert not drawn(np.ones((64, 64)), 3, 0.0).any()


@pytest.mark.parametrize("mean", [1e6, 1e9, 1e12, 1e15])
def test_large_means(mean):
    z = (drawn(np.full((200, 200), mean), 8) - mean) / np.sqrt(mean)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3


def test_float32_rounds_what_it_cannot_hold():
    counts = drawn(np.ones((100, 100)), 8, 1e9)
    single = drawn(np.ones((100, 100)), 8, 1e9, np.float32)
    assert np.array_equal(single, counts.astype(np.float32))
    assert not np.array_equal(single, counts)


@pytest.mark.parametrize("wrong", [-1e-3, -1.0, np.nan, np.inf, 1e16])
def test_a_mean_that_is_none_is_named(wrong):
    means = np.ones((8, 8))
    means[3, 4] = wrong
    with pytest.raises(
        ValueError, match=re.escape(f"mean count {wrong}: must be from 0 to 4.5e+15")
    ):
        drawn(means, 1)


# Tables


@pytest.mark.parametrize(
    ("means", "size"), [(np.arange(TABLED), 256), (np.arange(PARTS) / PARTS, 32)]
)
def test_tables_hold_the_distribution_to_rounding(means, size):
    keep, instead = alias_tables(means.tolist(), size)
    assert keep.min() >= 0
    assert keep.max() <= 1 + 1e-12
    for row, mean in enumerate(means):
        found = np.bincount(instead[row], (1 - keep[row]) / size, size) + keep[row] / size
        expected = stats.poisson.pmf(np.arange(size), mean)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
        assert stats.poisson.sf(size - 1, mean) < 1e-20


# Random bits


def test_bits_are_xoshiro256plusplus():
    """The expected numbers are the generator's first numbers from the state 1, 2, 3, 4.

    The numbers were computed with the generator's reference implementation.
    """
    state, found = (1, 2, 3, 4), []
    for _ in range(10):
        bits, state = poisson._next(tuple(np.uint64(word) for word in state))
        found.append(bits)
    assert found == [
        41943041,
        58720359,
        3588806011781223,
        3591011842654386,
        9228616714210784205,
        9973669472204895162,
        14011001112246962877,
        12406186145184390807,
        15849039046786891736,
        10450023813501588000,
    ]


def test_seeds_go_through_splitmix64():
    """The expected numbers are the generator's first numbers from the state 0.

    The numbers were computed with the generator's reference implementation.
    """
    assert poisson._seeded(np.uint64(0)) == (
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
        0xF88BB8A8724C81EC,
    )


@pytest.mark.parametrize("mean", [0.5, 36, 500])
@pytest.mark.parametrize("first", [0, 2**63 - 64])
def test_neighbouring_seeds_have_nothing_in_common(mean, first):
    images = np.stack([drawn(np.full(4096, mean), first + i) for i in range(64)])
    correlation = np.corrcoef(images)[np.triu_indices(64, 1)] * np.sqrt(4096)
    assert np.abs(correlation).max() < 5
    assert correlation.var() == pytest.approx(1, abs=5 * np.sqrt(2 / correlation.size))


def test_neighbouring_pixels_have_nothing_in_common():
    for mean in (0.5, 36, 500):
        noise = drawn(np.full((512, 512), mean), 4) - mean
        for down, right in ((0, 1), (0, 2), (0, 3), (1, 0), (1, 1)):
            products = noise * np.roll(noise, (down, right), (0, 1)) / mean
            assert abs(products.mean()) < 4 / 512


def test_the_same_seed_gives_the_same_counts_for_ever():
    """If these counts change, raise the numbers of `train` and `evaluate` in STAGES.

    Finished networks were trained with these counts.
    """
    means = np.array([0.0, 0.1, 1.0, 36.0, 36.0, 100.0, 130.0, 1000.0])
    assert drawn(means, 2026).tolist() == [0.0, 0.0, 2.0, 34.0, 46.0, 95.0, 116.0, 972.0]
