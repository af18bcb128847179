"""Structures and exit waves under other beam energies, pixels and parameters of the specimen."""

import abtem
import numpy as np
import pytest

from passband import PassbandError
from passband.config import Diameter, Microscope, Particles, Specimen, Substrate, validate
from passband.grid import Condition
from passband.optics import ctf
from passband.optics.sampling import Sampling
from passband.specimens import crystals, exit_waves, structures
from passband.specimens.structures import Steps

MICROSCOPE = Microscope(field_px=48, pixel_size_A=0.3)
GRID = MICROSCOPE.sampling
TWO = Specimen(
    diameter_nm=Diameter(mean=0.6, std=0.1, min=0.4, max=0.9),
    particles=Particles(min=1, max=2),
    substrate=Substrate(thickness_nm=0.5),
    gap_nm=0.0,
)
NAMES = 7, "test"


def structure(index, own=TWO, **values):
    """Return a structure under a condition with some values of axes."""
    condition = Condition(0, 0, 1, 1, values)
    sampling = MICROSCOPE.under(condition).sampling
    return exit_waves.structure("gold", own.under(condition), sampling, *NAMES, index, (own, GRID))


def particles(found):
    """Return the particles' positions in x and y, and their heights above their lowest atoms."""
    numbers = found.atoms.arrays["particle"]
    parts = [found.atoms.positions[numbers == k + 1] for k in range(len(found.faces))]
    return [part - [0, 0, part[:, 2].min()] for part in parts]


def distance(one, other):
    """Return the distance of the middles of two particles in the periodic field [Å]."""
    middles = [np.exp(2j * np.pi * x[:, :2] / GRID.field_A).mean(0) for x in (one, other)]
    apart = np.angle(middles[0] / middles[1]) * GRID.field_A / (2 * np.pi)
    return np.linalg.norm(apart)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(
    "values",
    [
        {"substrate_thickness_nm": 0.0},
        {"substrate_thickness_nm": 3.0},
        {"temperature_K": 300.0},
        {"energy_kev": 80.0},
        {"substrate_thickness_nm": 2.0, "temperature_K": 100.0},
    ],
)
def test_a_structure_keeps_its_particles(index, values):
    before, after = (particles(structure(index, **given)) for given in ({}, values))
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_without_the_own_specimen_the_particles_would_change():
    thick = TWO.under(Condition(0, 0, 1, 1, {"substrate_thickness_nm": 3.0}))
    alone = exit_waves.structure("gold", thick, GRID, *NAMES, 1)
    assert not np.array_equal(particles(alone)[0], particles(structure(1))[0])


def test_the_studys_own_values_give_the_structures_of_earlier_versions():
    own = exit_waves.structure("gold", TWO, GRID, *NAMES, 0)
    np.testing.assert_array_equal(own.atoms.positions, structure(0).atoms.positions)


def test_roughness_removes_atoms_from_the_same_particles():
    for index in range(4):
        smooth, rough = (particles(structure(index, **v)) for v in ({}, {"roughness": 0.4}))
        for one, other in zip(smooth, rough, strict=True):
            assert len(other) < len(one)
            assert distance(one, other) < 2


def test_larger_particles_have_the_same_places_where_they_fit():
    kept = 0
    for index in range(4):
        small, large = structure(index), structure(index, mean_diameter_nm=0.65)
        assert len(large.atoms) > len(small.atoms)
        apart = [distance(*pair) for pair in zip(particles(small), particles(large), strict=False)]
        assert apart[0] < 2, "the first particle always fits"
        kept += sum(x < 2 for x in apart)
    assert kept >= 5


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(
    "values", [{"substrate_thickness_nm": 2.0, "temperature_K": 100.0}, {"energy_kev": 80.0}]
)
def test_particles_that_touch_keep_their_places(index, values):
    touching = TWO.model_copy(update={"touching": 1.0, "particles": Particles(min=3, max=3)})
    before = particles(structure(index, touching))
    after = particles(structure(index, touching, **values))
    assert len(before) == len(after) > 1
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_a_particle_keeps_the_side_from_which_it_touches_though_an_earlier_one_fits_now():
    dots = [np.zeros((1, 3))] * 2

    def second(**numbers):
        kept = dict(enumerate(numbers.values()))
        random = np.random.default_rng(1)
        return structures.place(dots, 60.0, 0.0, 2.0, random, kept, touching=1.0)[1], kept[1]

    own, first = second()
    assert first == 0
    np.testing.assert_array_equal(second(first=50, second=0)[0], own)
    for number in (7, 20):
        found, kept = second(first=50, second=number)
        assert kept == number
        assert not np.array_equal(found, own)


def test_places_are_the_same_fractions_of_another_field():
    pixel = {"pixel_size_A": 0.4}
    for index in range(4):
        before, after = particles(structure(index)), particles(structure(index, **pixel))
        for one, other in zip(before, after, strict=True):
            assert len(one) == len(other)
            np.testing.assert_allclose(one[:, 2], other[:, 2], atol=1e-9)
    wide = structure(0, **pixel)
    np.testing.assert_allclose(wide.atoms.cell.lengths()[:2], 48 * 0.4)


def test_a_step_that_the_first_draw_does_not_have_takes_no_numbers():
    steps = Steps(np.random.default_rng(1))
    first = steps.begin("first").random(3), steps.begin("last").random(2)
    steps.repeat()
    steps.begin("first").random(50)
    new = steps.begin("new").random(3)
    np.testing.assert_array_equal(steps.begin("last").random(2), first[1])
    steps.repeat()
    np.testing.assert_array_equal(steps.begin("first").random(3), first[0])
    assert not np.array_equal(new[:2], first[1])
    np.testing.assert_array_equal(steps.begin("new").random(3), new)


