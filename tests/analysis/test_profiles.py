"""Profiles compared with the information metrics, and profiles of lenses that are not round."""

import numpy as np
import pytest

from passband.analysis import information
from passband.analysis.profiles import SAMPLES, profiles, profiles_of_specimens
from passband.config import Aberrations, Detector, Microscope, Spread
from passband.grid import Condition
from passband.optics import ctf
from passband.prediction.covariance import distances

MICROSCOPE = Microscope(field_px=64, pixel_size_A=0.3)
CONDITIONS = [Condition(5, 1.2, 10, 100), Condition(20, 60, 18, 100), Condition(20, 60, 18, 1000)]
Q = np.linspace(0, 1.2, 400)
CRYSTAL = Q, 0.01 * np.exp(-Q / 0.2) + 0.05 * np.exp(-(((Q - 0.42) / 0.02) ** 2))
LENSES = {
    "round": {},
    "blurred": {"vibration_A": 0.3, "detector": Detector(mtf="gaussian")},
    "astigmatic": {"aberrations": Aberrations(astigmatism_nm=10, coma_nm=300)},
    "jitter": {"spread": Spread(focus_nm=3, dose=0.2, astigmatism_nm=2)},
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(lens, id=name, marks=[pytest.mark.slow] if name == "jitter" else [])
        for name, lens in LENSES.items()
    ],
)
def test_integrals_of_profiles_are_the_information_metrics(changes):
    microscope = MICROSCOPE.model_copy(update=changes)
    found = profiles(CONDITIONS, microscope, SAMPLES, CRYSTAL, seed=3)
    metrics = information.metrics(
        CONDITIONS, CONDITIONS, microscope, 2048, {"crystal": CRYSTAL}, seed=3
    ).sel(weight="crystal")
    capacity = (found.bits * found.area).sum("frequency")
    tolerance = 0.03 if "spread" in changes else 0.005  # other draws of the jitter
    np.testing.assert_allclose(capacity, metrics.capacity_train, rtol=tolerance)
    if "spread" not in changes:  # the square of a mean is not the mean of squares
        weight = found.power * found.area
        transfer = (found["T"] ** 2 * weight).sum("frequency") / weight.sum()
        np.testing.assert_allclose(transfer, metrics.transfer_train, rtol=0.005)


def test_a_profile_without_jitter_is_the_transfer_at_the_frequencies():
    found = profiles(CONDITIONS, MICROSCOPE, 32, CRYSTAL)
    for row, condition in enumerate(CONDITIONS):
        T = ctf.transfer(MICROSCOPE.optics(condition), found.frequency.values, 0.0)
        np.testing.assert_allclose(found["T"][row], T * MICROSCOPE.response(found.frequency.values))
        s = (
            4
            * condition.dose_e_per_A2
            * np.interp(found.frequency, *CRYSTAL)
            * found["T"][row] ** 2
        )
        np.testing.assert_allclose(found.bits[row], np.log2(1 + s) / 2)
    assert found.log_dose.values == pytest.approx([2, 2, 3])
    assert found.condition.values.tolist() == [c.id for c in CONDITIONS]


@pytest.mark.parametrize("changes", LENSES.values(), ids=LENSES)
def test_profiles_of_different_conditions_have_the_same_frequencies(changes):
    microscope = MICROSCOPE.model_copy(update=changes)
    both = profiles(CONDITIONS, microscope, 16, CRYSTAL)
    for k, condition in enumerate(CONDITIONS):
        one = profiles([condition], microscope, 16, CRYSTAL)
        assert one.isel(condition=0).identical(both.isel(condition=k))


def test_few_samples_give_the_distances_of_many():
    few, many = (profiles(CONDITIONS, MICROSCOPE, n, CRYSTAL) for n in (SAMPLES, 8 * SAMPLES))
    np.testing.assert_allclose(
        np.sqrt(distances(few, few)), np.sqrt(distances(many, many)), rtol=0.02, atol=1e-6
    )


def test_distances_are_those_of_the_curves():
    a, b = (profiles(part, MICROSCOPE, 16, CRYSTAL) for part in (CONDITIONS, CONDITIONS[1:]))
    found = distances(a, b)
    weight = (a.power * a.area).values
    for i in range(3):
        for j in range(2):
            T = (weight * (a["T"][i].values - b["T"][j].values) ** 2).sum() / weight.sum()
            bits = (a.area.values * (a.bits[i].values - b.bits[j].values) ** 2).sum()
            dose = (a.log_dose[i] - b.log_dose[j]).item() ** 2
            # The correlation of image and specimen is √(s/(1 + s)), and bits are ½log₂(1 + s).
            rho = [np.sqrt(1 - 1 / 4.0 ** x.bits[k].values) for x, k in ((a, i), (b, j))]
            correlation = (weight * (rho[0] - rho[1]) ** 2).sum() / weight.sum()
            expected = [T, correlation, bits / a.area.values.sum(), dose]
            np.testing.assert_allclose(found[:, i, j], expected, atol=1e-12)


def test_without_exit_waves_the_spectrum_is_flat():
    given = ["gold"], CONDITIONS, MICROSCOPE, {}
    (found,) = profiles_of_specimens(*given, seed=0, flat_power=0.005, draws=1).values()
    np.testing.assert_array_equal(found.power, 0.005)
