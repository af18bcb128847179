"""What a lens, an image and a dose say about a version of a real image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from findings.second_lock import damaged_process as process
from findings.second_lock import distances
from findings.second_lock.damage import Version
from findings.second_lock.damaged_lines import ALL_DOSES, DEFOCI
from passband.config import load
from passband.grid import Condition

CONDITION = Condition(defocus_nm=20, cs_um=0, aperture_mrad=26, dose_e_per_A2=100)
OTHER = replace(CONDITION, defocus_nm=5, dose_e_per_A2=400)
CURVE = (np.array([0.0, 0.4, 0.42, 1.0]), np.array([0.01, 0.02, 0.02, 0.03]))
LIMIT = 0.4


@pytest.fixture(scope="module")
def microscope():
    return load(Path("studies/real.yaml")).microscope


def squared(line, conditions, microscope, curve=CURVE, limit=LIMIT):
    """Return each squared distance of two conditions by its name."""
    found = process.of_lens(conditions, microscope, curve, limit)[line]
    values = distances.kernel(found).squared(found, found)
    return dict(zip(found.parameters, values[:, 0, 1].tolist(), strict=True))


def test_lines_know_what_the_protocol_says(microscope):
    pair = [CONDITION, OTHER]
    dose = pytest.approx(np.log10(4) ** 2)
    assert list(squared("A", pair, microscope)) == ["c", "bits", "log_dose"]
    assert squared("raw", pair, microscope) == {"defocus_nm": 15**2, "log_dose": dose}
    assert squared("dose", pair, microscope) == {"log_dose": dose}


def test_what_is_beyond_the_limit_does_not_matter(microscope):
    pair = [CONDITION, OTHER]
    brighter = CURVE[0], CURVE[1] * [1, 1, 9, 9]
    found, other = (squared("A", pair, microscope, curve) for curve in (CURVE, brighter))
    assert found == pytest.approx(other)
    below, beyond = (squared("A", pair, microscope, CURVE, limit) for limit in (LIMIT, 1.0))
    assert beyond["bits"] > below["bits"]


def test_spectra_do_not_depend_on_the_number_of_pixels():
    random = np.random.default_rng(0)
    for px in (64, 205):
        versions = [Version("a", 1.0, each, each > 0) for each in random.normal(size=(9, px, px))]
        found = process.of_versions(versions, 0.5, LIMIT).parameters["spectrum"]
        assert found[:, 2:].mean(0) * np.sqrt(32) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize(("limit", "rings"), [(process.NYQUIST, 20), (0.508, 16), (0.4064, 13)])
def test_rings_end_below_the_limit(limit, rings):
    image = np.eye(64)
    found = process.of_versions([Version("a", 0.5, image, image > 0)], 0.5, limit)
    assert found.ids.tolist() == ["a 0.5"]
    assert found.parameters["spectrum"].shape == (1, rings)
    assert found.log_dose.tolist() == [0]


def test_networks_are_predicted_at_another_defocus(microscope):
    train = [
        replace(CONDITION, defocus_nm=float(x), dose_e_per_A2=dose)
        for x in range(0, 60, 5)
        for dose in (100, 200)
    ]
    tests = [replace(CONDITION, defocus_nm=float(x)) for x in range(0, 60, 6)]
    further = [replace(CONDITION, defocus_nm=x) for x in (14.0, 33.0)]

    def true(side):
        apart = np.subtract.outer(*([c.defocus_nm for c in each] for each in (train, side)))
        return 0.2 + 0.7 * np.exp(-((apart / 25) ** 2))

    sides = [process.of_lens(each, microscope, CURVE, LIMIT) for each in (train, tests, further)]
    found = process.predicted(true(tests), *(side["raw"] for side in sides))
    assert found == pytest.approx(true(further), abs=0.05)
    flat = process.predicted(true(tests), *(side["dose"] for side in sides))
    assert np.abs(flat[:, 0] - flat[:, 1]).max() < 0.01


def test_conditions_of_pairs_are_in_the_order_of_their_predictions():
    found = process.pair_conditions()
    assert len(found) == len(DEFOCI) * len(ALL_DOSES)
    assert [c.dose_e_per_A2 for c in found[: len(ALL_DOSES)]] == list(ALL_DOSES)
    assert {c.defocus_nm for c in found[: len(ALL_DOSES)]} == {DEFOCI[0]}
    assert {(c.cs_um, c.aperture_mrad) for c in found} == {(0, 26)}
