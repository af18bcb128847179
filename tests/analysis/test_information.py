"""Information metrics compared with direct integration, and their defining properties."""

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
import xarray as xr
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passband import parts
from passband.analysis import information
from passband.analysis.information import (
    capacity,
    capacity_coverage,
    coverage,
    fidelity,
    fidelity_abs,
    metrics,
    overlap,
    overlap_abs,
    radial_samples,
    residual,
    shared_capacity,
    transfer,
    wiener,
    wiener_abs,
    wiener_excess,
)
from passband.analysis.views import Pair, View
from passband.axes import MAIN_AXES
from passband.config import Aberrations, Detector, Microscope, Spread
from passband.grid import Axes, Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import expose
from passband.optics import ctf
from passband.optics.detector import mtf, vibration
from passband.parts import PACKAGE, PartError, Parts
from passband.specimens import exit_waves as simulate
from passband.specimens.multislice import Multislice

ROOT = Path(__file__).parents[2]
#: Names of the metrics of one condition, and of two conditions.
SINGLE, PAIR = (
    [name for name, part in PACKAGE.of("metric").items() if part.declaration.of == of]
    for of in (parts.SINGLE, parts.PAIR)
)

MICROSCOPE = Microscope(field_px=64, pixel_size_A=0.3)
GRID = Axes.main.conditions(
    {
        "defocus_nm": [5, 20],
        "cs_um": [1.2, 1200],
        "aperture_mrad": [10, 18],
        "dose_e_per_A2": [100],
    }
)
TEST = [Condition(-10, 60, 14, 400), *GRID[:3]]
NOTHING = Condition(0, 0, 18, 100)  # in focus without aberrations: T = 0
FLAT = {"flat": (np.array([0.0, 1.0]), np.array([0.005, 0.005]))}
#: Like a crystal's: a diffuse part that falls off, and a ring at 0.42/Å.
Q = np.linspace(0, 1.2, 400)
CRYSTAL = {"crystal": (Q, 0.01 * np.exp(-Q / 0.2) + 0.05 * np.exp(-(((Q - 0.42) / 0.02) ** 2)))}


def view(T, u, dose=1.0, power=1.0):
    """Return a view of the transfer function for given integration weights.

    The flat power is 1, so that only u weights frequencies.
    """
    T, u = np.atleast_2d(T), np.asarray(u, float)
    return View(
        T=T,
        dose=np.broadcast_to(dose, len(T)),
        power=np.broadcast_to(power, u.shape),
        area=u,
        q=np.zeros(u.shape),
    )


def pair(T, U, u, dose=1.0, test_dose=None, power=1.0):
    test_dose = dose if test_dose is None else test_dose
    return Pair(view(T, u, dose, power), view(U, u, test_dose, power))


def measure(train, test=None, samples=2048, spectra=None, **given):
    test = train if test is None else test
    return metrics(train, test, MICROSCOPE, spectra or FLAT | CRYSTAL, samples=samples, **given)


@pytest.fixture(scope="module")
def square():
    return measure([*GRID, NOTHING])


@pytest.fixture(scope="module")
def table():
    return measure(GRID, TEST)


# Against direct integration


@pytest.mark.parametrize("weight", ["flat", "crystal"])
def test_metrics_are_the_integrals_over_the_plane(table, weight):
    cutoff = MICROSCOPE.sampling.cutoff
    k = (np.arange(400) + 0.5) / 400 * cutoff  # a quadrant: T depends on |q| alone
    q = np.hypot(k[:, None], k)
    q = q[q <= cutoff]
    w = np.interp(q, *(FLAT | CRYSTAL)[weight])
    T, U = ([ctf.transfer(MICROSCOPE.optics(c), q) for c in ends] for ends in (GRID, TEST))
    found = table.sel(weight=weight)
    area = 4 * (cutoff / 400) ** 2  # four quadrants
    for i, a in enumerate(T):
        assert found.transfer_train[i] == pytest.approx(np.sum(w * a**2) / np.sum(w), abs=1e-3)
        s = 4 * GRID[i].dose_e_per_A2 * w * a**2
        W = a / (a**2 + 1 / (4 * GRID[i].dose_e_per_A2 * w))
        bits = np.sum(np.log2(1 + s)) / 2 * area
        assert found.capacity_train[i] == pytest.approx(bits, rel=2e-3)
        assert found.residual_train[i] == pytest.approx(np.sum(w / (1 + s)) / np.sum(w), abs=1e-3)
        for j, b in enumerate(U):
            norm = np.sqrt(np.sum(w * a**2) * np.sum(w * b**2))
            noise = 1 / (4 * TEST[j].dose_e_per_A2)
            t = 4 * TEST[j].dose_e_per_A2 * w * b**2
            shared = np.sum(np.log2(1 + np.minimum(s, t))) / 2 * area
            power = np.sum(w * W**2 * b**2 + noise * W**2)
            error = np.sum(w * (1 - W * b) ** 2 + noise * W**2) / np.sum(w)
            expected = {
                "shared_capacity": shared,
                "capacity_coverage": shared / (np.sum(np.log2(1 + t)) / 2 * area),
                "wiener": error,
                "wiener_abs": np.sum(w * (1 - np.abs(W * b)) ** 2 + noise * W**2) / np.sum(w),
                "wiener_excess": error - np.sum(w / (1 + t)) / np.sum(w),
                "fidelity": np.sum(w * W * b) / np.sqrt(np.sum(w) * power),
                "fidelity_abs": np.sum(w * np.abs(W * b)) / np.sqrt(np.sum(w) * power),
                "overlap": np.sum(w * a * b) / norm,
                "overlap_abs": np.sum(w * np.abs(a * b)) / norm,
                "coverage": np.sum(w * np.minimum(a**2, b**2)) / np.sum(w * b**2),
            }
            assert set(expected) == set(PAIR)
            for name, value in expected.items():
                close = pytest.approx(value, rel=2e-3, abs=1e-3)
                assert found[name][i, j] == close, (name, i, j)


