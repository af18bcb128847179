"""The head of votes: its targets, its loss and its decoder, on drawn discs."""

import numpy as np
import pytest
import torch
from discs import discs

from passband.imaging.square_symmetry import turn
from passband.learning.heads.votes import SCALE_PX, targets, votes

SHAPE = 128, 128
PIXEL_NM = 0.05
#: Discs on both faces: row, column and radius [pixels]. The first two overlap by a third of the
#: smaller one, and those at the edge are cut.
TOP = (40.3, 40.2, 18), (90.3, 100.2, 12)
BOTTOM = (52.4, 60.7, 14), (95.1, 30.6, 10)


def instances(top=TOP, bottom=BOTTOM, shape=SHAPE):
    """Return labels on both faces (2, height, width)."""
    found = np.zeros((2, *shape), np.uint8)
    for face, many in zip(found, (top, bottom), strict=True):
        for number, disc in enumerate(many, 1):
            face[discs(shape, disc)] = number
    return torch.from_numpy(found)


def outputs(labels):
    """Return what a perfect network would return for labels."""
    mask = labels.amax(0, keepdim=True) > 0
    logit = torch.where(mask, 9.0, -9.0)
    return torch.cat([logit, targets(labels)[0]]).numpy()


def decoded(labels):
    return votes().decode(outputs(labels), PIXEL_NM)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


# Targets


def test_targets_point_to_the_middle_and_state_the_diameter():
    labels = instances([(40, 30, 10)], [])
    wanted, weights = targets(labels)
    inside = labels[0] > 0
    rows, columns = torch.nonzero(inside, as_tuple=True)
    torch.testing.assert_close(rows + SCALE_PX * wanted[0][inside], torch.full(rows.shape, 40.0))
    torch.testing.assert_close(columns + SCALE_PX * wanted[1][inside], torch.full(rows.shape, 30.0))
    area = int(inside.sum())
    diameter = SCALE_PX * wanted[2][inside].exp()
    torch.testing.assert_close(diameter, torch.full(rows.shape, 2 * (area / np.pi) ** 0.5))
    torch.testing.assert_close(weights[0], inside / area)
    assert not wanted[:, ~inside].any()


def test_a_pixel_of_both_faces_is_the_smaller_particles():
    large = (60, 60, 25)
    small = (60, 70, 12)
    for top, bottom in (([large], [small]), ([small], [large])):
        wanted = targets(instances(top, bottom))[0]
        inside = discs(SHAPE, small)
        columns = np.nonzero(inside)[1] + SCALE_PX * wanted[1].numpy()[inside]
        np.testing.assert_allclose(columns, 70, atol=1e-4)
        # The large one is whole in what is said of the others of its pixels.
        rest = discs(SHAPE, large) & ~inside
        said = SCALE_PX * np.exp(wanted[2].numpy()[rest])
        np.testing.assert_allclose(said, 2 * np.sqrt(discs(SHAPE, large).sum() / np.pi), rtol=1e-5)


def test_both_ends_of_a_particle_that_leaves_the_field_are_particles():
    labels = instances([(0, 60, 15)], [])
    labels[0][discs(SHAPE, (128, 60, 15))] = 1  # the field is periodic
    wanted = targets(labels)[0]
    rows = (torch.arange(128)[:, None] + SCALE_PX * wanted[0])[labels[0] > 0]
    assert set((rows > 64).tolist()) == {True, False}
    assert ((rows < 15) | (rows > 113)).all()  # and none is in the middle of the field
    assert decoded(labels).labels.max() == 2


def test_small_pieces_weigh_less():
    weights = targets(instances([(20, 20, 15), (80, 80, 2)], []))[1][0]
    assert weights[:50, :50].sum() == pytest.approx(1)
    assert weights[50:, 50:].sum() == pytest.approx(13 / 80)


