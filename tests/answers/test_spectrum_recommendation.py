"""Networks for images, by their power spectrum."""

import json
from dataclasses import replace

import numpy as np
import pytest
from imaged_study import STUDY, user_images, write_imaged_study
from toy_networks import true_dice

import passband
from passband import PassbandError
from passband.answers import spectrum_recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.results import Results

TEST = STUDY.test_conditions[5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imaged")
    write_imaged_study(folder)
    return folder


@pytest.fixture
def tested(folder):
    return TestedNetworks.open(Results(STUDY, folder / "results/tiny"))


def saved(folder, images, name="images.npy"):
    np.save(folder / name, images)
    return folder / name


def test_networks_are_ranked_as_under_the_condition_of_the_images(folder, tested):
    found = spectrum_recommendation.recommend(tested, [saved(folder, user_images(TEST))], 0.4)
    assert found.nearest.dose_e_per_A2 == TEST.dose_e_per_A2
    assert len(found.networks) == 16
    values = [dice.value for _, dice in found.networks]
    assert values == sorted(values, reverse=True)
    true = {c.id: true_dice(c, TEST) for c in STUDY.train_conditions}
    expected = [true[id.condition] for id, _ in found.networks]
    assert np.corrcoef(values, expected)[0, 1] > 0.5
    assert all(0 <= dice.low < dice.value < dice.high <= 1 for _, dice in found.networks)
    assert str(found).startswith("gold as in 6 fields of images.npy, with the networks of the st")
    assert f"nearest tested condition, by its simulated images: {found.nearest.words}" in str(found)
    content = json.loads(replace(found, top=2).to_json())
    assert [each["id"] for each in content["networks"]] == [str(id) for id, _ in found.networks[:2]]
    assert content["nearest_tested"] == found.nearest.id


@pytest.mark.slow
def test_spectra_are_simulated_once_and_models_are_fitted_once(folder, tested, monkeypatch):
    files = [saved(folder, user_images(TEST))]
    first = spectrum_recommendation.recommend(tested, files, 0.4)

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(Acquisition, "counts", never)
    monkeypatch.setattr("passband.prediction.gaussian_process._optimum", never)
    again = TestedNetworks.open(Results(STUDY, folder / "results/tiny"))
    second = spectrum_recommendation.recommend(again, files, 0.4)
    for (id, one), (other, two) in zip(first.networks, second.networks, strict=True):
        assert id == other
        assert one.value == pytest.approx(two.value, abs=1e-5)


def test_images_of_another_kind_are_refused(folder, tested):
    random = np.random.default_rng(0)
    x = np.arange(32) * 0.4
    stripes = 100 + 80 * np.cos(2 * np.pi * x / 1.1)  # fringes that no structure of the study has
    images = random.poisson(np.broadcast_to(stripes, (6, 32, 32))).astype(np.float32)
    good = saved(folder, user_images(TEST), "good.npy")
    bad = saved(folder, images, "bad.npy")
    with pytest.raises(PassbandError, match=r"bad\.npy: is like no simulated image of the study"):
        spectrum_recommendation.recommend(tested, [good, bad], 0.4)


@pytest.mark.slow
def test_files_of_two_microscopes_are_refused(folder, tested):
    one, other = (replace(TEST, dose_e_per_A2=dose) for dose in (100, 1000))
    files = [saved(folder, user_images(c), f"{c.dose_e_per_A2:g}.npy") for c in (one, other)]
    with pytest.raises(PassbandError, match=r"1000\.npy: differs from .*100\.npy by .* times what"):
        spectrum_recommendation.recommend(tested, files, 0.4)
    halves = [
        saved(folder, half, f"{k}.npy") for k, half in enumerate(np.split(user_images(one), 2))
    ]
    assert spectrum_recommendation.recommend(tested, halves, 0.4).images.startswith(
        "6 fields of 0.npy"
    )


def test_files_of_different_pixels_and_published_networks_are_one_line(folder, tested, monkeypatch):
    small = saved(folder, np.random.default_rng(0).poisson(20, (64, 64)), "small.npy")
    monkeypatch.setattr(
        "passband.micrographs.images.pixel_size.choose",
        lambda path, *_: (0.2 if path == small else 0.4, ()),
    )
    good = saved(folder, user_images(TEST), "good.npy")
    with pytest.raises(PassbandError, match=r"small\.npy: has pixels of 0\.2 Å, and .*good\.npy"):
        spectrum_recommendation.recommend(tested, [good, small], None)
    monkeypatch.setattr(Results, "is_published", True)
    with pytest.raises(PassbandError, match="is published, without exit waves"):
        spectrum_recommendation.recommend(tested, [good], None)


def test_networks_that_did_not_learn_are_not_ranked(folder, tested):
    none = tested.of_matrices[0].networks[3]
    tested.__dict__["unlearned"] = frozenset([none])
    found = spectrum_recommendation.recommend(tested, [saved(folder, user_images(TEST))], 0.4)
    assert none not in [id for id, _ in found.networks]
    assert len(found.networks) == 15


def test_drawn_microscopes_lie_between_the_tests_with_or_without_astigmatism():
    random = np.random.default_rng(0)
    energies = [Condition(5, 1.2, 10, 100, {"energy_kev": value}) for value in (200, 80)]
    for more in (False, True):
        drawn = [
            spectrum_recommendation._between(STUDY.test_conditions, random, more) for _ in range(20)
        ]
        for name, low, high in (("defocus_nm", 5, 20), ("dose_e_per_A2", 100, 1000)):
            values = [condition.value(name) for condition in drawn]
            assert low <= min(values) < (low + high) / 2 < max(values) <= high
        assert all(("astigmatism_nm" in dict(c.further)) == more for c in drawn)
        drawn = [spectrum_recommendation._between(energies, random, more) for _ in range(20)]
        assert {c.value("energy_kev") for c in drawn} == {80, 200}


@pytest.mark.slow
def test_the_door_reads_files_and_folders(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "images").mkdir()
    saved(folder / "images", user_images(TEST))
    study = passband.open("tiny")
    found = study.recommend_by_images("images", pixel_size_A=0.4, top=3)
    assert found.top == 3
    assert found == replace(
        study.recommend_by_images(["images/images.npy"], pixel_size_A=0.4), top=3
    )
    with pytest.raises(PassbandError, match="top = 0"):
        study.recommend_by_images("images", pixel_size_A=0.4, top=0)
    best = found.networks[0]
    assert (best.id, best.dice) == best
    with pytest.raises(PassbandError, match="no image file is given"):
        study.recommend_by_images([], pixel_size_A=0.4)


@pytest.mark.slow
def test_notes_about_files_are_said_and_at_most_16_fields_are_used(folder, tested, monkeypatch):
    monkeypatch.setattr(
        "passband.micrographs.images.pixel_size.choose",
        lambda *_: (0.4, ("the file states 0.2 Å",)),
    )
    images = user_images(TEST)
    files = [saved(folder, images, f"copy{number}.npy") for number in range(3)]
    said = []
    found = spectrum_recommendation.recommend(tested, files, 0.4, said.append)
    assert said == [f"{file}: the file states 0.2 Å" for file in files]
    assert found.images.startswith("16 fields of copy0.npy, ")
