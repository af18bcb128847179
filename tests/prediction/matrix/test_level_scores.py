"""Levels that are left out: what the process and its parameters may see, and the scores."""

import numpy as np
import pytest
from matrices import make_metrics, make_profiles, make_table, matrix

from passband.matrices.of_study import matrices
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES
from passband.prediction.matrix import level_scores
from passband.prediction.matrix.interaction import SCORES, components, scores
from passband.prediction.matrix.known_dice import of_replicas
from passband.prediction.matrix.level_scores import left_out, scaled


@pytest.fixture(scope="module")
def known():
    """Dice with noise, and the profiles of its conditions."""
    metrics, _ = make_metrics(noise=0.01)
    return matrix(metrics).dice.transpose("train", "test").values, make_profiles(metrics)["gold"]


@pytest.mark.parametrize("side", [0, 1])
def test_neither_the_process_nor_its_parameters_see_what_is_left_out(known, side):
    Y, profiles = known
    out = profiles.parameters["defocus_nm"] == 15
    hidden = Y.copy()
    hidden[(out, slice(None)) if side == 0 else (slice(None), out)] = 0.5
    ends = profiles, profiles
    (found, theta), (again, same) = (left_out(D, ends, side, out, PROFILES) for D in (Y, hidden))
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(theta, same)
    np.testing.assert_array_equal(left_out(Y, ends, side, out, PROFILES, theta)[0], found)
    truth = np.compress(out, Y, side)
    assert found.shape == truth.shape
    assert ((truth - found) ** 2).mean() < 0.7 * truth.var()


def test_networks_that_are_left_out_have_the_same_test_images(known):
    """The images of each test have their own effect, which new networks share."""
    Y, profiles = known
    own = 0.05 * np.random.default_rng(2).normal(size=Y.shape[1])
    out = profiles.parameters["defocus_nm"] == 15
    found, _ = left_out(np.clip(Y + own, 0, 1), (profiles, profiles), 0, out, PROFILES)
    apart = (found - left_out(Y, (profiles, profiles), 0, out, PROFILES)[0]).mean(0)
    assert np.corrcoef(apart, own)[0, 1] > 0.95


def test_parameters_are_found_from_a_part_of_many_rows(known, monkeypatch):
    Y, profiles = known
    out = profiles.parameters["defocus_nm"] == 15
    sizes = []
    fit = gaussian_process.fit
    monkeypatch.setattr(level_scores, "ROWS", 9)
    monkeypatch.setattr(
        gaussian_process,
        "fit",
        lambda Y, *a, **k: (sizes.append((Y.shape, len(a) > 2)), fit(Y, *a, **k))[1],
    )
    left_out(Y, (profiles, profiles), 0, out, PROFILES)
    assert sizes == [((9, 24), False), ((16, 24), True)]  # then with the parameters


GRID = {
    "defocus_nm": [-10, 5, 20],
    "cs_um": [1, 300, 600, 1000],
    "aperture_mrad": [9, 11, 12],
    "dose_e_per_A2": [100, 800],
}


@pytest.fixture(scope="module")
def scored():
    """The scores of Dice that falls with the distance of T(q), and what they are computed from."""
    metrics, _ = make_metrics(GRID)
    profiles, random = make_profiles(metrics), np.random.default_rng(3)
    T = profiles["gold"].T
    apart = ((T[:, None] - T) ** 2).mean(-1)
    M = 0.9 - 0.5 * apart / apart.max()
    table = make_table(GRID, M, replicas=3)
    D = M[:, None] + 0.01 * random.normal(size=(len(M), 3, len(M)))
    D[5, 0, 7] = np.nan  # this replica is not used
    dims = ("specimen", "architecture", "train", "replica", "test_specimen", "test")
    table["dice"] = dims, D[None, None, :, :, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_process, "_STEPS", 15)  # to save time
        (whole,) = matrices(table)
        found = level_scores.level_scores(whole, profiles["gold"], 0)
    D[5, 0] = np.nan
    np.testing.assert_array_equal(of_replicas(whole), D)
    return D, whole, profiles["gold"], found


