"""Which images are flagged, and the expected Dice, for a trained network."""

import json
from dataclasses import replace

import numpy as np
import pytest
from low_dose import extract, images
from real_data import real

from passband.learning.network_files import open_networks
from passband.micrographs.images import readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.trust import trust
from passband.micrographs.trust.likeness import DESCRIPTIONS
from passband.micrographs.trust.trust import Assessment, Assessor, Own, Trust
from passband.prediction.recommend.network_dice import Dice
from passband.storage import checked_json

PIXEL_A = 0.3


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The networks of a published folder, and what is known about their images."""
    folder = extract(tmp_path_factory.mktemp("published"))
    known = Trust.from_values(checked_json.read(folder / "likeness.json"))
    return open_networks(folder), known


def assess(trained, image, pixel_A=PIXEL_A, **options) -> tuple[Assessment, np.ndarray]:
    """Return the assessment of an image, and its mask."""
    networks, known = trained
    assessor = Assessor([known], networks, **options)
    found = segment(np.asarray(image, np.float32), pixel_A, networks, watch=assessor.watch)
    return assessor.finish(), found.mask


def dice(mask, true) -> float:
    return 2 * np.count_nonzero(mask & true) / (np.count_nonzero(mask) + np.count_nonzero(true))


@pytest.fixture(scope="module")
def in_distribution(trained):
    """Assessments and Dice of the study's test images under the training condition."""
    pairs = [(assess(trained, image), true) for image, true in zip(*images("Au"), strict=True)]
    return [(found, dice(mask, true)) for (found, mask), true in pairs]


@pytest.mark.slow
def test_few_images_of_the_training_condition_are_flagged(in_distribution):
    assert len(in_distribution) == 24
    assert sum(found.is_flagged for found, _ in in_distribution) <= 0.05 * 24


@pytest.mark.slow
def test_expected_dice_is_near_dice_in_distribution(in_distribution):
    expected = np.array([found.dice.value for found, _ in in_distribution])
    low, high = (
        np.array([getattr(f.dice, k) for f, _ in in_distribution]) for k in ("low", "high")
    )
    measured = np.array([own for _, own in in_distribution])
    assert np.abs(expected - measured).mean() < 0.08
    assert np.mean((low <= measured) & (measured <= high)) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", ["au10nm_1", "au2p2nm_0", "au2p2nm_3", "au5nm_0", "au5nm_2"])
def test_real_images_are_flagged_and_expected_dice_is_low(trained, name):
    path = real("hrtem", "images", f"{name}.png")
    image = readers.read(path, 0.776).images[0]
    found, mask = assess(trained, image, 0.776)
    true = readers.read_mask(path.parents[1] / "masks" / path.name)[0]
    assert found.is_flagged
    assert found.dice.value < 0.6
    assert found.dice.value == pytest.approx(dice(mask, true), abs=0.35)


@pytest.mark.slow
def test_photograph_is_flagged(trained):
    from matplotlib import cbook, image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        photograph = image.imread(file).mean(2)[100:300, 150:350]
    for pixel_A in (0.3, 0.8):
        assert assess(trained, photograph, pixel_A)[0].is_flagged


@pytest.mark.slow
@pytest.mark.parametrize("pixel_A", [0.2, 0.3, 0.5])
def test_soot_is_flagged(trained, pixel_A):
    image = readers.read(real("formats", "soot_ExampleImage.tif"), pixel_A).images[0]
    assert assess(trained, image, pixel_A)[0].is_flagged


@pytest.mark.parametrize("pixel_A", [0.3, 1.4])
def test_stem_image_is_flagged(trained, pixel_A):
    # The pixels of the file, 2.5 Å, are too large for this network: `predict` refuses the file.
    pytest.importorskip("rsciio")
    image = readers.read(real("formats", "rsciio_test_STEM_image.dm3"), pixel_A).images[0]
    assert assess(trained, image, pixel_A)[0].is_flagged


