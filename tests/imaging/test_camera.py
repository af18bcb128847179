"""What the camera does with counts: uneven light, gain, clipping."""

import numpy as np
import pytest
import torch
from synthetic import CPU

from passband.config import Background, Detector, Microscope
from passband.config.detector import DetectorNoise
from passband.imaging import camera as recording
from passband.imaging import export
from passband.imaging.acquisition import Acquisition
from passband.imaging.imager import Imager
from passband.imaging.noise import expose, filtered, noise_seeds
from passband.learning.batches import Images
from passband.optics import detector

PLAIN = {"field_px": 32, "pixel_size_A": 0.4, "focal_members": 3}


def acquisition(normalisation="zscore", **keys) -> Acquisition:
    return Acquisition.from_microscope(Microscope(**PLAIN, **keys), normalisation, CPU)


def counts_of(split, condition, **keys) -> np.ndarray:
    return torch.cat(list(acquisition(**keys).counts(split, condition))).double().numpy()


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(4, "test")


def fitted_plane(image: np.ndarray) -> tuple[float, float]:
    """Return the rise over the field along both axes, by least squares."""
    x, y = np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in image.shape), indexing="ij")
    terms = np.stack([x.ravel(), y.ravel(), np.ones(image.size)], axis=1)
    (along_x, along_y, _), *_ = np.linalg.lstsq(terms, image.ravel(), rcond=None)
    return along_x, along_y


@pytest.mark.parametrize("degrees", [0, 30, 90, -120])
def test_a_slope_has_its_height_in_standard_deviations_and_its_direction(split, condition, degrees):
    plain = counts_of(split, condition)
    given = Background(slope_sd=1.5, slope_deg=degrees)
    for before, after in zip(plain, counts_of(split, condition, background=given), strict=True):
        added = (after - before) / before.std()
        assert np.ptp(added) == pytest.approx(1.5, rel=1e-4)
        assert added.mean() == pytest.approx(0, abs=1e-4)
        x, y = fitted_plane(added)
        assert np.degrees(np.arctan2(y, x)) == pytest.approx(degrees, abs=0.01)


@pytest.mark.parametrize("height", [2.0, -1.0])
def test_a_vignette_makes_corners_dark_and_below_0_bright(split, condition, height):
    plain = counts_of(split, condition)
    after = counts_of(split, condition, background=Background(vignette_sd=height))
    added = (after - plain) / plain.std((1, 2), keepdims=True)
    corners = added[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, -height, rtol=1e-4)
    # The middle of 32 pixels is between four, half a step from each along both axes.
    np.testing.assert_allclose(added[:, 15:17, 15:17], -height / 31**2, atol=1e-4)
    # Half of the way to a corner, a quarter of the light is lost.
    quarter = recording.light(Background(vignette_sd=height), 5)
    np.testing.assert_allclose(quarter[[1, 3], [1, 3]], -height / 4)


def test_shares_of_the_pixels_are_clipped_to_the_nearest_of_the_others():
    image = torch.randperm(1000, generator=torch.Generator().manual_seed(3)).float().reshape(20, 50)
    found = recording.clipped(image, 0.01, 0.05)
    assert (found == 949).sum() == 51
    assert (found == 10).sum() == 11
    assert found.max() == 949
    assert found.min() == 10
    inside = (image > 10) & (image < 949)
    assert torch.equal(found[inside], image[inside])
    assert torch.equal(recording.clipped(image, 0, 0), image)
    assert recording.clipped(image, 0, 0.05).min() == 0
    assert recording.clipped(image, 0.01, 0).max() == 999


def test_clipping_comes_after_the_background_and_the_gain(split, condition):
    keys = {"background": Background(slope_sd=4.0, slope_deg=0.0)}
    whole = counts_of(split, condition, **keys, detector=Detector(gain=3.0))
    cut = counts_of(split, condition, **keys, detector=Detector(gain=3.0, clip_high=0.1))
    unscaled = counts_of(split, condition, **keys)
    np.testing.assert_allclose(whole, 3 * unscaled, rtol=1e-6)
    for before, after in zip(whole, cut, strict=True):
        limit = np.sort(before.ravel())[-1 - round(0.1 * 32**2)]
        np.testing.assert_array_equal(after, np.minimum(before, limit))
    # The slope makes the bright half saturate.
    saturated = cut == cut.max((1, 2), keepdims=True)
    assert saturated[:, 16:].sum() > 5 * saturated[:, :16].sum()