@pytest.mark.slow
def test_dice_that_follows_from_t_of_q_is_predicted_better_from_it(scored):
    found = scored[-1]
    names = {f"level_{name}" for name in (*SCORES, "r2_ceiling")}
    assert set(found.data_vars) == {*names, "predicted"}
    for end in ("train", "test"):
        for axis in ("defocus_nm", "lens"):
            of = found.level_interaction.sel(level=f"{axis}/{end}/all")
            assert float(of.sel(distances="T(q)")) > float(of.sel(distances="scaled")) + 0.05
    np.testing.assert_array_equal(*found.level_ceiling.transpose("distances", "level"))
    assert 0.5 < float(found.level_ceiling.sel(level="lens/train/all")[0]) < 1


@pytest.mark.slow
@pytest.mark.parametrize("end", ["train", "test"])
def test_levels_have_their_own_scores_and_the_sums_of_squares_together(scored, end, monkeypatch):
    D, whole, profiles, found = scored
    monkeypatch.setattr(gaussian_process, "_STEPS", 15)
    Y, every, of = np.nanmean(D, axis=1), np.arange(72), found.sel(distances="T(q)")
    sums, side = [], ["train", "test"].index(end)
    for level in GRID["defocus_nm"]:
        out = whole.coordinates["train_defocus_nm"].values == level
        some = (out, every) if side == 0 else (every, out)
        predicted, _ = left_out(Y, [profiles] * 2, side, out, PROFILES)
        true = np.compress(out, Y, side)
        dose = tuple(whole.coordinates["train_dose_e_per_A2"].values[k] for k in some)
        slice_ = of.sel(level=f"defocus_nm/{end}/{level}")
        for name, score in scores(true, predicted, dose, D[some[0]][..., some[1]]).items():
            assert float(slice_[f"level_{name}"]) == pytest.approx(score), name
        stored = found.predicted.sel(axis="defocus_nm", end=end).values
        np.testing.assert_allclose(np.compress(out, stored, side), predicted, atol=1e-6)
        variance = np.nanvar(np.compress(out, D, 2 * side), axis=1, ddof=1)
        number = np.isfinite(np.compress(out, D, 2 * side)).sum(1)
        noise = (variance / number).sum() / ((true - true.mean()) ** 2).sum()
        assert float(slice_.level_r2_ceiling) == pytest.approx(1 - noise)
        error, kept = (components(each, dose)["interaction"] for each in (true - predicted, true))
        sums.append([(error**2).sum(), (kept**2).sum()])
    left, total = np.sum(sums, axis=0)
    together = of.sel(level=f"defocus_nm/{end}/all")
    assert float(together.level_interaction) == pytest.approx(1 - left / total)


@pytest.mark.slow
def test_fewer_than_ten_conditions_at_a_dose_have_no_interaction(scored):
    found = scored[-1]
    for end in ("train", "test"):
        for level in ("300", "all"):  # 9 conditions at each dose
            of = found.sel(level=f"cs_um/{end}/{level}")
            for name in ("interaction", "ceiling", "main_train", "main_test"):
                assert of[f"level_{name}"].isnull().all()
            assert of.level_r2.notnull().all()
            assert of.level_rmse_replicas.notnull().all()


@pytest.mark.slow
def test_groups_are_left_out_of_scattered_conditions(scored):
    _, whole, *_ = scored
    one = whole.take([0, 20, 40, 60], [0, 20, 40, 60])
    assert {axis for axis, *_ in level_scores._slices(one, 0)} == {"conditions"}
    axes = {(axis, side) for axis, side, *_ in level_scores._slices(whole, 0)}
    lens = ("defocus_nm", "cs_um", "aperture_mrad")  # there are only two doses
    assert axes == {(axis, side) for axis in lens for side in (0, 1)}


def test_units_of_scaled_parameters_are_standard_deviations(known):
    _, profiles = known
    kernel = scaled(profiles, profiles)
    assert len(kernel.names) == len(kernel.lengths) == 4
    np.testing.assert_allclose(kernel.squared(profiles, profiles).mean((1, 2)), 2)
    some = profiles[:3]
    phase = profiles.parameters["defocus_nm"] * profiles.parameters["aperture_mrad"] ** 2
    expected = np.subtract.outer(phase[:3], phase) ** 2 / phase.var()
    np.testing.assert_allclose(kernel.squared(some, profiles)[0], expected)