def test_metrics_of_a_lens_that_is_not_round_are_the_integrals_over_the_plane():
    aberrations = Aberrations(
        astigmatism_nm=4.0,
        astigmatism_deg=30.0,
        coma_nm=200.0,
        coma_deg=100.0,
        threefold_nm=150.0,
        threefold_deg=-20.0,
    )
    microscope = MICROSCOPE.model_copy(update={"aberrations": aberrations})
    found = metrics(GRID[:2], TEST[:1], microscope, FLAT | CRYSTAL, samples=512)
    cutoff = microscope.sampling.cutoff
    k = (np.arange(-300, 300) + 0.5) / 300 * cutoff
    q, phi = np.hypot(k[:, None], k), np.arctan2(k, k[:, None])
    q, phi = q[q <= cutoff], phi[q <= cutoff]
    T, U = (
        [ctf.transfer(microscope.optics(c), q, phi) for c in ends] for ends in (GRID[:2], TEST[:1])
    )
    for weight, curve in (FLAT | CRYSTAL).items():
        w, here = np.interp(q, *curve), found.sel(weight=weight)
        for i, a in enumerate(T):
            expected = np.sum(w * a**2) / np.sum(w)
            assert here.transfer_train[i] == pytest.approx(expected, abs=1e-3)
            norm = np.sqrt(np.sum(w * a**2) * np.sum(w * U[0] ** 2))
            assert here.overlap[i, 0] == pytest.approx(np.sum(w * a * U[0]) / norm, abs=2e-3)
            shared = np.sum(w * np.minimum(a**2, U[0] ** 2)) / np.sum(w * U[0] ** 2)
            assert here.coverage[i, 0] == pytest.approx(shared, abs=2e-3)
            s = 4 * 100 * w * a**2
            bits = np.sum(np.log2(1 + s)) / 2 * (cutoff / 300) ** 2
            assert here.capacity_train[i] == pytest.approx(bits, rel=3e-3)
            W = a / (a**2 + 1 / (4 * 100 * w))
            error = np.sum(w * (1 - W * U[0]) ** 2 + W**2 / (4 * 400)) / np.sum(w)
            assert here.wiener[i, 0] == pytest.approx(error, abs=3e-3)
    round = metrics(GRID[:2], TEST[:1], MICROSCOPE, FLAT | CRYSTAL, samples=512)
    assert np.abs(found.transfer_train - round.transfer_train).max() > 0.01


def test_integrals_over_the_azimuth_are_those_of_a_round_lens():
    nearly = MICROSCOPE.model_copy(update={"aberrations": Aberrations(astigmatism_nm=1e-9)})
    round, found = (
        metrics(GRID, TEST, m, FLAT | CRYSTAL, samples=128) for m in (MICROSCOPE, nearly)
    )
    xr.testing.assert_allclose(found, round, rtol=1e-6, atol=1e-8)


def test_transfer_of_an_aperture_is_its_area():
    # With T² = 1 inside the aperture, flat ε is the aperture's share of the band's area.
    q = (np.arange(4096) + 0.5) / 4096
    assert transfer(view(q < 0.3, q))[0] == pytest.approx(0.3**2, rel=1e-3)


def test_metrics_of_two_bands():
    # If T = 1 up to a and T′ = −1 between b and c, every metric is a ratio of areas of rings.
    q = (np.arange(20000) + 0.5) / 20000
    T = (q < 0.6)[None].astype(float)
    U = -((q > 0.4) & (q < 0.8))[None].astype(float)
    shared, own, other = 0.6**2 - 0.4**2, 0.6**2, 0.8**2 - 0.4**2
    assert overlap(pair(T, U, q))[0, 0] == pytest.approx(-shared / np.sqrt(own * other), rel=1e-3)
    assert overlap_abs(pair(T, U, q))[0, 0] == pytest.approx(
        shared / np.sqrt(own * other), rel=1e-3
    )
    assert coverage(pair(T, U, q))[0, 0] == pytest.approx(shared / other, rel=1e-3)
    assert coverage(pair(U, T, q))[0, 0] == pytest.approx(shared / own, rel=1e-3)


def test_more_samples_change_nothing(table):
    fine = measure(GRID, TEST, samples=16384)
    for name, values in table.data_vars.items():
        np.testing.assert_allclose(values, fine[name], atol=2e-3, err_msg=name)


