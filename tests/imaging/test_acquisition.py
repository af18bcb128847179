"""Splits of structures, and how their images are formed."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from synthetic import CPU, SEED, discs

from passband.config import Detector, Microscope, Spread
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import expose, normalise
from passband.imaging.structures import Split, Structures
from passband.seeds import seed


def all_counts(camera, split, condition, **options):
    return torch.cat(list(camera.counts(split, condition, **options)))


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(5)


# Splits


def test_split_from_a_dataset(microscope):
    waves = discs(3, "val", "silver").assign_coords(structure=[4, 5, 9])
    structures = Structures(99, "silver", "val", microscope)
    split = Split.from_dataset(waves, structures, CPU)
    assert split.structures is structures
    assert len(split) == 3
    assert split.indices.tolist() == [4, 5, 9]
    assert split.spectra.dtype == torch.complex64
    np.testing.assert_array_equal(split.spectra.numpy(), waves.spectrum.values)
    assert split.masks.dtype == torch.float32
    assert split.masks.shape == (3, 1, 32, 32)
    np.testing.assert_array_equal(split.masks[:, 0].numpy(), waves["mask"].values)


# Counts


def test_frozen_configurations_are_averaged_in_intensity(camera, microscope, split, condition):
    """This is true for the condition's lens, and also if each image has a separate lens."""
    several = torch.stack([split.spectra[:3, 0], split.spectra[1:4, 0]], 1)
    optics = microscope.optics(condition)
    for lens in (optics, [replace(optics, defocus=optics.defocus + d) for d in range(3)]):
        each = [camera.imager.intensity(several[:, k : k + 1], lens) for k in range(2)]
        mean = camera.imager.intensity(several, lens)
        torch.testing.assert_close(mean, (each[0] + each[1]) / 2)
        assert not torch.allclose(mean, camera.imager.intensity(several.mean(1)[:, None], lens))
    images = all_counts(camera, replace(split.first(3), spectra=several), condition)
    assert images.shape == (3, 32, 32)


def test_counts_are_the_conditions(camera, microscope, split, condition):
    found = all_counts(camera, split, condition)
    intensity = camera.imager.intensity(split.spectra, microscope.optics(condition))
    electrons = 1000 * 0.4**2
    assert camera.electrons(condition) == pytest.approx(electrons)
    seeds = [seed(SEED, "gold", "train", i, condition.id, "noise", 0) for i in range(5)]
    assert torch.equal(found, expose(intensity, camera.electrons(condition), seeds))
    assert found.mean().item() == pytest.approx(electrons * intensity.mean().item(), rel=0.01)
    residual = (found - electrons * intensity) / (electrons * intensity).sqrt()
    assert residual.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
def test_camera_is_the_microscopes(microscope, condition, split, coherence):
    given = microscope.model_copy(update={"coherence": coherence, "focal_members": 7})
    camera = Acquisition.from_microscope(given, "minmax", CPU)
    assert camera.imager.coherence == coherence
    assert camera.imager.sampling == given.sampling
    assert len(camera.imager.transfer(given.optics(condition)).kernels) == (
        7 if coherence == "focal-series" else 1
    )
    assert camera.images(split, condition).amax() == 1


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 64])
def test_chunks_change_nothing(camera, split, condition, chunk):
    parts = list(camera.counts(split, condition, chunk=chunk))
    assert all(1 <= len(part) <= chunk for part in parts)
    assert torch.equal(torch.cat(parts), all_counts(camera, split, condition))


def test_a_part_of_a_split_has_the_same_images(camera, split, condition):
    part = replace(
        split,
        indices=split.indices[[3, 1]],
        spectra=split.spectra[[3, 1]],
        masks=split.masks[[3, 1]],
    )
    assert torch.equal(
        all_counts(camera, part, condition), all_counts(camera, split, condition)[[3, 1]]
    )


