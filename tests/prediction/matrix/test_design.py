"""The choice of networks to train, on synthetic matrices of Dice."""

import numpy as np
import pytest
import xarray as xr
from matrices import make_metrics

from passband.analysis.groups import GROUP
from passband.prediction.matrix import cross_validation, design


def test_greedy_raises_the_lowest_then_the_mean():
    M = np.array([[0.9, 0.1, 0.1], [0.5, 0.5, 0.4], [0.1, 0.2, 0.9], [0.5, 0.5, 0.41]])
    assert design.greedy(M, 1) == [3]
    assert design.greedy(M, 2) == [3, 2] or design.greedy(M, 2) == [3, 0]
    assert design.best_of_set_dice(M, design.greedy(M, 2))[0] == pytest.approx(0.5)
    assert len(set(design.greedy(M, 4))) == 4
    np.testing.assert_allclose(design.best_of_set_dice(M, [0, 2]), [0.2, (0.9 + 0.2 + 0.9) / 3])


def specialists(n=24, seed=0):
    """Return a matrix of networks that have high Dice near their training condition, on a line."""
    x = np.linspace(0, 1, n)
    M = 0.2 + 0.7 * np.exp(-(((x[:, None] - x) / 0.15) ** 2))
    return M, M + np.random.default_rng(seed).normal(0, 0.02, M.shape)


def test_design_by_a_good_prediction_beats_random_and_nears_the_oracle():
    M, guess = specialists()
    useless = np.random.default_rng(1).uniform(size=M.shape)
    found = design.set_size_curves(M, guess, useless, 0)
    size = 3  # four networks
    assert found["predicted"][size, 0] > found["random_high"][size, 0]
    assert found["predicted"][size, 1] > found["random"][size, 1]
    assert found["predicted"][size, 0] > 0.9 * found["true"][size, 0]
    assert (found["random_low"] <= found["random"]).all()
    assert (np.diff(found["true"], axis=0) >= 0).all()
    assert (found["optimum"][:2] >= found["true"][:2] - 1e-12).all()
    assert np.isnan(found["optimum"][2:]).all()
    best = max(design.best_of_set_dice(M, [i, j])[0] for i in range(24) for j in range(24))
    assert found["optimum"][1, 0] == pytest.approx(best)


def test_design_labels_what_it_finds():
    metrics, information = make_metrics(noise=0.01)
    guess = metrics.dice.expand_dims({"axis": [cross_validation.CONDITIONS], "end": ["train"]})
    predicted = xr.Dataset({"predicted": guess.where(metrics.train != metrics.test)})
    found = design.design(metrics, information, predicted).squeeze(GROUP)
    values = found.design.sel(size=2, worth="worst")
    assert values.sel(strategy="optimum") >= values.sel(strategy="true")
