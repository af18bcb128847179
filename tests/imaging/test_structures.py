"""Splits with several sets of exit waves, and their images."""

import shutil

import numpy as np
import pytest
import torch
from synthetic import CPU, SEED, discs

from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.splits import Split, SplitSets, load_sets
from passband.imaging.structures import digests_of_sets
from passband.learning import evaluation, networks
from passband.storage import StoreError, datasets
from passband.storage.integrity import DamagedError

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


NAMES = SEED, "gold", "val"


def test_each_condition_has_the_structures_of_its_set(files, microscope):
    split = load_sets(files, NAMES, microscope, CPU)
    assert isinstance(split, SplitSets)
    assert (len(split), split.names, list(split.sets)) == (3, NAMES, list(FOLDERS))
    assert split.digests == digests_of_sets(files, NAMES, microscope)
    assert len(set(split.digests.values())) == 3
    for condition, path in zip((OWN, SLOW, WIDE), files, strict=True):
        alone = Split.load([path], NAMES, microscope.under(condition), CPU)
        assert split.under(condition).digest == alone.digest
    few = split.first(2)
    assert len(few.under(SLOW)) == len(few) == 2
    missing = Condition(15, 1.2, 12, 1000, {"energy_kev": 80.0})
    with pytest.raises(StoreError, match=r"gold, val: there are no exit waves with en0080\.00"):
        split.under(missing)


def test_files_of_one_set_are_a_plain_split(files, microscope):
    split = load_sets(files[:1], NAMES, microscope, CPU)
    assert isinstance(split, Split)
    assert split.under(SLOW) is split
    assert split.digests == {"": split.digest}


def test_a_file_in_the_folder_of_another_set_is_refused(files, microscope, tmp_path):
    wrong = tmp_path / "waves/gold/en0080.00/val/00000.zarr.zip"
    wrong.parent.mkdir(parents=True)
    shutil.copy(files[1], wrong)
    with pytest.raises(DamagedError, match="energy_eV"):
        load_sets([str(wrong)], NAMES, microscope, CPU)


def test_images_are_those_of_a_microscope_with_the_other_values(files, microscope):
    camera = Acquisition.from_microscope(microscope, "vacuum", CPU)
    split = load_sets(files, NAMES, microscope, CPU)
    for condition in (SLOW, WIDE):
        under = microscope.under(condition)
        other = Acquisition.from_microscope(under, "vacuum", CPU)
        expected = torch.cat(list(other.intensities(split.under(condition), OWN)))
        found = torch.cat(list(camera.intensities(split.under(condition), condition)))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        assert camera.electrons(condition) == other.electrons(OWN)
        counts = torch.cat(list(camera.counts(split.under(condition), condition)))
        area = under.pixel_size_A**2
        assert counts.mean().item() == pytest.approx(1000 * area * expected.mean().item(), rel=0.02)
    assert camera.electrons(WIDE) == pytest.approx(250)


def test_networks_are_tested_on_the_masks_of_the_condition(files, microscope):
    camera = Acquisition.from_microscope(microscope, "zscore", CPU)
    split = load_sets(files, NAMES, microscope, CPU)
    network = networks.build("compact-w4-d2")
    record = evaluation.evaluate({0: network}, camera, {"gold": split}, [OWN, SLOW, WIDE], 2)
    truth = record.counts.sel(outcome=["tp", "fn"]).sum("outcome")[0, 0]
    for k, condition in enumerate((OWN, SLOW, WIDE)):
        masks = split.under(condition).masks
        np.testing.assert_array_equal(truth[k], masks.sum((1, 2, 3)).numpy())
