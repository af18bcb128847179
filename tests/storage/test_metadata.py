"""What a store declares is compared with what it has, before anything is read."""

import contextlib
import json
import os
import struct
import tracemalloc
import zipfile

import pytest

from passband.storage import integrity, metadata

ROOT = json.dumps({"attributes": {"kind": "table", "files": 1, "format": integrity.FORMAT}})


def packed(path, entries=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {"zarr.json": ROOT, **dict(entries)}.items():
            archive.writestr(name, content)
    return path


def refusal(path):
    with pytest.raises(zipfile.BadZipFile) as caught, metadata.opened_zip(path):
        pass
    return str(caught.value)


def test_attributes_of_a_zip_file_and_of_a_folder(tmp_path):
    assert metadata.read_attributes(packed(tmp_path / "a.zip"))["kind"] == "table"
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text(ROOT)
    integrity.write_checksums(tmp_path / "a.zarr", [tmp_path / "a.zarr/zarr.json"])
    assert metadata.read_attributes(tmp_path / "a.zarr")["kind"] == "table"


def test_entries_may_be_deflated_and_take_no_more_than_they_declare(tmp_path):
    path = packed(tmp_path / "a.zip", {"x": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    assert metadata.unpacked(path)["x"] == bytes(10**7)
    assert metadata.unpacked(packed(tmp_path / "b.zip")) is None
    changed(path, 22, 24, struct.pack("<I", 100))  # all entries declare 100 bytes
    with metadata.opened_zip(path) as archive:
        tracemalloc.start()
        with contextlib.suppress(zipfile.BadZipFile):  # its checksum is another
            assert len(metadata.read_entry(archive, "x")) == 100
        assert tracemalloc.get_traced_memory()[1] < 10**6
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_compressions_whose_reading_cannot_be_limited_are_refused(tmp_path, kind):
    path = packed(tmp_path / "a.zip", {}, kind)
    assert refusal(path) == "'zarr.json' is neither stored nor deflated"


def changed(path, local, central, value):
    """Change a field of all entries: the places are in the entry, and in the list of entries."""
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = data.find(mark)
        while at >= 0:
            data[at + place : at + place + len(value)] = value
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    return path


def test_encryption_and_unknown_compression_are_named(tmp_path):
    encrypted = changed(packed(tmp_path / "a.zip"), 6, 8, struct.pack("<H", 1))
    assert refusal(encrypted) == "'zarr.json' is encrypted"
    unknown = changed(packed(tmp_path / "b.zip"), 8, 10, struct.pack("<H", 77))
    assert refusal(unknown) == "'zarr.json' is neither stored nor deflated"


def test_an_entry_with_two_sizes_is_refused(tmp_path):
    assert refusal(changed(packed(tmp_path / "a.zip"), 22, 24, struct.pack("<I", 10**6))) == (
        "'zarr.json' has two sizes"
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../a", "'../a' leads out of the file"),
        ("/etc/a", "'/etc/a' leads out of the file"),
        ("a/" * 40 + "b", "is in more than 32 folders inside each other"),
    ],
)
def test_names_of_entries(tmp_path, name, says):
    assert says in refusal(packed(tmp_path / "a.zip", {name: ""}))


def test_a_name_is_given_once(tmp_path):
    path = packed(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("zarr.json", "{}")
    assert refusal(path) == "it has 'zarr.json' twice"


@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_the_list_of_entries_is_limited_before_it_is_read(tmp_path, monkeypatch, comment):
    path = packed(tmp_path / "a.zip", {f"{k}": "" for k in range(99)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    with metadata.opened_zip(path):
        pass
    monkeypatch.setattr(metadata, "MOST_ENTRIES", 99)
    assert refusal(path) == "it has 100 entries, must be at most 99"
    monkeypatch.setattr(metadata, "_MOST_LIST", 1_000)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # would read the list
    assert refusal(path).startswith("its list of entries has")


@pytest.mark.slow
def test_the_list_of_a_large_zip_file_is_limited_too(tmp_path, monkeypatch):
    """With 65,536 entries or more, the size of the list is in another record."""
    path = packed(tmp_path / "a.zip", {f"{k:x}": "" for k in range(2**16)})
    with metadata.opened_zip(path) as archive:
        assert len(archive.infolist()) == 2**16 + 1
    monkeypatch.setattr(metadata, "_MOST_LIST", 1_000_000)
    assert refusal(path).startswith("its list of entries has")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        ({"shape": [10**12], "data_type": "uint8"}, "a would take 1e\\+03 GB"),
        ({"shape": [10**12], "data_type": "string"}, "a would take 8e\\+03 GB"),
        (
            {"shape": [2], "data_type": {"configuration": {"length_bytes": 10**11}}},
            "a would take 200 GB",
        ),
        (
            {
                "shape": [1],
                "data_type": "uint8",
                "chunk_grid": {"configuration": {"chunk_shape": [10**10]}},
            },
            "a would take 10 GB",
        ),
        (
            {
                "shape": [9 * 10**7],
                "data_type": "uint8",
                "chunk_grid": {"configuration": {"chunk_shape": [1]}},
            },
            "a has 90,000,000 chunks, must be at most 1,000,000",
        ),
        ({"shape": [-1], "data_type": "uint8"}, r"a shape is \[-1\]"),
        ({"shape": ["x"], "data_type": "uint8"}, r"a shape is \['x'\]"),
        ({"shape": 7, "data_type": "uint8"}, "a shape is 7"),
    ],
)
def test_an_array_takes_no_more_than_its_stored_bytes_can_hold(array, says):
    with pytest.raises(ValueError, match=says):
        metadata.check_array("a", array, 1_000)


def test_an_array_may_be_large_if_much_is_stored():
    array = {"shape": [10**12], "data_type": "uint8"}
    metadata.check_array("a", array, 10**8)
    metadata.check_array("a", array, [10**8, 1])  # sizes of files, which are added up only here
    metadata.check_array("a", {"node_type": "group"}, 0)


def test_metadata_of_a_folder_are_read_up_to_a_limit(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("zarr.json", "a/zarr.json"):
        (tmp_path / name).write_text(ROOT)
    integrity.write_checksums(tmp_path, tmp_path.rglob("zarr.json"))
    metadata.read_attributes(tmp_path)
    for name, says in (("a/zarr.json", "a/zarr.json has 1,000,000 MB"), ("zarr.json", "of JSON")):
        with (tmp_path / name).open("r+b") as file:
            file.truncate(10**12)  # takes no place on the disk
        with pytest.raises(ValueError, match=says):
            metadata.read_attributes(tmp_path)


def test_the_metadata_of_a_folder_are_no_link_to_a_file_of_the_system(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    os.symlink("/proc/version", tmp_path / "a.zarr/zarr.json")
    with pytest.raises(integrity.StoreError, match=r"zarr\.json: is a file of the system"):
        metadata.read_attributes(tmp_path / "a.zarr")
