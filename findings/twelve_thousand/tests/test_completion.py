"""The completion of a synthetic matrix of Dice from a part of its cells."""

import numpy as np
import pytest
from matrices import make_metrics, matrix

from passband.analysis.groups import GROUP
from passband.prediction.matrix import completion, features, matrices


def test_likeness_is_a_distance_of_scaled_features():
    random = np.random.default_rng(0)
    values = random.normal(size=(5, 6, 3)) * [1, 10, 0.1] + [0, 5, 3]
    found = completion.feature_distance(features.Features(values, ("a", "b", "c")))
    scaled = (values - values.mean((0, 1))) / values.std((0, 1))
    assert found[1, 3] == pytest.approx(np.sqrt(((scaled[1] - scaled[3]) ** 2).mean()))
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-7)


def test_spread_takes_the_middle_then_the_ends():
    x = np.arange(9.0)
    assert completion.farthest_points(np.abs(x[:, None] - x), 3) == [4, 0, 8]


def test_rows_that_were_not_trained_are_recovered_and_do_not_leak():
    metrics, information = make_metrics(noise=0.005)
    cells = matrix(metrics)
    Y = matrices.targets(cells)
    distance = completion.feature_distance(features.feature_sets(cells, information)["ctf"])
    trained = np.random.default_rng(0).permutation(len(Y)) < 12
    found = completion.complete_rows(Y, trained, distance)
    np.testing.assert_array_equal(found[trained], Y[trained])
    e = (found - Y)[~trained]
    assert np.sqrt(np.nanmean(e**2)) < 0.5 * np.nanstd(Y[~trained] - np.nanmean(Y[trained], 0))
    other = Y.copy()
    other[~trained] = 0.123
    again = completion.complete_rows(other, trained, distance)
    np.testing.assert_array_equal(found[~trained], again[~trained])


def test_smooth_rows_are_recovered_from_those_nearby_and_noise_is_not():
    x = np.linspace(0, 1, 22)
    distance, trained = np.abs(x[:, None] - x), ~np.isin(np.arange(22), [7, 16])
    Y = 0.5 + 0.3 * np.column_stack([np.sin(4 * x), np.cos(4 * x)])
    seen = Y.copy()
    seen[3, 0] = np.nan
    found = completion.complete_rows(seen, trained, distance)
    np.testing.assert_allclose(found[16], Y[16], atol=0.02)
    noise = 0.5 + np.random.default_rng(0).normal(0, 0.1, (22, 200))
    found = completion.complete_rows(noise, trained, distance)[~trained]
    assert np.abs(found - noise[trained].mean(0)).mean() < 0.03


def test_cells_that_were_not_tested_are_recovered_and_do_not_leak():
    random = np.random.default_rng(0)
    Y = 0.5 + 0.1 * random.normal(size=(40, 2)) @ random.normal(size=(2, 50))
    tested = random.random(Y.shape) < 0.5
    found = completion.complete_cells(Y, tested, 0)
    np.testing.assert_array_equal(found[tested], Y[tested])
    assert np.sqrt(np.nanmean((found - Y)[~tested] ** 2)) < 0.25 * Y.std()
    again = completion.complete_cells(np.where(tested, Y, 0.123), tested, 0)
    np.testing.assert_array_equal(found[~tested], again[~tested])


def test_low_rank_is_recovered_and_noise_is_not():
    random = np.random.default_rng(0)
    true = random.normal(size=(40, 2)) @ random.normal(size=(2, 50))
    known = random.random(true.shape) < 0.5
    found = completion.low_rank(np.where(known, true, np.nan), 0)
    assert np.sqrt(((found - true)[~known] ** 2).mean()) < 0.15 * true.std()
    noise = random.normal(size=true.shape)
    found = completion.low_rank(np.where(known, noise, np.nan), 0)
    assert np.sqrt((found[~known] ** 2).mean()) < 0.2


def test_soft_impute_of_a_whole_matrix_shrinks_its_singular_values():
    values = np.random.default_rng(0).normal(size=(6, 5))
    (found,) = completion._soft_impute(values, np.ones((6, 5), dtype=bool), [0.7], steps=1)
    expected = np.maximum(np.linalg.svd(values)[1] - 0.7, 0)
    np.testing.assert_allclose(np.linalg.svd(found)[1], expected, atol=1e-12)


def test_completion_labels_what_it_finds(monkeypatch):
    monkeypatch.setattr(completion, "SHARES", (0.5,))
    monkeypatch.setattr(completion, "CHOICES", 1)
    metrics, information = make_metrics(noise=0.01)
    found = completion.completion(metrics, information, 2).squeeze(GROUP)
    assert found.noise == pytest.approx(0.01)
    assert found.reach == pytest.approx(0.01 * np.sqrt(1.5))
    of = found.completion.sel(share=0.5)
    assert of.sel(hidden="networks", choice="designed") < 0.1
    assert of.sel(hidden="cells", choice="random 0") < 0.06
    assert np.isnan(of.sel(hidden="cells", choice="designed"))
