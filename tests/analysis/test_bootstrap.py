"""Rank correlation, bootstrap intervals, and Markdown tables."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from passband.analysis import bootstrap, correlation
from passband.reports import markdown


def test_rank_correlation_is_scipys_and_nan_where_one_side_is_constant():
    random = np.random.default_rng(0)
    x, y = random.integers(0, 9, 40).astype(float), random.normal(size=40)
    assert correlation.rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert np.isnan(correlation.rank_correlation(x, np.full(40, 0.1)))
    assert np.isnan(correlation.rank_correlation(x[:0], y[:0]))


def test_every_sample_has_as_many_clusters_as_there_are():
    counts = bootstrap.resample(7, 500, 1, "structures")
    assert counts.shape == (500, 7)
    assert (counts.sum(1) == 7).all()
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.2)
    assert 0.6 < counts.var() < 1.1  # of a multinomial, 1 − 1/n: drawn with replacement
    assert not np.array_equal(counts, bootstrap.resample(7, 500, 2, "structures"))


def test_percentile_intervals_leave_nan_out():
    samples = np.random.default_rng(0).normal(size=200)
    samples[:7] = np.nan
    edges = bootstrap.interval_edges(0.9)
    assert edges == pytest.approx([0.05, 0.95])
    expected = np.nanquantile(samples, edges)
    assert bootstrap.percentile_interval(samples, edges) == pytest.approx(expected)
    assert np.isnan(bootstrap.percentile_interval(samples[:7], edges)).all()


def test_markdown_table_has_a_line_for_each_row():
    lines = markdown.table(["a", "b"], [["1", "2"], ["3", "4"]]).splitlines()
    assert lines == ["| a | b |", "|---|---|", "| 1 | 2 |", "| 3 | 4 |"]


@pytest.mark.parametrize(
    ("values", "text"), [([], "–"), ([0.5], "0.500"), ([0.4, 0.6], "0.500 ± 0.141")]
)
def test_mean_has_a_deviation_where_there_are_two_values(values, text):
    assert markdown.mean_and_deviation(np.array(values)) == text
