"""Expectations over mixtures: information metrics, the score in distribution, and the others."""

import json

import numpy as np
import pytest
import xarray as xr

from passband.analysis import mixture_metrics, ood
from passband.config import Microscope, Spread
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.mixtures import MIXTURES, Mixture
from passband.scores import OUTCOMES

TRAIN = [Condition(5, 1.2, 15, 100), Condition(20, 1.2, 15, 100), Condition(20, 1.2, 15, 900)]
OTHER = Condition(12, 60, 10, 400)
TEST = [*TRAIN[:2], OTHER]
GIVEN = Mixture("given", ((TRAIN[0], 0.6), (OTHER, 0.4)))
ONE = Mixture("one", ((TRAIN[1], 1.0),))
RANGES = (("defocus_nm", 0.0, 40.0), ("cs_um", 1.2, 1.2), ("aperture_mrad", 10.0, 15.0))
SOFT = Mixture("soft", (), (*RANGES, ("dose_e_per_A2", 100.0, 1000.0)))
MICROSCOPE = Microscope(field_px=64, pixel_size_A=0.4)
SPECTRA = {"flat": (np.array([0.0, 1.0]), np.array([0.005, 0.005]))}


def metrics(train, mixed, **changes):
    options = {"microscope": MICROSCOPE, "samples": 64, "spectra": SPECTRA, "draws": 4} | changes
    return mixture_metrics.metrics(train, mixed, TEST, **options)


@pytest.fixture(scope="module")
def made():
    return metrics(TRAIN, [GIVEN, ONE, SOFT])


def test_metrics_of_a_mixture_are_sums_over_its_conditions(made):
    every = metrics([*TRAIN, OTHER], [])
    names = [name for name, variable in made.items() if "train" in variable.dims]
    assert len(names) == 13
    for name in names:
        of_one, whole = every[name], made[name].sel(train=GIVEN.id)
        expected = 0.6 * of_one.sel(train=TRAIN[0].id) + 0.4 * of_one.sel(train=OTHER.id)
        np.testing.assert_allclose(whole, expected, rtol=1e-12, atol=1e-14)
        alone = of_one.sel(train=TRAIN[1].id)
        np.testing.assert_allclose(made[name].sel(train=ONE.id), alone, rtol=1e-12, atol=1e-14)


def test_metrics_of_ranges_are_near_those_of_many_draws(made):
    drawn = [SOFT.draw("direct", k) for k in range(1500)]
    many = metrics(list(dict.fromkeys(drawn)), [])
    for name in ("shared_capacity", "coverage", "overlap"):
        mean, error = many[name].mean("train"), many[name].std("train") / np.sqrt(1500)
        assert (np.abs(made[name].sel(train=SOFT.id) - mean) < 5 * error + 0.02 * abs(mean)).all()


def test_mixtures_change_no_value_of_another_row(made):
    without = metrics(TRAIN, [])
    xr.testing.assert_identical(made.isel(train=slice(3)).drop_attrs(), without.drop_attrs())
    assert made.train.values.tolist()[3:] == [GIVEN.id, ONE.id, SOFT.id]
    assert np.isnan(made.train_defocus_nm[3:]).all()


def test_expectations_include_the_jitter():
    jittered = MICROSCOPE.model_copy(update={"spread": Spread(focus_nm=3, dose=0.2)})
    made = metrics(TRAIN, [GIVEN], microscope=jittered)
    every = metrics([TRAIN[0], OTHER], [], microscope=jittered)
    expected = 0.6 * every.coverage.isel(train=0) + 0.4 * every.coverage.isel(train=1)
    np.testing.assert_allclose(made.coverage.sel(train=GIVEN.id), expected, rtol=1e-12)


# OOD metrics