def noise(camera, split, condition, draw=0, replica=None):
    """Return counts in images of vacuum, which differ only by their noise."""
    vacuum = torch.zeros_like(split.spectra)
    vacuum[..., vacuum.shape[-2] // 2, vacuum.shape[-1] // 2] = 1
    vacuum = replace(split, spectra=vacuum)
    return all_counts(camera, vacuum, condition, draw=draw, replica=replica)


def correlated(one, other):
    return abs(np.corrcoef(one.numpy().ravel(), other.numpy().ravel())[0, 1]) > 0.06  # 4 sigma


def test_noise_is_a_separate_draw_for_every_part_of_its_seed(camera, split, condition):
    def of(**changes):
        others = replace(split.structures, **changes)
        return noise(camera, replace(split, structures=others), condition)

    reference = noise(camera, split, condition)
    assert torch.equal(noise(camera, split, condition), reference)
    others = {
        "draw": noise(camera, split, condition, draw=1),
        "replica": noise(camera, split, condition, replica=0),
        "another replica": noise(camera, split, condition, replica=1),
        "a replica's draw": noise(camera, split, condition, draw=1, replica=0),
        "study seed": of(seed=split.structures.seed + 1),
        "specimen": of(specimen="silver"),
        "split": of(split="test"),
        "structure": noise(camera, replace(split, indices=split.indices + 10), condition),
        "condition": noise(camera, split, replace(condition, defocus_nm=20)),
        "another image": reference.roll(1, 0),
    }
    for (one, image), (two, other) in combinations({"itself": reference, **others}.items(), 2):
        assert not correlated(image, other), (one, two)


# Images


@pytest.mark.parametrize("name", ["zscore", "minmax", "vacuum"])
def test_images_are_normalised_counts(camera, split, condition, name):
    camera = replace(camera, normalisation=name)
    images = camera.images(split, condition, draw=3)
    assert images.shape == (5, 1, 32, 32)
    assert images.dtype == torch.float32
    found = all_counts(camera, split, condition, draw=3)
    assert torch.equal(images[:, 0], normalise(found, name, camera.electrons(condition)))
    assert not torch.equal(images, camera.images(split, condition))


# Spreads, blur and gain


def with_microscope(camera, **changes):
    return Acquisition.from_microscope(
        camera.microscope.model_copy(update=changes), camera.normalisation, CPU
    )


def intensities(camera, split, condition, draw=0):
    """Return expected counts. The name of each image determines its lens and dose."""
    optics, jitter = camera.microscope.optics(condition), camera.microscope.jitter
    images = []
    for k, index in enumerate(split.indices):
        names = (*split.structures.names, int(index), condition.id, "lens", draw)
        lens, dose = jitter.draw(optics, names)
        image = camera.imager.intensity(split.spectra[k : k + 1], lens)
        images.append(image * dose * camera.electrons(condition))
    return torch.cat(images)


WIDE = Spread(focus_nm=4.0, dose=0.3, astigmatism_nm=3.0, coma_nm=100.0, threefold_nm=100.0)


def test_every_image_has_the_lens_and_the_dose_of_its_name(camera, split, condition):
    camera = with_microscope(camera, spread=WIDE)
    for draw in (0, 3):
        expected = intensities(camera, split, condition, draw)
        residual = (all_counts(camera, split, condition, draw=draw) - expected) / expected.sqrt()
        assert residual.std().item() == pytest.approx(1, abs=0.05)
        assert residual.mean().item() == pytest.approx(0, abs=0.06)
    wrong = (all_counts(camera, split, condition, draw=1) - expected) / expected.sqrt()
    assert wrong.std().item() > 1.2
    doses = all_counts(camera, split, condition).mean((1, 2))
    assert doses.std() > 0.1 * doses.mean()


def test_replicas_share_the_lens_and_the_dose_of_an_image(camera, split, condition):
    camera = with_microscope(camera, spread=WIDE)
    expected = intensities(camera, split, condition, 3)
    for replica in (0, 1):
        found = all_counts(camera, split, condition, draw=3, replica=replica)
        residual = (found - expected) / expected.sqrt()
        assert residual.std().item() == pytest.approx(1, abs=0.05)


def test_spreads_depend_on_neither_chunk_nor_company(camera, split, condition):
    camera = with_microscope(camera, spread=WIDE)
    whole = all_counts(camera, split, condition)
    assert torch.equal(all_counts(camera, split, condition, chunk=2), whole)
    part = replace(
        split,
        indices=split.indices[[3, 1]],
        spectra=split.spectra[[3, 1]],
        masks=split.masks[[3, 1]],
    )
    assert torch.equal(all_counts(camera, part, condition), whole[[3, 1]])


def test_a_spread_of_the_dose_alone_leaves_the_lens(camera, split, condition):
    camera = with_microscope(camera, spread=Spread(dose=0.3))
    expected = intensities(camera, split, condition)
    residual = (all_counts(camera, split, condition) - expected) / expected.sqrt()
    assert residual.std().item() == pytest.approx(1, abs=0.05)


def test_gain_scales_counts_and_not_normalised_images(camera, split, condition):
    gained = with_microscope(camera, detector=Detector(gain=2.5))
    found = all_counts(camera, split, condition)
    assert torch.equal(all_counts(gained, split, condition), found * 2.5)
    for name in ("vacuum", "minmax", "zscore"):
        ours, theirs = (replace(c, normalisation=name) for c in (gained, camera))
        torch.testing.assert_close(
            ours.images(split, condition), theirs.images(split, condition), rtol=1e-5, atol=1e-5
        )


def test_blur_is_before_the_noise(camera, split, condition):
    given = Detector(mtf="gaussian", mtf_nyquist=0.1)
    blurred = with_microscope(camera, detector=given, vibration_A=0.3)
    counts = all_counts(blurred, split, condition)
    assert torch.equal(counts, counts.round())
    # The noise stays white: neighbouring pixels of vacuum do not know of each other.
    flat = noise(blurred, split, condition)
    assert not correlated(flat, flat.roll(1, 1))
    expected = intensities(blurred, split, condition)
    sharp = intensities(camera, split, condition)
    assert expected.std() < 0.95 * sharp.std()
    residual = (counts - expected) / expected.sqrt()
    assert residual.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "changes",
    [
        {"vibration_A": 0.4},
        {"detector": Detector(mtf="lorentzian", mtf_nyquist=0.2)},
        {"detector": Detector(mtf="table", mtf_table=[[0, 1], [1, 0.1]])},
    ],
)
def test_each_blur_is_the_cameras(camera, split, condition, changes):
    blurred = with_microscope(camera, **changes)
    optics = camera.microscope.optics(condition)
    assert (
        blurred.imager.intensity(split.spectra, optics).std()
        < 0.95 * camera.imager.intensity(split.spectra, optics).std()
    )


