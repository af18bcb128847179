"""Images that are segmented by networks with known weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from thresholds import image_of, mask_of_discs, save

from passband import PassbandError
from passband.imaging.noise import normalise
from passband.learning.network_files import open_networks
from passband.micrographs.images import own_noise
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings

RAW = Settings(hot_pixels=False, flat_field=False, smallest_nm=0)
DISCS = (30, 40, 12), (70, 90, 9)


@pytest.fixture
def network(tmp_path):
    (network,) = open_networks(save(tmp_path / "a.safetensors"))
    return network


def test_mask_and_particles_are_those_of_the_discs(network):
    mask = mask_of_discs((100, 131), *DISCS)
    result = segment(image_of(mask), 0.3, [network], RAW)
    np.testing.assert_array_equal(result.mask, mask)
    assert result.factor == 1
    assert result.disagreement is None
    assert result.labels.dtype == np.int32
    assert [each.x_nm for each in result.particles] == pytest.approx([40 * 0.03, 90 * 0.03])
    assert [each.diameter_nm for each in result.particles] == pytest.approx([0.72, 0.54], rel=0.02)
    assert result.mean_diameter_nm == pytest.approx(0.63, rel=0.02)


@pytest.mark.parametrize("name", ["zscore", "minmax", "vacuum"])
def test_probability_is_that_of_the_network_on_normalised_counts(tmp_path, name):
    """The normalisation is the one of training images."""
    (network,) = open_networks(save(tmp_path / "a.safetensors", normalisation=name))
    image = image_of(mask_of_discs((64, 64), (30, 30, 10)))
    counts = torch.from_numpy(image)[None]
    expected = network.module(normalise(counts, name, 140 * 0.3**2)[:, None]).detach().numpy()
    settings = Settings(hot_pixels=False, flat_field=False, dose_e_per_A2=140)
    result = segment(image, 0.3, [network], settings)
    np.testing.assert_allclose(result.probability, expit(expected[0, 0]), atol=1e-5)
    assert result.confidence == pytest.approx(
        np.maximum(result.probability, 1 - result.probability).mean()
    )


@pytest.mark.parametrize("pixel", [0.2, 0.45, 0.776])
def test_other_pixel_sizes_are_resampled_and_given_back(network, pixel):
    """The particles have the same place and size in nm, and the mask has the image's pixels."""
    scale = 0.3 / pixel
    shape = round(200 * scale), round(221 * scale)
    places = ((60, 80), (140, 150))
    discs = (((r + 0.5) * scale - 0.5, (c + 0.5) * scale - 0.5, 25 * scale) for r, c in places)
    mask = mask_of_discs(shape, *discs)
    result = segment(image_of(mask), pixel, [network], RAW)
    assert result.probability.shape == shape
    assert result.factor == pytest.approx(pixel / 0.3)
    assert len(result.particles) == 2
    wrong = np.count_nonzero(result.mask != mask)
    assert wrong < 0.04 * mask.sum()
    for each, (row, column) in zip(result.particles, places, strict=True):
        centre = (each.x_nm + pixel / 20) / 0.03 - 0.5, (each.y_nm + pixel / 20) / 0.03 - 0.5
        assert centre == pytest.approx((column, row), abs=0.3)
        assert each.diameter_nm == pytest.approx(50 * 0.03, rel=0.02)


@pytest.mark.parametrize("tile", [16, 34, 64])
def test_result_does_not_depend_on_tiles(network, tile):
    image = image_of(mask_of_discs((97, 131), *DISCS))
    expected = segment(image, 0.4, [network], RAW).probability
    found = segment(image, 0.4, [network], Settings(False, False, tile=tile)).probability
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_tile_that_is_enlarged_is_reported(network):
    image = image_of(mask_of_discs((97, 131), *DISCS))
    (note,) = segment(image, 0.3, [network], Settings(tile=4)).notes
    assert note.startswith("--tile = 4: tiles are ")
    assert segment(image, 0.3, [network], Settings(tile=64)).notes == ()


def test_several_networks_give_their_mean_and_their_disagreement(tmp_path):
    networks = open_networks(save(tmp_path / "a.safetensors", {0: 0.3, 1: 0.6, 4: 1.2}))
    image = image_of(mask_of_discs((64, 70), (30, 30, 10)))
    single = [segment(image, 0.3, [network], RAW).probability for network in networks]
    result = segment(image, 0.3, networks, RAW)
    np.testing.assert_allclose(result.probability, np.mean(single, 0), atol=1e-5)
    np.testing.assert_allclose(result.disagreement, np.std(single, 0, ddof=1), atol=1e-3)