def test_without_the_new_keys_counts_are_as_before(camera, split, condition):
    plain = camera.microscope
    written = Microscope.model_validate(
        {**PLAIN, "background": {"slope_sd": 0.0}, "detector": {"clip_high": 0.0}}
    )
    assert written.imaging_params() == plain.imaging_params()
    assert "background" not in plain.imaging_params()
    assert plain.detector.identity().keys() & {"clip_low", "clip_high"} == set()
    counts = torch.ones(2, 32, 32)
    assert recording.recorded(counts, [plain] * 2) is counts


def test_light_changes_images_and_no_transfer_function():
    uneven = Microscope(**PLAIN, background=Background(vignette_sd=1.0))
    plain = Microscope(**PLAIN)
    assert uneven.imaging_params() != plain.imaging_params()
    assert uneven.exit_wave_params() == plain.exit_wave_params()
    assert uneven.transfer_params() == plain.transfer_params()
    assert uneven.lens_params() == plain.lens_params()


def test_networks_see_the_exported_images(split, condition):
    own = acquisition(background=Background(slope_sd=1.0), detector=Detector(clip_high=0.02))
    exported = export.images(own, split, condition)
    assert exported.counts.dtype == np.float32
    seen, _ = Images(own, split, condition).take(np.arange(4))
    again = own.normalised(torch.from_numpy(exported.counts.values), condition)
    assert torch.equal(seen[:, 0], again)


def test_clipped_counts_stay_whole_numbers(split, condition):
    exported = export.images(acquisition(detector=Detector(clip_high=0.02)), split, condition)
    assert exported.counts.dtype == np.uint16


def test_an_image_does_not_depend_on_its_company(split, condition):
    own = acquisition(background=Background(slope_sd=1.0, vignette_sd=-1.0))
    whole = torch.cat(list(own.counts(split, condition)))
    parts = torch.cat(list(own.counts(split, condition, chunk=1)))
    assert torch.equal(whole, parts)


def test_filter_and_gain_are_as_before(split, condition):
    """Bit for bit, as a study of 0.3.0 has its counts."""
    noise = DetectorNoise(form="hann", width_A=1.1, stored_pixel_A=0.776)
    own = acquisition(detector=Detector(noise=noise, gain=2.5), vibration_A=0.4)
    (intensity,) = own.intensities(split, condition)
    seeds = noise_seeds(split.structures, split.indices, condition)
    factor = torch.as_tensor(own.microscope.noise_filter, dtype=torch.float32)
    expected = filtered(expose(intensity, own.electrons(condition), seeds), factor) * 2.5
    (counts,) = own.counts(split, condition)
    assert torch.equal(counts, expected)


@pytest.mark.parametrize("oversampling", [1, 2])
def test_an_images_own_blur_is_that_of_an_imager(make_split, condition, oversampling):
    """Bit for bit, so that mixtures over the vibration have the images that they had."""
    microscope = Microscope(**PLAIN, oversampling=oversampling)
    waves = microscope.wave_sampling
    spectra = torch.complex(
        *torch.randn(
            2, 3, 1, waves.cropped, waves.cropped, generator=torch.Generator().manual_seed(1)
        )
    )
    optics = microscope.optics(condition)
    blurs = [detector.blur(microscope.sampling, rms) for rms in (0.0, 0.3, 0.8)]
    found = Imager(waves, image=microscope.sampling).intensity(spectra, optics, blurs=blurs)
    for k, blur in enumerate(blurs):
        own = Imager(waves, image=microscope.sampling, blur=blur)
        assert torch.equal(own.intensity(spectra[k : k + 1], optics)[0], found[k])
    with pytest.raises(ValueError, match="2 blurs for 3 images"):
        own.intensity(spectra, optics, blurs=blurs[:2])
