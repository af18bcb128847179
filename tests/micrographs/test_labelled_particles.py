"""Particles that a person has labelled."""

import numpy as np
import pytest
from discs import discs

from passband import PassbandError
from passband.micrographs.images import readers
from passband.micrographs.labelled_particles import Labels

SHAPE = (100, 140)


@pytest.fixture
def place(tmp_path):
    """A folder with an image and its labels, which are not consecutive numbers."""
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    np.save(tmp_path / "a.npy", image)
    labels = 7 * discs(SHAPE, (40, 40, 20)) + 300 * discs(SHAPE, (60, 139, 15))
    (tmp_path / "labels").mkdir()
    np.save(tmp_path / "labels/a.npy", labels.astype(np.uint16))
    return tmp_path


def frames(place, labels, size=0.5, **options):
    return Labels(place / labels, size, **options).frames(place / "a.npy", "a")


def test_each_number_is_a_particle(place):
    for given in ("labels/a.npy", "labels"):
        (found,) = frames(place, given)
        first, second = found.particles
        assert (first.label, second.label) == (7, 300)
        assert first.diameter_nm == pytest.approx(2 * 20 * 0.05, rel=0.01)
        assert (first.x_nm, first.y_nm) == pytest.approx((2, 2))
        assert (first.touches_edge, second.touches_edge) == (False, True)
        assert found.field_nm == pytest.approx((5, 7))
        assert (found.networks, found.flags, found.confidence) == ((), (), None)
        assert found.line == "a.npy: 2 particles, mean diameter 2 nm of 1 whole"
        assert found.done == ("particles of a.npy",)


def test_only_the_used_part_of_an_image_is_measured(place):
    (found,) = frames(place, "labels", crop="20:120,10:90")
    (particle,) = found.particles
    assert (particle.label, particle.touches_edge) == (7, True)
    assert found.field_nm == pytest.approx((4, 5))
    whole = discs(SHAPE, (40, 40, 20))[10:90, 20:120]
    assert particle.area_nm2 == pytest.approx(whole.sum() * 0.05**2)
    assert particle.x_nm == pytest.approx((20 + np.nonzero(whole)[1].mean()) * 0.05)


def test_labels_that_predict_has_written_are_found_by_their_name(place):
    (place / "labels/a.npy").rename(place / "other.npy")
    from passband.micrographs.outputs import write_tiff

    write_tiff(
        place / "labels/a_instances.ome.tif", [np.load(place / "other.npy")], 0.05, "a instances"
    )
    (found,) = frames(place, "labels")
    assert [each.label for each in found.particles] == [7, 300]
    assert found.unassessed == "its particles are those of a_instances.ome.tif"


def test_image_without_background(place):
    np.save(place / "labels/a.npy", np.where(np.arange(140) < 70, 4, np.full(SHAPE, 2)))
    (found,) = frames(place, "labels")
    assert [each.label for each in found.particles] == [2, 4]
    assert all(each.touches_edge for each in found.particles)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.zeros((100, 139), int),
            "1 image of 100 × 139 pixels, but .*a.npy has 1 image of 100 × 14",
        ),
        (np.zeros((2, *SHAPE), int), "2 images of 100 × 140 pixels, but"),
        (np.full(SHAPE, 0.5), "has the value 0.5; labels are 0 in the background, and a whole nu"),
        (np.full(SHAPE, np.nan), "has the value nan; labels are"),
        (np.full(SHAPE, -1), "has the value -1; labels are"),
        (np.zeros(SHAPE, bool), "has the value true and false; labels are"),
        (
            255 * discs(SHAPE, (30, 30, 9), (70, 90, 9)),
            "all its regions have the number 255, as in",
        ),
        (np.zeros(SHAPE, complex), "complex values"),
    ],
)
def test_wrong_labels_are_named_in_one_line(place, labels, message):
    np.save(place / "labels/a.npy", labels)
    with pytest.raises(PassbandError, match=message) as error:
        frames(place, "labels")
    assert "\n" not in str(error.value)


def test_missing_labels_images_and_pixel_sizes_are_named(place):
    with pytest.raises(PassbandError, match=r"a\.npy has none; give --pixel-size-A"):
        frames(place, "labels", None)
    (place / "labels/a.npy").unlink()
    with pytest.raises(
        PassbandError, match=r"there are no labels a\.npy or a_instances\.ome\.tif in"
    ):
        frames(place, "labels")
    with pytest.raises(PassbandError, match="there are no labels"):
        frames(place, ".")  # the image is not its own labels
    with pytest.raises(PassbandError, match="there is no such file or folder"):
        Labels(place / "nothing").check([place / "a.npy"])
    with pytest.raises(PassbandError, match="is one file for 2 images; give a folder"):
        Labels(place / "a.npy").check([place / "a.npy", place / "b.npy"])


def test_whole_numbers_as_floats_and_one_region_are_labels(place):
    np.save(place / "b.npy", (3.0 * discs(SHAPE, (40, 40, 9))).astype(np.float32))
    assert np.unique(readers.read_labels(place / "b.npy")).tolist() == [0, 3]
    np.save(place / "b.npy", np.zeros(SHAPE, np.uint8))
    assert not readers.read_labels(place / "b.npy").any()
