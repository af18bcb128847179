"""What afterwards.py computes on the locked set, beside its protocol."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from findings.twelve_thousand import afterwards
from passband.analysis import image_spectra
from passband.config import load
from passband.grid import Condition
from passband.prediction.covariance import spectrum_kernel

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "findings/twelve_thousand/data/afterwards.csv"


@pytest.mark.slow
def test_spectra_are_those_of_other_structures_and_have_the_noise_of_the_dose(monkeypatch):
    monkeypatch.setattr(afterwards, "IMAGES", 2)
    study = load(ROOT / "studies/twelve-thousand.yaml")
    conditions = [Condition(10, 1.2, 9, dose) for dose in (50, 1600)]
    of = {split: afterwards.spectra(study, conditions, split) for split in ("train", "val", "test")}
    assert "test" not in afterwards.SPLITS
    assert of["train"].shape == (2, image_spectra.RINGS)
    for one, other in (("train", "val"), ("val", "test")):
        assert np.abs(of[one] - of[other]).max() > 0.05  # other structures, other noise
    for found in of.values():
        share = found[:, -8:].mean(1) - found[:, :4].mean(1)  # of the noise beyond the aperture
        assert share[0] > share[1] + 0.5


def test_a_line_predicts_new_networks_from_alike_spectra():
    random = np.random.default_rng(0)
    hidden = random.uniform(-1, 1, (70, 1))
    values = hidden * np.linspace(1, 2, 32)
    of = image_spectra.profiles([f"{k}" for k in range(70)], values)
    M = 0.7 + 0.2 * hidden * hidden[:30].T
    old, new = slice(40), slice(40, 70)
    sides = of[old], of[:30]
    others = of[new], of[30:33]
    found = afterwards.predicted(M[old], sides, others, spectrum_kernel(values[old]))
    assert found.shape == (30, 33)
    assert np.abs(found[:, :30] - M[new]).max() < 0.02


def test_r2_of_single_networks_and_its_ceiling_by_hand():
    random = np.random.default_rng(0)
    means = random.normal(size=(200, 20))
    replicas = means[:, None] + 0.5 * random.normal(size=(200, 7, 20))
    single, ceiling = afterwards.of_single(replicas, means)
    assert single == pytest.approx(1 - 0.25 / 1.25, abs=0.02)
    assert ceiling == pytest.approx(single, abs=0.01)


def test_the_table_is_that_of_the_committed_predictions_and_results(monkeypatch):
    """The lines of the protocol have the scores of the result, in one process with the spectrum."""
    frame = pd.read_csv(TABLE).set_index(["line", "cells"])
    result = json.loads((ROOT / "findings/twelve_thousand/locked/result.json").read_text())
    names = {"old tests": "primary", "new tests": "new tests"}
    for line in (*afterwards.LINES, afterwards.BANDS):
        for cells, name in names.items():
            of = result["lines"][line][name]
            assert frame.r2[line, cells] == pytest.approx(of["r2"], abs=6e-5)
            assert frame.interaction[line, cells] == pytest.approx(of["interaction"], abs=6e-5)
    committed = np.load(afterwards.PREDICTIONS)
    train, test = afterwards.drawn(json.loads(afterwards.DIGESTS.read_text())["protocol"])
    old = [c.dose_e_per_A2 for c in load(ROOT / "studies/twelve-thousand.yaml").test_conditions]
    doses = [c.dose_e_per_A2 for c in train[:200]], [*old, *(c.dose_e_per_A2 for c in test)]
    predicted = {name: committed[name][:200] / 65535 for name in ("scaled", afterwards.PACKAGE)}
    replicas = np.load(afterwards.DICE)["old"][:200] / 65535
    monkeypatch.setattr(afterwards, "DRAWS", 20)
    for row in afterwards.rows(predicted, replicas, tuple(map(np.array, doses)), 144):
        stored = frame.loc[row["line"], row["cells"]]
        for name in ("r2", "interaction", "r2_single", "ceiling_single", "minus_scaled"):
            assert row[name] == pytest.approx(stored[name], abs=6e-5), name
    spectrum = frame.loc[afterwards.SPECTRUM]
    assert spectrum.minus_scaled_low["new tests"] > 0
    assert spectrum.minus_package_low["new tests"] < 0 < spectrum.minus_package_high["new tests"]
