"""Splits, and the camera that takes their images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import CPU, SEED, discs

from passband import units
from passband.examples import Camera, Split
from passband.imaging import expose, normalise
from passband.seeds import seed


def all_counts(camera, split, condition, **options):
    return torch.cat(list(camera.counts(split, condition, **options)))


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(5)


# Splits


def test_split_from_a_dataset():
    waves = discs(3, "val", "silver").assign_coords(structure=[4, 5, 9])
    split = Split.from_dataset(waves, 99, CPU)
    assert split.names == (99, "silver", "val")
    assert len(split) == 3
    assert split.structures.tolist() == [4, 5, 9]
    assert split.spectra.dtype == torch.complex64
    np.testing.assert_array_equal(split.spectra.numpy(), waves.spectrum.values)
    assert split.masks.dtype == torch.float32
    assert split.masks.shape == (3, 1, 32, 32)
    np.testing.assert_array_equal(split.masks[:, 0].numpy(), waves["mask"].values)


def test_digest_stands_for_the_content(make_split, split):
    assert make_split(5).digest == split.digest

    def changed(tensor):
        tensor = tensor.clone()
        tensor[0, 0, 0] += 1
        return tensor

    others = [
        replace(split, spectra=changed(split.spectra)),
        replace(split, masks=changed(split.masks)),
        replace(split, names=(SEED, "gold", "test")),
        replace(split, names=(SEED + 1, "gold", "train")),
        replace(split, structures=split.structures + 1),
        make_split(4),
    ]
    assert len({split.digest, *(other.digest for other in others)}) == len(others) + 1


# Counts


def test_counts_are_the_conditions(camera, microscope, split, condition):
    found = all_counts(camera, split, condition)
    intensity = camera.imager.intensity(split.spectra, units.optics(condition, microscope))
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
    camera = Camera.of(given, "minmax", CPU)
    assert camera.imager.coherence == coherence
    assert camera.imager.sampling == given.sampling
    assert len(camera.imager.kernels(units.optics(condition, given))) == (
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
        structures=split.structures[[3, 1]],
        spectra=split.spectra[[3, 1]],
        masks=split.masks[[3, 1]],
    )
    assert torch.equal(
        all_counts(camera, part, condition), all_counts(camera, split, condition)[[3, 1]]
    )


def noise(camera, split, condition, draw=0):
    """Return counts of vacuum, where they differ by nothing but the noise."""
    vacuum = torch.zeros_like(split.spectra)
    vacuum[:, vacuum.shape[1] // 2, vacuum.shape[2] // 2] = 1
    return all_counts(camera, replace(split, spectra=vacuum), condition, draw=draw)


def correlated(one, other):
    return abs(np.corrcoef(one.numpy().ravel(), other.numpy().ravel())[0, 1]) > 0.06  # 4 sigma


def test_noise_is_a_draw_of_its_own_in_every_respect(camera, split, condition):
    study, specimen, name = split.names
    reference = noise(camera, split, condition)
    assert torch.equal(noise(camera, split, condition), reference)
    others = {
        "draw": noise(camera, split, condition, draw=1),
        "study seed": noise(camera, replace(split, names=(study + 1, specimen, name)), condition),
        "specimen": noise(camera, replace(split, names=(study, "silver", name)), condition),
        "split": noise(camera, replace(split, names=(study, specimen, "test")), condition),
        "structure": noise(camera, replace(split, structures=split.structures + 10), condition),
        "condition": noise(camera, split, replace(condition, defocus_nm=20)),
        "another image": reference.roll(1, 0),
    }
    for what, other in others.items():
        assert not correlated(reference, other), what


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
