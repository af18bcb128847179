"""What the widgets do, without napari: what is shown, found, corrected, saved and measured."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

import passband
from passband.errors import PassbandError
from passband.micrographs.images import readers
from passband.micrographs.napari import corrected, found, reader
from passband.micrographs.napari.shown import KEY, Shown
from passband.results import published


def layer(images, name="image.tif", path=None, **others):
    """Return what a layer of napari has."""
    known = {"rgb": False, "metadata": {}, "multiscale": False} | others
    return SimpleNamespace(data=images, name=name, source=SimpleNamespace(path=path), **known)


@pytest.fixture
def image(tmp_path):
    """The sample in a folder of its own, as napari shows it."""
    path = tmp_path / "image.tif"
    path.write_bytes(published.SAMPLE.read_bytes())
    ((data, options, _),) = reader.read(str(path))
    return Shown.of(layer(data, path=str(path), metadata=options["metadata"]))


def refused(call, *arguments):
    """Return the line with which a call is refused."""
    with pytest.raises(PassbandError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_sample_is_read_with_its_scale_in_nm():
    ((data, options, kind),) = reader.sample()
    assert (kind, data.shape) == ("image", (128, 128))
    assert options["scale"] == pytest.approx((0.075, 0.075))
    assert options["units"] == ("nm", "nm")


def test_a_stack_without_a_pixel_size_has_no_scale(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.arange(3 * 64 * 64, dtype=np.uint16).reshape(3, 64, 64))
    ((data, options, _),) = reader.reader_of([str(path)])([str(path)])
    assert data.shape == (3, 64, 64)
    assert "scale" not in options
    named = layer(data, path=str(path))
    assert refused(Shown.of, named) == "image.tif: has no pixel size; give it in Å"
    assert Shown.of(named, 0.5).place["scale"] == (1.0, 0.05, 0.05)


def test_a_file_that_is_damaged_is_one_line(tmp_path):
    path = tmp_path / "image.dm3"
    path.write_bytes(b"no DM3")
    assert str(path) in refused(reader.read, str(path))


def test_images_that_cannot_be_used_are_one_line():
    assert refused(Shown.of, None).startswith("no image: ")
    colour = layer(np.zeros((8, 8, 3)), name="colour", rgb=True)
    assert refused(Shown.of, colour).startswith("colour: is in colour (RGB)")
    bare = Shown.of(layer(np.zeros((64, 64)), name="bare"), 0.5)
    assert refused(found.segment, bare, "other").startswith("network = 'other': must be general")
    assert "bare" in refused(
        found.segment, Shown(np.full((64, 64), np.nan), "bare", None, 0.5), "general"
    )


@pytest.mark.slow
def test_particles_and_the_verdict_are_those_of_segment(image):
    expected = passband.open("general").segment(image.file)
    shares = []
    result = found.segment(image, "general", lambda share, words: shares.append((share, words)))
    np.testing.assert_array_equal(result.labels, expected.labels)
    assert any(expected.verdict in line for line in result.lines)
    assert shares == [(0, "tile 1 of 1")]
    cut = {each.label for each in expected.particles if each.touches_edge}
    assert cut
    assert set(np.unique(result.outlines[result.outlines % 2 == 1]) // 2) == cut
    assert result.labels_layer["scale"] == pytest.approx((0.075, 0.075))
    assert result.outlines_layer["metadata"][KEY]["is_outlines"]


@pytest.mark.slow
def test_an_image_unlike_the_training_images_says_why():
    noise = np.random.default_rng(0).normal(100, 1, (2, 128, 128)).astype(np.float32)
    result = found.segment(Shown(noise, "noise", None, 0.75), "general")
    assert result.labels.shape == noise.shape
    assert sum("unlike the training images, because of " in line for line in result.lines) == 2


@pytest.mark.slow
def test_cancelled_before_the_first_tile(image):
    said = []
    line = refused(found.segment, image, "general", lambda *words: said.append(words), lambda: True)
    assert line.endswith(found.CANCELLED)
    assert not said


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
