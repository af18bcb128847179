"""Prediction as a whole: its labels, holes, and which studies have it."""

import numpy as np
import pytest
import xarray as xr
from matrices import make_metrics, matrix
from sklearn.metrics import r2_score

from passband import holdout, prediction
from passband.config import FEWEST_PREDICTED, load

pytestmark = pytest.mark.usefixtures("few_folds")


def test_predict_labels_what_it_finds():
    metrics, information = make_metrics(noise=0.01)
    found = prediction.predict(metrics, information, draws=20, axes=[holdout.CONDITIONS])
    of = found.sel(part="conditions/train/all", model="stacked").squeeze()
    low, high = of.r2_interval.sel(features="ctf").values
    assert low < of.r2.sel(features="ctf") < high
    np.testing.assert_allclose(of.gain.sel(features="ctf"), 0)
    assert of.gain.sel(features="mean") == pytest.approx(
        float(of.r2.sel(features="ctf") - of.r2.sel(features="mean"))
    )
    guess = found.predicted.sel(axis="conditions", end="train").squeeze()
    assert np.isnan(np.diag(guess)).all()
    M = matrix(metrics).dice.values
    good = np.isfinite(guess.values)
    assert r2_score(M[good], guess.values[good]) == pytest.approx(
        float(of.r2.sel(features="ctf")), abs=1e-4
    )
    text = prediction.summary(found)
    assert "| compact, gold | conditions | train |" in text
    assert f"{float(of.r2.sel(features='ctf')):.2f} ({low:.2f} to {high:.2f})" in text


def test_matrices_may_lack_features_that_others_have(monkeypatch):
    monkeypatch.setattr(holdout, "ENDS", ("train",))  # a third of the folds
    metrics, information = make_metrics(noise=0.01)
    metrics = xr.concat([metrics, metrics.assign_coords(test_specimen=["iron"])], "test_specimen")
    n = metrics.sizes["train"]
    far = np.arange(2.0 * n * n).reshape(2, n, n)
    of = ("test_specimen", "train", "test")
    some = np.where(np.arange(2)[:, None, None] == 0, far, np.nan)
    distances = xr.Dataset(
        {"cka": (of, some), "spectral": (of, far)},
        {"test_specimen": ["gold", "iron"], "train": metrics.train, "test": metrics.test},
    )
    found = prediction.predict(
        metrics, information, distances, draws=2, axes=[holdout.CONDITIONS]
    ).squeeze(["specimen", "architecture"])
    assert set(found.features.values) == {"ctf", "mean", "raw", "id", "cka", "spectral"}
    r2 = found.r2.sel(model="stacked", part="conditions/train/all")
    assert np.isfinite(r2.sel(test_specimen="gold")).all()
    lacking = found.features[np.isnan(r2.sel(test_specimen="iron"))]
    assert lacking.values.tolist() == ["cka"]
    text = prediction.summary(found.expand_dims(["specimen", "architecture"]))
    assert "nan" not in text


def test_small_and_holed_matrices():
    metrics, information = make_metrics()
    metrics.dice[..., 0, :] = np.nan
    with pytest.raises(
        prediction.TooFewError, match=f"under 23 conditions.* {FEWEST_PREDICTED} on"
    ):
        prediction.predict(metrics, information)


def test_many_conditions_are_drawn_at_both_ends_alike(monkeypatch):
    monkeypatch.setattr(prediction, "MOST", 10)
    monkeypatch.setattr(prediction, "FEWEST", 10)
    (found,) = prediction.groups(make_metrics()[0], 0)
    assert found.sizes["train"] == found.sizes["test"] == 10
    np.testing.assert_array_equal(found.train, found.test)


@pytest.mark.parametrize(
    ("file", "expected"), [("config.yaml", False), ("studies/pilot.yaml", True)]
)
def test_which_studies_are_predicted(file, expected):
    assert load(file).predictable is expected
