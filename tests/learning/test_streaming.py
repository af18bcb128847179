"""Exit waves are in memory, or are read from their stores if the memory is too small."""

from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import CPU, SEED, discs

from passband.config import Training
from passband.imaging.structures import Split, Structures
from passband.learning import memory, training
from passband.learning.streaming import Stored, choose
from passband.storage import StoreError, datasets

ENERGY = {"seed": SEED, "energy_eV": 300e3}


def structures(paths, microscope, split="train"):
    return Structures(SEED, "gold", split, microscope, tuple(paths))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The paths of three shards with ten structures. The shards are not in their order."""
    folder = tmp_path_factory.mktemp("waves")
    waves = discs(10).assign_attrs(ENERGY)
    found = []
    for k, part in enumerate(([7, 8, 9], [0, 1, 2, 3], [4, 5, 6])):
        found.append(str(folder / f"{k}.zarr.zip"))
        datasets.write(waves.isel(structure=part), found[-1], datasets.WAVES, {}, {"structure": 1})
    return found


@pytest.fixture
def stored(paths, microscope):
    return Stored.open(structures(paths, microscope), CPU)


def same(one: Split, other: Split) -> bool:
    return (
        one.structures.names == other.structures.names
        and np.array_equal(one.indices, other.indices)
        and torch.equal(one.spectra, other.spectra)
        and torch.equal(one.masks, other.masks)
    )


@pytest.mark.parametrize("wanted", [[0], [9], [3, 8, 0, 5], list(range(10)), [4, 4]])
def test_structures_are_read_by_their_place(stored, make_split, wanted):
    assert same(stored.take(np.array(wanted)), make_split(10).take(np.array(wanted)))


def test_whole_split_is_the_one_that_is_loaded(stored, paths, microscope):
    named = structures(paths, microscope)
    whole = named.load(CPU).sets[""]
    assert len(stored) == len(whole) == 10
    assert same(stored.load(), whole)


def test_stores_of_something_else_are_refused(paths, microscope):
    with pytest.raises(StoreError, match="its split is 'train', expected 'val'"):
        Stored.open(structures(paths, microscope, "val"), CPU)
    with pytest.raises(StoreError, match="structure 7 is in another store too"):
        Stored.open(structures([paths[0], paths[0]], microscope), CPU)


def test_torn_store_is_refused(paths, microscope, tmp_path):
    torn = tmp_path / "torn.zarr.zip"
    whole = Path(paths[0]).read_bytes()
    torn.write_bytes(whole[:-200])
    with pytest.raises(StoreError, match="not a whole store"):
        Stored.open(structures([str(torn)], microscope), CPU)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    torn.write_bytes(damaged)
    with pytest.raises(StoreError, match="not a whole store"):
        Stored.open(structures([str(torn)], microscope), CPU)


# 10 structures at 32²: 21² × 8 B of spectra and 4 kB of masks each, images 8 kB.
WAVES, IMAGES = 10 * (8 * 21**2 + 4 * 32**2), 10 * 8 * 32**2


@pytest.mark.parametrize(
    ("room", "kind", "hold"),
    [
        (WAVES + IMAGES, Split, True),
        (WAVES + IMAGES - 1, Split, False),
        (WAVES, Split, False),
        (WAVES - 1, Stored, False),
    ],
)
def test_what_fits_is_held(stored, room, kind, hold):
    assert stored.shards[0].spectrum.shape[1:] == (1, 21, 21)
    ((found,), held, line) = choose([stored], room / memory.SHARE)
    assert type(found) is kind
    assert held == hold
    assert line.startswith("10 structures need ")


def test_on_a_gpu_its_own_memory_counts(stored, monkeypatch):
    """The limit is the GPU's memory. The memory of the host does not matter."""

    class OnGpu(Stored):
        def load(self):
            return "in memory"

    split = OnGpu(stored.structures, stored.shards, stored.places, torch.device("cuda"))
    for free, host, expected in ((1e9, 1e3, "in memory"), (1e3, 1e9, split)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2e9))
        (found,), hold, _ = choose([split], host)
        assert found is expected
        assert hold == (free == 1e9)


@pytest.mark.parametrize("noise", ["fresh", pytest.param("fixed", marks=pytest.mark.slow)])
def test_networks_are_the_same_wherever_the_waves_are(stored, make_split, camera, condition, noise):
    settings = Training(precision="float32", batch_size=4, epochs=2, noise=noise)
    networks = []
    for room in (1e9, 2 * WAVES, 1e3):
        (train,), hold, _ = choose([stored], room)
        splits = train, make_split(4, "val")
        made = training.train(
            "compact-w4-d2", camera, splits, condition, settings, {0: 1, 1: 2}, hold=hold
        )
        networks.append([trained.weights for trained in made.values()])
    for others in networks[1:]:
        for one, other in zip(networks[0], others, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)