@pytest.mark.parametrize("mean", [0.5, 9, 1000])
@pytest.mark.parametrize("side", [128, 200])
def test_noise_is_flagged(trained, mean, side):
    noise = np.random.default_rng(side).poisson(mean, (side, side))
    assert assess(trained, noise)[0].is_flagged


@pytest.mark.slow
def test_images_with_a_wrong_pixel_size_are_flagged(trained):
    for image in images("Au")[0][:4]:
        assert assess(trained, image, 2 * PIXEL_A)[0].is_flagged
        binned = image.reshape(64, 2, 64, 2).sum((1, 3))
        assert assess(trained, binned, 2 * PIXEL_A)[0].is_flagged


def test_shuffled_images_are_flagged(trained):
    rng = np.random.default_rng(0)
    for image in images("Au")[0][:4]:
        shuffled = rng.permutation(image.ravel()).reshape(image.shape)
        assert assess(trained, shuffled)[0].is_flagged


@pytest.mark.slow
def test_other_materials_are_flagged_where_dice_falls(trained):
    own, found, measured = trained[1].own.dice, [], []
    for material in ("Fe", "CdSe"):
        for image, true in zip(*images(material), strict=True):
            assessed, mask = assess(trained, image)
            found.append(assessed)
            measured.append(dice(mask, true))
    measured, flagged = np.array(measured), np.array([each.is_flagged for each in found])
    fallen, good = measured < 0.4 * own, measured > 0.8 * own
    assert fallen.sum() >= 6
    assert flagged[fallen].mean() >= 0.85
    assert good.sum() >= 2
    assert not flagged[good].any()
    # The order of the images is known too: the simplest method, a constant, has no order.
    expected = np.array([each.dice.value for each in found])
    assert np.corrcoef(expected, measured)[0, 1] > 0.7


def test_condition_where_the_network_fails_lowers_the_expected_dice(trained):
    networks, known = trained
    image = images("Au")[0][0]
    plain = assess(trained, image)[0].dice.value
    same = assess(trained, image, ctf={networks[0].id: known.own.dice})[0].dice.value
    worse = assess(trained, image, ctf={networks[0].id: 0.3})[0].dice.value
    assert worse < same - 0.02
    assert abs(same - plain) < 0.1


def test_content_is_the_same_after_json(trained):
    again = Trust.from_values(json.loads(json.dumps(trained[1].to_values())))
    image = images("CdSe")[0][0]
    assert assess((trained[0], again), image)[0] == assess(trained, image)[0]


def test_a_failed_image_has_no_effect_on_the_next_image(trained):
    networks, known = trained
    image = images("Au")[0][0]
    assessor = Assessor([known], networks)
    noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    assessor.watch(networks[0], noise, np.asarray, noise)  # and then an error
    assessor.begin()
    segment(image, PIXEL_A, networks, watch=assessor.watch)
    assert assessor.finish() == assess(trained, image)[0]


@pytest.mark.slow
def test_wide_images_of_the_training_condition_are_not_flagged(trained):
    every = images("Au")[0]
    for k in range(0, 12, 4):
        wide = np.block([[every[k], every[k + 1]], [every[k + 2], every[k + 3]]])
        assert not assess(trained, wide)[0].is_flagged


RAW = {"confidence": 0.8, "agreement": 0.9, "symmetry": 0.95, "area": 0.3}
LIMITS = {"spectrum": 1.0, "values": 1.0, "features": 2.0}


def test_scores_are_zero_for_images_like_the_training_and_never_negative():
    own = Own(0.9, 0.8, 0.9, 0.95, 0.4)
    distances = {"spectrum": 0.0, "values": 0.0, "features": 0.0}
    better = {"confidence": 0.99, "agreement": 1.0, "symmetry": 1.0, "area": 0.0}
    for raw in (RAW, better):
        scores = trust.relative_scores(raw | distances, own, LIMITS)
        assert all(score == 0 for score in scores.values())
    worse = trust.relative_scores(
        {"confidence": 0.2, "agreement": 0.4, "symmetry": 0.5, "area": 0.9}
        | {"spectrum": 0.5, "values": 1.5, "features": 2.1},
        own,
        LIMITS,
    )
    assert min(worse.values()) > 0
    assert worse["excess"] == pytest.approx(0.5)


