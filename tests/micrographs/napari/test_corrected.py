"""What *Sizes* saves and measures, without a window."""

import numpy as np
import pytest
from shown_images import refused, sample

import passband
from passband.micrographs.images import readers
from passband.micrographs.napari import corrected
from passband.micrographs.napari.shown import Shown


@pytest.fixture
def image(tmp_path):
    return sample(tmp_path)


@pytest.mark.slow
def test_corrected_labels_are_saved_measured_and_never_replaced(image):
    labels = passband.open("general").segment(image.file).labels
    labels[labels == 1] = 0
    measured = corrected.measure(image, labels)
    folder = image.file.parent / "predictions"
    assert measured.saved == folder / "image_instances.changed.ome.tif"
    assert measured.picture == folder / "sizes.png"
    np.testing.assert_array_equal(readers.read_labels(measured.saved)[0], labels)
    again = corrected.measure(image, labels, saved=measured.saved)
    assert again.saved == measured.saved
    passband.open("general").segment([image.file], out=folder)
    np.testing.assert_array_equal(readers.read_labels(measured.saved)[0], labels)
    found_again = passband.measure_labels(image.file, measured.saved, folder.parent / "again")
    assert len(found_again.images[0].particles) == len(np.unique(labels)) - 1


def test_labels_that_cannot_be_measured_are_one_line(image, tmp_path):
    assert refused(corrected.measure, image, None).startswith("no labels: ")
    assert "64 × 64 pixels" in refused(corrected.measure, image, np.ones((64, 64), int))
    assert "negative" in refused(corrected.measure, image, np.full((128, 128), -1))
    assert "0 everywhere" in refused(corrected.measure, image, np.zeros((128, 128), int))
    alone = Shown(image.images, "alone", None, 0.75)
    assert "is in no file" in refused(corrected.measure, alone, np.ones((128, 128), int))
    ones = np.ones((128, 128), int)
    assert "is the folder of" in refused(corrected.measure, image, ones, tmp_path)
    assert [*tmp_path.iterdir()] == [image.file]
