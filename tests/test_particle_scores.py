"""Scores of particles, from numbers that are known."""

import numpy as np
import pytest

from passband.particle_scores import (
    NO_NUMBER,
    NUMBERS,
    SCORES,
    TRUTHS,
    count_error,
    diameter_bias,
    instance_f1,
    instance_f1_visible,
)


def image(truth="faces", **numbers):
    """Return the numbers of an image, (truth, number); those that are not given are 0."""
    values = np.zeros((len(TRUTHS), len(NUMBERS)), np.uint32)
    for name, value in numbers.items():
        values[TRUTHS.index(truth), NUMBERS.index(name)] = value
    return values


def test_the_f1_score_of_an_image_is_that_of_its_particles():
    values = np.stack([image(true=4, matched=3, found=8), image(), image(found=2)])
    assert instance_f1(values).tolist() == [0.5, 1, 0]
    assert instance_f1_visible(values).tolist() == [1, 1, 1]
    seen = image("visible", true=2, matched=1, found=2)
    assert instance_f1_visible(seen[None]).tolist() == [0.5]


def test_the_error_of_the_number_is_relative_to_the_mean_number():
    values = np.stack([image(true=4, found=2), image(true=0, found=1)])
    assert count_error(values).tolist() == [-1, 0.5]
    assert count_error(values).mean() == pytest.approx(3 / 4 - 1)
    assert np.isnan(count_error(np.stack([image(found=1)]))).all()


def test_the_mean_of_the_diameter_bias_is_the_ratio_of_mean_diameters():
    rng = np.random.default_rng(0)
    n, m = rng.integers(0, 9, (2, 3, 40))
    true, found = 3000 * n + rng.integers(0, 99, n.shape), 3300 * m
    values = np.zeros((3, 40, len(TRUTHS), len(NUMBERS)), np.uint32)
    for name, each in zip(NUMBERS[-4:], (n, true, m, found), strict=True):
        values[..., TRUTHS.index("faces"), NUMBERS.index(name)] = each
    expected = (found.sum(-1) / m.sum(-1)) / (true.sum(-1) / n.sum(-1)) - 1
    np.testing.assert_allclose(diameter_bias(values).mean(-1), expected)


def test_the_spread_of_the_diameter_bias_is_that_of_the_ratio():
    """Its variance over images, divided by their number, is that of the ratio of other images."""
    rng = np.random.default_rng(1)
    values = np.zeros((2000, 50, len(TRUTHS), len(NUMBERS)), np.uint32)
    n = rng.integers(1, 9, values.shape[:2])
    true, found = (n * rng.integers(low, high, n.shape) for low, high in ((25, 35), (20, 50)))
    for name, each in zip(NUMBERS[-4:], (n, true, n, found), strict=True):
        values[..., TRUTHS.index("faces"), NUMBERS.index(name)] = each
    bias = diameter_bias(values)
    expected = np.sqrt((bias.var(-1, ddof=1) / 50).mean())
    assert bias.mean(-1).std() == pytest.approx(expected, rel=0.1)


def test_the_diameter_bias_has_no_spread_if_each_image_has_the_same():
    """Large particles of an image are no bias: its found and its true ones vary together."""
    n = [3, 1, 8]
    sums = [9000, 5000, 20000]
    values = np.stack(
        [
            image(true_sized=k, true_pm=pm, found_sized=k, found_pm=pm * 11 // 10)
            for k, pm in zip(n, sums, strict=True)
        ]
    )
    np.testing.assert_allclose(diameter_bias(values), 0.1, atol=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_missing_numbers_have_no_score(name):
    values = np.full((3, len(TRUTHS), len(NUMBERS)), NO_NUMBER, np.uint32)
    assert np.isnan(SCORES[name](values)).all()
