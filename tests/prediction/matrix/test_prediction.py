"""The whole prediction of the matrix: its labels, missing values, and the studies that have it."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_metrics, make_profiles, make_table, matrix
from sklearn.metrics import r2_score

from passband.config import FEWEST_PREDICTED, load
from passband.figures.prediction import prediction as draw
from passband.prediction.matrix import cross_validation, matrices, prediction
from passband.reports import markdown, summaries

pytestmark = pytest.mark.usefixtures("few_folds")


@pytest.mark.slow
def test_predict_labels_what_it_finds(monkeypatch):
    monkeypatch.setattr(cross_validation, "SIDES", ("train",))  # a third of the folds
    metrics, information = make_metrics(noise=0.01)
    found = prediction.predict(metrics, information, draws=20, axes=[cross_validation.CONDITIONS])
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
    text = summaries.prediction(found)
    assert "| compact, gold | conditions | train |" in text
    assert f"{float(of.r2.sel(features='ctf')):.2f} ({low:.2f} to {high:.2f})" in text


@pytest.mark.slow
def test_with_profiles_the_combination_is_the_final_prediction(monkeypatch):
    monkeypatch.setattr(cross_validation, "SIDES", ("train",))  # a third of the folds
    metrics, information = make_metrics(noise=0.01)
    axes, profiles = [cross_validation.CONDITIONS], make_profiles(metrics)
    found = prediction.predict(metrics, information, draws=20, axes=axes, profiles=profiles)
    assert found.model.values.tolist()[-3:] == ["stacked", "process", "combined"]
    assert prediction.headline(found) == "combined"
    of = found.sel(part="conditions/train/all").squeeze()
    ctf = of.sel(features="ctf")
    for model in ("stacked", "process", "combined"):
        assert np.isfinite(
            ctf.sel(model=model)[["r2", "rho", "coverage", "width"]].to_array()
        ).all()
    assert of.r2.sel(features="mean", model=["process", "combined"]).isnull().all()
    assert 0 <= float(of.process_weight) <= 1
    guess = found.predicted.sel(axis="conditions", end="train").squeeze().values
    good = np.isfinite(guess)
    r2 = float(ctf.r2.sel(model="combined"))
    assert r2_score(matrix(metrics).dice.values[good], guess[good]) == pytest.approx(r2, abs=1e-4)
    text = summaries.prediction(found)
    assert "R², process | R², combined | ρ, combined | R² at given doses, combined" in text
    assert f"| {r2:.2f} (" in text
    assert "nan" not in text
    figure = draw(found, "viridis")
    labels = [text.get_text() for ax in figure.axes for text in ax.get_yticklabels()]
    assert "combined with a\nGaussian process" in labels


@pytest.mark.slow
def test_matrices_may_lack_features_that_others_have(monkeypatch):
    monkeypatch.setattr(cross_validation, "SIDES", ("train",))  # a third of the folds
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
        metrics, information, distances, draws=2, axes=[cross_validation.CONDITIONS]
    ).squeeze(["specimen", "architecture"])
    assert set(found.features.values) == {"ctf", "mean", "raw", "id", "cka", "spectral"}
    r2 = found.r2.sel(model="stacked", part="conditions/train/all")
    assert np.isfinite(r2.sel(test_specimen="gold")).all()
    lacking = found.features[np.isnan(r2.sel(test_specimen="iron"))]
    assert lacking.values.tolist() == ["cka"]
    text = summaries.prediction(found.expand_dims(["specimen", "architecture"]))
    assert "nan" not in text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.85, 0.81, 0.884), "0.85 (0.81 to 0.88)"),
        ((-0.001, -0.03, -0.004), "0.00 (-0.03 to 0.00)"),
        ((np.nan, np.nan, np.nan), "–"),
        ((-0.001, np.nan, np.nan), "0.00"),  # without a bootstrap
    ],
)
def test_an_interval_for_a_reader(values, text):
    of = xr.Dataset({"r2": values[0], "r2_interval": ("bound", list(values[1:]))})
    assert markdown.interval(of, "r2") == text


def test_small_and_holed_matrices():
    metrics, information = make_metrics()
    metrics.dice[..., 0, :] = np.nan
    with pytest.raises(matrices.TooFewError, match=f"only 23 .* {FEWEST_PREDICTED} of each$"):
        prediction.predict(metrics, information)


def test_many_conditions_are_drawn_at_both_ends_alike(monkeypatch):
    monkeypatch.setattr(matrices, "MAX_CONDITIONS", 10)
    monkeypatch.setattr(matrices, "MIN_CONDITIONS", 10)
    (found,) = matrices.matrices(make_metrics()[0], 0)
    assert found.sizes["train"] == found.sizes["test"] == 10
    np.testing.assert_array_equal(found.train, found.test)


@pytest.mark.parametrize(
    ("file", "expected"), [("config.yaml", False), ("studies/pilot.yaml", True)]
)
def test_which_studies_are_predicted(file, expected):
    assert load(file).predictable is expected


@pytest.mark.slow
def test_the_results_have_no_names_in_common(monkeypatch):
    monkeypatch.setattr(cross_validation, "SIDES", ("train",))  # a third of the folds
    metrics, information = make_metrics(noise=0.01)
    table = make_table(GRID, matrix(metrics).dice.transpose("train", "test").values)
    found = prediction.assess(table, metrics, information, None, make_profiles(metrics), 5, 0.95, 0)
    names = ("predicted", "process_weight", "along_rho", "step", "design", "completion")
    for name in (*names, "level_interaction"):
        assert name in found.data_vars, name
        assert found[name].attrs["long_name"], name
    assert found.level_r2.sel(level="defocus_nm/test/all").notnull().all()
