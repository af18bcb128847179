"""Networks are measured on a study's images, and the Dice of other images is learned."""

from pathlib import Path

import numpy as np
import pytest
from finished_study import small_study
from likeness_study import STRUCTURES, STUDY, write_study
from synthetic import CPU

from passband.answers.likeness import Measured, StudyImages, calibrate
from passband.imaging.acquisition import Acquisition
from passband.learning.network_files import open_networks
from passband.micrographs import truth
from passband.micrographs.images.settings import Settings
from passband.micrographs.predictions import segment_frames
from passband.micrographs.trust.distortions import DISTORTIONS
from passband.micrographs.trust.likeness import DESCRIPTIONS
from passband.network_id import NetworkId
from passband.results import Results
from passband.scores import dice_of_masks
from passband.storage import StoreError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("results") / "tiny")


@pytest.fixture(scope="module")
def networks(results):
    return open_networks(results, NetworkId("gold", "compact-w4-d2", STUDY.train_conditions[0].id))


@pytest.fixture(scope="module")
def measured(results, networks):
    return StudyImages(Results(STUDY, results), "zscore", "compact-w4-d2").measure(networks)


def test_all_test_images_and_distorted_images_are_measured(measured):
    places = list(dict.fromkeys(measured.places))
    conditions = [condition.id for condition in STUDY.test_conditions]
    assert places[0] == ("gold", STUDY.train_conditions[0].id, "")
    assert {id for _, id, distortion in places if not distortion} == set(conditions)
    assert {distortion for *_, distortion in places} == {"", *DISTORTIONS}
    assert len(measured.places) == 5 * (len(conditions) + len(DISTORTIONS))
    own = {"confidence", "agreement", "symmetry", "area", "evenness"}
    assert set(measured.raw) == {*own, *DESCRIPTIONS}
    for values in measured.raw.values():
        assert values.shape == measured.dice.shape
        assert np.isfinite(values).all()
    assert ((measured.dice >= 0) & (measured.dice <= 1)).all()
    assert 0 < measured.own.area < 1
    assert measured.own.agreement < 1  # there are two replicas


def test_spectra_end_where_training_images_with_the_largest_pixels_do(results, networks, measured):
    """Beyond, some images have nothing and others much, so that every image would be far."""
    pixel_A = STUDY.microscope.pixel_size_A
    stored = [pixel_A / 2, 2 * pixel_A]
    microscope = STUDY.microscope.replaced("detector.noise.stored_pixel_A", stored)
    study = STUDY.model_copy(update={"microscope": microscope})
    images = StudyImages(Results(study, results), "zscore", "compact-w4-d2")
    found = images.measure(networks).reference.normals
    usual = measured.reference.normals
    assert len(found["spectrum"].mean) == len(usual["spectrum"].mean) // 2
    assert len(found["values"].mean) == len(usual["values"].mean)


def test_dice_is_that_of_the_mean_of_the_replicas(results, networks, measured):
    from torch import sigmoid

    from passband.learning import evaluation

    condition = STUDY.train_conditions[0]
    stored = Results(STUDY, results).structures("gold", "test", first=1)
    split = stored.load(CPU).under(condition)
    camera = Acquisition.from_microscope(STUDY.microscope, "zscore", CPU)
    inputs = camera.images(split, condition)
    p = sum(sigmoid(evaluation.predict(n.module, inputs, "float32")) for n in networks) / 2
    predicted, true = p > 0.5, split.masks > 0.5
    hits = (predicted & true).sum((1, 2, 3))
    dice = 2 * hits / (predicted.sum((1, 2, 3)) + true.sum((1, 2, 3)))
    assert np.allclose(measured.dice[:5], dice)


def test_predict_has_the_dice_of_the_evaluation_on_a_studys_images(
    results, networks, measured, monkeypatch
):
    """No bar is cut, no background is taken off, and no noise is filtered."""
    images = StudyImages(Results(STUDY, results), "zscore", "compact-w4-d2")
    counts, _, masks = images.images("gold", "test", STUDY.train_conditions[0])
    monkeypatch.setattr(truth, "is_of_study", lambda path: True)
    store, pixel_A = Path("images.zarr"), networks[0].pixel_size_A
    settings = Settings(hot_pixels=False)
    found = segment_frames(store, list(counts), pixel_A, networks, settings)
    dice = [dice_of_masks(each.mask, mask) for each, mask in zip(found, masks, strict=True)]
    np.testing.assert_allclose(dice, measured.dice[: len(dice)])
    slope = 5 * counts[0].std() * np.linspace(-1, 1, counts.shape[-1], dtype=np.float32)
    (found,) = segment_frames(store, [counts[0] + slope], pixel_A, networks, settings)
    assert (found.repairs, found.box, found.background.kind) == ((), None, "none")
    monkeypatch.setattr(truth, "is_of_study", lambda path: False)
    (found,) = segment_frames(store, [counts[0] + slope], pixel_A, networks, settings)
    assert found.background.kind == "plane"


def test_folds_leave_whole_values_out(measured):
    folds = measured.folds()
    # Two values of the defocus, the matrix itself, and the distortions.
    assert len(folds) == 2 + 1 + len(DISTORTIONS)
    for fold in folds:
        own = {place for place, left in zip(measured.places, fold, strict=True) if left}
        other = {place for place, left in zip(measured.places, fold, strict=True) if not left}
        assert own
        assert not own & other


def test_limits_do_not_depend_on_images_that_are_left_out(measured):
    second = STUDY.test_conditions[1].id
    fold = np.array([place[1:] == (second, "") for place in measured.places])
    changed = Measured(
        measured.networks,
        measured.reference,
        measured.own,
        measured.places,
        {name: np.where(fold, 50.0, values) for name, values in measured.raw.items()},
        measured.dice,
    )
    assert measured.limits(~fold) == changed.limits(~fold)
    for name in DESCRIPTIONS:
        assert measured.limits(~fold)[name] >= measured.reference.limit(name)


def test_calibration_uses_the_disagreement_of_replicas_and_the_transfer_function(measured):
    assert "disagreement" in calibrate(measured).calibrations["plain"].names
    ctf = np.linspace(0.2, 0.9, len(measured.dice))
    found = calibrate(measured, ctf).calibrations
    assert set(found) == {"plain", "ctf"}
    assert "ctf" in found["ctf"].names


def test_missing_exit_waves_are_reported(tmp_path, networks):
    with pytest.raises(StoreError, match="waves"):
        StudyImages(Results(STUDY, tmp_path), "zscore", "compact-w4-d2").measure(networks)


def test_large_networks_are_measured_on_fewer_images(results):
    small = StudyImages(Results(STUDY, results), "zscore", "compact-w8-d3")
    larger = small_study(microscope={"field_px": 512}, study={"structures": STRUCTURES})
    large = StudyImages(Results(larger, results), "zscore", "unet-resnet18")
    assert (small._training, small._conditions, small._structures) == (256, 24, 16)
    assert (large._training, large._conditions, large._structures) == (64, 8, 6)


def test_networks_that_know_squares_of_images_have_windows_of_that_size(results, networks):
    images = StudyImages(Results(STUDY, results), "zscore", "compact-w4-d2")
    assert images.side == 32
    images.side = 16  # as with squares that are cut from training images
    found = images.measure(networks)
    assert found.reference.side == 16
    assert all(len(values) == len(found.dice) for values in found.raw.values())
