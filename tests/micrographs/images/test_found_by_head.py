"""Particles that the head of a network finds, with outputs that are perfect but for an error."""

from dataclasses import replace

import numpy as np
import pytest
from perfect_votes import image_of, labels_of, open_perfect
from thresholds import mask_of_discs, save

from passband import PassbandError
from passband.learning.heads.found import Found
from passband.learning.network_files import open_networks
from passband.micrographs.images import found_by_head
from passband.micrographs.images.particles import measure
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings

RAW = Settings(hot_pixels=False, flat_field=False, particles="head")
SHAPE = 128, 160
#: Two particles that overlap by half of the smaller one's diameter, and one that is alone: row,
#: column and radius [pixels].
TOP = (40, 40, 18), (90, 110, 14)
BOTTOM = ((40, 60, 14),)
PIXEL_A = 0.5
SIZES_NM = 1.8, 1.4, 1.4


@pytest.fixture
def labels():
    return labels_of(SHAPE, TOP, BOTTOM)


@pytest.fixture
def image(labels):
    return image_of(labels)


@pytest.fixture
def network(tmp_path, labels, image):
    (network,) = open_perfect(tmp_path / "a.safetensors", labels, image)
    return network


def sizes(result):
    return sorted((each.diameter_nm for each in result.particles), reverse=True)


def test_overlapping_particles_are_two_with_the_diameters_of_whole_ones(network, image, labels):
    result = segment(image, PIXEL_A, [network], RAW)
    assert sizes(result) == pytest.approx(SIZES_NM, rel=0.02)
    np.testing.assert_array_equal(result.labels > 0, labels.amax(0).numpy() > 0)
    assert all(each.certainty > 0.5 for each in result.particles)
    alone = [each for each in result.particles if not each.overlapped]
    assert [each.diameter_nm for each in alone] == pytest.approx([1.4], rel=0.02)
    assert result.mean_diameter_nm == pytest.approx(np.mean(SIZES_NM), rel=0.02)
    # The pixels of overlapping ones are fewer than they have.
    pixels = [2 * np.sqrt(each.area_nm2 / np.pi) for each in result.particles]
    assert sum(pixels) < 0.97 * sum(SIZES_NM)


def test_the_mask_alone_has_no_statement_of_a_head(network, image):
    """It is the default: on real images, no head has been as good yet."""
    result = segment(image, PIXEL_A, [network], replace(RAW, particles=Settings().particles))
    assert {each.certainty for each in result.particles} == {None}
    same = segment(image, PIXEL_A, [network], RAW)
    assert all(each.certainty > 0.5 for each in same.particles)
    np.testing.assert_array_equal(same.probability, result.probability)


@pytest.mark.parametrize("pixel", [0.4, 0.8])
def test_labels_are_on_the_pixels_of_the_image(tmp_path, labels, image, pixel):
    """The network's pixels are those of `labels`, and the image's are smaller or larger."""
    (network,) = open_perfect(tmp_path / "a.safetensors", labels, image)
    shape = tuple(round(side * PIXEL_A / pixel) for side in SHAPE)
    drawn = labels_of(shape, [[x * PIXEL_A / pixel for x in disc] for disc in (*TOP, *BOTTOM)])
    result = segment(image_of(drawn), pixel, [network], RAW)
    assert result.labels.shape == shape
    np.testing.assert_array_equal(result.labels > 0, result.mask)
    assert sizes(result) == pytest.approx(SIZES_NM, rel=0.02)
    (alone,) = (each for each in result.particles if not each.overlapped)
    centre = (np.array([110, 90]) + 0.5) * PIXEL_A / 10 - pixel / 20
    assert (alone.x_nm, alone.y_nm) == pytest.approx(centre, abs=0.03)
    assert alone.diameter_nm == pytest.approx(1.4, rel=0.03)


def test_several_networks_find_the_particles_of_their_mean_outputs(tmp_path, labels, image):
    """Each network alone votes for places far away; their mean errors are 0."""
    errors = ((0, 1, 0.5), (0, -1, -0.5))
    networks = open_perfect(tmp_path / "a.safetensors", labels, image, errors=errors)
    assert sizes(segment(image, PIXEL_A, networks, RAW)) == pytest.approx(SIZES_NM, rel=0.02)
    alone = segment(image, PIXEL_A, networks[:1], RAW)
    assert max(sizes(alone)) > 1.5 * max(SIZES_NM)


