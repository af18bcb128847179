"""Networks for an image."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from recommended import make_results, make_study

from passband import PassbandError
from passband.answers import image_recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.micrographs.images.file_metadata import Recorded
from passband.micrographs.rings.ctf_fit import Measurement, Settings, Solution
from passband.micrographs.rings.lens import Known, Lens
from passband.results import Results

NOTHING = Recorded()
GIVEN = {"aperture_mrad": "14", "dose_e_per_A2": "850"}


def lens(defoci_A, likelihoods, stated=NOTHING, pixel=0.3):
    """Return a measured lens without a fit."""
    solutions = [
        Solution(defocus, 0.0, 0.0, np.array([10.0, 1, 1]), 100.0, None) for defocus in defoci_A
    ]
    found = Measurement(SimpleNamespace(notes=()), solutions, 100.0, 2e5, 0.0, likelihoods)
    return Lens("a.npy", "a.npy", pixel, Settings(300e3, 2e5), found, stated, ())


def test_the_asked_condition_is_the_measured_one():
    ((sign, asked),) = image_recommendation.asked(
        make_study(), lens([60.0], {1: 1.0, -1: 0.0}), GIVEN
    )
    assert sign == 1
    assert asked.values["defocus_nm"] == pytest.approx((4.04, 7.96))
    assert asked.values["cs_um"] == (20, 20)
    assert asked.values["aperture_mrad"] == (14, 14)


def test_both_signs_are_asked_if_neither_is_excluded():
    both = image_recommendation.asked(make_study(), lens([60.0, -60.0], {1: 0.6, -1: 0.4}), GIVEN)
    assert [sign for sign, _ in both] == [1, -1]
    assert both[1][1].middle.defocus_nm == pytest.approx(-6)


def test_aperture_and_dose_are_from_the_file_or_asked_for():
    own = lens([60.0], {1: 1.0, -1: 0.0}, Recorded(300.0, 20.0, 12.0, 300.0))
    ((_, asked),) = image_recommendation.asked(make_study(), own, {})
    assert (asked.low.aperture_mrad, asked.low.dose_e_per_A2) == (12, 300)
    with pytest.raises(
        PassbandError, match=r"--dose-e-per-A2 is missing: a\.npy does not state it"
    ):
        image_recommendation.asked(
            make_study(), lens([60.0], {1: 1.0, -1: 0.0}), {"aperture_mrad": "10"}
        )


def test_an_image_without_rings_is_refused():
    with pytest.raises(PassbandError, match=r"a\.npy: no rings"):
        image_recommendation.asked(make_study(), lens([], {1: 0.5, -1: 0.5}), GIVEN)


def test_a_study_whose_networks_need_smaller_pixels_is_refused():
    study = make_study()
    image_recommendation.check_pixel(lens([60.0], {1: 1.0, -1: 0.0}), study)
    with pytest.raises(PassbandError, match=r"pixels of 2 Å have frequencies up to 0.25 1/Å"):
        image_recommendation.check_pixel(lens([60.0], {1: 1.0, -1: 0.0}, pixel=2.0), study)
    other = lens([60.0], {1: 1.0, -1: 0.0})
    other = replace(other, settings=replace(other.settings, energy_eV=200e3))
    with pytest.raises(PassbandError, match="states 200 keV, and the networks"):
        image_recommendation.check_pixel(other, study)


def test_the_beam_energy_is_that_of_the_image():
    study = make_study(energy_kev=[200, 300])
    measured = lens([60.0], {1: 1.0, -1: 0.0})
    for energy, further in ((300, ()), (200.1, (("energy_kev", 200.0),))):
        image = replace(measured, settings=replace(measured.settings, energy_eV=energy * 1e3))
        image_recommendation.check_pixel(image, study)
        ((_, asked),) = image_recommendation.asked(study, image, GIVEN)
        assert asked.low.further == further
    image = replace(measured, settings=replace(measured.settings, energy_eV=120e3))
    narrow = make_study(energy_kev=[200, 300], aperture_mrad=[16])
    # 16 mrad pass 0.64 1/Å at 200 keV, and 0.81 1/Å at 300 keV.
    image_recommendation.check_pixel(replace(measured, pixel_size_A=0.7), narrow)
    with pytest.raises(
        PassbandError, match=r"needs 0\.638 1/Å or more, for apertures from 16 mrad"
    ):
        image_recommendation.check_pixel(replace(measured, pixel_size_A=0.8), narrow)
    with pytest.raises(PassbandError, match=r"states 120 keV, .* are for 200 and 300 keV$"):
        image_recommendation.check_pixel(image, study)
    with pytest.raises(PassbandError, match=r"--energy-kev = 120: .* are for 200 and 300 keV$"):
        image_recommendation.measure(Path("unread"), None, Known(120.0, None, None, None, 0), study)


def test_the_best_network_is_the_first_by_the_means_over_both_signs(tmp_path):
    study = make_study()
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))
    both = image_recommendation.recommend(tested, lens([80.0, -80.0], {1: 0.7, -1: 0.3}), GIVEN)
    id, expected = image_recommendation.best(both)
    under, over = (
        {network.id: network.dice.value for network in each.found.networks} for each in both
    )
    means = {n: 0.7 * under[n] + 0.3 * over[n] for n in sorted(under)}
    assert expected == pytest.approx(means[id])
    assert max(means, key=means.get) == id
    for each in both:
        alone, _ = image_recommendation.best([each])
        assert alone == each.found.networks[0].id
