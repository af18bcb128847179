"""Sets of particles that touch, or are all inside, and the scores of found particles."""

import numpy as np
import pytest

from findings.particles import sets
from findings.particles.parts import arrangements
from passband.learning.heads.found import Found
from passband.learning.instance_counts import Truth
from passband.micrographs.images.particles import measure
from passband.seeds import generator
from passband.specimens import contact
from passband.specimens.drawing import draw

SEEDS = range(6)


def structures(name):
    """Return structures of a set without carbon, and the side of their field [Å]."""
    study = sets.study_of(name)
    specimen = study.specimens["gold"].replaced("substrate.thickness_nm", 0.0)
    sampling = study.microscope.sampling
    drawn = [draw(specimen, sampling, generator(seed, "test")) for seed in SEEDS]
    return drawn, sampling.field_A


def bodies(structure):
    """Return the projected atoms of each particle."""
    numbers = structure.atoms.arrays["particle"]
    xy = structure.atoms.positions[:, :2]
    return [xy[numbers == k] for k in range(1, len(structure.faces) + 1)]


@pytest.mark.parametrize("name", sets.SETS)
def test_a_set_differs_in_its_particles_alone(name):
    study = sets.study_of(name)
    kind, least, most, faces = sets.SETS[name]
    gold = study.specimens["gold"]
    assert (gold.kind, gold.particles.min, gold.particles.max) == (kind, least, most)
    assert (gold.substrate.faces, gold.gap_nm) == (faces, 0)
    assert study.microscope.field_px == 192
    assert [c.id for c in study.train_conditions] == [
        c.id for c in sets.study_of("A").train_conditions
    ]


@pytest.mark.slow
def test_half_of_the_particles_touch_another_one_and_none_is_nearer():
    drawn, field = structures("C")
    near = drawn[0].material.neighbour_A
    nearest = []
    for structure in drawn:
        assert set(structure.faces) == {0}
        every = bodies(structure)
        for k, body in enumerate(every):
            others = [contact.distance(body, o, field) for j, o in enumerate(every) if j != k]
            nearest += [min(others)] if others else []
    assert len(nearest) > 2 * len(SEEDS)
    assert min(nearest) > 0.94 * near
    assert np.mean(np.array(nearest) < 1.02 * near) > 0.5


@pytest.mark.slow
def test_particles_inside_do_not_leave_the_field():
    drawn, field = structures("I")
    for structure in drawn:
        for body in bodies(structure):
            np.testing.assert_allclose(
                np.ptp(body, 0), np.ptp(arrangements.centred(body, field), 0), atol=1e-6
            )
    assert {0, 1} == {face for structure in drawn for face in structure.faces}


def test_a_particle_at_both_sides_of_the_field_is_centred():
    body = np.array([[99.0, 50.0], [1.0, 50.0], [0.0, 52.0]])
    about = arrangements.centred(body, 100)
    np.testing.assert_allclose(np.ptp(about, 0), [2, 2])
    np.testing.assert_allclose(about.mean(0), 0, atol=1e-9)


def discs():
    """Return the labels of both faces: two discs that overlap."""
    y, x = np.indices((64, 64))
    top = 1 * ((y - 30) ** 2 + (x - 24) ** 2 < 10**2)
    bottom = 2 * ((y - 30) ** 2 + (x - 36) ** 2 < 10**2)
    return np.stack([top, bottom])


def test_a_pixel_of_two_particles_is_of_the_one_with_the_nearer_centre():
    labels = sets.nearer_centre(discs())
    assert labels[30, 27] == labels[30, 20]
    assert labels[30, 33] == labels[30, 40]
    assert labels[30, 27] != labels[30, 33]


def test_a_score_has_the_numbers_of_both_truths():
    instances = discs()
    truths = Truth.of(instances, 0.1)
    score = sets.Score(0.1)
    score.add(instances.any(0).astype(int), truths, instances.any(0))  # one found for two
    score.add(sets.nearer_centre(instances), truths, instances.any(0))
    assert score.f1("faces") == pytest.approx(6 / 7)
    assert score.of("faces", "merged").ravel().tolist() == [1, 0]
    cells = score.cells()
    assert cells[0].startswith("0.857 (0.667 to 1.000)")
    assert cells[2:4] == ["3 for 4", "1, 0, 0, 0"]
    assert cells[-1] == "1.000"


def test_the_error_of_the_diameter_is_that_of_all_particles_and_by_field():
    instances = discs()
    instances[1] = 0
    truths = Truth.of(instances, 0.1)
    y, x = np.indices((64, 64))
    score = sets.Score(0.1)
    for radius in (5, 15):
        found = (y - 30) ** 2 + (x - 24) ** 2 < radius**2
        score.add(found.astype(int), truths, found)
    whole, by_field = score.diameter_errors("visible")
    assert whole == pytest.approx(0, abs=0.02)
    assert by_field == pytest.approx(0.5, abs=0.02)


def test_a_particle_is_right_if_it_is_one_particle():
    instances = discs()
    (truth, _) = Truth.of(instances, 0.1).values()
    right = sets.nearer_centre(instances)
    assert sets.is_right(truth, right).tolist() == [True, True]
    merged = instances.any(0).astype(int)
    assert sets.is_right(truth, merged).tolist() == [False]
    # The union with a small piece of the other one is still the first.
    instances[1] = 0
    (truth, _) = Truth.of(instances, 0.1).values()
    assert sets.is_right(truth, merged).tolist() == [True]
    assert sets.is_right(truth, np.roll(merged, 20, 0)).tolist() == [False]


def test_the_confidence_orders_right_and_wrong_particles():
    score = sets.Score(0.1)
    assert np.isnan(score.auroc)
    score.confidences = [(0.9, True), (0.8, False), (0.7, True), (0.7, False), (0.6, False)]
    # Of six pairs, the right one has more confidence in four, and as much in one.
    assert score.auroc == pytest.approx(4.5 / 6)


def test_particles_are_added_with_what_a_head_says():
    instances = discs()
    truths = Truth.of(instances, 0.1)
    labels = sets.nearer_centre(instances).astype(np.int32)
    whole = [2 * np.sqrt((face > 0).sum() / np.pi) * 0.1 for face in instances]
    stated = Found(labels, np.array(whole), np.array([0.9, 0.2]))
    score = sets.Score(0.1)
    score.add_found(labels, measure(labels, 0.1, stated=stated), truths, instances.any(0))
    assert score.diameter_errors("faces")[0] == pytest.approx(0, abs=1e-3)
    plain = sets.Score(0.1)
    plain.add_found(labels, measure(labels, 0.1), truths, instances.any(0))
    assert plain.diameter_errors("faces")[0] < -0.03
    assert score.confidences == [(0.9, True), (0.2, True)]
