"""Files that must not be opened: pipes, devices and sockets, whose reading might not end."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from passband import PassbandError
from passband.config import given_conditions
from passband.storage import StoreError, datasets, integrity, weights
from passband.storage.weights import conditions_in, load_cells


def test_regular_files_folders_and_missing_paths_pass(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/.hidden").touch()
    (tmp_path / "a/link").symlink_to("b/file")
    (tmp_path / "a/folder").symlink_to("b")
    for path in (tmp_path, tmp_path / "a/link", tmp_path / "a/b/file", tmp_path / "missing"):
        integrity.check_regular(path)
    assert integrity.number_of_files(tmp_path) == 2


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_other_kinds_are_refused_alone_and_in_a_folder(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    Path("deep/folder").mkdir(parents=True)
    odd = Path("deep/folder/odd")
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "device":
        odd.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(odd))
    for path in (odd, Path("deep")):
        with pytest.raises(StoreError, match=r"^deep/folder/odd: is a pipe, a device or a socket"):
            integrity.check_regular(path)


@pytest.mark.parametrize(
    "read",
    [
        lambda path: datasets.read(path / "a.zarr.zip", datasets.TABLE),
        lambda path: datasets.read_metadata(path / "a.zarr.zip", datasets.RECORD),
        lambda path: datasets.read(path / "b.zarr", datasets.TABLE),
        lambda path: datasets.open_folder(path / "b.zarr", datasets.TABLE),
        lambda path: load_cells(path / "a.safetensors"),
        lambda path: [*given_conditions.read(path / "a.csv")],
    ],
)
def test_readers_do_not_wait_for_a_pipe(tmp_path, read):
    (tmp_path / "b.zarr").mkdir()
    for name in ("a.zarr.zip", "b.zarr/zarr.json", "a.safetensors", "a.csv"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(PassbandError, match="is a pipe, a device or a socket") as caught:
        read(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_pipe_has_no_networks_and_no_conditions(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    assert weights.identities(tmp_path / "a.safetensors") == {}
    assert conditions_in(tmp_path / "a.safetensors", "a~b") == []


def test_links_to_files_of_the_system_are_refused(tmp_path):
    """They look regular, but reading /proc/kmsg, for example, does not end."""
    (tmp_path / "a").mkdir()
    for target, what in (("/proc/version", "file"), ("/proc", "folder"), ("/sys", "folder")):
        (tmp_path / "a/link").symlink_to(target)
        with pytest.raises(StoreError, match=f"a/link: is a {what} of the system"):
            integrity.check_regular(tmp_path / "a")
        (tmp_path / "a/link").unlink()
    with pytest.raises(StoreError, match="is a file of the system"):
        integrity.check_regular("/proc/version")


def test_folders_inside_each_other_are_limited(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for depth in range(40):
        if depth == integrity.DEEPEST:
            integrity.check_regular(tmp_path)
        os.mkdir("d")
        os.chdir("d")
    with pytest.raises(StoreError, match="more than 32 folders inside each other; delete them"):
        integrity.check_regular(tmp_path)


def listed(folder, lines):
    digest = hashlib.sha256(lines.encode()).hexdigest()
    (folder / integrity.CHECKSUMS).write_text(f"# {digest}\n{lines}")


@pytest.mark.parametrize(
    "name", ["/proc/kmsg", "../a", "a/../../b", "./a", "a//b", "/etc/passwd", "", "..", "a/"]
)
def test_a_list_of_digests_names_only_files_of_its_folder(tmp_path, name):
    listed(tmp_path, f"{'0' * 64}  {name}\n")
    with pytest.raises(ValueError, match=r"SHA256SUMS names .*, which is no file in the folder"):
        integrity.check_checksums(tmp_path)


def test_a_list_of_digests_is_read_up_to_a_limit(tmp_path):
    listed(tmp_path, "")
    integrity.check_checksums(tmp_path)
    with (tmp_path / integrity.CHECKSUMS).open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(ValueError, match="SHA256SUMS is damaged"):
        integrity.check_checksums(tmp_path)
