"""Scores by pair of doses, doses.py, from counts that are known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from findings.twelve_thousand import doses
from findings.twelve_thousand.packed import matrices, packed
from passband import scores
from passband.grid import Axes, Condition
from passband.storage import datasets

DOSES, LENSES = (50.0, 200.0, 1600.0), ((0.0, 1.2), (10.0, 1.2), (20.0, 100.0))
PIXELS, PARTICLE = 400, np.array([90, 150])  # of an image, and of the particles of two images
DIMS = ("specimen", "architecture", "train", "replica", "test_specimen", "test", "structure")


@pytest.fixture
def table():
    """Counts of pixels of random networks, one of which finds all particles everywhere."""
    random = np.random.default_rng(0)
    ids = [Condition(d, cs, 10, dose).id for d, cs in LENSES for dose in DOSES]
    ids = np.array(ids, dtype=np.dtypes.StringDType())
    shape = 1, 1, len(ids), 2, 1, len(ids), 2
    tp = random.integers(0, PARTICLE + 1, shape)
    tp[0, 0, 0] = PARTICLE
    counts = np.stack([tp, random.integers(0, PIXELS - PARTICLE, shape), PARTICLE - tp], -1)
    coords = {"specimen": ["gold"], "architecture": ["u"], "test_specimen": ["gold"]}
    coords |= {"train": ids, "replica": [0, 1], "test": ids, "outcome": list(scores.OUTCOMES)}
    for side in ("train", "test"):
        coords |= Axes.main.coordinates(ids, side)
    return xr.Dataset({"counts": ((*DIMS, "outcome"), counts)}, coords)


def matrix_of(table):
    (matrix,) = matrices(table)
    return matrix


def test_scores_from_the_sums_of_a_packed_table_are_those_of_all_counts(table):
    found = doses.scores_of(matrix_of(packed(table)), PIXELS)
    counts = table.counts.values[0, 0, :, :, 0]  # train, replica, test, structure, outcome
    np.testing.assert_allclose(found["dice"], scores.dice(counts).mean((1, 3)), atol=0.002)
    sums = counts.sum(3)
    wrong = (sums[..., 1] + sums[..., 2]) / (2 * PIXELS)
    np.testing.assert_allclose(found["wrong"], wrong.mean(1))
    np.testing.assert_allclose(found["precision"], scores.precision(sums).mean(1))
    np.testing.assert_allclose(found["recall"], scores.recall(sums).mean(1))


def test_a_row_has_the_mean_over_lenses_that_are_equal_in_training_and_test(table):
    M = doses.scores_of(matrix_of(packed(table)), PIXELS)["wrong"].reshape(
        3, 3, 3, 3
    )  # lens, dose; lens, dose
    rows = doses.by_dose(matrix_of(packed(table)), PIXELS).set_index("score")
    assert len(rows) == 4 * 9
    for row in rows.loc["wrong"].itertuples():
        a, b = DOSES.index(row.train_dose_e_per_A2), DOSES.index(row.test_dose_e_per_A2)
        lens = np.arange(3)
        at, own = M[lens, a, lens, b], M[lens, b, lens, b]
        assert row.mean == pytest.approx(at.mean())
        assert row.loss == pytest.approx((at - own).mean())  # more wrong pixels are a loss
        assert row.loss_low <= row.loss <= row.loss_high
        assert (at - own).min() - 1e-9 <= row.loss_low
    of = rows.loc["dice"]
    own = of[of.train_dose_e_per_A2 == of.test_dose_e_per_A2].set_index("test_dose_e_per_A2")
    expected = own["mean"].loc[of.test_dose_e_per_A2].to_numpy() - of["mean"]
    np.testing.assert_allclose(of.loss, expected, atol=1e-12)  # a lower Dice is a loss


def test_the_table_shows_both_directions_and_their_difference(table):
    rows = doses.by_dose(matrix_of(packed(table)), PIXELS)
    of = rows.set_index(["score", "train_dose_e_per_A2", "test_dose_e_per_A2"])
    lines = doses.asymmetry(rows).splitlines()
    up, down = of.loc["wrong", 50.0, 1600.0], of.loc["wrong", 1600.0, 50.0]
    assert down.excess == pytest.approx(down.loss - up.loss) == pytest.approx(-up.excess)
    assert down.excess_low < down.excess < down.excess_high
    cells = [f"{row['mean']:.3f} ({row.loss:+z.3f})" for row in (up, down)]
    assert [line.split(" | ")[2] for line in lines[2:4]] == cells
    assert lines[3].startswith("| 1,600 → 50 | ")
    assert lines[4].split(" | ")[2].startswith(f"{down.excess:z.3f} ({down.excess_low:z.3f} to ")


def test_a_training_dose_without_tests_has_no_opposite_direction(table):
    few = packed(table.isel(test=table.test_dose_e_per_A2.values != 200))
    rows = doses.by_dose(matrix_of(few), PIXELS)
    has_none = rows.train_dose_e_per_A2 == 200
    assert rows.excess[has_none].isna().all()
    assert rows.loss.notna().all()
    assert len(rows) == 4 * 6


def test_the_committed_dice_is_that_of_the_committed_matrix():
    folder = doses.DATA
    metrics = datasets.read(folder / "ood.zarr.zip", datasets.OOD)
    rows = pd.read_csv(folder / "doses.csv").set_index("score").loc["dice"]
    sides = (doses.Conditions.of(metrics, side) for side in ("train", "test"))
    of = doses.at_equal_lens(metrics.dice.values[0, 0, 0], *sides)
    assert len(rows) == len(of) == 6 * 3
    for row in rows.itertuples():
        a, b = row.train_dose_e_per_A2, row.test_dose_e_per_A2
        assert row.mean == pytest.approx(of[a, b].mean(), abs=1e-4)
        assert row.loss == pytest.approx((of[b, b] - of[a, b]).mean(), abs=1e-4)
