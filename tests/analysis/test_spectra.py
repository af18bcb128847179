"""Spectra of several sets of exit waves, and metrics of conditions with different exit waves."""

import json
from dataclasses import replace

import numpy as np
import pytest

from passband import PassbandError
from passband.analysis.information import metrics
from passband.analysis.profiles import profiles
from passband.analysis.spectra import from_json, own_curve, power_under, to_json
from passband.config import Microscope
from passband.grid import Axes, Condition

MICROSCOPE = Microscope(field_px=64)
AXES = Axes({"energy_kev": 300.0, "pixel_size_A": 0.3})
ROUND = [Condition(5, 1.2, 12, 100, axes=AXES), Condition(20, 1.2, 16, 1000, axes=AXES)]
SLOW = [replace(condition, further={"energy_kev": 200.0}) for condition in ROUND]
WIDE = [replace(condition, further={"pixel_size_A": 0.4}) for condition in ROUND]
Q = np.linspace(0, 1.2, 40)
FAST_CURVE, SLOW_CURVE = (Q, np.exp(-Q)), (Q, 1.7 * np.exp(-2 * Q))
SETS = {"gold": {"": FAST_CURVE, "en0200.00": SLOW_CURVE, "px0.4000": FAST_CURVE}}


def both(train, test, spectra=SETS, **options):
    return metrics(train, test, MICROSCOPE, spectra, samples=128, **options)


def test_conditions_of_an_energy_have_the_metrics_of_a_study_with_this_energy():
    found = both(ROUND + SLOW, ROUND + SLOW)
    slow = MICROSCOPE.under(SLOW[0])
    expected = metrics(ROUND, ROUND, slow, {"gold": SLOW_CURVE}, samples=128)
    for name, values in expected.data_vars.items():
        part = found[name].values[(slice(None), *[slice(2, None)] * (values.ndim - 1))]
        np.testing.assert_allclose(part, values.values, rtol=1e-12)


def test_a_spectrum_is_the_same_after_json():
    for spectrum in (FAST_CURVE, SETS["gold"], (np.array([0.0]), np.array([3.0]))):
        content = json.loads(json.dumps(to_json(spectrum)))
        np.testing.assert_equal(from_json(content), spectrum)


@pytest.mark.parametrize(
    "content",
    [
        3,
        [[0, 1]],
        [[0, 1], [1]],
        [[], []],
        [[0, 0], [1, 1]],
        [[0, 1], [1, -1]],
        [[0, 1], [1, float("nan")]],
        [[0, float("inf")], [1, 1]],
        [[0, 1], [1, "a"]],
        [[[0]], [[1]]],
        {"": [[0, 1], [1]]},
    ],
)
def test_another_content_is_no_spectrum(content):
    with pytest.raises((ValueError, TypeError)):
        from_json(content)


def test_one_curve_for_all_sets_gives_the_same_as_equal_curves():
    equal = {"gold": dict.fromkeys(SETS["gold"], FAST_CURVE)}
    one = both(ROUND + SLOW, SLOW, {"gold": FAST_CURVE})
    for name, values in both(ROUND + SLOW, SLOW, equal).data_vars.items():
        np.testing.assert_array_equal(one[name].values, values.values)


def test_metrics_of_different_exit_waves_stay_in_their_ranges():
    every = ROUND + SLOW + WIDE
    found = both(every, every, bands=[0.4])
    assert found.weight.values.tolist() == ["gold", "gold/0-0.4", "gold/0.4-"]
    for values in found.data_vars.values():
        assert np.isfinite(values).all()
    for name in ("coverage", "capacity_coverage", "overlap_abs", "fidelity_abs"):
        assert (found[name] >= -1e-12).all()
        assert (found[name] <= 1 + 1e-12).all()
    assert (abs(found.overlap) <= 1 + 1e-12).all()
    assert (found.wiener_excess >= -1e-12).all()
    for name in ("overlap", "coverage", "capacity_coverage"):
        diagonal = np.diagonal(found[name].values, axis1=1, axis2=2)
        np.testing.assert_allclose(diagonal, 1)
    np.testing.assert_allclose(found.overlap.values, found.overlap.values.swapaxes(1, 2))
    np.testing.assert_allclose(
        found.shared_capacity.values, found.shared_capacity.values.swapaxes(1, 2)
    )


def test_integrals_of_larger_pixels_end_at_their_band_limit():
    found = metrics(WIDE, ROUND, MICROSCOPE, SETS, samples=4096)
    alone = metrics(ROUND, ROUND, MICROSCOPE.under(WIDE[0]), {"gold": FAST_CURVE}, samples=4096)
    for name in ("transfer", "residual", "capacity"):
        np.testing.assert_allclose(
            found[f"{name}_train"].values, alone[f"{name}_train"].values, rtol=0.02
        )
    curve = power_under(FAST_CURVE, WIDE[0], MICROSCOPE, Q)
    limit = MICROSCOPE.under(WIDE[0]).sampling.cutoff
    assert (curve[limit < Q] == 0).all()
    assert (curve[limit >= Q] > 0).all()


def test_profiles_have_the_spectrum_of_each_condition():
    every = ROUND + SLOW
    found = profiles(every, MICROSCOPE, 64, SETS["gold"])
    slow = profiles(ROUND, MICROSCOPE.under(SLOW[0]), 64, SLOW_CURVE)
    np.testing.assert_allclose(found.T[2:], slow.T, rtol=1e-12)
    np.testing.assert_allclose(found.bits[2:], slow.bits, rtol=1e-12)
    np.testing.assert_array_equal(found.power, np.interp(found.frequency, *FAST_CURVE))
    wide = profiles(WIDE, MICROSCOPE, 64, SETS["gold"], grid=every + WIDE)
    np.testing.assert_array_equal(wide.frequency, found.frequency)


def test_a_condition_without_exit_waves_has_no_spectrum():
    other = replace(ROUND[0], further={"energy_kev": 250.0})
    with pytest.raises(PassbandError, match="the study has no exit waves of this condition"):
        profiles([other], MICROSCOPE, 64, SETS["gold"])


def test_spectra_are_written():
    for spectrum in (FAST_CURVE, SETS["gold"]):
        again = from_json(json.loads(json.dumps(to_json(spectrum))))
        assert to_json(again) == to_json(spectrum)
    np.testing.assert_array_equal(own_curve(SETS["gold"])[1], FAST_CURVE[1])
