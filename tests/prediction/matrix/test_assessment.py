"""The results of the stage `prediction`: names, missing networks, and the studies that have it."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_metrics, make_profiles, make_table

from passband.config import FEWEST_PREDICTED, load
from passband.matrices.of_study import matrices
from passband.matrices.stored import GROUP
from passband.prediction import gaussian_process
from passband.prediction.matrix import assessment
from passband.prediction.matrix.known_dice import TooFewError
from passband.prediction.matrix.level_scores import fit
from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.prediction.matrix.smoothness import smoothness
from passband.storage import datasets

#: 36 conditions.
LARGER = GRID | {"defocus_nm": [5, 10, 15], "cs_um": [1, 300, 1000]}


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(gaussian_process, "_STEPS", 10)  # to save time


def make_study(grid=GRID, replicas=2):
    """Return a table of Dice that falls with the distance of T(q), with noise, and the profiles."""
    metrics, _ = make_metrics(grid)
    profiles = make_profiles(metrics)
    T = profiles["gold"].T
    apart = ((T[:, None] - T) ** 2).mean(-1)
    table = make_table(grid, 0.9 - 0.5 * apart / apart.max(), replicas=replicas)
    noise = 0.02 * np.random.default_rng(1).normal(size=table.dice.shape)
    return table.assign(dice=table.dice + noise), profiles


def without(table, rows, replicas=slice(None)):
    """Return a table without networks of some training conditions."""
    lacking = table.copy(deep=True)
    lacking.dice[{"train": rows, "replica": replicas}] = np.nan
    return lacking


@pytest.mark.slow
def test_the_results_say_what_they_are(tmp_path):
    table, profiles = make_study()
    found = assessment.assess(matrices(table), profiles, draws=20)
    assert found.true.dims == (*GROUP, "train", "test")
    for name, variable in found.data_vars.items():
        assert variable.dims[:3] == GROUP, name
        assert variable.attrs["long_name"], name
        assert variable.attrs["units"] == "1", name
    one = found.squeeze(GROUP)
    np.testing.assert_allclose(one.true, table.dice.mean("replica").squeeze(), atol=1e-6)
    expected = table.dice.var("replica", ddof=1).mean() / 2
    assert float(one.noise_of_mean) ** 2 == pytest.approx(float(expected))
    (whole,) = matrices(table)
    values = smoothness(whole, 20, 0)
    assert one.smoothness == pytest.approx(values[0])
    low, high = one.smoothness_interval.values
    np.testing.assert_allclose([low, high], np.quantile(values[1:], [0.025, 0.975]))
    assert found.level_r2.sel(level="defocus_nm/test/all").notnull().all()
    assert "expected" not in found  # all conditions have networks
    assert found.train_defocus_nm.values.tolist() == table.train_defocus_nm.values.tolist()
    datasets.write(found, tmp_path / "prediction.zarr", datasets.PREDICTION, {})
    xr.testing.assert_equal(
        datasets.read(tmp_path / "prediction.zarr", datasets.PREDICTION).level_r2, found.level_r2
    )


@pytest.mark.slow
def test_conditions_without_networks_are_predicted_from_the_others():
    table, profiles = make_study(LARGER)
    rows = [3, 10, 11, 30]
    lacking = without(without(table, rows), [5], [0])
    found = assessment.assess(matrices(lacking), profiles, draws=0).squeeze(GROUP)
    known = np.setdiff1d(np.arange(36), rows)
    assert found.expected.notnull().any("test").values.nonzero()[0].tolist() == rows
    assert found.true.isnull().all("test").values.nonzero()[0].tolist() == rows
    D = lacking.dice.squeeze(GROUP)
    np.testing.assert_allclose(found.true[5], D[5, 1], atol=1e-6)  # its only replica
    profile = profiles["gold"]
    Y = np.nanmean(D.values[known], axis=1)
    process = fit(Y, (profile[known], profile))
    expected, low, high = process.interval(profile[rows], None)
    np.testing.assert_allclose(found.expected[rows], expected, atol=1e-6)
    np.testing.assert_allclose(found.expected_interval[rows, :, 0], low, atol=1e-6)
    np.testing.assert_allclose(found.expected_interval[rows, :, 1], high, atol=1e-6)
    truth = table.dice.mean("replica").squeeze(GROUP)[rows]
    error = float(np.sqrt(((found.expected[rows] - truth) ** 2).mean()))
    assert error < 0.5 * float((truth - Y.mean(0)).std())  # better than the mean of the known
    inside = (found.expected_interval[rows, :, 0] < truth) & (
        truth < found.expected_interval[rows, :, 1]
    )
    assert inside.mean() > 0.8


@pytest.mark.slow
def test_an_unfinished_study_has_the_same_in_seconds():
    table, profiles = make_study(LARGER)
    lacking = without(table, [3, 10, 11, 30])
    whole = assessment.assess(matrices(lacking), profiles, draws=0)
    few = assessment.unfinished(matrices(lacking), profiles)
    assert set(few.data_vars) == {"true", "expected", "expected_interval"}
    for name in few.data_vars:
        xr.testing.assert_allclose(few[name], whole[name])
    assert assessment.unfinished(matrices(table), profiles) is None
    assert assessment.unfinished(matrices(without(table, slice(5, None))), profiles) is None


@pytest.mark.slow
def test_one_replica_leaves_no_noise_known():
    table, profiles = make_study(replicas=1)
    found = assessment.assess(matrices(table), profiles, draws=0)
    assert np.isnan(found.noise_of_mean).all()
    assert np.isnan(found.level_r2_ceiling).all()
    assert np.isnan(found.smoothness_interval).all()
    assert found.level_r2.sel(level="defocus_nm/train/all").notnull().all()


@pytest.mark.slow
def test_matrices_may_be_too_small_beside_others():
    table, profiles = make_study()
    other = without(table, [0]).assign_coords(test_specimen=["iron"])
    both = xr.concat([table, other], "test_specimen")
    found = assessment.assess(matrices(both), profiles, draws=0)
    assert [matrix.name.label for matrix in predicted_matrices(found)] == ["compact, gold"]
    with pytest.raises(TooFewError, match=f"only 23 .* {FEWEST_PREDICTED} of each$"):
        assessment.assess(matrices(other), profiles)


@pytest.mark.slow
def test_matrices_keep_their_levels_in_order():
    """A replica that was not tested on the other specimen leaves its other results as they are."""
    table, profiles = make_study(LARGER)
    other = without(table, slice(0, 10)).assign_coords(test_specimen=["iron"])
    found = assessment.assess(
        matrices(xr.concat([table, other], "test_specimen")), profiles, draws=0
    )
    alone = assessment.assess(matrices(table), profiles, draws=0)
    same = found.sel(test_specimen=["gold"])
    levels = [str(level) for level in found.level.values]
    of_alone = [str(level) for level in alone.level.values]
    assert [level for level in levels if level in of_alone] == of_alone
    xr.testing.assert_allclose(same.level_r2.sel(level=of_alone), alone.level_r2)
    assert found.expected.sel(test_specimen="gold").isnull().all()
    assert found.expected.sel(test_specimen="iron").notnull().any()


@pytest.mark.slow
def test_mixtures_have_no_part_in_predictions():
    table, profiles = make_study()
    mixed = table.isel(train=[0]).assign_coords(train=["soft-1c9d04aa"])
    both = xr.concat([table.isel(train=slice(2)), mixed, table.isel(train=slice(2, None))], "train")
    found = assessment.assess(matrices(both), profiles, draws=0)
    xr.testing.assert_identical(found, assessment.assess(matrices(table), profiles, draws=0))


@pytest.mark.slow
def test_the_store_has_matrices_in_the_order_of_their_names():
    """The order of earlier versions, whatever that of the study is."""
    table, profiles = make_study(LARGER)
    other = without(table, slice(0, 10)).assign_coords(architecture=["bold"])
    found = assessment.assess(
        matrices(xr.concat([table, other], "architecture")), profiles, draws=0
    )
    assert found.architecture.values.tolist() == ["bold", "compact"]
    lacking = found.expected.notnull().any(["train", "test"])
    assert lacking.values.ravel().tolist() == [True, False]


@pytest.mark.parametrize(
    ("file", "expected"), [("config.yaml", False), ("studies/pilot.yaml", True)]
)
def test_which_studies_are_predicted(file, expected):
    assert load(file).predictable is expected
