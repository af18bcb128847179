"""Snakemake's locks after its death. tests/workflow/test_interruptions.py kills a Snakemake."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

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
