"""Three lattices: their bands, their conditions and their networks."""

import numpy as np
import pytest

from findings.second_lock import draws, fringes, lattices
from findings.second_lock.lattices import CERIA, COPPER, GOLD, LATTICES
from passband.grid import Condition
from passband.optics import ctf

DIGEST = "0" * 64


@pytest.fixture(scope="module")
def drawn():
    return lattices.drawn(DIGEST)


def test_the_lowest_fringes_are_those_of_the_protocol():
    spacings = [lattice.spacing_A for lattice in LATTICES]
    np.testing.assert_allclose(spacings, (3.124, 2.354, 2.087), atol=5e-4)
    np.testing.assert_allclose(GOLD.band, (0.3992, 0.4502), atol=5e-5)


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda each: each.name)
def test_every_aperture_passes_the_fringe(lattice, drawn):
    found = list(map(Condition.parse, drawn[lattice.name]))
    assert len(set(found)) == lattices.CONDITIONS
    limits = np.array([each.aperture_mrad for each in found]) * 1e-3 / ctf.wavelength(300e3)
    assert (limits > 1.24 / lattice.spacing_A).all()
    assert max(each.aperture_mrad for each in found) <= 13
    assert min(each.dose_e_per_A2 for each in found) >= 200


def test_the_tests_have_as_many_conditions_at_each_dose(drawn):
    doses = [Condition.parse(id).dose_e_per_A2 for id in drawn["tests"]]
    assert doses == [50] * 12 + [200] * 12 + [1600] * 12


def test_transfer_in_a_band_is_an_integral():
    blind = Condition(10, 1.2, 7, 400)
    passing = Condition(10, 1.2, 13, 400)
    assert lattices.power(blind, COPPER.band) == 0
    low, high = GOLD.band
    assert 0 < lattices.power(passing, GOLD.band) < (high**2 - low**2) / 2
    coarse = lattices.power(passing, GOLD.band, samples=128)
    assert lattices.power(passing, GOLD.band) == pytest.approx(coarse, rel=1e-3)


def test_conditions_of_ceria_are_drawn_until_the_two_places_differ(monkeypatch):
    found = iter([0.9, 0.6, 0.5])
    monkeypatch.setattr(lattices, "correlation", lambda conditions: next(found))
    third = lattices.lattice_conditions(DIGEST, CERIA)
    name = "fringes ceria 3"
    assert third == draws.drawn(DIGEST, name, lattices.CONDITIONS, CERIA.ranges)


def test_lattices_differ_in_their_material_alone():
    for lattice in LATTICES:
        ((name, specimen),) = lattice.study.specimens.items()
        assert (name, specimen.material, specimen.shape) == (
            lattice.name,
            lattice.material,
            "sphere",
        )
        assert (specimen.diameter_nm.min, specimen.diameter_nm.max) == (1.8, 1.8)
        assert not specimen.thermal.moves


def test_without_ceria_in_the_pilot_it_is_left_out(drawn, monkeypatch):
    monkeypatch.setattr(fringes, "home_of_pilot", lambda pilot: 0.79)
    assert list(fringes.trained_arms(drawn)) == ["gold-balls", "copper"]
    monkeypatch.setattr(fringes, "home_of_pilot", lambda pilot: 0.8)
    assert list(fringes.trained_arms(drawn)) == ["ceria", "gold-balls", "copper"]
