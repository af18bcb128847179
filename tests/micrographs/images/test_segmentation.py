"""Images that are segmented by networks with known weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from thresholds import image_of, mask_of_discs, save, save_states

from passband import PassbandError
from passband.imaging.noise import normalise
from passband.learning import networks
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


def test_share_of_networks_that_find_a_particle(tmp_path):
    """The dim disc, at about 2.4 after normalisation, is below one of three thresholds."""
    networks = open_networks(save(tmp_path / "a.safetensors", {0: 0.3, 1: 0.6, 4: 3.5}))
    bright, dim = (mask_of_discs((100, 131), disc) for disc in DISCS)
    result = segment(image_of(bright | dim) - 5 * dim, 0.3, networks, RAW)
    assert [each.found_in for each in result.particles] == pytest.approx([1, 2 / 3])
    for each in result.particles:
        own = result.probability[result.labels == each.label]
        assert each.mean_probability == pytest.approx(own.mean())
    alone = segment(image_of(bright), 0.3, networks[1:2], RAW)
    assert [each.found_in for each in alone.particles] == [None]


def test_share_of_mirror_images_in_which_a_particle_is_found(network):
    """A network that moves everything by a pixel along rows loses a narrow bar in two of three."""
    kernel = network.module.down[0][0].weight
    with torch.no_grad():
        kernel[0, 0, 1] = torch.tensor([1.0, 0.0, 0.0])
    mask = mask_of_discs((100, 131), (30, 40, 12))
    mask[60:90, 90:93] = True
    plain = segment(image_of(mask), 0.3, [network], RAW)
    result = segment(image_of(mask), 0.3, [network], replace(RAW, mirror=True))
    np.testing.assert_array_equal(result.mask, np.roll(mask, 1, 1))
    np.testing.assert_array_equal(result.probability, plain.probability)
    assert [each.found_in for each in result.particles] == pytest.approx([1, 1 / 3])
    assert [replace(each, found_in=None) for each in result.particles] == plain.particles


@pytest.mark.parametrize("pixel", [0.3, 0.45])
def test_every_mirror_image_finds_what_a_network_sees_without_direction(network, pixel):
    settings = replace(RAW, mirror=True, tile=34)
    mask = mask_of_discs((97, 131), (0, 130, 14), *DISCS)
    result = segment(image_of(mask), pixel, [network], settings)
    assert [each.found_in for each in result.particles] == [1, 1, 1]
    assert segment(image_of(mask & False), pixel, [network], replace(settings, smallest_nm=1))


def test_networks_of_different_pixel_sizes_work_together(tmp_path):
    networks = [
        *open_networks(save(tmp_path / "a.safetensors", {0: 0.5}, 0.3)),
        *open_networks(save(tmp_path / "b.safetensors", {0: 0.5}, 0.2)),
    ]
    mask = mask_of_discs((100, 131), *DISCS)
    result = segment(image_of(mask), 0.3, networks, RAW)
    assert np.count_nonzero(result.mask != mask) < 0.1 * mask.sum()
    assert result.disagreement.max() > 0.1


def test_adaptation_undoes_a_change_of_the_features(tmp_path):
    """With statistics of other images, the network finds nothing; with its own, the discs."""
    state_path = save(tmp_path / "a.safetensors", {0: 0.5})
    (network,) = open_networks(state_path)
    with torch.no_grad():
        network.module.down[0][1].running_mean[0] = 50.0
    mask = mask_of_discs((64, 70), (30, 30, 15))
    image = image_of(mask)
    assert not segment(image, 0.3, [network], RAW).mask.any()
    adapted = Settings(hot_pixels=False, flat_field=False, adapt=True)
    assert np.mean(segment(image, 0.3, [network], adapted).mask == mask) > 0.98


def test_a_network_that_normalises_each_image_sees_the_whole_image_in_tiles_too(tmp_path):
    name = "compact-in-w2-d2"
    state = networks.build(name, seed=3).state_dict()
    (network,) = open_networks(save_states({0: state}, tmp_path / "a.safetensors", name))
    assert network.normalises_each_image
    image = image_of(mask_of_discs((128, 128), *DISCS)) + 20 * np.arange(128, dtype=np.float32)
    expected = network.module(normalise(torch.from_numpy(image)[None], "zscore", 0)[:, None])
    for settings in (RAW, replace(RAW, tile=72), replace(RAW, tile=72, adapt=True)):
        result = segment(image, 0.3, [network], settings)
        np.testing.assert_allclose(
            result.probability, expit(expected[0, 0].detach().numpy()), atol=1e-5
        )
        line = (f"--adapt: is always so with this network, {name}",)
        assert result.notes == (line if settings.adapt else ())


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


def test_local_normalisation_follows_the_background(network):
    mask = mask_of_discs((200, 200), (60, 60, 6), (150, 120, 6))
    image = image_of(mask) + 40 * np.linspace(0, 1, 200, dtype=np.float32)
    local = Settings(flat_field=False, normalise="local", smallest_nm=0.2)
    whole = Settings(flat_field=False, smallest_nm=0.2)
    found = segment(image, 0.3, [network], local).mask
    assert found[mask].all()
    assert np.count_nonzero(found) < 0.3 * np.count_nonzero(
        segment(image, 0.3, [network], whole).mask
    )


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
        (Settings(normalise="local"), "minmax", "local normalisation is for 'zscore'"),
        (Settings(tile=0), "zscore", "tile = 0: must be at least 1"),
        (Settings(smallest_nm=-1), "zscore", "smallest_nm = -1: must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, normalisation, line):
    networks = open_networks(save(tmp_path / "a.safetensors", normalisation=normalisation))
    with pytest.raises(PassbandError, match=line) as error:
        settings.check(networks)
    assert "\n" not in str(error.value)
