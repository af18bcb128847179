"""What is refused in a study's folder of results: links, pipes, devices and sockets."""

import os

import numpy as np
import pytest
from bare_stores import write_bare
from safetensors.numpy import save_file

from passband import PassbandError
from passband.results import layout, listing
from passband.storage import integrity


@pytest.fixture
def folder(tmp_path):
    """A study's folder of results, with some files of jobs and one of the user."""
    study = tmp_path / "results/mine"
    for name in ("logs/train/a.log", "networks/gold/a.csv", "table.zarr/zarr.json", "store/b.json"):
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).touch()
    (study / "notes.txt").touch()
    return study


def test_every_name_of_the_layout_is_known_as_written():
    templates = [
        value
        for name, value in vars(layout).items()
        if name.isupper() and isinstance(value, str) and name != "LEASE"
    ]
    written = {template.split("/")[0] for template in templates if "{" not in template[:1]}
    assert written - {layout.IMAGES_OF.split("/")[0]} == set(layout.WRITTEN)


def test_files_and_folders_pass_and_their_times_are_known(folder):
    os.utime(folder / "logs/train/a.log", (5, 7))
    listing.check(folder)
    times = listing.changes(folder)
    assert times["logs/train/a.log"] == 7
    assert {"networks/gold/a.csv", "notes.txt", "table.zarr", "store"} <= times.keys()
    assert not {"table.zarr/zarr.json", "store/b.json"} & times.keys()  # these show no job's state


def test_there_may_be_no_folder(tmp_path):
    listing.check(tmp_path / "results/mine")
    assert listing.changes(tmp_path / "results/mine") == {}


@pytest.mark.parametrize("name", layout.WRITTEN)
def test_a_link_in_the_place_of_a_folder_or_file_is_refused(folder, name):
    (folder.parent / "elsewhere").mkdir()
    if (folder / name).exists():
        (folder / name).rename(folder / "moved")
    (folder / name).symlink_to("../elsewhere")
    with pytest.raises(PassbandError, match=rf"^{folder}/{name}: is a link; only the study's own"):
        listing.check(folder)


@pytest.mark.parametrize("to", ["../../../../elsewhere", ".", "nowhere"])
def test_a_link_in_a_folder_of_the_study_is_refused(folder, to):
    (folder / "logs/train/gold").symlink_to(to)
    for read in (listing.check, listing.changes):
        with pytest.raises(PassbandError, match=rf"^{folder}/logs/train/gold: is a link"):
            read(folder)


def test_the_study_and_the_folders_above_it_may_be_links(folder, tmp_path):
    os.utime(folder / "logs/train/a.log", (5, 7))
    (tmp_path / "disk").symlink_to(tmp_path / "results")
    (tmp_path / "own").symlink_to(folder)
    (folder / "my pictures").symlink_to(tmp_path)  # a name that Passband never writes
    for linked in (tmp_path / "disk/mine", tmp_path / "own"):
        listing.check(linked)
        assert listing.changes(linked)["logs/train/a.log"] == 7
        listing.check_way(linked, linked / "store/recommend/gold.json")


@pytest.mark.parametrize("name", ["logs/train/b.log", "networks/gold/b.csv", "report.html"])
def test_a_pipe_is_refused(folder, name):
    os.mkfifo(folder / name)
    with pytest.raises(PassbandError, match=rf"^{folder}/{name}: is a pipe, a device or a socket"):
        listing.check(folder)


def test_a_folder_that_nobody_may_read_is_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PassbandError, match=rf"^{folder}: cannot be read: Permission denied"):
        listing.changes(folder)


def test_a_file_is_not_written_behind_a_link(folder):
    (folder / "store/recommend").symlink_to("/tmp")
    with pytest.raises(PassbandError, match=rf"^{folder}/store/recommend: is a link"):
        listing.check_way(folder, folder / "store/recommend/gold.json")
    listing.check_way(folder, folder / "store/likeness/gold.json")


# What Passband 0.2 made

OF_02 = (
    *(layout.TABLE, layout.INFORMATION, layout.OOD),
    "waves/gold/train/00000.zarr.zip",
    "networks/gold/compact-w4-d2/c/r000-001.safetensors",
)


def write_of_02(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({"0/bias": np.zeros(1)}, path, {"format": f"{integrity.OF_02}"})
    else:
        write_bare(path, format=integrity.OF_02)


@pytest.mark.parametrize("name", OF_02)
def test_results_of_0_2_are_recognised_by_whatever_is_left_of_them(tmp_path, name):
    folder = tmp_path / "results/mine"
    listing.refuse_02(folder)
    write_of_02(folder / name)
    with pytest.raises(PassbandError) as refused:
        listing.refuse_02(folder)
    assert str(refused.value) == f"{folder}: made by Passband 0.2: run it again, or use 0.2"
    # A damaged store does not hide the others.
    (folder / layout.TABLE).mkdir(exist_ok=True)
    (folder / layout.TABLE / "zarr.json").write_text("{")
    assert listing.is_of_02(folder) == (name != layout.TABLE)


def test_a_folder_cache_in_todays_results_is_no_sign_of_0_2(tmp_path):
    folder = tmp_path / "results/mine"
    (folder / "cache/waves").mkdir(parents=True)
    assert not listing.is_of_02(folder)
    (folder / "waves/gold/train").mkdir(parents=True)  # Snakemake makes it before the first job
    (folder / "networks").mkdir()
    assert not listing.is_of_02(folder)
    write_bare(folder / layout.TABLE)
    write_of_02(folder / OF_02[-1])  # left of an earlier run in the same folder
    assert not listing.is_of_02(folder)


def test_results_whose_store_this_version_began_are_not_those_of_0_2(tmp_path):
    (tmp_path / layout.STORE / "waves").mkdir(parents=True)
    write_of_02(tmp_path / OF_02[-1])
    assert not listing.is_of_02(tmp_path)