def test_networks_of_different_pixel_sizes_work_together(tmp_path):
    networks = [
        *open_networks(save(tmp_path / "a.safetensors", {0: 0.5}, 0.3)),
        *open_networks(save(tmp_path / "b.safetensors", {0: 0.5}, 0.2)),
    ]
    mask = mask_of_discs((100, 131), *DISCS)
    result = segment(image_of(mask), 0.3, networks, RAW)
    assert np.count_nonzero(result.mask != mask) < 0.1 * mask.sum()
    assert result.disagreement.max() > 0.1


def test_a_flagged_image_names_the_command_for_a_network_of_its_own(network):
    result = segment(image_of(mask_of_discs((64, 64), (30, 30, 12))), 0.3, [network], RAW)
    assert "passband new" not in str(result)
    line = "to train a network for such images: passband new mine --like general --like-image FILE"
    assert str(replace(result, flags=("its spectrum",))).splitlines()[-1] == line
    # Repeated or blank pixels make no study, nor does an image without particles.
    for flag in (own_noise.REPEATED, own_noise.BLANK):
        assert "passband new" not in str(replace(result, flags=(flag,)))
    assert "passband new" not in str(replace(result, flags=("its spectrum",), particles=[]))


def test_an_image_whose_pixels_mostly_have_one_value_is_flagged(network):
    image = image_of(mask_of_discs((64, 64), (30, 30, 12)))
    drawn = np.random.default_rng(0).random(image.shape)
    for share, flags in ((0.4, ()), (0.6, (own_noise.BLANK,))):
        some = np.where(drawn < share, np.float32(7), image)
        assert segment(some, 0.3, [network], RAW).flags == flags


# Preparation


def test_what_was_done_is_said(network):
    image = image_of(mask_of_discs((64, 64), (30, 30, 12)))
    assert segment(image, 0.3, [network], RAW).done == ()
    image[5, 5] = image[50, 40] = 1000
    done = segment(image, 0.25, [network], Settings(flat_field=True)).done
    assert done == (
        "2 hot pixels replaced",
        "divided by the smooth background",
        "pixels of 0.25 Å resampled to 0.3 Å",
    )


def test_hot_pixels_are_removed_unless_they_are_kept(network):
    mask = mask_of_discs((64, 64), (30, 30, 10))
    image = image_of(mask)
    image[50, 50] = 5000
    found = segment(image, 0.3, [network], Settings(flat_field=False, smallest_nm=0))
    np.testing.assert_array_equal(found.mask, mask)
    assert segment(image, 0.3, [network], RAW).mask.sum() == 1


def kind(image, network, **settings):
    """Return what kind of background is taken off."""
    return segment(image, 0.3, [network], Settings(**settings)).background.kind


def test_only_wide_images_are_divided_by_default(network):
    """A field that is twice that of the training, 32 pixels, is enough."""
    image = image_of(mask_of_discs((64, 80), (30, 30, 10)))
    assert kind(image, network) == "flat field"
    assert kind(image[:63], network) == "none"
    assert kind(image[:63], network, flat_field=True) == "flat field"
    assert kind(image, network, flat_field=False) == "none"


def test_counts_for_vacuum_have_no_background(network):
    own = replace(network, metadata=replace(network.metadata, normalisation="vacuum"))
    slope = np.linspace(0, 400, 80, dtype=np.float32)
    image = image_of(mask_of_discs((64, 80), (30, 30, 10))) + slope
    for part in (image, image[:63]):
        assert kind(part, own, dose_e_per_A2=140) == "none"
    assert kind(image[:63], network) == "plane"


def test_a_slope_is_repaired_and_said(network):
    mask = mask_of_discs((60, 60), (20, 20, 8), (42, 40, 8))
    image = image_of(mask) + 60 * np.linspace(-1, 1, 60, dtype=np.float32)
    found = segment(image, 0.3, [network], Settings(smallest_nm=0))
    left = segment(image, 0.3, [network], Settings(smallest_nm=0, flat_field=False))
    assert np.count_nonzero(found.mask != mask) < 20
    assert np.count_nonzero(left.mask != mask) > 200
    assert found.done[0].startswith("a plane of ")
    assert left.done == ()


