"""Particles of known discs."""

from math import pi, sqrt

import numpy as np
import pytest
from discs import discs
from hypothesis import given
from hypothesis import strategies as st

from passband.micrographs.images import particles

PIXEL_NM = 0.03


def certain(mask):
    """Return probabilities as of a network that is as certain of all pixels of a mask."""
    return np.where(mask, 0.98, 0.02).astype(np.float32)


def found(mask, **options):
    labels = particles.instances(certain(mask), PIXEL_NM, **options)
    assert labels.dtype == np.int32
    rows = particles.measure(labels, PIXEL_NM)
    assert [row.label for row in rows] == list(range(1, len(rows) + 1))
    return labels, rows


# Measures


def test_disc_has_its_area_diameter_and_centre():
    mask = discs((100, 120), (40.5, 70, 22))
    labels, (row,) = found(mask)
    np.testing.assert_array_equal(labels, mask)
    assert row.area_nm2 == pytest.approx(mask.sum() * PIXEL_NM**2)
    assert row.area_nm2 == pytest.approx(pi * (22 * PIXEL_NM) ** 2, rel=0.01)
    assert row.diameter_nm == pytest.approx(2 * sqrt(row.area_nm2 / pi))
    assert row.diameter_nm == pytest.approx(44 * PIXEL_NM, rel=0.01)
    assert (row.x_nm, row.y_nm) == pytest.approx((70 * PIXEL_NM, 40.5 * PIXEL_NM))
    assert not row.touches_edge


@pytest.mark.parametrize("centre", [(15, 50), (84, 50), (50, 15), (50, 84)])
def test_particle_with_a_pixel_at_the_edge_is_marked(centre):
    _, (row,) = found(discs((100, 100), (*centre, 15)))
    assert row.touches_edge
    row_, column = (3 + (c - 50) * 31 / 35 + 47 for c in centre)
    _, (row,) = found(discs((100, 100), (row_, column, 15)))
    assert not row.touches_edge


def test_mean_diameter_leaves_out_particles_at_the_edge():
    mask = discs((100, 200), (50, 50, 20), (50, 120, 10), (50, 199, 30))
    _, rows = found(mask)
    whole = [row.diameter_nm for row in rows if not row.touches_edge]
    assert len(whole) == 2
    assert particles.mean_diameter(rows) == pytest.approx(np.mean(whole))
    _, rows = found(discs((40, 40), (0, 0, 20)))
    assert particles.mean_diameter(rows) == rows[0].diameter_nm
    assert np.isnan(particles.mean_diameter([]))


def test_empty_mask_has_no_particles():
    labels, rows = found(np.zeros((20, 30), bool))
    assert labels.shape == (20, 30)
    assert not labels.any()
    assert rows == []


# Confidence


def test_confidence_of_a_particle_at_the_edge_and_beside_pixels_without_a_value():
    mask = discs((60, 60), (0, 59, 15), (40, 20, 9))
    probability = np.where(mask, 0.9, 0.2)
    probability[40, 30:33] = np.nan
    labels = particles.instances(probability, PIXEL_NM)
    rows = particles.measure(labels, PIXEL_NM, probability)
    assert [row.touches_edge for row in rows] == [True, False]
    assert [row.mean_probability for row in rows] == pytest.approx([0.9, 0.9])


def test_without_a_probability_none_is_known():
    labels, (row,) = found(discs((40, 40), (20, 20, 9)))
    assert np.isnan(row.mean_probability)
    assert particles.measure(np.zeros_like(labels), PIXEL_NM, labels) == []


def test_particles_are_matched_above_half_their_union():
    def squares(*given: tuple[int, int]) -> np.ndarray:
        """Return a label image of squares, each with its label and its first column."""
        labels = np.zeros((20, 60), int)
        for label, first in given:
            labels[:, first : first + 20] = label
        return labels

    true = squares((1, 0), (2, 30))
    match = particles.matches
    assert match(squares((3, 5), (1, 40)), true) == {3: 1}  # unions of 25 and of 30 columns
    assert match(true, true) == {1: 1, 2: 2}
    assert match(0 * true, true) == {}
    assert match((true > 0).astype(int), true) == {}


@given(st.integers(0, 10**6))
def test_matches_are_pairs_and_no_image_changes_them(seed):
    """Partners are the same from both sides, and mirrored images have the same partners."""
    rng = np.random.default_rng(seed)
    one, other = (np.kron(rng.integers(0, 4, (5, 6)), np.ones((3, 3), int)) for _ in range(2))
    other = np.where(rng.random(one.shape) < 0.8, one, other)
    found = particles.matches(one, other)
    assert particles.matches(other, one) == {b: a for a, b in found.items()}
    assert particles.matches(one[::-1, ::-1], other[::-1, ::-1]) == found


# Splitting


