"""A study with mixtures, from Snakemake to the table, the report and the explorer."""

import json

import numpy as np
import pytest
from runs import FIGURES

from passband.config import load
from passband.mixtures import MIXTURES
from passband.results.stores import load_table
from passband.storage import datasets

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

GRID = {
    "defocus_nm": [5, 20],
    "cs_um": [1.2],
    "aperture_mrad": [16],
    "dose_e_per_A2": [200, 1000],
}
ALL = {"mixture": {"name": "all", "over": "grid"}}
SOFT = {
    "mixture": {
        "name": "soft",
        "ranges": {
            "defocus_nm": [0, 30],
            "cs_um": 1.2,
            "aperture_mrad": [12, 16],
            "dose_e_per_A2": [100, 1000],
        },
    }
}


def test_a_mixture_added_to_a_finished_study_is_trained_and_shown(copied, passband):
    before = load_table(copied.folder / "results/smallest/table.zarr").load()
    made_once = {"information": 1, "aggregate": 1, "ood": 1, "report": 1}
    drawn = {"figure": len(FIGURES)}
    study = copied.study(grid=[GRID, ALL, SOFT])
    assert copied.jobs(study=study) == {"train": 2, "evaluate": 2} | made_once | drawn
    copied.run(study=study)
    assert copied.jobs(study=study) == {}

    results = copied.folder / "results/smallest"
    known = load(copied.folder / study)
    mixed = [mixture.id for mixture in known.mixtures]
    after = load_table(results / "table.zarr").load()
    assert after.train.values.tolist() == [*before.train.values, *mixed]
    assert np.isnan(after.train_defocus_nm.values[-2:]).all()
    np.testing.assert_array_equal(after.counts[:, :, :4], before.counts)
    assert np.isfinite(after.dice).all()
    assert json.loads(after.attrs[MIXTURES]).keys() == {*mixed}
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    own = metrics.id.sel(train=mixed[0]) - metrics.dice.sel(train=mixed[0]).mean("test")
    np.testing.assert_allclose(own, 0, atol=1e-12)
    assert np.isnan(metrics.id.sel(train=mixed[1])).all()

    report = (results / "report.html").read_text()
    assert "One network for many conditions" in report
    assert all(id in report for id in mixed)
    printed = passband(copied, "table", study)
    assert all(id in printed for id in mixed)
    assert "mixtures    2 to train under" in passband(copied, "check", study)
    status = passband(copied, "status", study)
    assert all(f"█ {id} (gold, compact-w4-d2)" in status for id in mixed)
    passband(copied, "explore", study, "--no-images")
    assert all(id in (results / "explorer.html").read_text() for id in mixed)

    # Without the mixtures again, nothing is trained or tested.
    assert copied.jobs(study="studies/smallest.yaml") == made_once | drawn


def test_networks_of_a_mixture_are_tested_under_it(copied):
    study = copied.study(grid=[GRID, SOFT], evaluation={"test_own": True})
    copied.run("results/smallest/ood.zarr", study=study)
    results = copied.folder / "results/smallest"
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    made = load_table(results / "table.zarr").load()
    assert np.isfinite(metrics.id).all()
    own = made.own_dice.mean("replica").squeeze()
    np.testing.assert_allclose(metrics.id.squeeze(), own, rtol=1e-6)
