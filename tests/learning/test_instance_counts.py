"""Numbers of found and true particles, on drawn discs whose numbers are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passband.learning import instance_counts
from passband.learning.instance_counts import Truth, count, visible
from passband.particle_scores import NUMBERS, TRUTHS

PX = 96
PIXEL_NM = 0.1


def disc(x, y, radius):
    """Return the pixels of a disc in a periodic field."""
    i, j = np.indices((PX, PX))
    dx, dy = ((d + PX / 2) % PX - PX / 2 for d in (i - x, j - y))
    return dx**2 + dy**2 <= radius**2


def labelled(*discs):
    """Return the label image of discs, later ones over earlier ones."""
    labels = np.zeros((PX, PX), np.uint8)
    for number, inside in enumerate(discs, 1):
        labels[inside] = number
    return labels


def faces(top=(), bottom=()):
    """Return the labels of both faces, numbered through as those of structures are."""
    entering = labelled(*bottom)
    return np.stack([labelled(*top), np.where(entering, entering + len(top), 0)])


def numbers(instances, found, truth="faces", diameters_nm=None):
    """Return those numbers of an image that are not 0, without those of diameters."""
    values = Truth.of(instances, PIXEL_NM)[truth].numbers(found, diameters_nm)
    return {name: int(x) for name, x in zip(NUMBERS, values, strict=True) if x and "_" not in name}


def sums(instances, found, truth="faces", diameters_nm=None):
    """Return the numbers of diameters alone: true, its sum, found, its sum."""
    return Truth.of(instances, PIXEL_NM)[truth].numbers(found, diameters_nm)[-4:].tolist()


A, B, C = disc(25, 25, 12), disc(25, 50, 12), disc(65, 60, 14)


@pytest.mark.parametrize("truth", TRUTHS)
def test_particles_that_are_found_exactly_are_matched(truth):
    found = numbers(faces([A, B, C]), labelled(C, A, B), truth)
    assert found == {"true": 3, "matched": 3, "found": 3}


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_is_not_found_is_missed_and_what_is_not_there_is_false(truth):
    found = numbers(faces([A, B]), labelled(A, C), truth)
    assert found == {"true": 2, "matched": 1, "found": 2, "false": 1}


def test_an_image_without_particles_has_none():
    nothing = faces()
    assert numbers(nothing, labelled()) == {}
    assert numbers(nothing, labelled(A)) == {"found": 1, "false": 1}
    assert numbers(faces([A]), labelled()) == {"true": 1}


@pytest.mark.parametrize("truth", TRUTHS)
def test_equal_particles_under_one_label_are_merged(truth):
    found = numbers(faces([A, B]), labelled(A | B), truth)
    assert found == {"true": 2, "merged": 2, "found": 1}


def test_a_small_particle_in_the_label_of_a_large_one_is_merged_and_the_large_one_is_matched():
    small = disc(25, 42, 4)
    found = numbers(faces([A, small]), labelled(A | small))
    assert found == {"true": 2, "matched": 1, "merged": 1, "found": 1}


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_particle_in_halves_is_split(truth):
    columns = np.arange(PX)
    left = C & (columns < 60)
    right = C & (columns > 60)
    found = numbers(faces([C]), labelled(left, right), truth)
    assert found == {"true": 1, "split": 1, "found": 2}


def test_two_small_pieces_that_leave_most_of_a_particle_out_are_no_split():
    pieces = labelled(disc(65, 52, 4), disc(65, 68, 4))
    assert numbers(faces([C]), pieces) == {"true": 1, "found": 2}


def test_the_intersection_over_union_must_exceed_one_half():
    square = np.zeros((PX, PX), np.uint8)
    square[40:50, 40:60] = 1
    half = np.zeros((PX, PX), np.uint8)
    half[40:50, 40:50] = 1
    more = half.copy()
    more[40, 50] = 1
    instances = np.stack([square, np.zeros_like(square)])
    assert "matched" not in numbers(instances, half)
    assert numbers(instances, more)["matched"] == 1


# ── The edge ─────────────────────────────────────────────────────────────────────────────────────


def test_pieces_at_the_edge_are_cut_and_may_be_matched():
    periodic = disc(0, 40, 12)
    upper = periodic & (np.arange(PX) < PX / 2)[:, None]
    instances = faces([periodic, C])
    found = labelled(upper, periodic & ~upper, C)
    assert numbers(instances, found) == {"true": 1, "matched": 1, "cut": 2, "found": 1}


def test_a_found_particle_that_touches_the_edge_counts_if_its_partner_does():
    near = disc(13, 40, 12)
    found = labelled(near | disc(8, 40, 8))
    assert found[0].any()
    assert numbers(faces([near]), found) == {"true": 1, "matched": 1, "found": 1}
    assert sums(faces([near]), found) == [1, pm(near), 0, 0]


def test_a_whole_found_particle_does_not_count_if_its_partner_is_cut():
    cut = disc(10, 40, 12) & (np.arange(PX) < PX / 2)[:, None]
    found = cut.copy()
    found[0] = False
    assert numbers(faces([cut]), labelled(found)) == {"cut": 1}


def test_a_found_particle_without_a_partner_counts_if_it_is_whole():
    cut = disc(5, 40, 10) & (np.arange(PX) < PX / 2)[:, None]
    assert numbers(faces(), labelled(cut, C)) == {"found": 1, "false": 1}


def test_small_particles_do_not_count():
    assert numbers(faces([disc(40, 40, 2)]), labelled(disc(40, 40, 2))) == {}


# ── Faces ────────────────────────────────────────────────────────────────────────────────────────

UPPER, LOWER = disc(40, 40, 14), disc(40, 58, 14)


def test_the_face_where_the_beam_leaves_is_seen():
    shown = visible(faces([UPPER], [LOWER]))
    assert shown[40, 49] == 1
    assert shown[40, 60] == 2


def test_the_complete_outline_is_matched_by_faces_and_the_seen_one_by_both():
    instances = faces([UPPER], [LOWER])
    both = labelled(LOWER, UPPER)  # the upper one over the lower one
    everything = {"true": 2, "matched": 2, "found": 2}
    assert numbers(instances, both, "visible") == everything
    assert numbers(instances, both, "faces") == everything
    wrong = labelled(UPPER, LOWER)
    assert numbers(instances, wrong, "faces") == everything


def test_a_particle_of_which_hardly_anything_is_seen_is_hidden():
    below = disc(40, 40, 10)
    instances = faces([UPPER], [below])
    for truth in TRUTHS:
        found = numbers(instances, labelled(UPPER), truth)
        assert found == {"true": 1, "matched": 1, "hidden": 1, "found": 1}


def test_one_found_particle_has_one_partner_although_two_are_like_it():
    above, below = disc(40, 40, 14), disc(40, 46, 14)
    found = numbers(faces([above], [below]), labelled(above))
    assert found == {"true": 2, "matched": 1, "merged": 1, "found": 1}


# ── Diameters ────────────────────────────────────────────────────────────────────────────────────


def pm(*insides):
    """Return the sum of the diameters of discs with the areas of some pixels [0.001 nm]."""
    return sum(round(2000 * np.sqrt(each.sum() / np.pi) * PIXEL_NM) for each in insides)


def test_diameters_of_pixels_leave_particles_out_that_overlap_another():
    alone = disc(75, 40, 10)
    instances = faces([UPPER, alone], [LOWER])
    found = labelled(LOWER, UPPER, alone)
    assert sums(instances, found) == [1, pm(alone), 1, pm(alone)]
    every = pm(UPPER, alone, LOWER & ~UPPER)
    assert sums(instances, found, "visible") == [3, every, 3, every]


def test_diameters_that_are_given_are_those_of_complete_particles():
    instances = faces([UPPER], [LOWER])
    found = labelled(LOWER, UPPER, disc(0, 20, 8))
    given = np.array([2.0, 3.0, 40.0])  # the last one is cut
    assert sums(instances, found, "faces", given) == [2, pm(UPPER, LOWER), 2, 5000]
    without = sums(instances, found, "visible")
    assert sums(instances, found, "visible", given) == without


# ── Symmetries ───────────────────────────────────────────────────────────────────────────────────


def discs(most):
    one = st.builds(disc, st.integers(0, PX - 1), st.integers(0, PX - 1), st.integers(2, 20))
    return st.lists(one, max_size=most)


@settings(max_examples=15, deadline=None)
@given(discs(4), discs(4), discs(6), st.integers(0, 99))
def test_numbers_do_not_depend_on_names_of_labels_nor_on_mirrors(top, bottom, found, seed):
    rng = np.random.default_rng(seed)
    instances = faces(top, bottom)
    labels = labelled(*found)
    sizes = rng.uniform(1, 5, len(found))

    renamed = np.array([0, *rng.permutation(255) + 1], np.uint8)[instances]
    order = rng.permutation(len(found))
    place = np.zeros(len(found) + 1, int)
    place[1:][order] = np.arange(1, len(found) + 1)

    expected = count(Truth.of(instances, PIXEL_NM), labels, sizes)
    again = count(Truth.of(renamed, PIXEL_NM), place[labels], sizes[order])
    np.testing.assert_array_equal(again, expected)
    for axes in ((-1,), (-2,), (-2, -1)):
        flipped = Truth.of(np.flip(instances, axes), PIXEL_NM)
        np.testing.assert_array_equal(count(flipped, np.flip(labels, axes), sizes), expected)


@settings(max_examples=15, deadline=None)
@given(discs(4), discs(4), discs(6))
def test_numbers_are_parts_of_each_other(top, bottom, found):
    for values in count(Truth.of(faces(top, bottom), PIXEL_NM), labelled(*found)):
        n = dict(zip(NUMBERS, values.tolist(), strict=True))
        assert n["matched"] + n["merged"] + n["split"] <= n["true"]
        assert n["matched"] + n["false"] <= n["found"]
        assert n["found_sized"] <= n["found"]
        assert n["true_sized"] <= n["true"]


@pytest.mark.parametrize("counted", [0, 1])
def test_of_two_equal_partners_the_counted_one_is_taken(counted):
    """Such as a particle on each face with the same outline, of which an edge cuts one."""
    counts = np.arange(2) == counted
    areas = np.array([80, 80])
    found = instance_counts._partners(np.array([[60, 60]]), np.array([70]), areas, counts)
    assert found.tolist() == [counted]