@pytest.mark.parametrize("radius", [12, 20, 33])
@pytest.mark.parametrize("angle", [0, 0.5, 1.2])
@pytest.mark.parametrize("overlap", [0, 0.1, 0.2])
def test_touching_discs_are_split_along_their_neck(radius, angle, overlap):
    away = (1 - overlap) * radius * np.array([np.sin(angle), np.cos(angle)])
    centres = np.array([80, 90]) + away, np.array([80, 90]) - away
    mask = discs((160, 180), *((*centre, radius) for centre in centres))
    labels, rows = found(mask)
    assert len(rows) == 2
    np.testing.assert_array_equal(labels > 0, mask)
    truth = 1 + np.argmin(
        [np.hypot(*(np.indices(mask.shape) - c[:, None, None])) for c in centres], axis=0
    )
    agree = np.mean(labels[mask] == truth[mask])
    assert max(agree, 1 - agree) > 0.95


def test_discs_of_different_size_are_split():
    _, rows = found(discs((200, 200), (90, 80, 40), (90, 131, 14)))
    assert sorted(row.diameter_nm for row in rows) == pytest.approx(
        [28 * PIXEL_NM, 80 * PIXEL_NM], rel=0.05
    )


def test_certainty_splits_what_has_no_neck():
    """Two squares are side by side. Where they meet, the network is hardly certain."""
    mask = np.zeros((80, 140), bool)
    mask[20:60, 20:120] = True
    probability = certain(mask)
    assert particles.instances(probability, PIXEL_NM).max() == 1
    probability[20:60, 66:74] = 0.6
    labels = particles.instances(probability, PIXEL_NM)
    assert labels.max() == 2
    np.testing.assert_array_equal(labels > 0, mask)
    assert (labels[20:60, 20:66] == labels[40, 40]).all()
    assert (labels[20:60, 74:120] == labels[40, 100]).all()


def test_what_the_edge_of_the_image_cuts_is_split_as_inside():
    """The edge of the image goes through the centres of two discs that touch."""
    labels, rows = found(discs((60, 180), (0, 60, 25), (0, 106, 25)))
    assert len(rows) == 2
    assert labels[0, 60] != labels[0, 106]
    # A small piece of background at the edge is a hole, and leads to no split.
    mask = discs((60, 120), (0, 60, 40))
    mask[:3, 52:55] = False
    assert len(found(mask, smallest_nm=0.5)[1]) == 1


def test_image_that_one_particle_fills():
    labels, (row,) = found(np.ones((40, 50), bool))
    assert (labels == 1).all()
    assert row.touches_edge


def test_splits_depend_on_lengths_in_nm_and_not_on_pixels():
    mask = discs((100, 160), (50, 60, 25), (50, 101, 18))
    fine = mask.repeat(2, 0).repeat(2, 1)
    coarse = particles.instances(certain(mask), 2 * PIXEL_NM)
    assert coarse.max() == 2
    labels = particles.instances(certain(fine), PIXEL_NM)
    assert np.mean(labels[::2, ::2] == coarse) > 0.999


def test_three_discs_in_a_row_are_split():
    _, rows = found(discs((80, 200), (40, 40, 20), (40, 79, 20), (40, 118, 20)))
    assert len(rows) == 3


@pytest.mark.parametrize("stretch", [1.0, 1.5, 3.0])
def test_ellipse_is_one_particle(stretch):
    y, x = np.indices((200, 300))
    _, rows = found(np.hypot((x - 150) / stretch, y - 100) <= 40)
    assert len(rows) == 1


def test_rough_disc_with_a_hole_is_one_particle():
    rng = np.random.default_rng(1)
    mask = discs((120, 120), (60, 60, 40))
    edge = discs((120, 120), (60, 60, 42)) & ~discs((120, 120), (60, 60, 38))
    mask = mask ^ (edge & (rng.random(mask.shape) < 0.3))
    mask &= ~discs((120, 120), (55, 64, 9))
    labels, rows = found(mask, smallest_nm=0.3)
    assert len(rows) == 1
    assert labels[55, 64] == 0


def test_disc_that_the_edge_cuts_is_one_particle():
    for row in (0, 10, 18):
        assert len(found(discs((60, 120), (row, 60, 20)))[1]) == 1


def test_particles_below_the_smallest_diameter_are_removed():
    mask = discs((100, 100), (50, 50, 20), (10, 10, 3))
    _, rows = found(mask, smallest_nm=8 * PIXEL_NM)
    assert [round(row.diameter_nm / PIXEL_NM) for row in rows] == [40]
    assert len(found(mask, smallest_nm=4 * PIXEL_NM)[1]) == 2


def test_region_that_is_too_large_is_not_split(monkeypatch):
    mask = discs((60, 120), (30, 30, 20), (30, 68, 20))
    assert len(found(mask)[1]) == 2
    monkeypatch.setattr(particles, "LARGEST_BOX", 1000)
    assert len(found(mask)[1]) == 1


# Outlines and comparison with the ground truth


def test_outlines_are_the_border_pixels_of_each_particle():
    labels = np.zeros((8, 9), int)
    labels[1:5, 1:5] = 1
    labels[1:5, 5:8] = 2
    edge = particles.outlines(labels)
    assert edge[1, 1:8].all()
    assert edge[2, 4]
    assert edge[2, 5]
    assert not edge[2:4, 2:4].any()
    assert not edge[labels == 0].any()