def test_blocks_of_conditions_change_nothing(table, monkeypatch):
    monkeypatch.setattr(information, "_AT_ONCE", 3 * 2048)  # of eight and of four conditions
    monkeypatch.setattr(information, "_KEPT", 2048)
    xr.testing.assert_allclose(table, measure(GRID, TEST), rtol=1e-12)


# Properties

# Six decimals: the square of a transfer of 1e-160 is no number.
transfers = arrays(float, (3, 16), elements=st.floats(-1, 1).map(lambda t: round(t, 6)))
weights = arrays(float, 16, elements=st.floats(1e-6, 10))


@given(transfers, transfers, weights)
def test_bounds(T, U, u):
    slack = 1 + 1e-12
    assert np.all((transfer(view(T, u)) >= 0) & (transfer(view(T, u)) <= slack))
    assert np.all(np.abs(overlap(pair(T, U, u))) <= slack)
    assert np.all(overlap_abs(pair(T, U, u)) >= 0)
    assert np.all(overlap_abs(pair(T, U, u)) <= slack)
    assert np.all(np.abs(overlap(pair(T, U, u))) <= overlap_abs(pair(T, U, u)) + 1e-12)
    assert np.all((coverage(pair(T, U, u)) >= 0) & (coverage(pair(T, U, u)) <= slack))


@given(transfers, transfers, weights, st.floats(1e-3, 1e3))
def test_metrics_without_dose_depend_only_on_the_weights_shape(T, U, u, factor):
    for metric in (overlap, overlap_abs, coverage):
        np.testing.assert_allclose(metric(pair(T, U, u)), metric(pair(T, U, factor * u)), atol=1e-9)
    np.testing.assert_allclose(transfer(view(T, u)), transfer(view(T, factor * u)), atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-90])
def test_overlap_does_not_depend_on_strength(scale):
    # Under a wide source T may be far below the square root of the smallest number.
    T = np.sin(np.linspace(0, 9, 200))[None]
    u = np.ones(200)
    assert overlap(pair(T, scale * T, u))[0, 0] == pytest.approx(1)
    assert overlap(pair(scale * T, -scale * T, u))[0, 0] == pytest.approx(-1)
    assert coverage(pair(T, scale * T, u))[0, 0] == pytest.approx(1)
    assert coverage(pair(scale * T, T, u))[0, 0] == pytest.approx(scale**2)


