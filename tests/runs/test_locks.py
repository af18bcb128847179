"""Snakemake's locks after its death. tests/workflow/test_interruptions.py kills a Snakemake."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from passband import PassbandError
from passband.runs import locks
from passband.storage import StoreError
from passband.storage.lease import Holder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that Snakemake has locked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/small/table.zarr\n")
    return tmp_path


def sign_and_die() -> int:
    """Sign the locks in the working directory by a process that ends, and return its number."""
    code = "import os; from passband.runs import locks; locks.sign(); print(os.getpid())"
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)


def test_the_lock_of_a_dead_process_is_removed(folder):
    process = sign_and_die()
    assert locks.are_left(folder)
    assert [int(holder.process) for holder in locks.clear(folder)] == [process]
    assert not locks.are_left(folder)
    assert not (folder / ".snakemake/locks").exists()
    assert (folder / ".snakemake").exists()


@pytest.mark.slow
def test_a_file_that_is_no_lock_stays(folder):
    (folder / ".snakemake/locks/mine").touch()
    sign_and_die()
    assert len(locks.clear(folder)) == 1
    assert [path.name for path in (folder / ".snakemake/locks").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["locks/1.output.lock", "metadata/cmVzdWx0cw", "incomplete/a"])
def test_a_pipe_that_snakemake_would_read_is_refused(folder, name):
    locks.check(folder)
    (folder / ".snakemake" / name).parent.mkdir(exist_ok=True)
    os.mkfifo(folder / ".snakemake" / name)
    with pytest.raises(StoreError, match=rf"^{folder}/.snakemake/{name}: is a pipe"):
        locks.check(folder)


#: What a link is in the place of, in the folder in which Snakemake runs.
LINKS = (
    ".snakemake",
    ".snakemake/locks",
    ".snakemake/conda-archive",
    ".snakemake/locks/1.input.lock",
    ".snakemake/metadata/cmVzdWx0cw",
    ".snakemake/iocache/latest.pkl",
)


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("to", ["elsewhere", "nowhere"])
def test_a_link_behind_which_snakemake_would_write_or_remove_files_is_refused(folder, name, to):
    (folder / "elsewhere").mkdir()
    if name in (".snakemake", ".snakemake/locks"):
        shutil.rmtree(folder / name)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(folder / to)
    with pytest.raises(PassbandError, match=rf"^{folder}/{name}: is a link; "):
        locks.check(folder)


def test_environments_have_links_of_their_own(folder):
    (folder / ".snakemake/conda/a/bin").mkdir(parents=True)
    (folder / ".snakemake/conda/a/bin/python").symlink_to("python3")
    locks.check(folder)


def test_a_folder_without_snakemake_passes(tmp_path):
    locks.check(tmp_path)


@pytest.mark.slow
def test_the_lock_of_a_living_process_stays(folder):
    sign_and_die()
    locks.sign()  # this process
    assert locks.clear(folder) == []
    assert locks.are_left(folder)
    assert str(os.getpid()) in {holder.process for holder in locks.holders(folder)}


def test_the_lock_of_another_machine_stays(folder):
    other = replace(Holder.this(), host="login2", machine="another", process="1")
    (folder / ".snakemake/locks" / other.file(0)).touch()
    assert locks.clear(folder) == []
    assert list(map(str, locks.holders(folder))) == ["process 1 on login2"]


def test_a_lock_that_nobody_signed_stays(folder):
    assert locks.clear(folder) == []
    assert locks.are_left(folder)


def test_without_a_lock_there_is_nothing_to_remove(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    locks.sign()  # there is no folder
    assert locks.clear(tmp_path) == []
    assert not locks.are_left(tmp_path)
