"""Random seeds, which are made by hashing names."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband.seeds import generator, seed, stratified_normal

names = st.lists(
    st.integers(0, 10**6) | st.text("abcdefghijklmnop+-._0123456789", max_size=8),
    min_size=1,
    max_size=6,
)


def test_seed_never_changes():
    # A study made with one version of Passband must come out of the next one.
    assert seed(2512, "gold", "train", 0, "structure") == 7731141078602286073


@given(names)
def test_seed_is_a_function_of_the_names_that_torch_takes(given_names):
    assert seed(*given_names) == seed(*given_names)
    assert 0 <= seed(*given_names) < 2**63


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("a", "bc"), ("ab", "c")),
        (("a", ""), ("a",)),
        (("", "a"), ("a", "")),
        ((1, 11), (11, 1)),
        ((1, 23), (12, 3)),
        (("gold", "train", 0), ("gold", "train", 1)),
        (("gold", "train", 0), ("gold", "test", 0)),
    ],
)
def test_different_names_have_different_seeds(a, b):
    assert seed(*a) != seed(*b)


@given(names, names)
def test_seeds_of_different_names_differ(a, b):
    assert (seed(*a) == seed(*b)) == (list(map(str, a)) == list(map(str, b)))


def test_generators_repeat_and_are_independent():
    draws = [generator("study", i).normal(size=1000) for i in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert abs(np.corrcoef(draws[0], draws[2])[0, 1]) < 0.15


def test_stratified_normals_have_one_in_each_interval_of_every_dimension():
    found = stratified_normal(32, 5, "study", 1)
    np.testing.assert_array_equal(found, stratified_normal(32, 5, "study", 1))
    assert not np.any(found == stratified_normal(32, 5, "study", 2))
    cdf = np.vectorize(NormalDist().cdf)(found)
    np.testing.assert_array_equal(np.sort(cdf * 32 // 1, 0), np.tile(np.arange(32)[:, None], 5))
    # Means come out ten times as close as those of independent draws.
    assert stratified_normal(256, 20, "a").mean(0).std() < 0.1 / np.sqrt(256)
    many = stratified_normal(4000, 3, "b")
    np.testing.assert_allclose(np.cov(many.T), np.eye(3), atol=0.06)


def test_seeds_fill_their_range():
    bits = np.array([[seed("bit", i) >> b & 1 for b in range(63)] for i in range(2000)])
    assert np.abs(bits.mean(0) - 0.5).max() < 0.06  # 5.4 standard deviations