def test_a_condition_is_like_itself(square):
    itself = {
        "shared_capacity": square.capacity_train.values,
        "wiener": square.residual_train.values,
        "wiener_abs": square.residual_train.values,
        "wiener_excess": 0,
        "fidelity": np.sqrt(1 - square.residual_train.values),
        "fidelity_abs": np.sqrt(1 - square.residual_train.values),
    }
    for name in PAIR:
        diagonal = np.diagonal(square[name].values, axis1=1, axis2=2)
        expected = np.broadcast_to(itself.get(name, 1.0), diagonal.shape)[:, :-1]
        np.testing.assert_allclose(diagonal[:, :-1], expected, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(square.transfer_train.values, square.transfer_test.values)


@pytest.mark.parametrize("number", [1, 31, 32, 33, 100])
def test_coverage_of_many_conditions_is_that_of_each(number):
    random = np.random.default_rng(0)
    T, U, u = random.normal(size=(3, 50)), random.normal(size=(number, 50)), random.uniform(size=50)
    each = [[coverage(pair(T[[i]], U[[j]], u))[0, 0] for j in range(number)] for i in range(3)]
    np.testing.assert_allclose(coverage(pair(T, U, u)), each, rtol=1e-12)


def test_overlap_is_symmetric_and_coverage_is_not(square):
    for name in ("overlap", "overlap_abs"):
        values = square[name].values
        np.testing.assert_allclose(values, values.transpose(0, 2, 1), atol=1e-12, err_msg=name)
    values = square.coverage.values[:, :-1, :-1]
    assert np.abs(values - values.transpose(0, 2, 1)).max() > 0.1


def test_a_wider_aperture_covers_a_narrower_one(square):
    narrow, wide = Condition(5, 1.2, 10, 100).id, Condition(5, 1.2, 18, 100).id
    coverage = square.coverage.sel(weight="flat")
    assert coverage.sel(train=wide, test=narrow) == pytest.approx(1)
    expected = (
        square.transfer_train.sel(weight="flat", train=narrow)
        / square.transfer_train.sel(weight="flat", train=wide)
    ).item()
    assert coverage.sel(train=narrow, test=wide) == pytest.approx(expected)
    assert expected < 0.9


def test_contrast_reversal_changes_only_the_signed_overlap():
    # Without Cs, underfocus and overfocus have opposite contrast throughout.
    under, over = Condition(12, 0, 18, 100), Condition(-12, 0, 18, 100)
    table = measure([under], [over])
    np.testing.assert_allclose(table.overlap, -1, atol=1e-12)
    np.testing.assert_allclose(table.overlap_abs, 1, atol=1e-12)
    np.testing.assert_allclose(table.coverage, 1, atol=1e-12)


def test_nothing_transferred_has_defined_values(square):
    id = NOTHING.id
    assert not any(np.isnan(values).any() for values in square.data_vars.values())
    assert np.all(square.transfer_train.sel(train=id) == 0)
    assert np.all(square.overlap.sel(train=id) == 0)
    assert np.all(square.overlap.sel(test=id) == 0)
    assert np.all(square.overlap_abs.sel(test=id) == 0)
    assert np.all(square.coverage.sel(test=id) == 1)  # all of nothing is covered
    assert np.all(square.coverage.sel(train=id).isel(test=slice(-1)) == 0)
    assert np.all(square.capacity_train.sel(train=id) == 0)
    assert np.all(square.shared_capacity.sel(train=id) == 0)
    assert np.all(square.shared_capacity.sel(test=id) == 0)
    assert np.all(square.capacity_coverage.sel(test=id) == 1)
    assert np.all(square.capacity_coverage.sel(train=id).isel(test=slice(-1)) == 0)
    np.testing.assert_allclose(square.residual_train.sel(train=id), 1)
    assert np.all(square.wiener.sel(train=id) == 1)  # no filter, no output
    assert np.all(square.wiener.sel(test=id) > 1 - 1e-12)  # output of noise alone
    for name in ("fidelity", "fidelity_abs"):
        assert np.all(square[name].sel(train=id) == 0)
        assert np.all(square[name].sel(test=id) == 0)


def test_an_aperture_that_closes_transfers_nothing():
    closing = [Condition(20, 60, aperture, 100) for aperture in (18, 1, 0.1)]
    table = measure(closing, samples=8192).sel(weight="flat")
    for name, limit in (("transfer_train", 0), ("capacity_train", 0), ("residual_train", 1)):
        assert np.all(np.diff(np.abs(table[name] - limit)) < 0)
        assert table[name][-1] == pytest.approx(limit, abs=1e-6)


def test_dose_changes_only_metrics_that_depend_on_it():
    few, many = Condition(5, 1.2, 18, 1), Condition(5, 1.2, 18, 1000)
    table = measure([few], [many])
    for name in ("overlap", "overlap_abs", "coverage"):
        np.testing.assert_allclose(table[name], 1)
    np.testing.assert_array_equal(table.transfer_train.values, table.transfer_test.values)
    assert np.all(table.capacity_test.values > 2 * table.capacity_train.values)
    assert np.all(table.residual_test.values < 0.9 * table.residual_train.values)
    assert np.all(table.capacity_coverage < 0.5)
    assert np.all(table.wiener_excess > 0.1)


# Signal, noise, and filters

doses = arrays(float, 3, elements=st.floats(1e-3, 1e6))
powers = arrays(float, 16, elements=st.floats(1e-4, 100))
ended = given(transfers, transfers, weights, doses, doses, powers)


@ended
def test_bounds_of_capacity_and_filters(T, U, u, dose, test_dose, power):
    both = pair(T, U, u, dose, test_dose, power)
    ends = both.train, both.test
    own, other = (capacity(end) for end in ends)
    shared = shared_capacity(both)
    assert np.all(shared >= 0)
    assert np.all(shared <= np.minimum.outer(own, other) * (1 + 1e-12))
    assert np.all((capacity_coverage(both) >= 0) & (capacity_coverage(both) <= 1 + 1e-12))
    for end in ends:
        assert np.all((residual(end) > 0) & (residual(end) <= 1 + 1e-12))
    assert np.all(wiener(both) >= wiener_abs(both) - 1e-9 * wiener(both))
    assert np.all(np.abs(fidelity(both)) <= fidelity_abs(both) + 1e-12)
    assert np.all((fidelity_abs(both) >= 0) & (fidelity_abs(both) <= 1 + 1e-12))


@pytest.mark.slow
@ended
def test_no_filter_is_better_than_the_test_conditions_own(T, U, u, dose, test_dose, power):
    both = pair(T, U, u, dose, test_dose, power)
    slack = 1e-9 * (1 + wiener(both))
    for error in (wiener, wiener_abs):
        assert np.all(error(both) >= residual(both.test) - slack)
    assert np.all(wiener_excess(both) >= -slack)
    best = np.sqrt(np.maximum(1 - residual(both.test), 0))
    assert np.all(fidelity_abs(both) <= best + 1e-7)
    own = Pair(both.test, both.test)
    np.testing.assert_allclose(np.diag(wiener(own)), residual(both.test), atol=1e-9)
    np.testing.assert_allclose(np.diag(fidelity(own)), best, atol=1e-6)


@given(transfers, weights, doses, powers, st.floats(1, 1e3))
def test_more_dose_holds_more(T, u, dose, power, factor):
    less, more = view(T, u, dose, power), view(T, u, factor * dose, power)
    assert np.all(capacity(more) >= capacity(less))
    assert np.all(residual(more) <= residual(less))
    both = Pair(less, more)
    np.testing.assert_allclose(np.diag(shared_capacity(both)), capacity(less), rtol=1e-12)


@pytest.mark.slow
@given(transfers, transfers, weights, doses, doses, powers, st.floats(1, 100))
def test_units_of_area_cancel(T, U, u, dose, test_dose, power, unit):
    # The same in units of √unit Å: doses and 1/P grow, and the area of an integral.
    here = pair(T, U, u, dose, test_dose, power)
    there = pair(T, U, unit * u, unit * dose, unit * test_dose, power / unit)
    for name in PAIR:
        part = PACKAGE.get("metric", name)
        factor = unit if part.declaration.units == "bits/Å²" else 1
        function = part.load()
        expected = factor * function(here)
        np.testing.assert_allclose(function(there), expected, 1e-6, 1e-6, err_msg=name)


def test_capacity_of_one_channel_is_shannons():
    # s = 15 on an area of 0.7/Å²: half of 4 bits.
    found = view(np.array([[0.5]]), [0.7], dose=150.0, power=0.1)
    assert capacity(found)[0] == pytest.approx(2 * 0.7)
    assert residual(found)[0] == pytest.approx(1 / 16)


def test_a_filter_of_the_wrong_sign_doubles_the_contrast():
    # Without noise W is 1/T; reversed, what it makes is −b, and the error (1 + 1)².
    T = np.array([[0.3, -0.8, 1.0]])
    both = pair(T, -T, np.ones(3), dose=1e12)
    assert wiener(both)[0, 0] == pytest.approx(4)
    assert wiener_abs(both)[0, 0] == pytest.approx(0, abs=1e-9)
    assert fidelity(both)[0, 0] == pytest.approx(-1)
    assert fidelity_abs(both)[0, 0] == pytest.approx(1)


def test_a_filter_is_trained_for_its_own_noise():
    # One frequency, g = 4·dose·P: W = gT/(1 + gT²), by hand.
    both = pair(np.array([[1.0]]), np.array([[0.5]]), [1.0], dose=0.75, test_dose=0.25)
    W = 3 / 4
    assert wiener(both)[0, 0] == pytest.approx((1 - W / 2) ** 2 + W**2)
    assert fidelity(both)[0, 0] == pytest.approx(W / 2 / np.sqrt(W**2 / 4 + W**2))


@pytest.mark.slow
def test_signal_and_noise_are_those_of_simulated_images():
    # A thin film of carbon through multislice, imager, vibration, MTF and Poisson draws: the power
    # spectrum of the noise-free contrast over that of the shot noise is s, and so are its bits.
    microscope = MICROSCOPE.model_copy(
        update={"vibration_A": 0.3, "detector": Detector(mtf="gaussian", mtf_nyquist=0.4, gain=3.0)}
    )
    sampling, condition = microscope.sampling, Condition(30, 60, 20, 500)
    random = np.random.default_rng(0)
    side = sampling.field_A
    atoms = Atoms(
        "C120", random.uniform(0, (side, side, 4), (120, 3)), cell=(side, side, 4), pbc=True
    )
    wave = sampling.crop(Multislice(sampling, 300e3).wave(atoms))
    camera = Acquisition.from_microscope(microscope, "vacuum", torch.device("cpu"))
    optics = microscope.optics(condition)
    ideal = camera.imager.intensity(torch.as_tensor(wave)[None, None], optics)
    counts = expose(ideal.expand(200, -1, -1), camera.electrons(condition), range(200))
    contrast = (ideal / ideal.mean() - 1).numpy()
    noise = (camera.normalised(counts * microscope.detector.gain, condition) + 1 - ideal).numpy()

    def rings(images):
        k = sampling.px * np.fft.fftfreq(sampling.px)
        ring = np.rint(np.hypot(k[:, None], k)).astype(int).ravel()
        power = (np.abs(np.fft.fft2(images, norm="forward")) ** 2).mean(0).ravel()
        density = sampling.density(np.bincount(ring, power) / np.bincount(ring))
        return density[: sampling.half + 1]

    np.testing.assert_allclose(rings(noise)[2:], 1 / condition.dose_e_per_A2, rtol=0.1)
    measured = rings(contrast) * condition.dose_e_per_A2
    q = np.arange(sampling.half + 1) / side
    power = sampling.density(simulate.linear_power(wave))
    blur = vibration(0.3, q) * mtf("gaussian", 2 * q * sampling.pixel_A, 0.4)
    T = ctf.transfer(optics, q) * blur
    s = 4 * condition.dose_e_per_A2 * power * T**2
    assert s.max() > 1
    shown = (T / blur) ** 2 > 0.1
    np.testing.assert_allclose(measured[shown], s[shown], rtol=0.2)
    # Single rings differ by what is second order, and by T within a ring; sums hardly.
    assert np.sum(q * measured) == pytest.approx(np.sum(q * s), rel=0.02)
    table = metrics([condition], [condition], microscope, {"carbon": (q, power)})
    bits = np.sum(np.log2(1 + measured) / 2 * 2 * np.pi * q / side)
    assert table.capacity_train.item() == pytest.approx(bits, rel=0.02)


# Distributions of conditions


def spread_metrics(spread, draws=16, seed=0, train=GRID[4:7], test=TEST[:1], samples=256):
    microscope = MICROSCOPE.model_copy(update={"spread": spread})
    return metrics(train, test, microscope, FLAT | CRYSTAL, seed, draws, samples=samples)


def test_no_spread_is_the_condition_itself(monkeypatch):
    point = spread_metrics(Spread())
    xr.testing.assert_identical(point, spread_metrics(Spread(), draws=100, seed=1))
    # Neither is it another computation: with a spread so small that it draws, nothing changes.
    tiny = Spread(focus_nm=1e-9, dose=1e-9)
    xr.testing.assert_allclose(point, spread_metrics(tiny), rtol=1e-6, atol=1e-6)


def test_metrics_of_distributions_are_means_over_independent_draws():
    spread = Spread(focus_nm=2.0, dose=0.3)
    found = spread_metrics(spread, draws=64)
    # The same metrics at points that represent equal shares of the distribution: all combinations
    # of both defocus values and both doses.
    number = 12
    z = np.array([NormalDist().inv_cdf((k + 0.5) / number) for k in range(number)])
    sigma = np.sqrt(np.log1p(0.3**2))
    doses = np.exp(sigma * z[1::3] - sigma**2 / 2)
    train, test = (
        [
            Condition(c.defocus_nm + 2 * x, c.cs_um, c.aperture_mrad, c.dose_e_per_A2 * dose)
            for c in ends
            for x in z
            for dose in doses
        ]
        for ends in (GRID[4:7], TEST[:1])
    )
    every = metrics(train, test, MICROSCOPE, FLAT | CRYSTAL, samples=256)
    cloud, point = number * len(doses), spread_metrics(Spread())
    for name in (*PAIR, *(f"{name}_train" for name in SINGLE)):
        split = (2, 3, cloud, 1, cloud) if name in PAIR else (2, 3, cloud)
        expected = every[name].values.reshape(split).mean((2, 4) if name in PAIR else 2)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found[name], expected, atol=0.01 * scale, err_msg=name)
        assert np.abs(point[name] - expected).max() > 0.01 * scale, name


