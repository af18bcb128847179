"""What follows from the Dice of three lattices."""

from dataclasses import replace

import numpy as np
import pytest

from findings.second_lock import fringe_scores, lattices
from findings.second_lock.fringe_scores import Measured, information, partial, result
from findings.second_lock.lattices import CERIA, COPPER, GOLD
from passband.analysis.spectra import flat_spectrum
from passband.grid import Condition

FLAT = flat_spectrum()
#: Frequencies and densities of specimens that are to be seen at one fringe alone.
Q = np.linspace(0, 1, 501)


def at_fringe(lattice):
    low, high = lattice.band
    return Q, np.where((low <= Q) & (high >= Q), 0.02, 1e-5)


def measured(lattice, effect, noise=0.0):
    """Networks whose Dice abroad falls with the information at the lattice's fringe."""
    of = lattices.drawn("0" * 64)
    conditions, tests = (list(map(Condition.parse, of[name])) for name in (lattice.name, "tests"))
    power = at_fringe(lattice)
    known = information(conditions, lattice.band, power)
    random = np.random.default_rng(0)
    row = 0.8 - effect * (known - known.mean()) / known.std()
    D = row[:, None, None] + noise * random.normal(size=(len(row), 3, len(tests)))
    return Measured(conditions, tests, D.clip(0.02, 0.98), np.full((len(row), 3), 0.95), power)


def test_information_is_an_integral_over_the_band():
    condition = Condition(10, 1.2, 13, 400)
    (found,) = information([condition], GOLD.band, FLAT)
    assert found == pytest.approx(
        information([condition], GOLD.band, FLAT, samples=64)[0], rel=1e-3
    )
    (twice,) = information([replace(condition, dose_e_per_A2=800)], GOLD.band, FLAT)
    low, high = GOLD.band
    assert found < twice < found + np.pi * (high**2 - low**2) / 2  # at most half a bit at each q
    (nothing,) = information([Condition(10, 1.2, 7, 400)], COPPER.band, FLAT)
    assert nothing == 0


def test_a_partial_correlation_takes_the_dose_out():
    random = np.random.default_rng(1)
    dose, x, other = random.normal(size=(3, 400))
    alike = partial(x + 3 * dose, other + 2 * dose, dose)
    assert abs(alike["rho"]) < 0.1
    assert alike["low"] < 0 < alike["high"]
    opposite = partial(x + 3 * dose, 2 * dose - x, dose)
    assert opposite["rho"] < -0.8
    few = partial(x[:20] + 3 * dose[:20], 2 * dose[:20] - x[:20], dose[:20])
    assert few["high"] - few["low"] > opposite["high"] - opposite["low"]


def test_the_fringe_law_holds_where_the_own_fringe_decides():
    of = {each.name: measured(each, effect=0.05, noise=0.01) for each in (CERIA, GOLD, COPPER)}
    claims = result(of, np.random.default_rng(0))["claims"]
    law, own, spectrum = claims.values()
    assert law["verdict"] == own["verdict"] == "holds"
    assert own["nearer"] > fringe_scores.NEARER
    assert np.isfinite(spectrum["more"])


def test_the_fringe_law_is_refuted_where_nothing_depends_on_the_fringe():
    of = {each.name: measured(each, effect=0.0, noise=0.05) for each in (GOLD, COPPER)}
    found = result(of, np.random.default_rng(0))
    assert [each["verdict"] for each in found["claims"].values()] == ["refuted"]
    assert "spectra" not in found


def test_left_out_rows_are_predicted_from_the_others_alone():
    of = measured(GOLD, effect=0.05)
    Y = of.dice.mean(1)
    folds = [np.arange(32), np.arange(32, 64)]
    changed = Y.copy()
    changed[:32] = 0.5
    one, other = (fringe_scores.left_out(of, each, folds, of.power) for each in (Y, changed))
    np.testing.assert_array_equal(one[:32], other[:32])
    assert np.corrcoef(one.mean(1), Y.mean(1))[0, 1] > 0.9
