"""The distribution of particle sizes, against simulated discs in windows."""

from dataclasses import replace

import numpy as np
import pytest

from passband.micrographs import sizes
from passband.micrographs.images.particles import Particle
from passband.micrographs.summary import Frame

MEAN, SD = 3.0, 0.9


def window(rng, height, width, density=0.06):
    """Return the diameters of the discs that are whole in a window, of all that are anywhere."""
    most = 8
    number = rng.poisson(density * (height + most) * (width + most))
    diameters = np.clip(rng.normal(MEAN, SD, number), 0.5, most)
    y, x = (rng.uniform(-most / 2, side + most / 2, number) for side in (height, width))
    inside = (y > diameters / 2) & (y < height - diameters / 2)
    return diameters[inside & (x > diameters / 2) & (x < width - diameters / 2)]


@pytest.mark.slow
def test_mean_and_shares_are_those_of_all_discs():
    """Without the weights, the mean is 7% too small."""
    rng = np.random.default_rng(1)
    fields = [(10.0, 10.0)] * 3000
    found = sizes.measure([window(rng, *field) for field in fields], fields)
    unweighted = np.concatenate([window(rng, 10, 10) for _ in range(1000)]).mean()
    assert unweighted < 0.95 * MEAN
    assert found.mean_nm == pytest.approx(MEAN, abs=0.03)
    low, high = found.mean_band_nm
    assert low < MEAN < high
    assert high - low < 0.1
    drawn = rng.normal(MEAN, SD, 200_000)
    true = np.histogram(drawn, found.edges)[0] / len(drawn)
    assert np.abs(found.shares - true).max() < 0.02
    assert found.shares.sum() == pytest.approx(1)


def test_windows_of_several_sizes_are_one_sample():
    """Small windows have few large discs, which the large windows have for them."""
    rng = np.random.default_rng(2)
    fields = [(6.0, 9.0), (14.0, 30.0)] * 700
    found = sizes.measure([window(rng, *field) for field in fields], fields)
    assert found.mean_nm == pytest.approx(MEAN, abs=0.03)


def test_weights_of_two_particles():
    """In a field of 10 by 5 nm, discs of 1 and 4 nm are whole in 9 · 4 and in 6 · 1 nm²."""
    found = sizes.measure([[1.0, 4.0]], [(5.0, 10.0)])
    large = 36 / (36 + 6)
    assert found.mean_nm == pytest.approx(1 * (1 - large) + 4 * large)
    assert found.plain_nm == 2.5
    assert (found.band, found.mean_band_nm) == (None, None)


def test_there_is_no_interval_below_five_images():
    """Two images with 19 particles of 4.02 ± 1.16 nm had an interval of 0.08 nm."""
    rng = np.random.default_rng(5)
    images = [rng.normal(4, 1.2, 10) for _ in range(5)]
    fields = [(50.0, 50.0)] * 5
    few = sizes.measure(images[:4], fields[:4])
    assert (few.band, few.mean_band_nm) == (None, None)
    assert "(" not in few.values
    low, high = sizes.measure(images, fields).mean_band_nm
    assert low < np.mean(images) < high


def test_the_interval_knows_that_an_image_has_few_particles():
    """All images have the same mean, which single particles still make uncertain."""
    pair = np.array([2.0, 6.0])
    low, high = sizes.measure([pair] * 8, [(1e3, 1e3)] * 8).mean_band_nm
    # The standard deviation of the mean of 16 particles is 2 nm / 4.
    assert high - low == pytest.approx(2 * 1.645 * 0.5, rel=0.15)


@pytest.mark.slow
def test_band_covers_what_other_images_have():
    """Discs of an image have the same size, so the number of images counts and not of discs."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(60):
        images = [np.full(20, size) for size in rng.normal(MEAN, 0.3, 30)]
        low, high = sizes.measure(images, [(1e3, 1e3)] * 30).mean_band_nm
        inside += low < MEAN < high
    assert 45 <= inside <= 59


def test_bins_are_round_and_hold_all_values():
    rng = np.random.default_rng(4)
    for values in (
        rng.normal(5, 1, 500),
        np.array([3.0]),
        np.array([2.0, 2.0]),
        np.array([1, 50.0]),
    ):
        edges = sizes.bins(values)
        assert edges[0] <= values.min()
        assert values.max() < edges[-1]
        assert len(edges) <= sizes.MOST_BINS + 2
        step = edges[1] - edges[0]
        digits = step / 10 ** np.floor(np.log10(step * (1 + 1e-9)))
        assert min(abs(digits - each) for each in (1, 2, 5)) < 1e-6
    assert np.ptp(sizes.bins(rng.normal(5, 1, 500))[:2]) == pytest.approx(0.5)


def frame(*diameters, cut=0, **others):
    found = [Particle(k, 1.0, each, 0, 0, False) for k, each in enumerate(diameters, 1)]
    found += [Particle(9 + k, 1.0, 9.0, 0, 0, True) for k in range(cut)]
    return Frame(file="a.tif", shape=(200, 100), pixel_size_A=1.0, particles=tuple(found), **others)


def test_flagged_images_and_failed_files_and_cut_particles_are_left_out():
    frames = [
        frame(2.0, 3.0, cut=1),
        frame(),
        frame(2.5, cut=2, unassessed="why"),
        frame(8.0, cut=4, flags=("its spectrum",)),
        Frame(file="b.tif", error="b.tif: is damaged"),
    ]
    found = sizes.of_frames(frames)
    assert (found.particles, found.images, found.cut, found.flagged) == (3, 3, 3, 1)
    assert found.edges[-1] < 8
    assert found.numbers == (
        "3 whole particles in 3 images; left out: 3 particles at edges, 1 flagged image"
    )
    assert found.values.startswith("mean 2.50 nm, SD 0.50 nm; weighted 2.5")
    assert sizes.of_frames(frames[3:]) is None
    assert sizes.of_frames([frame(cut=2)]) is None
    (one,) = [sizes.of_frames([frame(2.0)])]
    assert one.values == "mean 2.00 nm; weighted 2.00 nm"
    assert one.numbers == "1 whole particle in 1 image"


def test_particles_of_which_a_head_is_not_certain_are_left_out():
    one, two = frame(2.5, 0.58).particles
    pair = replace(one, certainty=0.5), replace(two, certainty=0.09)
    found = sizes.of_frames([replace(frame(), particles=pair)])
    assert found.values.startswith("mean 2.50 nm;")
    assert found.numbers == "1 whole particle in 1 image; left out: 1 uncertain particle"
    cut = [replace(each, certainty=0.9) for each in frame(cut=2).particles]
    cut += [replace(cut[0], certainty=0.1)]
    found = sizes.of_frames([replace(frame(), particles=(*cut, *pair))])
    assert found.numbers.endswith("left out: 2 particles at edges, 2 uncertain particles")
