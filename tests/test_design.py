"""Which networks to train, by synthetic matrices."""

import numpy as np
import pytest
import xarray as xr
from matrices import make_metrics, matrix

from passband import design, features, holdout, prediction


def test_greedy_raises_the_lowest_then_the_mean():
    M = np.array([[0.9, 0.1, 0.1], [0.5, 0.5, 0.4], [0.1, 0.2, 0.9], [0.5, 0.5, 0.41]])
    assert design.greedy(M, 1) == [3]
    assert design.greedy(M, 2) == [3, 2] or design.greedy(M, 2) == [3, 0]
    assert design.worth(M, design.greedy(M, 2))[0] == pytest.approx(0.5)
    assert len(set(design.greedy(M, 4))) == 4
    np.testing.assert_allclose(design.worth(M, [0, 2]), [0.2, (0.9 + 0.2 + 0.9) / 3])


def specialists(n=24, seed=0):
    """Return a matrix of networks that are good about their own condition, on a line."""
    x = np.linspace(0, 1, n)
    M = 0.2 + 0.7 * np.exp(-(((x[:, None] - x) / 0.15) ** 2))
    return M, M + np.random.default_rng(seed).normal(0, 0.02, M.shape)


def test_design_by_a_good_prediction_beats_random_and_nears_the_oracle():
    M, guess = specialists()
    useless = np.random.default_rng(1).uniform(size=M.shape)
    found = design.curves(M, guess, useless, 0)
    size = 3  # four networks
    assert found["predicted"][size, 0] > found["random_high"][size, 0]
    assert found["predicted"][size, 1] > found["random"][size, 1]
    assert found["predicted"][size, 0] > 0.9 * found["true"][size, 0]
    assert (found["random_low"] <= found["random"]).all()
    assert (np.diff(found["true"], axis=0) >= 0).all()
    assert (found["optimum"][:2] >= found["true"][:2] - 1e-12).all()
    assert np.isnan(found["optimum"][2:]).all()
    best = max(design.worth(M, [i, j])[0] for i in range(24) for j in range(24))
    assert found["optimum"][1, 0] == pytest.approx(best)


def test_likeness_is_a_distance_of_scaled_features():
    random = np.random.default_rng(0)
    values = random.normal(size=(5, 6, 3)) * [1, 10, 0.1] + [0, 5, 3]
    found = design.likeness(features.Features(values, ("a", "b", "c")))
    scaled = (values - values.mean((0, 1))) / values.std((0, 1))
    assert found[1, 3] == pytest.approx(np.sqrt(((scaled[1] - scaled[3]) ** 2).mean()))
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-7)


def test_spread_takes_the_middle_then_the_ends():
    x = np.arange(9.0)
    assert design.spread(np.abs(x[:, None] - x), 3) == [4, 0, 8]


def test_rows_that_were_not_trained_are_recovered_and_do_not_leak():
    metrics, information = make_metrics(noise=0.005)
    cells = matrix(metrics)
    X = features.feature_sets(cells, information)["ctf"]
    Y = prediction.targets(cells)
    distance = design.likeness(X)
    trained = np.random.default_rng(0).permutation(len(Y)) < 12
    found = design.completed(X, Y, trained, distance, 0)
    np.testing.assert_array_equal(found[trained], Y[trained])
    e = (found - Y)[~trained]
    assert np.sqrt(np.nanmean(e**2)) < 0.3 * np.nanstd(Y[~trained])
    other = Y.copy()
    other[~trained] = 0.123
    again = design.completed(X, other, trained, distance, 0)
    np.testing.assert_array_equal(found[~trained], again[~trained])


def test_design_labels_what_it_finds(monkeypatch):
    monkeypatch.setattr(design, "SHARES", (0.5,))
    monkeypatch.setattr(design, "CHOICES", 1)
    metrics, information = make_metrics(noise=0.01)
    guess = metrics.dice.expand_dims({"axis": [holdout.CONDITIONS], "end": ["train"]})
    predicted = xr.Dataset({"predicted": guess.where(metrics.train != metrics.test)})
    found = design.design(metrics, information, predicted, 2).squeeze(prediction.GROUP)
    assert found.noise == pytest.approx(0.01)
    assert found.reach == pytest.approx(0.01 * np.sqrt(1.5))
    assert found.completion.sel(share=0.5, choice="designed") < 0.1
    values = found.design.sel(size=2, worth="worst")
    assert values.sel(strategy="optimum") >= values.sel(strategy="true")


def test_errors_are_carried_to_rows_nearby_and_noise_is_not():
    x, to = np.linspace(0, 1, 20), np.array([0.31, 0.72])
    within, apart = np.abs(x[:, None] - x), np.abs(to[:, None] - x)
    errors = np.column_stack([np.sin(4 * x), np.cos(4 * x)])
    errors[3, 0] = np.nan
    found = design._carried(errors, within, apart)
    np.testing.assert_allclose(found[1], [np.sin(4 * to[1]), np.cos(4 * to[1])], atol=0.05)
    noise = np.random.default_rng(0).normal(0, 0.1, (20, 200))
    assert np.abs(design._carried(noise, within, apart)).mean() < 0.03