@pytest.mark.slow
def test_more_draws_converge():
    spread = Spread(focus_nm=2.0, dose=0.2)

    def overlap(draws, seed):
        return spread_metrics(spread, draws, seed).overlap

    many = overlap(256, 9)
    few, more = (
        np.mean([np.abs(overlap(draws, seed) - many).mean() for seed in range(4)])
        for draws in (2, 32)
    )
    assert more < few / 2


def test_distributions_keep_symmetry_and_both_ends_alike():
    found = spread_metrics(Spread(focus_nm=3.0, dose=0.2), 3, test=GRID[4:7])
    for name in ("overlap", "overlap_abs", "shared_capacity"):
        values = found[name].values
        np.testing.assert_allclose(values, values.transpose(0, 2, 1), atol=1e-12, err_msg=name)
    for name in SINGLE:
        np.testing.assert_allclose(found[f"{name}_train"].values, found[f"{name}_test"].values)
    # Two images under one condition are not quite alike.
    assert np.all(np.diagonal(found.overlap.values, axis1=1, axis2=2) < 0.9999)


@pytest.mark.slow
def test_a_spread_of_aberrations_is_integrated_over_the_azimuth():
    round = spread_metrics(Spread(), train=GRID[1:2], test=GRID[1:2])
    found = spread_metrics(
        Spread(astigmatism_nm=4.0), 2, train=GRID[1:2], test=GRID[1:2], samples=128
    )
    assert found.overlap.sel(weight="flat").item() < 0.9
    assert np.all(found.capacity_train < round.capacity_train * 1.5)
    more = spread_metrics(
        Spread(astigmatism_nm=4.0), 2, train=GRID[1:2], test=GRID[1:2], samples=512
    )
    np.testing.assert_allclose(found.overlap, more.overlap, atol=0.01)