@pytest.mark.parametrize("how", range(8))
def test_targets_of_turned_labels_are_turned_targets(how):
    labels = instances()
    values, weights = targets(labels)
    wanted, of_turned = targets(turn(labels, how))
    torch.testing.assert_close(of_turned, turn(weights, how))
    torch.testing.assert_close(wanted[2], turn(values, how)[2])
    # Where the votes of the turned labels are, is where the turned votes are.
    y, x = torch.meshgrid(*(torch.arange(side) for side in SHAPE), indexing="ij")
    there = turn(torch.stack([y, x]), how)  # of each turned pixel, where it was
    was = there + SCALE_PX * turn(values, how)[:2]
    place = torch.stack([y, x]) + SCALE_PX * wanted[:2]
    last = SHAPE[0] - 1
    row, column = was
    column = last - column if how >= 4 else column
    for _ in range(how % 4):
        row, column = last - column, row
    inside = weights.amax(0) > 0
    inside = turn(inside, how)
    torch.testing.assert_close(place[0][inside], row[inside], atol=1e-3, rtol=0)
    torch.testing.assert_close(place[1][inside], column[inside], atol=1e-3, rtol=0)


# The loss


def example(networks=2, images=3):
    labels = torch.stack([instances(), instances(BOTTOM, TOP), instances([(30, 30, 20)], [])])
    return labels[:images].expand(networks, images, 2, *SHAPE)


def test_the_loss_is_zero_for_the_targets_and_that_of_each_network_alone():
    labels = example()
    wanted, _ = targets(labels)
    assert wanted.shape == (2, 3, 3, *SHAPE)
    assert votes().loss(wanted, labels).tolist() == [0, 0]
    wrong = wanted + torch.tensor([0.0, 1.0])[:, None, None, None, None]
    # Three outputs are wrong by 1, and a large error counts by its size less half of beta.
    torch.testing.assert_close(votes().loss(wrong, labels), torch.tensor([0, 3 * 0.975]))
    mixed = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(0))
    both = votes().loss(mixed, labels)
    alone = [votes().loss(mixed[k : k + 1], labels[k : k + 1]).item() for k in (0, 1)]
    assert both.tolist() == pytest.approx(alone, rel=1e-5)


def test_each_particle_counts_alike_and_the_background_does_not():
    labels = instances([(30, 30, 20), (90, 90, 6)], [])[None, None]
    wanted = targets(labels)[0]
    for number in (1, 2):
        wrong = wanted + (labels[:, :, :1] == number)
        assert votes().loss(wrong, labels).item() == pytest.approx(3 * 0.975 / 2, rel=1e-4)
    wrong = wanted + (labels[:, :, :1] == 0)
    assert votes().loss(wrong, labels).item() == 0


def test_the_loss_of_images_without_particles_is_zero():
    labels = torch.zeros(1, 2, 2, 32, 32, dtype=torch.uint8)
    further = torch.ones(1, 2, 3, 32, 32, requires_grad=True)
    found = votes().loss(further, labels)
    found.sum().backward()
    assert found.item() == 0
    assert not further.grad.any()


# The decoder


def test_overlapping_particles_are_both_found_with_their_whole_diameters():
    found = decoded(instances())
    assert found.labels.max() == 4
    assert found.labels.dtype == np.int32
    for row, column, radius in (*TOP, *BOTTOM):
        whole = discs(SHAPE, (row, column, radius))
        number = np.bincount(found.labels[whole]).argmax()
        assert overlap(found.labels == number, whole) > 0.75
        true = 2 * PIXEL_NM * np.sqrt(whole.sum() / np.pi)
        assert found.diameters_nm[number - 1] == pytest.approx(true, rel=0.02)
        assert found.certainty[number - 1] > 0.8


@pytest.mark.parametrize("share", [0.15, 0.3, 0.45])
def test_diameters_of_two_equal_discs_do_not_depend_on_their_overlap(share):
    radius = 16
    apart = 2 * radius * (1 - share)
    found = decoded(instances([(64.2, 40.3, radius)], [(64.2, 40.3 + apart, radius)]))
    true = 2 * PIXEL_NM * np.sqrt(discs(SHAPE, (64.2, 40.3, radius)).sum() / np.pi)
    np.testing.assert_allclose(found.diameters_nm, [true, true], rtol=0.02)
    # Half of the overlap is given to each.
    areas = np.bincount(found.labels.ravel())[1:]
    assert areas[0] == pytest.approx(areas[1], rel=0.06)