def test_a_bar_is_cut_off_and_labels_are_of_the_whole_file(network):
    mask = mask_of_discs((50, 60), (20, 20, 8), (40, 42, 8))
    image = np.clip(image_of(mask), 0, 255)
    bar = np.zeros((14, 60), np.float32)
    bar[4:7, 40:55] = 255
    whole = np.concatenate([bar, image])
    found = segment(whole, 0.3, [network], Settings(smallest_nm=0))
    alone = segment(image, 0.3, [network], Settings(smallest_nm=0))
    assert found.box == (0, 60, 14, 64)
    assert found.done[0] == "columns and rows 0:60,14:64 used, the rest cut off"
    assert found.probability.shape == found.labels.shape == whole.shape
    np.testing.assert_array_equal(found.probability[14:], alone.probability)
    np.testing.assert_array_equal(found.labels[14:], alone.labels)
    assert not found.probability[:14].any()
    assert not found.labels[:14].any()
    assert found.confidence == pytest.approx(alone.confidence)
    for each, other in zip(found.particles, alone.particles, strict=True):
        assert each.y_nm == pytest.approx(other.y_nm + 14 * 0.03)
        assert each.x_nm == other.x_nm
        assert each.area_nm2 == other.area_nm2
        assert each.touches_edge == other.touches_edge


def test_only_a_part_of_an_image_is_used(network):
    mask = mask_of_discs((60, 70), (20, 20, 8), (42, 40, 8), (45, 65, 9))
    image = image_of(mask)
    found = segment(image, 0.3, [network], Settings(crop="5:55,10:60", smallest_nm=0))
    part = segment(image[10:, 5:55], 0.3, [network], Settings(smallest_nm=0))
    np.testing.assert_array_equal(found.mask[10:, 5:55], part.mask)
    outside = np.ones(mask.shape, bool)
    outside[10:, 5:55] = False
    assert not found.mask[outside].any()
    for crop in ("5:55,10:61", "5:71,10:60"):
        with pytest.raises(PassbandError, match="the image has 70 columns and 60 rows"):
            segment(image, 0.3, [network], Settings(crop=crop))
    with pytest.raises(PassbandError, match="must be x0:x1,y0:y1"):
        segment(image, 0.3, [network], Settings(crop="5:55"))


def test_repeated_pixels_are_doubted(network):
    image = image_of(mask_of_discs((60, 70), (20, 20, 8)))
    assert segment(image, 0.3, [network]).flags == ()
    enlarged = image.repeat(2, 0).repeat(2, 1)[:60]
    assert segment(enlarged, 0.3, [network]).flags == ("its repeated pixels",)


def test_a_wide_image_is_divided_by_its_background(network):
    mask = mask_of_discs((200, 200), (60, 60, 12), (150, 120, 12))
    image = image_of(mask) * np.linspace(1, 3, 200, dtype=np.float32)
    flat = segment(image, 0.3, [network], Settings(smallest_nm=0)).mask
    steep = segment(image, 0.3, [network], Settings(flat_field=False, smallest_nm=0)).mask
    assert np.count_nonzero(flat != mask) < 40
    assert np.count_nonzero(steep != mask) > 1000


# Wrong images and settings


@pytest.mark.parametrize(
    ("shape", "pixel", "line"),
    [
        ((64, 64), 1.6, "pixel size 1.6 Å: must be between 0.006 and 1.5 Å for a network"),
        ((64, 64), 0.005, "pixel size 0.005 Å: must be between 0.006 and 1.5 Å"),
        ((64, 200), 0.01, "the image has 2 × 7 pixels of 0.3 Å, .* must be at least 4 pixels"),
    ],
)
def test_images_that_do_not_fit_the_network_are_refused(network, shape, pixel, line):
    image = image_of(np.zeros(shape, bool))
    with pytest.raises(PassbandError, match=line) as error:
        segment(image, pixel, [network], RAW)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "normalisation", "line"),
    [
        (Settings(), "vacuum", "needs the dose: give dose_e_per_A2"),
        (Settings(dose_e_per_A2=0), "vacuum", "dose_e_per_A2 = 0: must be above 0"),
        (Settings(dose_e_per_A2=float("nan")), "vacuum", "dose_e_per_A2 = nan: must be above 0"),
        (Settings(tile=0), "zscore", "tile = 0: must be at least 1"),
        (Settings(smallest_nm=-1), "zscore", "smallest_nm = -1: must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, normalisation, line):
    networks = open_networks(save(tmp_path / "a.safetensors", normalisation=normalisation))
    with pytest.raises(PassbandError, match=line) as error:
        settings.check(networks)
    assert "\n" not in str(error.value)
