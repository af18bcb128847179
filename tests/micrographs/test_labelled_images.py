"""Images with labels, from which a network can learn."""

import labelled
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from passband import PassbandError
from passband.micrographs import labelled_images


@pytest.fixture
def place(tmp_path):
    labelled.write_images(tmp_path, 3)
    return tmp_path


def read(place, pixel_size_A=labelled.PIXEL_A):
    paths = sorted((place / "images").iterdir())
    return labelled_images.read(paths, place / "labels", pixel_size_A)


def test_images_have_the_labels_of_their_names(place):
    found = read(place)
    assert [each.path.name for each in found] == ["0.npy", "1.npy", "2.npy"]
    assert all(np.array_equal(each.mask, labelled.mask(k)) for k, each in enumerate(found))
    assert {each.pixel_size_A for each in found} == {labelled.PIXEL_A}


def test_masks_of_every_kind_and_numbers_are_labels(place):
    mask = labelled.mask(0)
    (place / "labels/0.npy").unlink()
    Image.fromarray(mask).save(place / "labels/0.png")  # 1 bit
    numbers = ndimage.label(labelled.mask(1))[0].astype(np.uint16)
    tifffile.imwrite(place / "labels/1_instances.ome.tif", numbers)
    (place / "labels/1.npy").unlink()
    np.save(place / "labels/2.npy", 255 * labelled.mask(2).astype(np.uint8))
    found = read(place)
    assert all(np.array_equal(each.mask, labelled.mask(k)) for k, each in enumerate(found))
    assert [each.is_numbered for each in found] == [False, True, False]


def colour(place):
    (place / "labels/1.npy").unlink()
    Image.fromarray(np.stack([labelled.mask(1).astype(np.uint8)] * 3, -1)).save(
        place / "labels/1.png"
    )


def colour_tiff(place):
    (place / "labels/1.npy").unlink()
    tifffile.imwrite(
        place / "labels/1.tif",
        np.stack([labelled.mask(1).astype(np.uint8)] * 3, -1),
        photometric="rgb",
    )


def values(array):
    return lambda place: np.save(place / "labels/1.npy", array)


ONE = np.zeros(labelled.SHAPE, int)
FEW = ONE.copy()
FEW[:3, :3] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (values(ONE[1:]), r"labels/1\.npy: has 63 × 72 pixels, but .*1\.npy has 64 × 72 pixels"),
        (values(ONE), r"labels/1\.npy: has no particle: it is 0 everywhere"),
        (values(ONE + 255), r"has the value 255 everywhere, and no background of 0"),
        (values(np.where(labelled.mask(1), 65_536, 0)), "has the number 65536; must be at most 65"),
        (values(FEW), r"its particles cover 0\.20% of the image; must be at least 1%"),
        (values(0.5 * labelled.mask(1)), r"has the value 0\.5; labels are 0 in the background"),
        (values(np.stack([labelled.mask(1)] * 2)), r"labels/1\.npy: has 2 images; give a file for"),
        (colour, r"labels/1\.png: has the value of a colour; labels are 0 in the background"),
        (colour_tiff, r"labels/1\.tif: has the value of a colour; labels are 0"),
        (lambda place: (place / "labels/1.npy").unlink(), r"there are no labels 1\.npy or"),
    ],
)
def test_wrong_labels_are_named_in_one_line(place, change, message):
    change(place)
    with pytest.raises(PassbandError, match=message) as error:
        read(place)
    assert "\n" not in str(error.value)


def test_the_largest_number_is_allowed(place):
    values(np.where(labelled.mask(1), 65_535, 0))(place)
    assert read(place)[1].labels.max() == 65_535


def test_images_of_two_pixel_sizes_are_refused(place):
    for name, size in (("a", 0.3), ("b", 0.302), ("c", 0.31)):
        image = labelled.image_of(labelled.mask(0), 0)
        tifffile.imwrite(
            place / f"images/{name}.ome.tif",
            image,
            metadata={"PhysicalSizeX": size, "PhysicalSizeXUnit": "Å"}
            | {"PhysicalSizeY": size, "PhysicalSizeYUnit": "Å", "axes": "YX"},
        )
        tifffile.imwrite(place / f"labels/{name}.ome.tif", labelled.mask(0).astype(np.uint8))
    paths = [place / f"images/{name}.ome.tif" for name in "abc"]
    assert len(labelled_images.read(paths[:2], place / "labels")) == 2
    with pytest.raises(PassbandError, match=r"c\.ome\.tif: has pixels of 0\.31 Å, and .*a\.ome"):
        labelled_images.read(paths, place / "labels")


def groups(images):
    return labelled_images.without_copies(
        [labelled_images.LabelledImage(None, each, None, 0.5) for each in images]
    )


def test_turned_mirrored_reduced_and_rescaled_images_are_copies():
    random = np.random.default_rng(0)
    first, second = (
        np.kron(random.random((64, 64)), np.ones((4, 4))).astype(np.float32) for _ in range(2)
    )
    copies = [np.rot90(first), first[:, ::-1].T, first[::2, ::2], 255 - 3 * first[::-1]]
    found = groups([first, second, *map(np.ascontiguousarray, copies)])
    assert found == [[0, 2, 3, 4, 5], [1]]


def test_images_with_the_same_uneven_light_are_no_copies():
    random = np.random.default_rng(0)
    slope = 20 * np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
    images = [slope + random.normal(0, 1, (200, 150)).astype(np.float32) for _ in range(3)]
    assert groups(images) == [[0], [1], [2]]