# Weights


def test_weights_matter(table):
    for name in ("transfer_train", *PAIR):
        difference = table[name].sel(weight="flat") - table[name].sel(weight="crystal")
        assert np.abs(difference).max() > 0.05, name


def test_a_narrow_weight_picks_the_transfer_at_its_frequency():
    q = np.array([0.0, 0.4249, 0.425, 0.4251, 1.0])
    line = {"line": (q, np.array([0.0, 0.0, 1.0, 0.0, 0.0]))}
    table = measure(GRID, TEST, samples=200_000, spectra=line)
    T, U = (
        np.array([ctf.transfer(MICROSCOPE.optics(c), np.array([0.425]))[0] for c in ends])
        for ends in (GRID, TEST)
    )
    found = table.sel(weight="line")
    np.testing.assert_allclose(found.transfer_train, T**2, atol=1e-3)
    np.testing.assert_allclose(found.overlap, np.sign(np.outer(T, U)), atol=1e-3)
    np.testing.assert_allclose(
        found.coverage, np.minimum(1, T[:, None] ** 2 / U[None, :] ** 2), rtol=0.02, atol=1e-3
    )


def test_bands_are_integrals_over_their_frequencies():
    found = metrics(GRID, TEST, MICROSCOPE, FLAT | CRYSTAL, samples=2048, bands=[0.2, 0.5, 40])
    names = ["flat", "crystal", "crystal/0-0.2", "crystal/0.2-0.5", "crystal/0.5-40"]
    assert found.weight.values.tolist() == names  # the band beyond the limit is left out
    q = np.linspace(0, MICROSCOPE.sampling.cutoff, 200_001)
    q = q[(q >= 0.2) & (q < 0.5)]
    P = np.interp(q, *CRYSTAL["crystal"])
    for i, j in ((0, 0), (3, 2)):
        T, U = (ctf.transfer(MICROSCOPE.optics(c), q, 0.0) for c in (GRID[i], TEST[j]))
        s, t = (4 * c.dose_e_per_A2 * P * v**2 for c, v in ((GRID[i], T), (TEST[j], U)))
        expected = {
            "overlap": (P * T * U * q).sum() / np.sqrt((P * T**2 * q).sum() * (P * U**2 * q).sum()),
            "coverage": (P * np.minimum(T**2, U**2) * q).sum() / (P * U**2 * q).sum(),
            "shared_capacity": (np.log2(1 + np.minimum(s, t)) / 2 * 2 * np.pi * q).sum()
            * (q[1] - q[0]),
        }
        of = found.sel(weight="crystal/0.2-0.5").isel(train=i, test=j)
        for name, value in expected.items():
            assert float(of[name]) == pytest.approx(value, rel=0.02, abs=2e-3), name
    # What adds up over frequencies adds up over bands.
    parts = found.shared_capacity.isel(weight=slice(2, None)).sum("weight")
    np.testing.assert_allclose(parts, found.shared_capacity.sel(weight="crystal"), rtol=1e-12)


