"""Damage of real images: the added noise, the cut, and what a network's mask is worth on them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from findings.second_lock import damage
from passband.config import load
from passband.learning.torch_model import TorchModel

PIXEL_A = 0.5


def test_white_noise_has_the_power_of_its_variance():
    found = damage.noise_power(np.random.default_rng(1).normal(scale=2, size=(132, 132)))
    assert found.shape == (17,)
    assert found[2:].mean() == pytest.approx(4, rel=0.15)


def test_noise_is_measured_where_the_image_varies_least():
    image = np.random.default_rng(2).normal(size=(132, 132))
    image[:66] *= 10
    assert damage.noise_power(image).mean() < 2


def test_added_noise_has_the_spectrum_that_was_measured():
    random = np.random.default_rng(3)
    power = np.linspace(4, 0.1, 17)
    noise = damage.coloured(random.normal(size=(264, 264)), power)
    q = damage.frequencies(noise.shape)
    spectrum = np.abs(np.fft.fft2(noise)) ** 2 / noise.size
    for ring in (4, 8, 12):
        near = np.abs(q * 32 - ring) < 0.5
        assert spectrum[near].mean() == pytest.approx(power[ring], rel=0.1)


def test_low_pass_keeps_what_is_below_the_limit_and_nothing_else():
    x = np.arange(100)
    slow, fast = (np.cos(2 * np.pi * q * (x + 0.5)) for q in (0.1, 0.3))
    image = np.tile(slow + fast, (80, 1)).astype(np.float32)
    found = damage.low_pass(image, 0.5, 0.4)  # 0.2 cycles a pixel
    assert found == pytest.approx(np.tile(slow, (80, 1)), abs=1e-4)


def test_versions_of_an_image_are_scored_and_differ_in_their_noise(folder):
    found = list(damage.versions(folder, PIXEL_A))
    assert [(each.patch, each.dose) for each in found] == [("a", f) for f in damage.DOSES]
    for each in found:
        assert each.image.shape == (205, 205)
        assert each.image.mean() == pytest.approx(0, abs=1e-4)
        assert each.image.std() == pytest.approx(1, abs=1e-3)
    contrast = [each.image[35:90, 35:90].mean() for each in found]
    assert contrast == sorted(contrast, reverse=True)
    again = damage.versions(folder, PIXEL_A)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(found, again, strict=True))


def test_signal_and_noise_are_cut_alike(folder):
    *_, found = damage.versions(folder, PIXEL_A, limit=0.3)
    mirrored = np.pad(found.image, ((0, 205), (0, 205)), "symmetric")
    power = np.abs(np.fft.fft2(mirrored)) ** 2
    beyond = damage.frequencies(power.shape) > 0.3 * PIXEL_A
    assert power[beyond].sum() < 1e-6 * power.sum()


class Bright(torch.nn.Module):
    """A network that finds what is bright."""

    def forward(self, x):
        assert x.shape[-1] % 8 == 0
        return 10 * (x - 0.5)


def test_dice_is_that_on_the_pixels_of_the_image(folder):
    whole, *_, noisy = damage.versions(folder, PIXEL_A, limit=0.3)
    architecture = load(Path("studies/real.yaml")).training.architecture("compact-w8-d3")

    def dice(version):
        return damage.dice(TorchModel(Bright(), architecture), version, PIXEL_A)

    assert dice(whole) > 0.95
    assert dice(noisy) < dice(whole)