class Fixed:
    """A head that finds what it is told."""

    def __init__(self, labels):
        self.labels = labels

    def decode(self, logits, pixel_nm):
        number = self.labels.max()
        return Found(self.labels, np.full(number, 2.0), np.full(number, 0.9))


def by(head, mask):
    """Return what a head finds in a mask, in pixels of 0.05 nm."""
    p = np.where(mask, 0.9, 0.1).astype(np.float32)
    return found_by_head.found(head, p[None], p, network_nm=0.05, pixel_nm=0.05, smallest_nm=0.5)


def test_pixels_that_the_head_gives_to_no_particle_are_the_nearest_ones_of_their_region():
    mask = np.zeros((60, 90), bool)
    mask[10:40, 10:30] = mask[10:40, 33:80] = True
    inner = np.zeros(mask.shape, np.int32)
    inner[12:38, 12:28] = 1
    inner[12:38, 40:50] = 2
    found = by(Fixed(inner), mask)
    np.testing.assert_array_equal(found.labels > 0, mask)
    # The gap between the regions is narrower than the way to the second particle.
    np.testing.assert_array_equal(found.labels == 1, mask & (np.arange(90) < 30))
    assert found.diameters_nm.tolist() == [2, 2]


def test_a_particle_is_one_piece_with_smooth_borders():
    mask = np.zeros((60, 100), bool)
    mask[10:50, 10:90] = True
    ragged = 1 * mask + (mask & (np.indices(mask.shape)[1] >= 50))
    ragged[10:50:4, 50:56] = 1  # a comb
    ragged[28:33, 66:72] = 1  # and an island
    found = by(Fixed(ragged.astype(np.int32)), mask)
    np.testing.assert_array_equal(found.labels > 0, mask)
    border = np.count_nonzero(found.labels == 1, 1)[10:50]
    assert 40 <= border.min() <= border.max() <= 45
    assert np.ptp(border) <= 2
    assert found.labels[30, 69] == 2


def test_a_region_in_which_the_head_finds_nothing_is_divided_like_a_mask():
    mask = mask_of_discs((128, 128), (30, 30, 15), (90, 50, 15), (90, 80, 17), (20, 110, 3))
    inner = (mask & (np.arange(128) < 46)).astype(np.int32)
    inner[60:] = 0
    found = by(Fixed(inner), mask)
    assert found.labels.max() == 3  # two that touch, and not the small one
    assert found.labels[90, 45] != found.labels[90, 85]
    assert found.certainty.tolist() == [0.9, 0, 0]
    assert np.isnan(found.diameters_nm).tolist() == [False, True, True]
    single, *others = measure(found.labels, 0.05, stated=found)
    assert (single.diameter_nm, single.overlapped) == (2, False)
    own = [2 * np.sqrt(each.area_nm2 / np.pi) for each in others]
    assert [each.diameter_nm for each in others] == pytest.approx(own)
    # Whether another one covers a part of them is not known.
    assert [each.overlapped for each in others] == [True, True]
    assert [each.counts for each in (single, *others)] == [True, False, False]


def test_small_particles_are_left_out(network, image):
    result = segment(image, PIXEL_A, [network], replace(RAW, smallest_nm=1.5))
    assert sizes(result) == pytest.approx([1.8], rel=0.02)
    assert result.labels.max() == 1


def test_an_image_without_particles_has_none(tmp_path):
    labels = labels_of(SHAPE)
    image = image_of(labels)
    (network,) = open_perfect(tmp_path / "a.safetensors", labels, image)
    result = segment(image, PIXEL_A, [network], RAW)
    assert result.particles == []
    assert not result.labels.any()


def test_networks_without_a_common_head_are_refused(tmp_path, network, image):
    (plain,) = open_networks(save(tmp_path / "plain.safetensors", pixel_size_A=0.5))
    (other,) = open_perfect(tmp_path / "b.safetensors", network.module.labels, image, 0.4)
    for both, reason in (
        ([network, plain], f"{plain.id} has no head"),
        ([network, other], f"{other.id} has pixels of another size than {network.id}"),
    ):
        with pytest.raises(PassbandError) as error:
            Settings(particles="head").check(both)
        assert str(error.value) == f"particles = 'head': {reason}; allowed: 'mask'"
    assert Settings().head([network]) is None
    assert Settings(particles="head").head([network]).name == "votes"


def test_only_known_ways_to_find_particles_are_allowed():
    with pytest.raises(PassbandError, match=r"particles = 'heads': must be 'mask' or 'head'"):
        Settings.of({"particles": "heads"})
