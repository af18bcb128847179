"""Output files of a segmented image."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image
from thresholds import image_of, mask_of_discs, save

from passband.learning.network_files import open_networks
from passband.micrographs import outputs
from passband.micrographs.images import readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings

RAW = Settings(hot_pixels=False, flat_field=False, smallest_nm=0)


@pytest.fixture
def networks(tmp_path):
    return open_networks(save(tmp_path / "a.safetensors", {0: 0.4, 1: 0.6}))


def results(networks, *masks):
    images = [image_of(mask) for mask in masks]
    found = [segment(image, 0.25, networks, RAW) for image in images]
    return [outputs.reduced(image) for image in images], found


def test_tiffs_have_the_pixel_size_and_the_values(networks, tmp_path):
    mask = mask_of_discs((80, 121), (30, 40, 12), (60, 119, 9))
    shown, (result,) = results(networks, mask)
    written = outputs.write(shown, [result], tmp_path / "out", "gold")
    assert sorted(path.name for path in written) == [
        "gold_disagreement.ome.tif",
        "gold_instances.ome.tif",
        "gold_mask.ome.tif",
        "gold_overlay.png",
        "gold_probability.ome.tif",
    ]
    expected = {
        "mask": (np.where(result.mask, 255, 0), np.uint8),
        "probability": (result.probability, np.float32),
        "instances": (result.labels, np.uint16),
        "disagreement": (result.disagreement, np.float32),
    }
    for kind, (values, dtype) in expected.items():
        path = tmp_path / f"out/gold_{kind}.ome.tif"
        with tifffile.TiffFile(path) as file:
            assert file.is_ome
            (series,) = file.series
            assert (series.axes, series.dtype) == ("YX", dtype)
            np.testing.assert_array_equal(series.asarray(), values)
            assert 'PhysicalSizeX="0.025" PhysicalSizeXUnit="nm"' in file.ome_metadata
        if values.any():
            assert readers.read(path).pixel_size_A == pytest.approx(0.25)


@pytest.mark.parametrize(("side", "is_big"), [(1_000, False), (40_000, True)])
def test_images_above_4_gb_are_bigtiffs(tmp_path, monkeypatch, side, is_big):
    """The values need no memory, and nothing is written."""
    given = {}

    def imwrite(path, data, **options):
        path.touch()
        given.update(options)

    monkeypatch.setattr(tifffile, "imwrite", imwrite)
    image = np.broadcast_to(np.float32(0), (side, side))
    outputs.write_tiff(tmp_path / "a.ome.tif", [image], 0.02, "a")
    assert given["bigtiff"] == is_big


def test_stack_is_a_stack(networks, tmp_path):
    masks = [mask_of_discs((64, 70), (30, 20 + 10 * k, 9)) for k in range(3)]
    shown, found = results(networks[:1], *masks)
    written = outputs.write(shown, found, tmp_path, "stack")
    assert not (tmp_path / "stack_disagreement.ome.tif").exists()
    with tifffile.TiffFile(tmp_path / "stack_mask.ome.tif") as file:
        assert file.series[0].axes == "TYX"
        np.testing.assert_array_equal(file.series[0].asarray() > 0, [each.mask for each in found])
    pictures = [path.name for path in written if path.suffix == ".png"]
    assert pictures == ["stack_overlay.png", "stack_overlay_0001.png", "stack_overlay_0002.png"]


def test_image_without_particles_has_an_overlay(networks, tmp_path):
    shown, _ = results(networks, np.zeros((64, 64), bool))
    found = [segment(image_of(np.zeros((64, 64), bool)), 0.25, networks, Settings(smallest_nm=1))]
    assert found[0].particles == []
    outputs.write(shown, found, tmp_path, "empty")
    with Image.open(tmp_path / "empty_overlay.png") as picture:
        assert min(picture.size) >= outputs.SMALLEST_OVERLAY


def test_overlay_says_that_an_image_is_unlike_the_training_images(networks):
    (shown,), (result,) = results(networks, mask_of_discs((100, 100), (30, 30, 15)))
    plain = np.asarray(outputs.overlay(shown, result))
    flagged = np.asarray(outputs.overlay(shown, replace(result, flags=("its spectrum",))))
    strip = flagged[: len(flagged) - len(plain)]
    np.testing.assert_array_equal(flagged[len(strip) :], plain)
    assert len(strip) == 44
    assert (strip == outputs.WARNING).all(-1).mean() > 0.7
    assert (strip == 255).all(-1).sum() > 500  # the words


def test_overlay_draws_outlines_and_a_scale_bar(networks):
    mask = mask_of_discs((100, 100), (30, 30, 15), (50, 95, 12))
    (shown,), (result,) = results(networks, mask)
    pixels = np.asarray(outputs.overlay(shown, result))
    assert pixels.shape == (800, 800, 3)
    whole, cut = (
        np.argwhere((pixels == colour).all(-1)) / 8 for colour in (outputs.WHOLE, outputs.CUT)
    )
    np.testing.assert_allclose(np.hypot(*(whole - 30).T), 15, atol=2)
    np.testing.assert_allclose(np.hypot(*(cut - (50, 95)).T)[cut[:, 1] < 99], 12, atol=2)
    # A field of 2.5 nm has a scale bar of 0.5 nm: 160 of 800 pixels.
    bar = (pixels[-60:, :300] == 255).all(-1).sum(1)
    assert bar.max() == pytest.approx(160, abs=2)
    # Bright pixels are bright, and dark pixels are dark.
    assert pixels[240, 240].min() > 150
    assert pixels[600, 400].max() < 100


def test_large_image_is_reduced(monkeypatch, networks):
    monkeypatch.setattr(outputs, "LARGEST_OVERLAY", 60)
    monkeypatch.setattr(outputs, "SMALLEST_OVERLAY", 10)
    (shown,), (result,) = results(networks, mask_of_discs((101, 131), (50, 60, 20)))
    assert shown.shape == (33, 43)
    picture = outputs.overlay(shown, result)
    assert picture.size == (43, 33)


@pytest.mark.parametrize(
    ("most", "length"), [(0.99, 0.5), (1, 1), (4.9, 2), (5, 5), (37, 20), (0.021, 0.02)]
)
def test_scale_bar_has_a_round_length(most, length):
    assert outputs.round_length(most) == pytest.approx(length)
