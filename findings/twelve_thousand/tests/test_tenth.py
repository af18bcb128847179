"""Hidden networks, predicted from few: what predictors see, and the table of their errors."""

import functools

import numpy as np
import pytest
from matrices import make_metrics, make_profiles

from findings.twelve_thousand import lines, pieces, tenth
from findings.twelve_thousand.completion import feature_distance
from findings.twelve_thousand.rivals import transfer_features
from passband.prediction import gaussian_process

GRID = {
    "defocus_nm": [5, 12, 19, 26],
    "cs_um": [100, 1000],
    "aperture_mrad": [9, 12],
    "dose_e_per_A2": [100, 800],
}


@pytest.fixture
def cells(monkeypatch):
    """A small matrix of Dice that falls with the distance of T(q), of three replicas."""
    monkeypatch.setattr(gaussian_process, "_STEPS", 8)  # to save time
    metrics, information = make_metrics(GRID)
    profiles = make_profiles(metrics)["gold"]
    T = profiles.T
    apart = ((T[:, None] - T) ** 2).mean(-1)
    D = 0.9 - 0.5 * apart / apart.max()
    noise = 0.02 * np.random.default_rng(1).normal(size=(len(D), 3, len(D)))
    ends = (profiles, profiles)
    return lines.Cells(D[:, None] + noise, ends, transfer_features(information, ["flat"]))


def test_no_predictor_sees_hidden_networks(cells):
    known = np.random.default_rng(0).permutation(32) < 12
    Y = cells.replicas.mean(1)
    distance = feature_distance(cells.features)
    found = tenth.predictions(cells, Y, known, distance)
    blind = tenth.predictions(cells, np.where(known[:, None], Y, 0.5), known, distance)
    assert set(found) == {tenth.PROCESS, tenth.SCALED, tenth.COMPLETION, tenth.MEAN}
    for name, predicted in found.items():
        assert predicted.shape == (20, 32)
        np.testing.assert_array_equal(predicted, blind[name], err_msg=name)
    np.testing.assert_allclose(found[tenth.MEAN][3], Y[known].mean(0))


def test_the_table_has_each_predictor_for_each_draw(cells, monkeypatch, tmp_path):
    few = functools.partial(tenth.rows, numbers=(8, 16))
    monkeypatch.setattr(tenth, "rows", few)
    monkeypatch.setattr(lines.Cells, "of_pieces", lambda: cells)
    assert tenth.write(tmp_path) == 0
    rows = pieces.read(tmp_path / "tenth.csv")
    assert len(rows) == 2 * tenth.DRAWS * 5
    errors = {}
    for row in rows:
        errors.setdefault((row["predictor"], row["known"]), []).append(float(row["rmse"]))
    assert np.mean(errors[tenth.PROCESS, "16"]) < np.mean(errors[tenth.MEAN, "16"])
    for value in errors[tenth.NOISE, "8"]:
        assert value == pytest.approx(0.02 / 3**0.5, rel=0.1)
