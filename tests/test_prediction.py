"""Predictions of held-out cells: what leaks, what is recovered, and how they are scored."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score

from passband import prediction
from passband.config import FEWEST_PREDICTED, load
from passband.grid import Condition, conditions, coordinates

GRID = {
    "defocus_nm": [5, 15, 25],
    "cs_um": [1.2, 1000],
    "aperture_mrad": [9, 12],
    "dose_e_per_A2": [100, 800],
}


@pytest.fixture(autouse=True)
def few_folds(monkeypatch):
    monkeypatch.setattr(prediction, "GROUPS", 3)
    monkeypatch.setattr(prediction, "INNER", 2)


def make_information(train, test, seed=0):
    """Return metrics as smooth functions of the conditions, the weight `flat` alone."""
    ends = {}
    for end, ids in (("train", train), ("test", test)):
        parsed = [Condition.parse(id) for id in ids]
        ends[end] = np.array(
            [[c.defocus_nm / 10, c.cs_um / 500, c.aperture_mrad / 5] for c in parsed]
        )
    apart = ((ends["train"][:, None] - ends["test"]) ** 2).sum(-1)
    of_pairs = ("weight", "train", "test")
    transfer = {end: 0.2 + 0.5 * np.exp(-(v**2).sum(1) / 20) for end, v in ends.items()}
    return xr.Dataset(
        {
            "overlap": (of_pairs, np.cos(apart / 4)[None]),
            "coverage": (of_pairs, np.exp(-apart / 9)[None]),
            "transfer_train": (("weight", "train"), transfer["train"][None]),
            "transfer_test": (("weight", "test"), transfer["test"][None]),
        },
        coords={
            "weight": ["flat"],
            "train": train,
            "test": test,
            **coordinates(train, "train"),
            **coordinates(test, "test"),
        },
    )


def make_metrics(grid=GRID, noise=0.0, seed=0):
    """Return a matrix that rises with coverage and with the test dose, and its information."""
    # As they come from a store.
    ids = np.array([c.id for c in conditions(grid)], dtype=np.dtypes.StringDType())
    information = make_information(ids, ids)
    dose = np.log10(information.test_dose_e_per_A2.values)
    M = 0.3 + 0.4 * information.coverage.values[0] + 0.08 * dose
    M = M + noise * np.random.default_rng(seed).normal(size=M.shape)
    dims = (*prediction.GROUP, "train", "test")
    metrics = xr.Dataset(
        {
            "dice": (dims, M[None, None, None]),
            "dice_std": (dims, np.full((1, 1, 1, *M.shape), noise)),
        },
        coords={
            "specimen": ["gold"],
            "architecture": ["compact"],
            "test_specimen": ["gold"],
            **{name: c for name, c in information.coords.items() if name != "weight"},
        },
    )
    return metrics, information


def matrix(metrics):
    return metrics.isel(dict.fromkeys(prediction.GROUP, 0))


def judged(metrics, information, axis, end, Y=None, names=("ctf",)):
    cells = matrix(metrics)
    Y = prediction.targets(cells) if Y is None else Y
    sets = {
        name: values
        for name, values in prediction.feature_sets(cells, information).items()
        if name in names
    }
    by = {a: prediction.labels(cells, a, 0) for a in (axis, prediction.CONDITIONS)}
    folds = prediction.folds_of(axis, end, by[axis], np.isfinite(Y))
    return Y, [prediction.judge(fold, Y, sets, by, 0) for fold in folds]


# Features


def test_transfer_features_are_every_metric_the_coverage_back_and_the_doses():
    metrics, information = make_metrics()
    found = prediction.transfer_features(information, ["flat"])
    of = dict(zip(found.names, np.moveaxis(found.values, -1, 0), strict=True))
    assert {"overlap@flat", "coverage@flat", "transfer_train@flat", "log_dose_test"} <= of.keys()
    n = metrics.sizes["train"]
    assert found.values.shape == (n, n, len(found.names))
    np.testing.assert_array_equal(of["overlap@flat"], information.overlap[0])
    np.testing.assert_array_equal(of["transfer_test@flat"][3], information.transfer_test[0])
    np.testing.assert_array_equal(of["transfer_train@flat"][:, 3], information.transfer_train[0])
    ratio = of["transfer_test@flat"] / of["transfer_train@flat"]
    np.testing.assert_allclose(of["coverage_back@flat"], information.coverage[0] * ratio)
    assert of["log_dose_ratio"][0, 1] == pytest.approx(np.log10(8))


def test_coverage_back_is_coverage_the_other_way():
    from passband import information
    from passband.config import Microscope

    both = conditions({a: v[:2] for a, v in GRID.items()})
    spectra = {"flat": (np.array([0.0]), np.array([0.02]))}
    found = information.metrics(both, both, Microscope(field_px=64), 128, spectra)
    features = prediction.transfer_features(found, ["flat"])
    back = features.values[..., features.names.index("coverage_back@flat")]
    np.testing.assert_allclose(back, found.coverage[0].values.T, rtol=1e-9)


def test_signs_are_those_of_metrics_under_any_weight():
    features = prediction.Features(
        np.zeros((1, 1, 4)), ("overlap@gold", "wiener@flat", "transfer_train@flat", "log_dose_test")
    )
    assert features.signs == [1, -1, 0, 1]


def test_distances_become_sets_with_the_doses():
    metrics, information = make_metrics()
    n = metrics.sizes["train"]
    far = np.arange(n * n, dtype=float).reshape(n, n)
    coords = {"specimen": ["gold"], "train": metrics.train.values, "test": metrics.test.values}
    distances = xr.Dataset(
        {
            "spectral": (("specimen", "test", "train"), far.T[None]),
            "holes": (("train", "test"), np.where(far > 3, far, np.nan)),
            "single": (("train",), far[0]),
        },
        coords,
    )
    sets = prediction.feature_sets(matrix(metrics), information, distances)
    assert list(sets) == ["ctf", "mean", "raw", "id", "spectral"]
    assert sets["spectral"].names[0] == "spectral"
    np.testing.assert_array_equal(sets["spectral"].values[..., 0], far)
    np.testing.assert_array_equal(sets["id"].values[:, 0, 0], np.diag(matrix(metrics).dice.values))
    assert sets["mean"].values.shape == (n, n, 0)


# Folds


@pytest.mark.parametrize("end", prediction.ENDS)
def test_folds_leave_out_a_level_where_it_is_said(end):
    metrics, _ = make_metrics()
    cells = matrix(metrics).isel(test=slice(None, None, -1))
    among = np.ones((24, 24), dtype=bool)
    by = prediction.labels(cells, "defocus_nm", 0)
    found = prediction.folds_of("defocus_nm", end, by, among)
    assert [fold.level for fold in found] == ["5", "15", "25"]
    row, column = (cells[f"{e}_defocus_nm"].values == 15 for e in ("train", "test"))
    expected = {
        "train": np.broadcast_to(row[:, None], (24, 24)),
        "test": np.broadcast_to(column, (24, 24)),
        "both": row[:, None] | column,
    }
    np.testing.assert_array_equal(found[1].held, expected[end])


def test_groups_hold_the_same_conditions_at_both_ends():
    metrics, _ = make_metrics()
    cells = matrix(metrics).isel(test=slice(None, None, -1))
    train, test = prediction.labels(cells, prediction.CONDITIONS, 0)
    np.testing.assert_array_equal(train, test[::-1])
    assert set(np.bincount(train)) == {8}


def test_axes_of_two_levels_are_not_left_out():
    metrics, _ = make_metrics()
    found = prediction.folds(matrix(metrics), np.ones((24, 24), dtype=bool), prediction.AXES, 0)
    assert {fold.axis for fold in found} == {"defocus_nm"}
    assert len(found) == 9


# What is predicted


def test_known_structure_is_recovered_and_beats_the_mean():
    metrics, information = make_metrics(noise=0.01)
    Y, found = judged(metrics, information, "conditions", "train", names=("ctf", "mean"))
    y = np.concatenate([Y[one.cells] for one in found])
    stacked, mean = (
        np.concatenate([one.predicted[name, "stacked"] for one in found])
        for name in ("ctf", "mean")
    )
    assert r2_score(y, stacked) > 0.9
    assert r2_score(y, mean) < 0.01


def test_held_out_targets_leak_nowhere():
    """Whatever stands in a held-out cell, the predictions of its fold are the same."""
    metrics, information = make_metrics(noise=0.01)
    cells = matrix(metrics)
    Y = prediction.targets(cells)
    sets = prediction.feature_sets(cells, information)
    by = {a: prediction.labels(cells, a, 0) for a in ("defocus_nm", "conditions")}
    fold = prediction.folds_of("defocus_nm", "both", by["defocus_nm"], np.isfinite(Y))[0]
    other = np.where(fold.held & np.isfinite(Y), np.random.default_rng(0).uniform(size=Y.shape), Y)
    one, two = (prediction.judge(fold, y, {"ctf": sets["ctf"]}, by, 0) for y in (Y, other))
    for key, values in one.predicted.items():
        np.testing.assert_array_equal(values, two.predicted[key])
    np.testing.assert_array_equal(one.bounds["ctf"], two.bounds["ctf"])


def test_noise_is_not_predicted():
    metrics, information = make_metrics()
    Y = prediction.targets(matrix(metrics))
    good = np.isfinite(Y)
    Y[good] = np.random.default_rng(0).permutation(Y[good])
    _, found = judged(metrics, information, "conditions", "both", Y)
    y = np.concatenate([Y[one.cells] for one in found])
    stacked = np.concatenate([one.predicted["ctf", "stacked"] for one in found])
    assert r2_score(y, stacked) < 0.05


@pytest.mark.parametrize("model", [prediction.additive, prediction.boosted])
def test_trees_are_monotonic_where_a_sign_says_so(model):
    random = np.random.default_rng(0)
    X = random.uniform(size=(400, 2))
    y = np.sin(9 * X[:, 0]) / 5 + X[:, 1] / 2
    free, held = (model(X, y, signs, 0) for signs in ([0, 0], [1, -1]))
    line = np.column_stack([np.linspace(0, 1, 50), np.full(50, 0.5)])
    assert np.diff(free(line)).min() < -0.01
    assert np.diff(held(line)).min() >= -1e-12
    assert np.diff(held(line[:, ::-1])).max() <= 1e-12


def test_additive_model_has_no_interactions():
    random = np.random.default_rng(0)
    X = random.uniform(size=(600, 2))
    y = (X[:, 0] > 0.5) * (X[:, 1] > 0.5) * 0.8
    corners = np.array([[0.2, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.8]])
    a, b, c, d = prediction.additive(X, y, [0, 0], 0)(corners)
    assert a + d == pytest.approx(b + c, abs=1e-9)
    a, b, c, d = prediction.boosted(X, y, [0, 0], 0)(corners)
    assert a + d - b - c > 0.5


def test_smooth_model_goes_on_where_trees_stop():
    X = np.linspace(0, 1, 200)[:, None]
    y = 0.2 + 0.5 * X[:, 0]
    beyond = np.array([[1.15]])
    assert prediction.smooth(X, y, [0], 0)(beyond)[0] == pytest.approx(0.775, abs=0.03)
    assert prediction.boosted(X, y, [0], 0)(beyond)[0] < 0.71


def test_intervals_cover_what_they_say_and_widen_with_noise():
    metrics, information = make_metrics(noise=0.03)
    Y, found = judged(metrics, information, "conditions", "train")
    y = np.concatenate([Y[one.cells] for one in found])
    low, high = np.concatenate([one.bounds["ctf"] for one in found]).T
    assert 0.86 < ((low <= y) & (y <= high)).mean() < 0.96
    assert 0.08 < (high - low).mean() < 0.18  # 2 × 1.645 × 0.03 is 0.099


# Scores


def scored(Y, parts, draws=0, doses=None):
    n, m = Y.shape
    doses = doses or (np.arange(n) % 2, np.arange(m) % 3)
    weights = tuple(
        np.random.default_rng(k).multinomial(s, np.full(s, 1 / s), draws).astype(float)
        for k, s in enumerate((n, m))
    )
    return prediction.score(parts, Y, doses, weights), weights, doses


def test_scores_are_scikit_learns_and_scipys():
    random = np.random.default_rng(0)
    Y = random.uniform(size=(6, 7))
    P = Y + random.normal(0, 0.2, Y.shape)
    half = np.arange(42).reshape(6, 7) % 2 == 0
    parts = [
        (cells, P[cells], np.column_stack([P[cells] - 0.2, P[cells] + 0.2]))
        for cells in (half, ~half)
    ]
    found, _, (a, b) = scored(Y, parts)
    found = {name: values[0] for name, values in found.items()}
    assert found["r2"] == pytest.approx(r2_score(Y.ravel(), P.ravel()))
    assert found["mae"] == pytest.approx(mean_absolute_error(Y.ravel(), P.ravel()))
    assert found["rho"] == pytest.approx(spearmanr(Y.ravel(), P.ravel()).statistic)
    assert found["coverage"] == pytest.approx((np.abs(P - Y) <= 0.2).mean())
    assert found["width"] == pytest.approx(0.4)
    left = sum(
        ((Y[np.ix_(a == g, b == h)] - Y[np.ix_(a == g, b == h)].mean()) ** 2).sum()
        for g in range(2)
        for h in range(3)
    )
    assert found["r2_dose"] == pytest.approx(1 - ((Y - P) ** 2).sum() / left)


def test_scores_of_a_bootstrap_sample_are_those_of_its_cells():
    random = np.random.default_rng(1)
    Y = random.uniform(size=(8, 6))
    P = Y + random.normal(0, 0.3, Y.shape)
    every = np.ones(Y.shape, dtype=bool)
    found, weights, _ = scored(Y, [(every, P[every], np.zeros((48, 2)))], draws=5)
    for draw in range(5):
        often = np.outer(weights[0][draw], weights[1][draw]).astype(int).ravel()
        y, p = np.repeat(Y.ravel(), often), np.repeat(P.ravel(), often)
        assert found["r2"][1 + draw] == pytest.approx(r2_score(y, p))
        assert found["mae"][1 + draw] == pytest.approx(mean_absolute_error(y, p))


def test_within_pairs_of_doses_what_doses_explain_counts_for_nothing():
    Y = np.add.outer(np.repeat([0.1, 0.6], 4), np.repeat([0.0, 0.2], 3))
    Y = Y + np.random.default_rng(0).normal(0, 0.02, Y.shape)
    P = np.add.outer(np.repeat([0.1, 0.6], 4), np.repeat([0.0, 0.2], 3))
    every = np.ones(Y.shape, dtype=bool)
    doses = np.repeat([1, 2], 4), np.repeat([1, 2], 3)
    found, _, _ = scored(Y, [(every, P[every], np.zeros((48, 2)))], doses=doses)
    assert found["r2"][0] > 0.98
    assert found["r2_dose"][0] < 0.05
    assert np.isnan(found["rho_dose"][0])  # predictions are alike within a pair


# The whole


def test_predict_labels_what_it_finds():
    metrics, information = make_metrics(noise=0.01)
    found = prediction.predict(metrics, information, draws=20, axes=[prediction.CONDITIONS])
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