@pytest.mark.parametrize("how", range(8))
def test_particles_of_a_turned_image_are_turned(how):
    found = decoded(instances())
    again = decoded(turn(instances(), how))
    turned = turn(torch.from_numpy(found.labels), how).numpy()
    assert again.labels.max() == found.labels.max() == 4
    for number, diameter in enumerate(found.diameters_nm, 1):
        other = np.bincount(again.labels[turned == number]).argmax()
        assert overlap(again.labels == other, turned == number) > 0.99
        assert again.diameters_nm[other - 1] == pytest.approx(diameter, rel=1e-3)


def test_diameters_are_in_nanometres():
    labels = instances([(40.3, 40.2, 18)], [])
    for pixel_nm in (0.03, 0.05):
        found = votes().decode(outputs(labels), pixel_nm)
        assert found.diameters_nm.tolist() == pytest.approx([36 * pixel_nm], rel=0.01)


def test_an_empty_mask_has_no_particles_and_specks_are_none():
    nothing = decoded(instances([], []))
    assert not nothing.labels.any()
    assert len(nothing.diameters_nm) == len(nothing.certainty) == 0
    speck = decoded(instances([(40, 40, 3)], []))  # 0.3 nm
    assert not speck.labels.any()
    assert len(speck.diameters_nm) == 0


def test_a_particle_without_a_centre_is_not_given_to_another():
    labels = instances([(30, 30, 14), (90, 90, 20)], [])
    logits = outputs(labels)
    logits[1:3, labels[0] == 2] = 0  # its pixels vote for themselves
    logits[3, labels[0] == 2] = np.log(40 / SCALE_PX)
    found = votes().decode(logits, PIXEL_NM)
    assert np.array_equal(found.labels > 0, labels[0].numpy() == 1)
    assert found.diameters_nm.tolist() == pytest.approx([28 * PIXEL_NM], rel=0.01)


def test_votes_far_outside_the_image_and_huge_sizes_are_no_error():
    logits = np.full((4, *SHAPE), 1e4, np.float32)
    logits[2] *= -1
    found = votes().decode(logits, PIXEL_NM)
    assert np.isfinite(found.diameters_nm).all()
    assert np.isfinite(found.certainty).all()


def test_a_merge_is_less_certain_than_a_particle():
    """Two particles that a network takes for one, in the middle, with the size of one of them."""
    labels = instances([(64, 40, 16), (100, 100, 16)], [(64, 66, 16)])
    logits = outputs(labels)
    pair = (labels.amax(0) > 0).numpy() & (np.indices(SHAPE)[0] < 83)
    rows, columns = np.indices(SHAPE)
    logits[1][pair] = (64 - rows[pair]) / SCALE_PX
    logits[2][pair] = (53 - columns[pair]) / SCALE_PX
    found = votes().decode(logits, PIXEL_NM)
    merged = found.labels[64, 40]
    assert merged == found.labels[64, 66]
    assert found.certainty[merged - 1] < 0.6 < found.certainty[found.labels[100, 100] - 1]


def test_a_particle_is_as_certain_as_its_votes_agree():
    """Votes half way to the centre have a quarter of the variance of their pixels."""
    logits = outputs(instances([(64, 64, 16)], []))
    logits[1:3] /= 2
    found = votes().decode(logits, PIXEL_NM)
    assert found.certainty.tolist() == pytest.approx([0.75], abs=0.01)


def test_the_certainty_is_that_of_the_votes_alone():
    logits = outputs(instances())
    sure = votes().decode(logits, PIXEL_NM).certainty
    logits[0] /= 50
    np.testing.assert_array_equal(votes().decode(logits, PIXEL_NM).certainty, sure)


def test_a_particle_is_as_certain_as_its_pixels_are_of_its_stated_area():
    """The smaller one has most pixels where both are, and votes for the larger one agree."""
    found = decoded(instances([(64, 50, 20)], [(64, 64, 10)]))
    large = found.labels[64, 35]
    stated = np.pi / 4 * (found.diameters_nm / PIXEL_NM) ** 2
    share = np.bincount(found.labels.ravel())[large] / stated[large - 1]
    assert share < 0.9
    assert found.certainty[large - 1] == pytest.approx(share, rel=0.01)
