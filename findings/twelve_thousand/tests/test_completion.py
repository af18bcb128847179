"""Completion of a synthetic matrix of Dice from a part of its networks."""

import numpy as np
import pytest
from matrices import make_metrics, matrix

from findings.twelve_thousand import completion, rivals


def test_likeness_is_a_distance_of_scaled_features():
    random = np.random.default_rng(0)
    values = random.normal(size=(5, 6, 3)) * [1, 10, 0.1] + [0, 5, 3]
    found = completion.feature_distance(rivals.Features(values, ("a", "b", "c")))
    scaled = (values - values.mean((0, 1))) / values.std((0, 1))
    assert found[1, 3] == pytest.approx(np.sqrt(((scaled[1] - scaled[3]) ** 2).mean()))
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-7)


def test_rows_that_were_not_trained_are_recovered_and_do_not_leak():
    metrics, information = make_metrics(noise=0.005)
    Y = matrix(metrics).dice.transpose("train", "test").values
    distance = completion.feature_distance(rivals.transfer_features(information, ["flat"]))
    trained = np.random.default_rng(0).permutation(len(Y)) < 12
    found = completion.complete_rows(Y, trained, distance)
    np.testing.assert_array_equal(found[trained], Y[trained])
    e = (found - Y)[~trained]
    assert np.sqrt((e**2).mean()) < 0.5 * np.std(Y[~trained] - Y[trained].mean(0))
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
