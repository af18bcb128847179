"""A folder of Passband 0.2 is told apart from those of this version."""

import shutil

import of_0_2
import pytest
import xarray as xr

from passband import PassbandError
from passband.results import earlier, layout
from passband.storage import datasets

STORES = layout.TABLE, layout.INFORMATION, layout.OOD


@pytest.fixture
def results(tmp_path):
    """The finished study in tests/data, which 0.2 made."""
    return of_0_2.unpack(tmp_path)


@pytest.mark.parametrize(
    "without",
    [
        (),
        ("cache",),
        ("cache", *STORES),
        ("cache", *STORES, "waves"),
        ("cache", "waves", "networks", "records"),
    ],
)
def test_a_folder_of_0_2_is_recognised_by_whatever_is_left_of_it(results, without):
    for name in without:
        shutil.rmtree(results / name)
    assert earlier.is_earlier(results)
    # A recommendation of this version keeps its model there.
    (results / layout.FITTED.format(name="gold")).parent.mkdir(parents=True)
    assert earlier.is_earlier(results)


def test_a_damaged_store_does_not_hide_the_others(results):
    shutil.rmtree(results / "cache")
    for name in STORES:
        (results / name / "zarr.json").write_text("{")
    assert earlier.is_earlier(results)
    for file in (results / "waves").rglob("*.zip"):
        file.write_bytes(b"PK")
    assert earlier.is_earlier(results)
    for file in (results / "networks").rglob("*.safetensors"):
        file.write_bytes(b"")
    assert not earlier.is_earlier(results)  # nothing is left that could be lost


def test_a_folder_of_this_version_is_not_one_of_0_2(results, tmp_path):
    assert not earlier.is_earlier(tmp_path / "absent")
    new = tmp_path / "new"
    (new / "logs").mkdir(parents=True)
    (new / "waves/gold/train").mkdir(parents=True)  # Snakemake makes it before the first job
    assert not earlier.is_earlier(new)
    # Files of 0.2 that were taken over are linked to outputs of jobs.
    (results / "cache").rename(results / layout.STORE)
    assert not earlier.is_earlier(results)
    datasets.write(xr.Dataset(), new / layout.TABLE, datasets.TABLE, {})
    assert not earlier.is_earlier(new)


def test_the_refusal_names_both_commands_and_the_folder_in_one_line(results):
    with pytest.raises(PassbandError) as refused:
        earlier.refuse(results, "my study.yaml")
    said = str(refused.value)
    assert said.startswith(f"{results}: was made by Passband 0.2")
    assert "`passband run 'my study.yaml' --adopt`" in said
    assert "`passband report 'my study.yaml'`" in said
    assert "\n" not in said
    earlier.refuse(results / "absent", "study.yaml")