def table(trained, own=False):
    """Return a table of results, and mean Dice (train, test)."""
    random, ids, tests = np.random.default_rng(3), [t.id for t in trained], [c.id for c in TEST]
    shape = (1, 1, len(ids), 2, 1, len(tests), 5, len(OUTCOMES))
    counts = random.integers(1, 100, shape).astype(float)
    dims = ("specimen", "architecture", "train", "replica", "test_specimen", "test")
    network = dims[:4]
    data = xr.Dataset(
        {
            "counts": ((*dims, "structure", "outcome"), counts),
            "dice": (dims, _dice(counts).mean(-1)),
            "val_loss": (network, random.random(shape[:4])),
        },
        coords={"specimen": ["gold"], "architecture": ["net"], "replica": [0, 1]}
        | {"test_specimen": ["gold"], "train": ids, "test": tests, "outcome": list(OUTCOMES)}
        | Axes.main.coordinates(ids, "train")
        | Axes.main.coordinates(tests, "test"),
        attrs={MIXTURES: json.dumps({m.id: m.content for m in trained if isinstance(m, Mixture)})},
    )
    if own:
        of_own = random.integers(1, 100, (*shape[:5], 5, len(OUTCOMES))).astype(float)
        data["own_counts"] = (*dims[:5], "structure", "outcome"), of_own
    return data, _dice(counts).mean((-1, 3))[0, 0, :, 0]


def _dice(counts):
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return 2 * tp / (2 * tp + fp + fn)


def of(data):
    trained = {each.id: each for each in (*TRAIN, GIVEN, ONE, SOFT)}
    rows = [trained[id] for id in data.train.values.tolist()]
    known = metrics(TRAIN, [row for row in rows if isinstance(row, Mixture)])
    return ood.metrics(matrices(data), known).squeeze()


def test_the_own_score_is_the_expectation_over_test_conditions():
    data, M = table([*TRAIN, GIVEN, ONE, SOFT])
    found = of(data)
    assert found.id.values[:2] == pytest.approx([M[0, 0], M[1, 1]])
    assert np.isnan(found.id.values[2])
    assert float(found.id.sel(train=GIVEN.id)) == pytest.approx(0.6 * M[3, 0] + 0.4 * M[3, 2])
    assert float(found.id.sel(train=ONE.id)) == pytest.approx(M[4, 1])
    assert np.isnan(found.id.sel(train=SOFT.id))
    low, high = found.id_interval.sel(train=GIVEN.id).values
    assert low < float(found.id.sel(train=GIVEN.id)) < high
    gap = found.gap_model.sel(train=GIVEN.id).values
    assert gap == pytest.approx(float(found.id.sel(train=GIVEN.id)) - M[3])


def test_the_own_score_is_measured_if_networks_are_tested_under_their_own_conditions():
    data, _ = table([*TRAIN, GIVEN, SOFT], own=True)
    found = of(data)
    expected = _dice(data.own_counts.values).mean((-1, 3))[0, 0, :, 0]
    assert found.id.values[2:] == pytest.approx(expected[2:])


def test_other_scores_of_a_mixture_are_over_all_test_conditions():
    data, M = table([*TRAIN, GIVEN])
    row = of(data).sel(train=GIVEN.id)
    assert float(row.ood) == pytest.approx(M[3].mean())
    assert float(row.worst) == pytest.approx(M[3].min())
    assert row.gap_test.values == pytest.approx([M[0, 0] - M[3, 0], M[1, 1] - M[3, 1], np.nan],
                                                nan_ok=True)  # fmt: skip


def test_mixtures_change_no_score_of_another_row():
    data, _ = table([*TRAIN, GIVEN, SOFT])
    found, alone = of(data), of(data.isel(train=slice(3)))
    for name in ("id", "ood", "near", "far", "gap_test", "effective_robustness", "ood_interval"):
        np.testing.assert_array_equal(found[name].isel(train=slice(3)), alone[name])


def test_a_table_without_its_mixtures_has_no_expectation():
    data, _ = table([*TRAIN, GIVEN])
    assert np.isnan(of(data.drop_attrs()).id.sel(train=GIVEN.id))
