"""Structures in files and in memory, with one set of exit waves or several, and their images."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CPU, SEED, discs

from passband.config import Microscope, Study
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import noise_seeds
from passband.imaging.structures import Split, Structures
from passband.learning import evaluation, networks
from passband.storage import StoreError, datasets
from passband.storage.integrity import DamagedError
from passband.wave_sets import wave_set

OWN = Condition(15, 1.2, 12, 1000)
SLOW = Condition(15, 1.2, 12, 1000, {"energy_kev": 200.0})
WIDE = Condition(15, 1.2, 12, 1000, {"pixel_size_A": 0.5})
FOLDERS = {"": "", "en0200.00": "en0200.00/", "px0.5000": "px0.5000/"}


@pytest.fixture
def files(tmp_path, microscope):
    """The files of three sets of exit waves, which have different structures."""
    found = []
    for number, (condition, folder) in enumerate(
        zip((OWN, SLOW, WIDE), FOLDERS.values(), strict=True)
    ):
        under = microscope.under(condition)
        waves = discs(3, "val").assign_attrs(seed=SEED)
        waves["spectrum"] = waves.spectrum * np.complex64(1 + 0.01 * number)
        if condition is WIDE:
            waves["mask"] = 1 - waves["mask"]
        attrs = {"energy_eV": under.energy_eV, "pixel_size_A": under.pixel_size_A}
        path = tmp_path / f"waves/gold/{folder}val/00000.zarr.zip"
        path.parent.mkdir(parents=True)
        datasets.write(waves.assign_attrs(attrs), path, datasets.WAVES, {})
        found.append(str(path))
    return found


def named(microscope, files):
    """Return the structures that the tests write into files."""
    return Structures(SEED, "gold", "val", microscope, tuple(files))


def same(one: Split, other: Split) -> bool:
    """Return whether two splits have the same structures, without their instances."""
    return (
        one.structures.names == other.structures.names
        and np.array_equal(one.indices, other.indices)
        and torch.equal(one.spectra, other.spectra)
        and torch.equal(one.masks, other.masks)
    )


def test_each_condition_has_the_structures_of_its_set(files, microscope):
    structures = named(microscope, files)
    loaded = structures.load(CPU)
    assert (len(loaded), list(structures.sets), list(loaded.sets)) == (3, [*FOLDERS], [*FOLDERS])
    for condition, path in zip((OWN, SLOW, WIDE), files, strict=True):
        alone = structures.sets[wave_set(condition)]
        assert alone == named(microscope.under(condition), [path])
        split = loaded.under(condition)
        assert split.structures == alone
        stored = datasets.read(path, datasets.WAVES)
        np.testing.assert_array_equal(split.spectra.numpy(), stored.spectrum.values)
    few = loaded.first(2)
    assert len(few.under(SLOW)) == len(few) == 2
    missing = Condition(15, 1.2, 12, 1000, {"energy_kev": 80.0})
    with pytest.raises(StoreError, match=r"gold, val: there are no exit waves with en0080\.00"):
        loaded.under(missing)
    with pytest.raises(StoreError, match="gold, val: there are no exit waves with the study's own"):
        named(microscope, files[1:]).load(CPU).under(OWN)


def test_seeds_are_those_of_earlier_versions():
    structures = Structures(7, "gold", "val", Microscope(field_px=16, pixel_size_A=0.4))
    condition = Condition(15, 1.2, 15, 1000)
    assert noise_seeds(structures, [4, 5, 9], condition) == [
        7872995787670806903,
        5961682302324373164,
        6355707841709761878,
    ]
    train = replace(structures, split="train")
    assert noise_seeds(train, [4], condition, 3, 2) == [1297988249454360025]


def test_structures_of_a_study_have_its_seed_and_microscope(files, microscope):
    study = Study().replaced("microscope", microscope).replaced("study.seed", SEED)
    assert Structures.of_study(study, "gold", "val", files) == named(microscope, files)


# Files of one set


@pytest.fixture
def shards(tmp_path, microscope):
    """The paths of two shards of a split, in reverse order."""
    waves = discs(5, "val").assign_attrs(seed=SEED, energy_eV=microscope.energy_eV)
    paths = [str(tmp_path / f"{k}.zarr.zip") for k in (1, 0)]
    for path, part in zip(paths, (slice(3, 5), slice(0, 3)), strict=True):
        datasets.write(waves.isel(structure=part), path, datasets.WAVES, {})
    return paths


def test_split_is_loaded_from_its_shards_in_order(shards, microscope, make_split):
    structures = named(microscope, shards)
    split = structures.load(CPU).under(OWN)
    assert same(split, make_split(5, "val"))
    assert split.indices.tolist() == [0, 1, 2, 3, 4]
    assert split.instances is None, "training has no use for them"
    whole = structures.load(CPU, instances=True).under(OWN)
    assert same(whole, split), "they change no network"
    np.testing.assert_array_equal(whole.instances, discs(5, "val").instances)
    few = whole.first(2)
    assert len(few) == len(few.spectra) == len(few.masks) == 2
    np.testing.assert_array_equal(few.instances, whole.instances[:2])
    assert split.first(2).instances is None
    assert same(few, make_split(2, "val"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "changes", "said"),
    [
        ((SEED + 1, "gold", "val"), {}, "seed is 7, expected 8"),
        ((SEED, "silver", "val"), {}, "specimen is 'gold', expected 'silver'"),
        ((SEED, "gold", "test"), {}, "split is 'val', expected 'test'"),
        ((SEED, "gold", "val"), {"field_px": 48}, "field_px is 32, expected 48"),
        ((SEED, "gold", "val"), {"pixel_size_A": 0.3}, "pixel_size_A is 0.4, expected 0.3"),
        ((SEED, "gold", "val"), {"energy_kev": 80}, "energy_eV is 300000.0, expected 80000.0"),
    ],
)
def test_shard_of_something_else_is_refused(shards, microscope, names, changes, said):
    with pytest.raises(StoreError, match=f"1.zarr.zip: its {said}"):
        Structures(*names, microscope.model_copy(update=changes), tuple(shards)).load(CPU)


def test_a_file_in_the_folder_of_another_set_is_refused(files, microscope, tmp_path):
    wrong = tmp_path / "waves/gold/en0080.00/val/00000.zarr.zip"
    wrong.parent.mkdir(parents=True)
    shutil.copy(files[1], wrong)
    with pytest.raises(DamagedError, match="energy_eV"):
        named(microscope, [str(wrong)]).load(CPU)


def test_images_are_those_of_a_microscope_with_the_other_values(files, microscope):
    camera = Acquisition.from_microscope(microscope, "vacuum", CPU)
    loaded = named(microscope, files).load(CPU)
    for condition in (SLOW, WIDE):
        under = microscope.under(condition)
        other = Acquisition.from_microscope(under, "vacuum", CPU)
        expected = torch.cat(list(other.intensities(loaded.under(condition), OWN)))
        found = torch.cat(list(camera.intensities(loaded.under(condition), condition)))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        assert camera.electrons(condition) == other.electrons(OWN)
        counts = torch.cat(list(camera.counts(loaded.under(condition), condition)))
        area = under.pixel_size_A**2
        assert counts.mean().item() == pytest.approx(1000 * area * expected.mean().item(), rel=0.02)
    assert camera.electrons(WIDE) == pytest.approx(250)


@pytest.mark.slow
def test_networks_are_tested_on_the_masks_of_the_condition(files, microscope):
    camera = Acquisition.from_microscope(microscope, "zscore", CPU)
    loaded = named(microscope, files).load(CPU)
    network = networks.build("compact-w4-d2")
    record = evaluation.evaluate({0: network}, camera, {"gold": loaded}, [OWN, SLOW, WIDE], 2)
    truth = record.counts.sel(outcome=["tp", "fn"]).sum("outcome")[0, 0]
    for k, condition in enumerate((OWN, SLOW, WIDE)):
        masks = loaded.under(condition).masks
        np.testing.assert_array_equal(truth[k], masks.sum((1, 2, 3)).numpy())