@pytest.mark.parametrize("wrong", [-0.01, 1.01])
def test_scores_of_the_training_images_are_fractions(wrong):
    assert Own(dice=0, confidence=1, agreement=0, symmetry=1, area=0).confidence == 1
    with pytest.raises(ValueError, match=f"area = {wrong} is not between 0 and 1"):
        Own(dice=0.9, confidence=0.8, agreement=0.9, symmetry=0.95, area=wrong)


def test_networks_of_several_conditions_are_assessed_together():
    sure, unsure = Dice(0.9, 0.8, 1.0), Dice(0.5, 0.2, 0.7)
    found = trust.together([Assessment(sure, ()), Assessment(unsure, ("its spectrum",))])
    assert (found.dice.value, found.dice.low, found.dice.high) == (0.7, 0.2, 1.0)
    assert not found.is_flagged
    both = trust.together([Assessment(sure, ("a",)), Assessment(unsure, ("b", "a"))])
    assert both.reasons == ("a", "b")


def test_each_reason_is_named_and_alone(trained):
    """Scores like those of the training images are no reason; each one beyond its limit is."""
    known = trained[1]
    own = {name: getattr(known.own, name) for name in ("confidence", "agreement", "symmetry")}
    usual = own | dict.fromkeys(known.limits, 0.0) | {"area": known.own.area}
    assert known.assess(usual).reasons == ()
    at_the_limits = usual | dict(known.limits)
    assert not set(known.assess(at_the_limits).reasons) & set(DESCRIPTIONS.values())
    for name, said in DESCRIPTIONS.items():
        assert known.assess(usual | {name: known.limits[name] + 1e-6}).reasons[:1] == (said,)
    assert known.assess(usual | {"field": 0.5}).reasons == ()
    assert known.assess(usual | {"field": 0.49}).reasons == ("its small field",)
    empty = known.assess(usual | {"area": 0.0, "confidence": 0.0})
    assert empty.reasons == ("the lack of particles",)
    unsure = known.assess(usual | {"confidence": 0.0})
    assert unsure.dice.value < 0.75 * known.own.dice
    assert unsure.reasons == ("its low expected Dice",)


def test_an_uneven_background_is_flagged(trained):
    _, known = trained
    raw = {"confidence": 0.9, "agreement": 0.9, "symmetry": 0.99, "area": 0.2, "evenness": 0.5}
    raw |= dict.fromkeys(DESCRIPTIONS, 0.0)
    assert trust.UNEVEN not in known.assess(raw).reasons
    limited = replace(known, limits={**known.limits, "evenness": 0.6})
    assert trust.UNEVEN in limited.assess(raw).reasons
    assert trust.UNEVEN not in limited.assess(raw | {"evenness": 0.7}).reasons
    del raw["evenness"]
    assert trust.UNEVEN not in limited.assess(raw).reasons


def test_an_image_with_less_than_half_the_training_images_area_is_flagged(trained):
    """Training images have 128 pixels along each side; 0.6 of each side is 0.36 of the area."""
    image = images("Au")[0][0]
    assert (image.shape, trained[1].reference.side) == ((128, 128), 128)
    assert "its small field" in assess(trained, image[:77, :77])[0].reasons
    assert "its small field" not in assess(trained, image[:96])[0].reasons


def test_wide_images_are_not_compared_with_their_rest(trained, monkeypatch):
    networks, known = trained
    limited = replace(known, limits={**known.limits, "evenness": 1.0})
    image = images("Au")[0][0]
    assert trust.UNEVEN in assess((networks, limited), image)[0].reasons
    monkeypatch.setattr(trust, "MOST_FIELDS", 0.5)
    assert trust.UNEVEN not in assess((networks, limited), image)[0].reasons
