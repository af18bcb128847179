"""The spectrum of the noise of training, validation and test images (`detector.noise`)."""

import numpy as np
import pytest
import torch
from synthetic import CPU

from passband.config import Detector, Microscope
from passband.config.detector import DetectorNoise
from passband.imaging import export, poisson
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import expose, noise_seeds, normalise
from passband.learning.batches import Images
from passband.micrographs.images import preparation
from passband.optics import noise_filter

NOISES = [
    DetectorNoise(form="hann", width_A=0.776, stored_pixel_A=0.776),
    DetectorNoise(form="binned", width_A=1.0),
    DetectorNoise(form="table", table=[[0, 1], [0.5, 0.6], [1.0, 0.2]]),
]


def acquisition(noise, gain=1.0, normalisation="zscore", px=32):
    detector = Detector(noise=noise, gain=gain)
    microscope = Microscope(field_px=px, pixel_size_A=0.4, focal_members=3, detector=detector)
    return Acquisition.from_microscope(microscope, normalisation, CPU)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.form)
def test_noise_has_the_analytic_spectrum(noise, condition):
    """The power of vacuum's noise is F² times the mean count, at every spatial frequency."""
    camera, number = acquisition(noise), 800
    counts = camera.exposed(torch.ones(number, 32, 32), condition, range(number)).double()
    electrons = camera.electrons(condition)
    assert counts.mean().item() == pytest.approx(electrons, rel=2e-3)
    power = torch.fft.rfft2(counts).abs().square().mean(0).numpy() / 32**2
    expected = electrons * noise_filter.on_grid((32, 32), 0.4, *noise.arguments) ** 2
    power[0, 0] = expected[0, 0] = 0
    # A mean over 800 periodograms has a relative standard deviation of 1/√800, or √2/√800 where
    # the Fourier coefficients are real.
    np.testing.assert_allclose(power, expected, rtol=5 * (2 / number) ** 0.5, atol=1e-4)
    ring = np.rint(32 * np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32))).astype(int)
    sums = [np.bincount(ring.ravel(), values.ravel())[1:12] for values in (power, expected)]
    np.testing.assert_allclose(*sums, rtol=0.05)


def test_white_noise_is_as_before(camera, make_split, condition):
    """At the default, counts are the Poisson draw itself, bit for bit."""
    split = make_split(3, "test")
    assert camera.microscope == Microscope(field_px=32, pixel_size_A=0.4, focal_members=3)
    (intensity,) = camera.intensities(split, condition)
    seeds = noise_seeds(split.structures, split.indices, condition)
    (counts,) = camera.counts(split, condition)
    assert torch.equal(counts, expose(intensity, camera.electrons(condition), seeds))


@pytest.mark.parametrize("split_name", ["train", "val", "test"])
def test_all_splits_have_filtered_counts(make_split, condition, split_name):
    camera, split = acquisition(NOISES[0]), make_split(3, split_name)
    replicas, replica = ([0], 0) if split_name == "train" else (None, None)
    places = np.arange(3)[None] if replicas else np.arange(3)
    images, _ = Images(camera, split, condition).take(places, 0, replicas)
    assert torch.equal(images, camera.images(split, condition, 0, replica))
    power = torch.fft.rfft2(images[:, 0]).abs()
    beyond = noise_filter.on_grid((32, 32), 0.4, *NOISES[0].arguments) == 0
    assert beyond.any()
    assert power[:, beyond].max() < 1e-4 * power.max()


def test_an_image_does_not_depend_on_its_company(make_split, condition):
    camera, split = acquisition(NOISES[0]), make_split(5)
    whole = torch.cat(list(camera.counts(split, condition)))
    parts = torch.cat(list(camera.counts(split, condition, chunk=2)))
    assert torch.equal(whole, parts)


def test_vacuum_is_still_zero_after_normalisation_by_vacuum(condition):
    camera = acquisition(NOISES[0], gain=3.0, normalisation="vacuum")
    counts = camera.exposed(torch.ones(200, 32, 32), condition, range(200))
    assert camera.normalised(counts, condition).mean().item() == pytest.approx(0, abs=1e-3)


def test_exported_counts_are_not_rounded(make_split, condition):
    split = make_split(2, "test")
    exported = export.images(acquisition(NOISES[0]), split, condition)
    assert exported.counts.dtype == np.float32
    assert (exported.counts.values % 1).any()


def test_a_white_image_gets_the_noise_of_the_training():
    """`predict` filters an image with fine pixels as the training images were filtered."""
    noise, side = NOISES[0], 512
    image = np.random.default_rng(3).normal(100, 5, (side, side + 36)).astype(np.float32)
    result = preparation.filter_noise(image, 0.4, noise)
    assert result.shape == image.shape
    assert result.mean() == pytest.approx(100, abs=0.05)
    centre = result[64 : 64 + 384, 64 : 64 + 384] - 100
    window = np.hanning(384)[:, None] * np.hanning(384)
    power = np.abs(np.fft.rfft2(centre * window)) ** 2 / (window**2).sum()
    factor = noise_filter.on_grid((384, 384), 0.4, *noise.arguments) ** 2 * 25
    q = np.hypot(np.fft.fftfreq(384, 0.4)[:, None], np.fft.rfftfreq(384, 0.4))
    for low, high in ((0.1, 0.25), (0.25, 0.4), (0.4, 0.6)):
        ring = (q > low) & (q < high)
        assert power[ring].mean() == pytest.approx(factor[ring].mean(), rel=0.1)
    corner = (np.abs(np.fft.fftfreq(384, 0.4))[:, None] > 0.7) & (np.fft.rfftfreq(384, 0.4) > 0.7)
    assert power[corner].mean() < 0.01 * power[ring].mean()


def test_each_image_has_the_counts_of_its_seed():
    """Counts on a CPU are those of Passband's generator, whatever the version of torch."""
    intensity = torch.rand((3, 16, 16), generator=torch.manual_seed(0))
    counts = np.empty((3, 16, 16), np.float32)
    for number, seed in enumerate((5, 7, 5)):
        poisson.draw(intensity[number].numpy(), 20.0, seed, counts[number])
    np.testing.assert_array_equal(expose(intensity, 20.0, (5, 7, 5)), counts)


@pytest.mark.parametrize("number", [1, 8, 11])
def test_normalised_images_have_torchs_bits(number):
    """Sums of one pixel after another differ from pairwise sums in the last bits."""
    counts = torch.poisson(torch.full((number, 37, 37), 9.0), torch.manual_seed(0))
    counts[number // 2 : number // 2 + 1] = 5.0  # an image without contrast
    std, mean = torch.std_mean(counts, dim=(-2, -1), keepdim=True)
    expected = (counts - mean) / std.clamp_min(1e-12)
    assert torch.equal(normalise(counts, "zscore", 9.0), expected)
