"""Which files of exit waves the conditions of a study need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband.config import validate
from passband.results import wave_layout

NUMBERS = {"train": 12, "val": 5, "test": 6}


def study(size=5, specimens=None, **blocks):
    return validate(
        {
            "study": {"structures": NUMBERS, "structures_per_shard": size},
            "specimens": specimens or {"gold": {}},
            **blocks,
        }
    )


def test_shards_are_numbered_in_the_folder_of_their_set():
    names = wave_layout.shards(study(), "gold", "train", ["", "en0200.00"])
    assert names == [
        f"waves/gold/{folder}train/{shard:05d}.zarr.zip"
        for folder in ("", "en0200.00/")
        for shard in range(3)
    ]
    assert wave_layout.shards(study(), "gold", "val") == ["waves/gold/val/00000.zarr.zip"]


@given(size=st.integers(1, 20), split=st.sampled_from(list(NUMBERS)))
def test_the_shards_of_a_split_have_each_structure_once(size, split):
    made = study(size)
    files = wave_layout.shards(made, "gold", split)
    names = [path.split("/")[-1].removesuffix(".zarr.zip") for path in files]
    shards = [wave_layout.structures_of_shard(made, split, name) for name in names]
    assert [k for shard in shards for k in shard] == list(range(NUMBERS[split]))
    assert all(0 < len(shard) <= size for shard in shards)


def test_the_sets_of_conditions_are_in_their_order_and_once():
    ids = [
        f"df+0005.00_cs+0001.200_ap010.00_ds{dose}{more}"
        for dose in ("000100.00", "001000.00")
        for more in ("_en0200.00", "", "_as0002.000")
    ]
    assert wave_layout.waves_of([*ids, "all-5d8f5c27"]) == ["en0200.00", ""]


@pytest.mark.parametrize(
    ("blocks", "train", "test"),
    [
        ({}, [""], []),
        ({"grid": {"energy_kev": [200, 300]}}, ["en0200.00", ""], []),
        ({"test_grid": {"energy_kev": [200, 300]}}, [""], ["en0200.00"]),
        (
            {"grid": {"energy_kev": [100, 300]}, "test_grid": {"energy_kev": [200, 300]}},
            ["en0100.00", ""],
            ["en0200.00"],
        ),
    ],
)
def test_the_spectrum_has_test_structures_only_where_none_are_for_training(blocks, train, test):
    made = study(**blocks)
    assert wave_layout.spectrum_shards(made, "gold") == [
        *wave_layout.shards(made, "gold", "train", train),
        *wave_layout.shards(made, "gold", "test", test),
    ]


def test_a_specimen_that_no_network_is_trained_on_has_only_test_structures():
    made = study(
        specimens={"gold": {}, "other": {"trained": False}}, grid={"energy_kev": [200, 300]}
    )
    assert wave_layout.spectrum_shards(made, "other") == wave_layout.shards(
        made, "other", "test", ["en0200.00", ""]
    )


def test_another_set_has_its_own_specimen_and_microscope_and_the_studys_own_particles():
    made = study(grid={"roughness": [0, 0.2], "pixel_size_A": [0.3, 0.35]})
    own = made.specimens["gold"]
    assert wave_layout.simulated(made, "gold", "") == (own, made.microscope, None)
    specimen, microscope, drawn = wave_layout.simulated(made, "gold", "rg0.200")
    assert specimen == own.replaced("roughness", 0.2)
    assert microscope == made.microscope
    assert drawn == (own, made.microscope.sampling)
    specimen, microscope, drawn = wave_layout.simulated(made, "gold", "px0.3500")
    assert specimen == own
    assert microscope.pixel_size_A == 0.35
    assert drawn[1].pixel_A == 0.3


@pytest.mark.parametrize("test_own", [False, True])
def test_networks_need_the_exit_waves_of_their_own_conditions_if_they_are_tested_there(test_own):
    axes = {"defocus_nm": [5], "cs_um": [1.2], "aperture_mrad": [10], "dose_e_per_A2": [100]}
    made = study(
        grid=axes | {"energy_kev": [200, 300]},
        test_grid=axes | {"energy_kev": [300]},
        evaluation={"test_own": test_own},
    )
    slow, fast = (condition.id for condition in made.train_conditions)
    assert wave_layout.evaluated_waves(made, [fast]) == [""]
    assert wave_layout.evaluated_waves(made, [slow]) == ["", "en0200.00"][: 1 + test_own]