def test_weights_are_constant_beyond_their_ends():
    # The same curve, once written to its ends and once left to be continued.
    short = {"w": (np.array([0.3, 0.5]), np.array([1.0, 4.0]))}
    long = {"w": (np.array([0.0, 0.3, 0.5, 2.0]), np.array([1.0, 1.0, 4.0, 4.0]))}
    xr.testing.assert_allclose(measure(GRID, spectra=short), measure(GRID, spectra=long))


# The data set


OWN = """
import numpy as np

from passband.analysis.information import transfer
from passband.parts import PAIR, SINGLE, metric


@metric(SINGLE)
def passed(view):
    \"\"\"The share of frequencies with any transfer.\"\"\"
    return (view.T != 0) @ view.u / view.u.sum()


@metric(SINGLE, units="1/Å")
def reach(view):
    \"\"\"The highest frequency with any transfer.\"\"\"
    return np.where(view.T != 0, view.q, 0).max(1)


@metric(PAIR, units="Å²", label="ratio of ε")
def ratio(pair):
    \"\"\"The ratio ε(χ)/ε(χ′).\"\"\"
    return np.divide.outer(transfer(pair.train), transfer(pair.test))
"""


def own_parts(folder, text=OWN):
    """Return the parts of a study with a file of metrics of its own."""
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts/own.py").write_text(text, encoding="utf-8")
    known = Parts.read(folder / "parts")
    known.trust()
    return known


def test_a_study_s_own_metrics_are_in_the_data_set(tmp_path, table):
    found = measure(GRID, TEST, parts=own_parts(tmp_path))
    assert found.passed_train.attrs["long_name"] == "The share of frequencies with any transfer."
    assert (found.ratio.attrs["units"], found.ratio.attrs["label"]) == ("Å²", "ratio of ε")
    assert "label" not in found.passed_train.attrs
    cutoff = MICROSCOPE.sampling.cutoff * ctf.wavelength(300e3) * 1e3
    shares = [(c.aperture_mrad / cutoff) ** 2 for c in TEST]
    np.testing.assert_allclose(found.passed_test.sel(weight="flat"), shares, rtol=5e-3)
    highest = [1e-3 * c.aperture_mrad / ctf.wavelength(300e3) for c in TEST]
    np.testing.assert_allclose(found.reach_test.sel(weight="flat"), highest, rtol=5e-3)
    expected = found.transfer_train / found.transfer_test
    np.testing.assert_allclose(found.ratio, expected.transpose("weight", "train", "test"))
    # Those of the package are as without them.
    own = ["passed_train", "passed_test", "reach_train", "reach_test", "ratio"]
    xr.testing.assert_identical(found.drop_vars(own), table)


def test_the_page_on_metrics_defines_each_as_its_docstring():
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").replace("\\|", "¦")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    for kind in ("metric", "ood_metric"):
        for name, part in PACKAGE.of(kind).items():
            row, *others = [row for row in rows if f"`{name}`" in row[1]]
            # A score of single images has a row of its own, beside its mean in `ood.zarr`.
            assert len(others) == (getattr(part.declaration, "needs", "") == "particles"), name
            if kind == "metric":
                definition, *_ = part.doc.replace("|", "¦").replace(", w = P", "").split(":")
                assert definition in row[2], name


