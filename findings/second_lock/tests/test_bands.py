"""The intervention: what is cut, the pairs and the arms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from findings.second_lock import bands, lattices
from findings.second_lock.band_scores import UNCUT
from findings.second_lock.bands import WithoutControl, WithoutFringe, in_band
from passband.config import load
from passband.imaging.acquisition import Acquisition

DIGEST = "0" * 64


@pytest.fixture(scope="module")
def drawn():
    return bands.drawn(DIGEST)


@pytest.fixture(scope="module")
def arms(drawn):
    return bands.arms(drawn)


def ring_power(images, band):
    spectrum = np.abs(np.fft.rfft2(images)) ** 2
    return spectrum[:, in_band(64, 0.5, band)].sum() / spectrum[:, 1:].sum()


@pytest.mark.parametrize("kind", [WithoutFringe, WithoutControl])
def test_a_cut_image_lacks_its_band_and_nothing_else(kind, arms):
    counts = torch.poisson(torch.full((2, 64, 64), 50.0), torch.Generator().manual_seed(0))
    microscope = load(lattices.WHOLE).microscope
    condition = arms["plain"].conditions[0]
    plain, cut = (
        each.from_microscope(microscope, "zscore", torch.device("cpu"))
        for each in (Acquisition, kind)
    )
    before, after = (each.normalised(counts, condition).numpy() for each in (plain, cut))
    np.testing.assert_allclose(after.std((1, 2)), 1, rtol=1e-3)
    assert ring_power(after, kind.band) < 1e-10 < ring_power(before, kind.band)
    ratio = np.fft.rfft2(after) / np.fft.rfft2(before)
    left = ratio[:, ~in_band(64, 0.5, kind.band)]
    np.testing.assert_allclose(left[:, 1:], left[:, 1:2] * np.ones(left[:, 1:].shape), rtol=1e-2)


def test_the_control_cuts_as_many_frequencies_and_none_of_the_fringe():
    fringe, control = (in_full(kind.band) for kind in (WithoutFringe, WithoutControl))
    assert fringe.sum() == control.sum() == 148
    assert not (fringe & control).any()
    np.testing.assert_allclose(WithoutFringe.band, (0.3992, 0.4502), atol=5e-5)


def in_full(band):
    q = np.hypot(np.fft.fftfreq(64, 0.5)[:, None], np.fft.fftfreq(64, 0.5))
    return (band[0] <= q) & (q <= band[1])


def test_a_pair_differs_in_its_defocus_alone_which_is_in_the_lower_and_in_the_upper_third(drawn):
    found = bands.pairs(DIGEST)
    assert [each.id for each in found] == drawn["pairs"]
    assert len(found) == 2 * bands.PAIRS
    for low, high in zip(found[:6:2], found[1:6:2], strict=True):
        assert replace(low, defocus_nm=high.defocus_nm) == high
        assert 10.5 <= low.aperture_mrad <= 13
        assert 200 <= low.dose_e_per_A2 <= 1600
        every = [
            lattices.power(replace(low, defocus_nm=float(x)), WithoutFringe.band)
            for x in bands.DEFOCI
        ]
        of_low, of_high = (lattices.power(each, WithoutFringe.band) for each in (low, high))
        assert np.sum(np.array(every) < of_low) < bands.THIRD
        assert np.sum(np.array(every) > of_high) < bands.THIRD


def test_the_draw_follows_from_the_protocol(drawn):
    assert bands.drawn("1" * 64) != drawn
    assert [len(drawn[name]) for name in ("pairs", "tests", "advice")] == [24, 36, 36]
    assert not set(drawn["tests"]) & set(drawn["advice"])


def test_half_of_the_noisy_images_have_the_low_dose(arms):
    noise = arms["noise"]
    plain = arms["plain"]
    doses = {noise.conditions[3].draw("an image", number).dose_e_per_A2 for number in range(20)}
    assert doses == {50, plain.conditions[3].dose_e_per_A2}
    (own, half), (low, other) = noise.conditions[3].points
    assert own == plain.conditions[3]
    assert low == replace(own, dose_e_per_A2=50)
    assert half == other == 0.5


def test_the_mixture_of_doses_has_the_lens_of_its_pair(arms):
    mixture = arms["doses"].conditions[5]
    condition = arms["plain"].conditions[5]
    found = mixture.draw("an image")
    assert replace(found, dose_e_per_A2=condition.dose_e_per_A2) == condition
    assert mixture.ranges[-1] == ("dose_e_per_A2", 50, 1600)


def test_what_is_cut_in_training_only_is_tested_as_it_is(arms):
    uncut = arms[UNCUT]
    assert uncut.networks_of == "cut"
    assert uncut.recipe(0) == arms["cut"].recipe(0) != arms["plain"].recipe(0)
    assert uncut.test_recipe(0) != arms["cut"].test_recipe(0)
    assert uncut.tests_by == arms["plain"].tests_by
    advice = arms[f"{UNCUT}, advice"]
    assert (advice.structures, advice.networks_of) == (range(64, 96), "cut")