@pytest.mark.slow
@pytest.mark.parametrize("energy_kev", [200.0, 300.0])
def test_waves_of_an_energy_are_those_of_abtem(energy_kev):
    """The error of a wave up to the cutoff is below 2% of the scattered wave."""
    condition = Condition(0, 0, 1, 1, {"energy_kev": energy_kev})
    under = MICROSCOPE.under(condition)
    waves = exit_waves.simulate(
        "gold", TWO.under(condition), under, *NAMES, [0], "cpu", own=(TWO, GRID)
    )
    assert waves.attrs["energy_eV"] == energy_kev * 1e3
    atoms = structure(0, energy_kev=energy_kev).atoms
    potential = abtem.Potential(atoms, sampling=0.04, slice_thickness=1.0, projection="infinite")
    with abtem.config.set({"fft": "numpy"}):
        wave = abtem.PlaneWave(energy=energy_kev * 1e3).multislice(potential, lazy=False).array
    reference, found = GRID.crop(wave), waves.spectrum.values[0, 0]
    q = GRID.frequencies()[0]
    within = (q > 0) & (q <= GRID.cutoff)
    difference = np.linalg.norm((found - reference)[within])
    assert difference < 0.02 * np.linalg.norm(reference[within])


def test_slow_electrons_are_scattered_more():
    scattered = {}
    for kev in (80.0, 300.0):
        under = MICROSCOPE.under(Condition(0, 0, 1, 1, {"energy_kev": kev}))
        waves = exit_waves.simulate("gold", TWO, under, *NAMES, [0], "cpu", own=(TWO, GRID))
        scattered[kev] = waves.power.values[0].sum()
    sigma = {kev: ctf.wavelength(kev * 1e3) for kev in scattered}
    assert scattered[80.0] > 1.5 * scattered[300.0]
    assert sigma[80.0] > sigma[300.0]


def test_masks_have_the_pixels_of_the_condition():
    condition = Condition(0, 0, 1, 1, {"pixel_size_A": 0.4})
    under = MICROSCOPE.under(condition)
    waves = exit_waves.simulate("gold", TWO, under, *NAMES, [0], "cpu", own=(TWO, GRID))
    own = exit_waves.simulate("gold", TWO, MICROSCOPE, *NAMES, [0], "cpu")
    assert waves.attrs["pixel_size_A"] == 0.4
    assert waves["mask"].shape == own["mask"].shape
    # The same particles cover fewer of the larger pixels.
    ratio = float(waves["mask"].sum() / own["mask"].sum())
    assert ratio == pytest.approx((0.3 / 0.4) ** 2, rel=0.15)
    assert Sampling(48, 0.4).field_A == pytest.approx(waves.sizes["x"] * 0.4)


def test_trial_particles_are_those_of_all_values(rutile):
    """The elements of a crystal file are known only after it is read."""
    specimen = {"material": rutile, "shape": "sphere", "thermal": {"msd_A2": {"C": 0.003}}}
    with pytest.raises(PassbandError, match=r"^specimens\.a: thermal\.msd_A2 .*: lacks O; give"):
        structures.check(validate({"specimens": {"a": specimen}}))
    specimen["thermal"] = {"temperature_K": 300.0, "msd_A2": {"O": 0.006, "Ti": 0.005}}
    study = {"specimens": {"a": specimen}, "grid": {"temperature_K": [150, 300]}}
    structures.check(validate(study))


def test_trial_particles_must_fit_the_smallest_field():
    faces = {"surface_energies": {"100": 1.0, "111": 1.5}}
    specimen = {**faces, "diameter_nm": {"mean": 2.0, "std": 0.0, "max": 2.0}}
    config = {"specimens": {"a": specimen}, "microscope": {"field_px": 64, "pixel_size_A": 0.5}}
    config["grid"] = {"aperture_mrad": [10], "pixel_size_A": [0.5]}
    structures.check(validate(config))
    config["grid"]["pixel_size_A"] = [0.43, 0.5]
    with pytest.raises(PassbandError, match=r"^specimens\.a: a particle is \d\d\.\d Å wide"):
        structures.check(validate(config))


def test_trial_particles_of_complete_shells_are_drawn():
    """The complete shells nearest to 2.5 nm are a little wider than other particles."""
    given = {"closed_shells": True, "twins": {"min": 1, "max": 1}}
    given["diameter_nm"] = {"mean": 2.5, "std": 0.0, "min": 2.5, "max": 2.5}
    given["particles"] = {"min": 1, "max": 1}
    gold = crystals.crystal("Au")
    limit = structures.widest_A(gold, Specimen.model_validate(given))
    for room, fits in ((0.01, False), (4.0, True)):
        side = limit + gold.neighbour_A + room
        # The rotations are random, so that a single narrow specimen could fit.
        study = {
            "specimens": dict.fromkeys("a" if fits else "abcd", given),
            "grid": {"aperture_mrad": [10]},
        }
        study["microscope"] = {"field_px": 128, "pixel_size_A": side / 128}
        if fits:
            structures.check(validate(study))
        else:
            with pytest.raises(
                PassbandError, match=r"^specimens\.[a-d]: a particle is 35\.\d Å wide"
            ):
                structures.check(validate(study))