def test_the_example_of_a_metric_compares_signs():
    known = Parts.read(ROOT / "examples/parts")
    known.trust()
    function = known.get("metric", "same_sign").load()
    rng = np.random.default_rng(0)
    T, U = rng.normal(size=(3, 40)), rng.normal(size=(2, 40))
    U[1] = 0
    u = rng.uniform(size=40)
    found = function(pair(T, U, u))
    for i in range(3):
        same = np.sign(T[i]) == np.sign(U[0])
        expected = (u * U[0] ** 2)[same].sum() / (u * U[0] ** 2).sum()
        assert found[i].tolist() == [pytest.approx(expected), 1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "return pair.train.dose",
            r"returns an array \(8,\), must be \(train, test\), here \(8, 4\)",
        ),
        ("return None", r"returns an array \(\), must be \(train, test\), here \(8, 4\)"),
        ("return pair.cross * 1j", "returns complex128, must be real numbers"),
        ("return pair.nothing", "AttributeError: 'Pair' object has no attribute 'nothing'"),
    ],
)
def test_a_metric_that_is_wrong_is_named(tmp_path, code, words):
    text = f"from passband.parts import PAIR, metric\n\n@metric(PAIR)\ndef odd(pair):\n    {code}\n"
    with pytest.raises(PartError, match=rf"^metric 'odd' of parts/own.py, line 3: {words}$"):
        measure(GRID, TEST, parts=own_parts(tmp_path, text))


def test_dimensions_coordinates_and_attributes(table):
    assert dict(table.sizes) == {"weight": 2, "train": 8, "test": 4}
    assert table.weight.values.tolist() == ["flat", "crystal"]
    assert table.train.values.tolist() == [c.id for c in GRID]
    assert table.test.values.tolist() == [c.id for c in TEST]
    for end, ends in (("train", GRID), ("test", TEST)):
        for name, axis in MAIN_AXES.items():
            coordinate = table[f"{end}_{name}"]
            assert coordinate.values.tolist() == [getattr(c, name) for c in ends]
            assert coordinate.attrs == {"units": axis.unit, "long_name": axis.label}
    assert set(table.data_vars) == {f"{n}_{end}" for n in SINGLE for end in ("train", "test")} | {
        *PAIR
    }
    for name in PAIR:
        assert table[name].dims == ("weight", "train", "test")
    for name, values in table.data_vars.items():
        assert values.dtype == np.float64
        assert values.attrs["units"] == (
            "bits/Å²" if "capacity" in name.replace("capacity_coverage", "") else "1"
        )
        assert len(values.attrs["long_name"]) > 20
        assert "\n" not in values.attrs["long_name"]


@pytest.mark.parametrize("further", [{"astigmatism_nm": 5}, {"vibration_A": 0.5}])
def test_metrics_under_a_further_axis_are_those_of_another_microscope(further):
    axes = Axes(dict.fromkeys(further, 0.0))
    under = [replace(condition, further=further, axes=axes) for condition in GRID[:2]]
    found = metrics(under, under, MICROSCOPE, FLAT, samples=128)
    expected = metrics(GRID[:2], GRID[:2], MICROSCOPE.under(under[0]), FLAT, samples=128)
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name].values, expected[name].values)
    (name, value) = next(iter(further.items()))
    assert found[f"train_{name}"].values.tolist() == [value, value]
    both = metrics(under, GRID[:2], MICROSCOPE, FLAT, samples=128)
    assert (both.overlap.values[:, :, 0] < 1).any()


def test_frequencies_beyond_the_limit_of_the_tests_pixels_have_no_noise():
    """The filter of finer training images passes frequencies that coarse test images lack."""
    train, test = GRID[1], replace(TEST[0], further={"pixel_size_A": 0.6})
    found = metrics([train], [test], MICROSCOPE, FLAT, samples=4096)
    limit = MICROSCOPE.under(test).sampling.cutoff
    assert limit < train.aperture_mrad / 1e3 / ctf.wavelength(300e3)
    q = (np.arange(4000) + 0.5) / 4000 * limit
    w = 0.005
    T, U = (ctf.transfer(MICROSCOPE.optics(c), q) for c in (train, test))
    W = T / (T**2 + 1 / (4 * train.dose_e_per_A2 * w))
    error = w * (1 - W * U) ** 2 + W**2 / (4 * test.dose_e_per_A2)
    assert found.wiener.item() == pytest.approx(np.sum(q * error) / np.sum(q * w), rel=5e-3)


def test_a_larger_field_has_more_frequencies():
    """The farthest detail that a field may show makes T oscillate the fastest."""
    assert radial_samples(Microscope(field_px=128)) == 2048
    still = {"focal_spread_nm": 0.5, "source_spread_mrad": 0.0}
    microscope = Microscope(field_px=2048, pixel_size_A=0.1, **still)
    sampling = microscope.sampling
    aperture = 0.99 * sampling.cutoff * ctf.wavelength(microscope.energy_eV) * 1e3
    defocus_nm = 0.99 * sampling.field_A / 2 / aperture * 1e3 / 10  # displaces by half the field
    ends = [Condition(defocus_nm * share, 0, aperture, 500) for share in (0.9, 1)]
    found, fine, few = (
        metrics(ends, ends, microscope, FLAT, samples=n).drop_attrs() for n in (None, 65536, 2048)
    )
    assert abs(found - fine).to_dataarray().max() < 0.001
    assert abs(few - fine).to_dataarray().max() > 0.005
