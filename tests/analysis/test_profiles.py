"""Profiles compared with the information metrics, and profiles of lenses that are not round."""

from dataclasses import fields

import numpy as np
import pytest

from passband.analysis import information
from passband.analysis.profiles import SAMPLES, Profiles, profiles, profiles_of_specimens
from passband.config import Aberrations, Detector, Microscope, Spread
from passband.grid import Axes, Condition
from passband.optics import ctf
from passband.prediction.covariance import distances

MICROSCOPE = Microscope(field_px=64, pixel_size_A=0.3)
CONDITIONS = [Condition(5, 1.2, 10, 100), Condition(20, 60, 18, 100), Condition(20, 60, 18, 1000)]
CONDITIONS_BY_AXIS = {
    "defocus_nm": [5, 20],
    "cs_um": [1.2],
    "aperture_mrad": [10],
    "dose_e_per_A2": [100],
    "astigmatism_nm": [2, 8],
}
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
        CONDITIONS, CONDITIONS, microscope, {"crystal": CRYSTAL}, seed=3
    ).sel(weight="crystal")
    capacity = (found.bits * found.area).sum(1)
    tolerance = 0.03 if "spread" in changes else 0.005  # other draws of the jitter
    np.testing.assert_allclose(capacity, metrics.capacity_train, rtol=tolerance)
    if "spread" not in changes:  # the square of a mean is not the mean of squares
        weight = found.power * found.area
        transfer = (found.T**2 * weight).sum(1) / weight.sum()
        np.testing.assert_allclose(transfer, metrics.transfer_train, rtol=0.005)


def test_a_profile_without_jitter_is_the_transfer_at_the_frequencies():
    found = profiles(CONDITIONS, MICROSCOPE, 32, CRYSTAL)
    for row, condition in enumerate(CONDITIONS):
        T = ctf.transfer(MICROSCOPE.optics(condition), found.frequency, 0.0)
        np.testing.assert_allclose(found.T[row], T * MICROSCOPE.response(found.frequency))
        s = 4 * condition.dose_e_per_A2 * np.interp(found.frequency, *CRYSTAL) * found.T[row] ** 2
        np.testing.assert_allclose(found.bits[row], np.log2(1 + s) / 2)
    assert found.log_dose == pytest.approx([2, 2, 3])
    assert found.ids.tolist() == [c.id for c in CONDITIONS]


def assert_same(a, b):
    """Assert that all numbers of two sets of profiles are the same, bit by bit, NaN included."""
    assert a.parameters.keys() == b.parameters.keys()
    for name in a.parameters:
        np.testing.assert_array_equal(a.parameters[name], b.parameters[name], err_msg=name)
    for field in {field.name for field in fields(Profiles)} - {"parameters"}:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), err_msg=field)


@pytest.mark.parametrize("changes", LENSES.values(), ids=LENSES)
def test_profiles_of_different_conditions_have_the_same_frequencies(changes):
    microscope = MICROSCOPE.model_copy(update=changes)
    both = profiles(CONDITIONS, microscope, 16, CRYSTAL)
    for k, condition in enumerate(CONDITIONS):
        one = profiles([condition], microscope, 16, CRYSTAL)
        assert_same(one, both[[k]])


def test_profiles_are_chosen_by_places_a_mask_or_a_slice():
    every = profiles(CONDITIONS, MICROSCOPE, 16, CRYSTAL)
    assert len(every) == 3
    turned = every[[2, 0, 0]]
    assert turned.ids.tolist() == [CONDITIONS[k].id for k in (2, 0, 0)]
    assert_same(turned, profiles([CONDITIONS[k] for k in (2, 0, 0)], MICROSCOPE, 16, CRYSTAL))
    assert_same(every[np.array([True, False, True])], every[[0, 2]])
    assert_same(every[1:], every[[1, 2]])
    assert len(every[[]]) == 0


def test_profiles_are_chosen_by_ids_and_a_mixture_is_nan():
    every = profiles(CONDITIONS, MICROSCOPE, 16, CRYSTAL)
    ids = [CONDITIONS[k].id for k in (2, 0, 2)]
    # As read from a store.
    assert_same(every.of(np.array(ids, dtype=np.dtypes.StringDType())), every[[2, 0, 2]])
    mixed = every.of([*ids[:2], "all-1234abcd", ids[0], "all-1234abcd"])
    assert mixed.ids.tolist() == [*ids[:2], "all-1234abcd", ids[0], "all-1234abcd"]
    assert_same(mixed[[0, 1, 3]], every[[2, 0, 2]])
    assert list(mixed.parameters) == list(every.parameters)
    of_mixture = mixed[[2, 4]]
    for values in (of_mixture.T, of_mixture.bits, of_mixture.log_dose):
        assert np.isnan(values).all()
    for values in of_mixture.parameters.values():
        assert np.isnan(values).all()
    # Distances need frequencies and weights, which have no rows.
    assert_same(every.of(["all-1234abcd"])[[]], every[[]])
    assert np.isnan(distances(of_mixture, every)).all()


def test_a_condition_without_a_profile_is_an_error_and_no_mixture():
    some = profiles(CONDITIONS[:2], MICROSCOPE, 16, CRYSTAL)
    with pytest.raises(KeyError, match=CONDITIONS[2].id.replace("+", r"\+")):
        some.of([CONDITIONS[0].id, CONDITIONS[2].id])


def test_parameters_are_those_of_the_axes_of_the_study():
    axes = Axes({"astigmatism_nm": 2.0})
    given = [*axes.conditions(CONDITIONS_BY_AXIS)]
    found = profiles(given, MICROSCOPE, 16, CRYSTAL)
    assert list(found.parameters) == list(axes.names)
    for name, values in found.parameters.items():
        assert values.tolist() == [condition.value(name) for condition in given]
        assert values.dtype == float


def test_few_samples_give_the_distances_of_many():
    few, many = (profiles(CONDITIONS, MICROSCOPE, n, CRYSTAL) for n in (SAMPLES, 8 * SAMPLES))
    np.testing.assert_allclose(
        np.sqrt(distances(few, few)), np.sqrt(distances(many, many)), rtol=0.02, atol=1e-6
    )


def test_distances_are_those_of_the_curves():
    a, b = (profiles(part, MICROSCOPE, 16, CRYSTAL) for part in (CONDITIONS, CONDITIONS[1:]))
    found = distances(a, b)
    weight = a.power * a.area
    for i in range(3):
        for j in range(2):
            bits = (a.area * (a.bits[i] - b.bits[j]) ** 2).sum()
            dose = (a.log_dose[i] - b.log_dose[j]) ** 2
            # The correlation is √(s/(1 + s)) with the sign of T, and bits are ½log₂(1 + s).
            rho = [np.sign(x.T[k]) * np.sqrt(1 - 1 / 4.0 ** x.bits[k]) for x, k in ((a, i), (b, j))]
            correlation = (weight * (rho[0] - rho[1]) ** 2).sum() / weight.sum()
            expected = [correlation, bits / a.area.sum(), dose]
            np.testing.assert_allclose(found[:, i, j], expected, atol=1e-12)


def test_without_exit_waves_the_spectrum_is_flat():
    given = ["gold"], CONDITIONS, MICROSCOPE, {}
    (found,) = profiles_of_specimens(*given, seed=0).values()
    np.testing.assert_array_equal(found.power, 0.005)