def test_first_structures_are_at_most_those_there_are(split):
    assert len(split.first(2)) == 2
    assert len(split.first(len(split) + 3)) == len(split)


def test_optics_of_a_condition_are_made_once_a_call(camera, make_split, condition, monkeypatch):
    made, original = [], Microscope.optics

    def counted(self, given):
        made.append(given)
        return original(self, given)

    monkeypatch.setattr(Microscope, "optics", counted)
    for spread in (Spread(), WIDE):
        made.clear()
        with_microscope(camera, spread=spread).images(make_split(3), condition)
        assert made == [condition]


@pytest.mark.parametrize(
    "further", [{"vibration_A": 0.6}, {"mtf_nyquist": 0.2}, {"astigmatism_nm": 8}]
)
def test_a_further_axis_forms_the_images_of_another_microscope(camera, split, condition, further):
    microscope = camera.microscope.model_copy(update={"detector": Detector(mtf="gaussian")})
    own = Acquisition.from_microscope(microscope, camera.normalisation, CPU)
    other = Acquisition.from_microscope(
        microscope.under(replace(condition, further=further)), camera.normalisation, CPU
    )
    under = replace(condition, further=further)
    formed = torch.cat(list(own.intensities(split, under)))
    assert torch.equal(formed, torch.cat(list(other.intensities(split, condition))))
    # The microscope's own images are formed after those of another value too.
    again = torch.cat(list(own.intensities(split, condition)))
    assert not torch.equal(formed, again)
    fresh = Acquisition.from_microscope(microscope, camera.normalisation, CPU)
    assert torch.equal(again, torch.cat(list(fresh.intensities(split, condition))))
