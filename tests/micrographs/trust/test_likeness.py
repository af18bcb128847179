"""Descriptions of images, and their distances from the training images."""

import json

import numpy as np
import pytest
import torch

from passband.config.architectures import parse
from passband.learning import networks
from passband.learning.torch_model import TorchModel
from passband.micrographs.trust import likeness
from passband.micrographs.trust.likeness import Normal, Reference


def noise(number=40, side=64, seed=0):
    return np.random.default_rng(seed).normal(5, 2, (number, side, side)).astype(np.float32)


def test_windows_cover_a_wide_image_and_mirror_a_small_one():
    image = np.arange(130 * 64, dtype=np.float32).reshape(130, 64)
    found = likeness.windows(image, 64)
    assert found.shape == (2, 64, 64)
    assert np.array_equal(found[0], image[:64])
    assert np.array_equal(found[1], image[-64:])
    small = likeness.windows(image[:40, :40], 64)
    assert small.shape == (1, 64, 64)
    assert np.array_equal(small[0, :40, :40], image[:40, :40])
    assert np.array_equal(small[0, 40], small[0, 39])


def test_very_wide_images_have_a_limited_number_of_windows():
    assert likeness.windows(np.zeros((2000, 1000), np.float32), 64).shape == (36, 64, 64)


def test_spectrum_of_white_noise_is_flat_and_ignores_brightness_and_contrast():
    images = noise(200)
    found = likeness.spectra(images)
    assert found.shape == (200, likeness.RINGS)
    # The innermost ring loses power with the mean, and has few frequencies.
    assert np.abs(found.mean(0)[1:]).max() < 0.1
    assert found[:, 5:].mean() == pytest.approx(0, abs=0.01)
    assert np.allclose(likeness.spectra(7 * images - 100), found, atol=1e-3)


@pytest.mark.parametrize("side", [32, 33, 49, 50])
def test_no_ring_is_empty(side):
    assert np.isfinite(likeness.spectra(noise(2, side))).all()


@pytest.mark.parametrize("periods", [6, 12, 27])
def test_spectrum_of_a_wave_is_in_its_ring(periods):
    x = np.arange(96)
    wave = np.sin(2 * np.pi * periods * x / 96)[None, :] * np.ones((96, 1))
    ring = likeness.spectra(wave[None])[0].argmax()
    assert ring == int(periods / 48 * likeness.RINGS)


def test_quantiles_are_those_of_the_normal_distribution():
    from scipy.stats import norm

    found = likeness.values(noise(50)).mean(0)
    assert np.allclose(found, norm.ppf(likeness.PROBABILITIES), atol=0.05)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dimensions", [5, 60])
def test_distances_are_one_for_new_samples_of_the_same_distribution(relative, dimensions):
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(dimensions, dimensions)) / dimensions**0.5
    known, new = (rng.normal(size=(n, dimensions)) @ mixing for n in (2000, 500))
    normal = Normal.fit(known, 1e-3, relative)
    # With 60 values, the smallest components share one variance, so their mean is exact.
    assert np.square(normal.distances(new)).mean() == pytest.approx(1, rel=0.05)
    far = normal.distances(new + 10 * known.std(0))
    assert far.min() > normal.distances(new).max()


def test_small_differences_are_tolerated():
    samples = np.random.default_rng(0).normal(size=(50, 4)) * 1e-6
    assert Normal.fit(samples, 0.05).distances(samples + 0.05).max() < 1.1
    assert Normal.fit(samples, 1e-6).distances(samples + 0.05).min() > 1000


def test_values_that_never_change_have_a_finite_distance():
    samples = np.random.default_rng(0).normal(size=(30, 3)) * [1, 1, 0]
    normal = Normal.fit(samples, 0.3, relative=True)
    assert np.isfinite(normal.distances(samples + 1)).all()
    assert np.isfinite(Normal.fit(np.ones((5, 3)), 0.3, relative=True).distances(samples)).all()


@pytest.fixture(scope="module")
def reference():
    network = TorchModel(networks.build("compact-w2-d2", 0).eval(), parse("compact-w2-d2"))
    images = noise()
    described = likeness.describe([network], images, images)
    return network, Reference.of(64, described, np.arange(len(images)))


def test_training_images_are_near_and_other_images_are_far(reference):
    network, known = reference
    new = noise(20, seed=5)
    near = known.distances(likeness.describe([network], new, new))
    smooth = np.cumsum(noise(20, seed=6) - 5, axis=1)
    far = known.distances(likeness.describe([network], smooth, smooth))
    for name in likeness.DESCRIPTIONS:
        assert np.median(near[name]) < 0.3
        assert near[name].min() >= 0
    assert np.mean(near["spectrum"] > known.limit("spectrum")) <= 0.1
    assert far["spectrum"].min() > 3 * known.limit("spectrum")


def test_a_reference_of_few_rings_looks_at_no_others(reference):
    network, _ = reference
    images = noise()
    described = likeness.describe([network], images, images)
    few = described | {"spectrum": described["spectrum"][:, :10]}
    known = Reference.of(64, few, np.arange(len(images)))
    new = likeness.describe([network], noise(3, seed=2), noise(3, seed=2))
    changed = new | {"spectrum": new["spectrum"] - 5 * (np.arange(24) >= 10)}
    before, after = known.distances(new), known.distances(changed)
    assert np.array_equal(before["spectrum"], after["spectrum"])
    assert known.distances({"spectrum": new["spectrum"] - 5})["spectrum"].min() > 1


def test_reference_is_the_same_after_json(reference):
    network, known = reference
    again = Reference.from_values(json.loads(json.dumps(known.to_values())))
    described = likeness.describe([network], noise(3, seed=2), noise(3, seed=2))
    before, after = known.distances(described), again.distances(described)
    for name in before:
        assert np.allclose(before[name], after[name], atol=1e-3)
        assert again.limit(name) == known.limit(name)


def test_structures_are_left_out_with_all_their_images():
    # Two images of each structure are equal: if one stayed in the fit, the other would be near.
    rng = np.random.default_rng(0)
    once = rng.normal(size=(12, 8))
    samples, structures = np.repeat(once, 2, 0), np.repeat(np.arange(12), 2)
    together = likeness.left_out("values", samples, structures)
    apart = likeness.left_out("values", samples, np.arange(24))
    assert together.mean() > 1.5 * apart.mean()


def test_features_have_a_mean_for_each_channel_of_each_network():
    pair = [networks.build("compact-w2-d2", seed).eval() for seed in (0, 1)]
    inputs = noise(3)
    both = likeness.features([TorchModel(each, parse("compact-w2-d2")) for each in pair], inputs)
    assert both.shape == (3, 2 * (2 + 4 + 8))
    with torch.inference_mode():
        last = pair[1].encoder(torch.from_numpy(inputs)[:, None])[-1]
    assert np.allclose(both[:, -8:], last.mean((2, 3)).numpy(), atol=1e-5)


def test_one_window_of_four_decides_for_a_wide_image():
    assert likeness.of_windows([0.1, 5, 5, 5, 0.1]) == pytest.approx(0.1)
    assert likeness.of_windows([5, 6, 7, 8]) > 5
