"""The saved state of interrupted training jobs."""

import errno
import json
import os
import shutil

import open_files
import pytest
import torch
from safetensors.torch import load_file
from synthetic import weights_metadata

from passband.storage import FullError, NewerError, UnreachableError, lease, weights
from passband.storage.weights import CellWeights, save_cells
from passband.store import checkpoints

TENSORS = {
    "network/a": torch.randn(2, 3, generator=torch.manual_seed(0)),
    "network/n": torch.tensor([7]),
    "total": torch.tensor([0.1], dtype=torch.float64),
}
PROGRESS = {"steps": 5, "histories": [[{"epoch": 0, "val_loss": 0.1, "val_dice": float("inf")}]]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "000.safetensors"
    checkpoints.save(path, "digest", TENSORS, PROGRESS)
    return path


def test_state_comes_back_as_it_was(path):
    tensors, progress = checkpoints.load(path, "digest")
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], TENSORS[k]) for k in tensors)
    assert {k: t.dtype for k, t in tensors.items()} == {k: t.dtype for k, t in TENSORS.items()}
    assert progress == PROGRESS
    assert [p.name for p in path.parent.iterdir()] == ["000.safetensors"]


def test_no_state_is_none(tmp_path):
    assert checkpoints.load(tmp_path / "000.safetensors", "digest") is None


def test_state_of_another_digest_is_removed(path):
    assert checkpoints.load(path, "other") is None
    assert not path.exists()


def test_torn_state_is_removed_wherever_it_is_torn(path):
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert checkpoints.load(path, "digest") is None
        assert not path.exists()


@pytest.mark.parametrize("what", ["tensor", "progress"])
def test_damage_is_noticed(path, what):
    """safetensors itself does not check the values of tensors."""
    whole = bytearray(path.read_bytes())
    place = len(whole) - 1 if what == "tensor" else whole.index(b'steps\\": 5') + len('steps\\": ')
    whole[place] ^= 1
    path.write_bytes(whole)
    load_file(path)
    assert checkpoints.load(path, "digest") is None
    assert not path.exists()


def test_weights_of_something_else_are_no_state(tmp_path):
    path = tmp_path / "000.safetensors"
    weights.save({0: {"a": torch.ones(2)}}, path, weights_metadata(recipe_digest="x"))
    assert checkpoints.load(path, "digest") is None


def test_a_state_of_a_newer_format_is_refused_and_left(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(weights, "FORMAT", 3)
        checkpoints.save(path, "digest", TENSORS, PROGRESS)
    with pytest.raises(NewerError, match="its format is 3"):
        checkpoints.load(path, "digest")
    assert path.exists()


def test_who_lost_the_lease_removes_no_state(path, tmp_path):
    """The saved state may belong to the job that took over."""

    def remove(how):
        folder = tmp_path / "one.lease"
        with lease.held(folder):
            (file,) = folder.iterdir()
            file.rename(folder / "another")
            how()

    for how in (lambda: checkpoints.load(path, "other"), lambda: checkpoints.clear(path.parent)):
        with pytest.raises(lease.LostError):
            remove(how)
        shutil.rmtree(tmp_path / "one.lease")
        assert path.exists()
    checkpoints.clear(path.parent)
    assert not path.parent.exists()


def test_failed_save_leaves_the_state_before(path, monkeypatch):
    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(weights, "write", full)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(path, "digest", TENSORS, {"steps": 6})
    assert checkpoints.load(path, "digest")[1] == PROGRESS
    assert len(list(path.parent.iterdir())) == 1


def test_full_disk_is_named_and_leaves_the_state_before(disk):
    path = disk.folder / "000.safetensors"
    checkpoints.save(path, "digest", TENSORS, PROGRESS)
    large = TENSORS | {"network/a": torch.zeros(1_000_000)}
    with pytest.raises(FullError, match=rf"{path}: no space left: 0.* of 0.0021 GB are free"):
        checkpoints.save(path, "digest", large, {"steps": 6})
    assert checkpoints.load(path, "digest")[1] == PROGRESS
    assert [p.name for p in disk.folder.iterdir()] == ["000.safetensors"]


def test_state_that_cannot_be_read_now_is_not_removed(path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "safe_open", unreachable)
        with pytest.raises(UnreachableError, match="cannot be read"):
            checkpoints.load(path, "digest")
    assert checkpoints.load(path, "digest")[1] == PROGRESS


def test_state_is_not_removed_because_no_file_can_be_opened(path):
    """safetensors itself reports this as a missing file."""
    with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
        checkpoints.load(path, "digest")
    assert checkpoints.load(path, "digest")[1] == PROGRESS


def test_a_state_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """The same holds for networks: the state from which they were trained is then removed."""
    synced, real = set(), os.fsync

    def sync(handle):
        synced.add(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    paths = [tmp_path / name for name in ("state", "one", "parts")]
    checkpoints.save(paths[0], "digest", TENSORS, PROGRESS)
    weights.save({0: {"a": torch.ones(2)}}, paths[1], weights_metadata())
    save_cells({"a": CellWeights({0: {"a": torch.ones(2)}}, weights_metadata())}, paths[2], {})
    assert {path.stat().st_ino for path in paths} <= synced


def test_progress_is_json():
    assert json.loads(json.dumps(PROGRESS)) == PROGRESS
