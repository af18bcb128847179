"""Stores: data that were written are read back completely, or not at all."""

import errno
import json
import os
import re
import shutil
import subprocess
import threading
import warnings
import zipfile
from datetime import datetime

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import passband
from passband.storage import (
    DamagedError,
    FullError,
    NewerError,
    StoreError,
    UnreachableError,
    atomic,
    datasets,
    integrity,
    lease,
    provenance,
)

KIND = "exit waves"
FORMS = ["waves.zarr", "waves.zarr.zip"]
form = pytest.mark.parametrize("form", FORMS)


def dataset(first=0, structures=5):
    rng = np.random.default_rng(first)
    shape = (structures, 3, 3)
    wave = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return xr.Dataset(
        {
            "spectrum": (("structure", "kx", "ky"), wave.astype(np.complex64), {"units": "1"}),
            "mask": (("structure", "x"), rng.integers(0, 2, (structures, 4), dtype=np.uint8)),
            "counts": (
                ("structure", "outcome"),
                rng.integers(2**32 - 9, 2**32, (structures, 3), dtype=np.uint32),
            ),
            "score": (("structure",), np.r_[np.nan, rng.normal(size=structures - 1)]),
            "loss": (("structure",), rng.normal(size=structures).astype(np.float32)),
            "note": (("structure",), [f"Wulff, {i} Å" for i in range(structures)]),
            "energy": ((), 300e3, {"units": "eV"}),
        },
        {
            "structure": np.arange(first, first + structures),
            "outcome": ["tp", "fp", "fn"],
            "shape": ("structure", ["wulff", "sphere"] * (structures // 2) + ["wulff"]),
        },
        {"specimen": "gold"},
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def full(tmp_path, form):
    """The path of a complete store, which is the only store in its folder."""
    path = tmp_path / form
    datasets.write(dataset(), path, KIND, {"study": "demo"})
    return path


def refusal(path, kind=KIND, read=datasets.read):
    with pytest.raises(StoreError) as caught:
        read(path, kind)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert isinstance(caught.value, passband.PassbandError)
    return message


# Writing and reading


@form
@pytest.mark.parametrize("chunks", [None, {"structure": 2}, {"structure": 999, "kx": 1}])
def test_round_trip(tmp_path, form, chunks):
    given = dataset()
    path = tmp_path / "deep" / "er" / form
    datasets.write(given, path, KIND, {"study": "demo"}, chunks)
    found = datasets.read(path, KIND)
    xr.testing.assert_equal(found, given)
    assert set(found.data_vars) == set(given.data_vars)
    assert set(found.coords) == set(given.coords)
    for name, variable in given.variables.items():
        assert found[name].attrs == variable.attrs, name
        if variable.dtype.kind != "U":
            assert found[name].dtype == variable.dtype, name
    assert found.attrs == {"specimen": "gold", "study": "demo", "kind": KIND}
    assert given.attrs == {"specimen": "gold"}  # what was given is left alone
    assert names(path.parent) == [form]


def test_zip_is_one_file_of_zarr_format_3_not_compressed_twice(tmp_path):
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {})
    assert path.is_file()
    with zipfile.ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert "zarr.json" in archive.namelist()
        assert archive.testzip() is None
    with zarr.storage.ZipStore(path, mode="r") as opened:
        assert zarr.open_group(opened, mode="r").metadata.zarr_format == 3


def test_folder_is_read_by_name_with_its_metadata_in_one_file(tmp_path):
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {}, {"structure": 2})
    group = zarr.open_group(path, mode="r", use_consolidated=True)
    assert group.metadata.zarr_format == 3
    assert group["spectrum"].chunks == (2, 3, 3)
    xr.testing.assert_equal(xr.open_zarr(path).load(), dataset())


@form
def test_compression(tmp_path, form):
    zeros = xr.Dataset({"a": (("x",), np.zeros(10**6) + 1)})
    datasets.write(zeros, tmp_path / form, KIND, {})
    size = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert size < 10**5


@form
def test_writing_again_replaces(full):
    datasets.write(dataset(first=7), full, KIND, {})
    xr.testing.assert_equal(datasets.read(full, KIND), dataset(first=7))
    assert names(full.parent) == [full.name]


@form
def test_only_chosen_variables_and_their_coordinates_are_read(full):
    found = datasets.read(full, KIND, ["mask", "loss"])
    assert set(found.variables) == {"mask", "loss", "structure", "shape"}
    xr.testing.assert_equal(found, dataset()[["mask", "loss"]])
    assert found.attrs["specimen"] == "gold"
    with pytest.raises(StoreError, match=r"not a whole store of exit waves: KeyError: .*'phase'"):
        datasets.read(full, KIND, ["phase"])


def test_open_reads_when_used(tmp_path):
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {})
    opened = datasets.open_folder(path, KIND)
    assert isinstance(opened.spectrum.data, da.Array)
    xr.testing.assert_equal(opened.load(), dataset())


def test_create_lays_out_for_writing_by_region(tmp_path):
    path = tmp_path / "table.zarr"
    missing = xr.Dataset(
        {
            "counts": (("train", "x"), da.full((3, 2), np.nan, chunks=2)),
            "dice": (("train",), da.full(3, np.nan, chunks=2)),
        },
        {"train": ["a", "b", "c"]},
    )
    datasets.create(missing.assign_attrs(kind="table"), path, {"train": 1}, {"counts": 2**32 - 1})
    row = xr.Dataset({"counts": (("train", "x"), [[5.0, np.nan]]), "dice": ("train", [0.5])})
    row.to_zarr(path, region={"train": slice(1, 2)}, consolidated=False)
    datasets.consolidate(path)
    found = datasets.read(path, "table")
    np.testing.assert_array_equal(found.counts, [[np.nan] * 2, [5, np.nan], [np.nan] * 2])
    np.testing.assert_array_equal(found.dice, [np.nan, 0.5, np.nan])
    assert zarr.open_group(path, mode="r")["counts"].dtype == np.uint32


# Whole or absent


@form
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_nothing(tmp_path, form, monkeypatch, error):
    def interrupt(*args, **options):
        create(*args, **options)
        raise error

    create = datasets.create
    monkeypatch.setattr(datasets, "create", interrupt)
    with pytest.raises(error):
        datasets.write(dataset(), tmp_path / form, KIND, {})
    assert names(tmp_path) == []


@form
def test_an_interrupted_write_keeps_the_old_file(full, monkeypatch):
    def interrupt(*args, **options):
        create(*args, **options)
        raise RuntimeError

    create = datasets.create
    monkeypatch.setattr(datasets, "create", interrupt)
    with pytest.raises(RuntimeError):
        datasets.write(dataset(first=7), full, KIND, {})
    assert names(full.parent) == [full.name]
    xr.testing.assert_equal(datasets.read(full, KIND), dataset())


def test_a_store_is_absent_until_it_is_whole(tmp_path):
    path = tmp_path / "a" / "model.safetensors"
    with atomic.replacing(path) as beside:
        beside.write_text("half")
        assert not path.exists()
        assert beside.parent == path.parent  # a rename between file systems is a copy
        assert beside.suffix == path.suffix
        beside.write_text("whole")
    assert path.read_text() == "whole"
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("old", ["file", "folder", None])
def test_replacing_keeps_the_old_when_it_fails(tmp_path, old):
    path = tmp_path / "thing"
    if old == "folder":
        path.mkdir()
        (path / "old").touch()
    elif old:
        path.touch()
    before = sorted(tmp_path.rglob("*"))

    def fail(make):
        with atomic.replacing(path) as beside:
            if make == "folder":
                beside.mkdir()
                (beside / "new").touch()
            elif make:
                beside.touch()
            raise RuntimeError

    for make in ("file", "folder", None):
        with pytest.raises(RuntimeError):
            fail(make)
        assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(FileNotFoundError), atomic.replacing(path):
        pass  # nothing was written
    assert sorted(tmp_path.rglob("*")) == before


def test_an_error_names_the_path_that_is_replaced(tmp_path):
    path = tmp_path / "thing"
    with pytest.raises(FileNotFoundError) as caught, atomic.replacing(path) as beside:
        beside.read_bytes()
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("made", ["file", "folder"])
def test_replacing_a_folder(tmp_path, made):
    path = tmp_path / "thing"
    path.mkdir()
    (path / "old").touch()
    with atomic.replacing(path) as beside:
        if made == "folder":
            beside.mkdir()
            (beside / "new").touch()
        else:
            beside.touch()
    assert names(tmp_path) == ["thing"]
    assert path.is_file() if made == "file" else names(path) == ["new"]


# Damage


@form
def test_a_missing_store_is_named(tmp_path, form):
    assert "no such store of exit waves" in refusal(tmp_path / form)


@pytest.mark.parametrize("form", ["waves.zarr.zip"])
def test_a_truncated_zip_is_refused(full):
    whole = full.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        full.write_bytes(whole[:length])
        assert "not a whole store of exit waves" in refusal(full)


@pytest.mark.slow
def test_a_flipped_bit_in_a_zip_is_refused_wherever_it_changes_the_data(tmp_path):
    full = tmp_path / "waves.zarr.zip"
    datasets.write(dataset()[["mask"]].drop_vars("shape"), full, KIND, {})
    whole, good = full.read_bytes(), datasets.read(full, KIND)
    with zipfile.ZipFile(full) as archive:
        content = {
            place
            for entry in archive.infolist()
            for place in range(
                entry.header_offset + 30 + len(entry.filename),
                entry.header_offset + 30 + len(entry.filename) + entry.file_size,
            )
        }
        directory = range(archive.start_dir, len(whole))
    refused = 0
    # All of the directory, whose damaged names would be chunks that read as zeros.
    for place in [*range(0, archive.start_dir, 7), *directory]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        full.write_bytes(damaged)
        try:
            found = datasets.read(full, KIND)
        except StoreError:
            refused += 1
        else:
            assert place not in content
            assert found.identical(good), place
    assert refused > 200


def flips(folder, number, seed=0):
    """Flip single bits of every file in a folder, and yield the file of each; then restore it."""
    random = np.random.default_rng(seed)
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        for place in random.choice(len(whole) * 8, min(number, len(whole) * 8), replace=False):
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << place % 8
            file.write_bytes(damaged)
            yield file
        file.write_bytes(whole)


@pytest.mark.slow
def test_a_flipped_bit_in_a_folder_is_refused(tmp_path):
    """Every reader refuses damaged chunks; Passband refuses damaged metadata too."""
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {}, {"structure": 2}, {"structure": 2})
    kinds = set()
    for file in flips(path, 4):
        kinds.add(file.name if file.name in ("zarr.json", integrity.CHECKSUMS) else "chunk")
        assert re.search("not a whole store|update Passband", refusal(path)), file
        if file.name not in ("zarr.json", integrity.CHECKSUMS):
            with pytest.raises(Exception, match=r"checksum|Checksum"):
                xr.open_zarr(path).load()
    assert kinds == {"chunk", "zarr.json", integrity.CHECKSUMS}
    xr.testing.assert_equal(datasets.read(path, KIND), dataset())


def test_damage_of_text_is_noticed_without_passband(tmp_path):
    """Zarr's codec for text and Zstandard read many damaged chunks without an error."""
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {})
    repacked(path, lambda content: content.update({"note/c/0": bytes(8) + content["note/c/0"][8:]}))
    with (
        zarr.storage.ZipStore(path, mode="r") as store,
        pytest.raises(ValueError, match="checksum"),
    ):
        xr.open_zarr(store, consolidated=False).load()


def test_a_store_without_checksums_is_refused(tmp_path):
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {})
    (path / integrity.CHECKSUMS).unlink()
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["files"] -= 1
    (path / "zarr.json").write_text(json.dumps(root))
    assert "SHA256SUMS is missing" in refusal(path)


@form
def test_a_store_of_another_kind_is_refused(full):
    assert "expected a store of record, found exit waves" in refusal(full, "record")
    assert "expected a store of record, found exit waves" in refusal(
        full, "record", datasets.read if full.suffix == ".zip" else datasets.open_folder
    )


def test_a_foreign_store_is_refused(tmp_path):
    foreign = xr.Dataset({"a": ("x", [1, 2])})
    folder = tmp_path / "waves.zarr"
    foreign.to_zarr(folder, zarr_format=3, consolidated=False)
    for read in (datasets.read, datasets.open_folder):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            refusal(folder, read=read)
        assert not warned  # the error's one line is all that a user sees
    packed = tmp_path / "waves.zarr.zip"
    shutil.make_archive(folder, "zip", folder)
    datasets.consolidate(folder)
    for path, read in (
        (packed, datasets.read),
        (folder, datasets.read),
        (folder, datasets.open_folder),
    ):
        says = "it has no format: Passband did not write it"
        assert says in refusal(path, read=read)


@form
def test_files_that_are_no_store_are_refused(tmp_path, form):
    path = tmp_path / form
    path.mkdir()
    refusal(path)  # an empty folder
    path.rmdir()
    path.write_text("defocus: 5\n")
    refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not zarr")
    refusal(path)


def test_a_folder_that_lost_its_metadata_or_a_damaged_chunk_is_refused(tmp_path):
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {})
    chunk = path / "spectrum" / "c.0.0.0"
    whole = chunk.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1], b"", whole[:99] + b"?" + whole[100:]):
        chunk.write_bytes(damaged)
        refusal(path)
    chunk.write_bytes(whole)
    datasets.read(path, KIND)
    (path / "zarr.json").unlink()
    refusal(path)


@form
def test_damage_is_distinguished_from_a_store_that_cannot_be_read(full, monkeypatch):
    """An undamaged store must not be renamed because its disk does not answer."""
    for number in (errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE):
        with monkeypatch.context() as patch:
            error = OSError(number, os.strerror(number))
            patch.setattr(
                xr, "open_zarr", lambda *_, error=error, **__: (_ for _ in ()).throw(error)
            )
            with pytest.raises(UnreachableError, match=r"cannot be read: .*; run again"):
                datasets.read(full, KIND)
            with pytest.raises(UnreachableError):
                integrity.read_if_valid(datasets.read, full, KIND)
    with monkeypatch.context() as patch:
        patch.setattr(xr, "open_zarr", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(UnreachableError, match="it does not fit into memory"):
            datasets.read(full, KIND)
    with pytest.raises(DamagedError, match="delete it and run again") as caught:
        datasets.read(full, "another kind")
    assert caught.value.path == full


def test_a_missing_chunk_is_noticed(tmp_path):
    """A missing chunk would be read as the fill value."""
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {}, {"structure": 1})
    (path / ".snakemake_timestamp").touch()
    datasets.read(path, KIND)
    (path / "spectrum" / "c.0.0.0").unlink()
    for read in (datasets.read, datasets.open_folder):
        assert re.search(
            r"not a whole store of exit waves: .*\d+ of \d+ files", refusal(path, read=read)
        )


def repacked(path, change):
    """Write a zip file again after changing its entries, which are given by name."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def edited(name, **changes):
    """Return a function that changes the metadata of a group or of an array."""

    def change(content):
        content[name] = json.dumps(json.loads(content[name]) | changes).encode()

    return change


def test_a_chunk_that_is_gone_from_a_zip_is_missed(tmp_path):
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {}, {"structure": 1})
    repacked(path, lambda content: None)
    xr.testing.assert_equal(datasets.read(path, KIND), dataset())
    repacked(path, lambda content: content.pop("spectrum/c.2.0.0"))
    for read in (
        datasets.read,
        datasets.read_metadata,
        lambda *args: datasets.read_selection(*args, ["spectrum"], {"structure": np.array([0])}),
    ):
        assert re.search(r"not a whole store .*: \d+ of \d+ files", refusal(path, read=read))


@pytest.mark.parametrize(
    ("name", "says"),
    [("files", r"\d+ of None files"), ("format", "it has no format: Passband did not write it")],
)
def test_a_zip_without_its_number_of_files_or_its_format_is_refused(tmp_path, name, says):
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {}, {"structure": 1})

    def without(content):
        root = json.loads(content["zarr.json"])
        del root["attributes"][name]
        content["zarr.json"] = json.dumps(root).encode()

    repacked(path, without)
    assert re.search(says, refusal(path))


@pytest.mark.slow
def test_a_zip_that_unpacks_to_gigabytes_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {})
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("spectrum/c.0.0.1", "w", force_zip64=True) as entry,
    ):
        for _ in range(200):
            entry.write(bytes(10**6))
    size, read = 0, zipfile.ZipExtFile.read

    def counted(self, *arguments):
        nonlocal size
        found = read(self, *arguments)
        size += len(found)
        return found

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    assert "it would unpack to 0.2 GB" in refusal(path)
    assert size < 10**5


@pytest.mark.parametrize("which", ["structure", "spectrum"])
def test_an_array_of_more_than_is_stored_is_refused_unread(tmp_path, which):
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {})
    lengths = [10**11] if which == "structure" else [10**9, 3, 3]
    repacked(path, edited(f"{which}/zarr.json", shape=lengths))
    assert re.search(rf"not a whole store .*: {which} would take \d+ GB", refusal(path))


@form
def test_a_newer_format_is_refused_and_kept(tmp_path, form, monkeypatch):
    path = tmp_path / form
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", 3)
        datasets.write(dataset(), path, KIND, {})
        datasets.read(path, KIND)

    def holds(path, kind):
        return integrity.read_if_valid(datasets.read, path, kind, newer=True)

    for read in (
        datasets.read,
        holds,
        datasets.read_metadata if path.suffix == ".zip" else datasets.open_folder,
    ):
        assert "its format is 3, and this Passband reads up to 2: update" in refusal(
            path, read=read
        )
        with pytest.raises(NewerError):
            read(path, KIND)
    assert path.exists()


@form
def test_what_0_2_wrote_is_named_in_one_line(tmp_path, form, monkeypatch):
    path = tmp_path / form
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", integrity.OF_02)
        datasets.write(dataset(), path, KIND, {})
    for read in (
        datasets.read,
        datasets.read_metadata if path.suffix == ".zip" else datasets.open_folder,
    ):
        said = refusal(path, read=read)
        assert said == f"{path}: made by Passband 0.2: run it again, or use 0.2"


@form
def test_the_format_is_2_and_the_version_is_not_looked_at(tmp_path, form):
    path = tmp_path / form
    datasets.write(dataset(), path, KIND, {"passband_version": "99.0"})
    xr.testing.assert_equal(datasets.read(path, KIND), dataset())
    where = zarr.storage.ZipStore(path, mode="r") if path.suffix == ".zip" else path
    assert xr.open_zarr(where, consolidated=path.is_dir()).attrs["format"] == 2


@pytest.mark.parametrize("format", ["1", 1.0, True, 0, -1])
def test_an_unknown_format_is_damage(tmp_path, format):
    path = tmp_path / "waves.zarr.zip"
    datasets.write(dataset(), path, KIND, {})
    attributes = {"kind": KIND, "format": format}
    repacked(path, edited("zarr.json", attributes=attributes))
    assert f"its format is {format!r}" in refusal(path)


@pytest.mark.slow
def test_damage_that_shows_late_is_named_and_other_errors_are_not_taken_for_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(datasets, "_opened", {})  # without the stores of other tests
    path = tmp_path / "waves.zarr"
    datasets.write(dataset(), path, KIND, {})
    with datasets.open_checked(path, KIND) as opened:
        xr.testing.assert_equal(opened.load(), dataset())
    with pytest.raises(ZeroDivisionError), datasets.open_checked(path, KIND):
        _ = 1 / 0
    chunk = path / "spectrum" / "c.0.0.0"
    whole = bytearray(chunk.read_bytes())
    whole[50] ^= 1
    chunk.write_bytes(whole)
    with (
        pytest.raises(DamagedError, match=re.escape(f"{path}: its spectrum is damaged")),
        datasets.open_checked(path, KIND) as opened,
    ):
        opened.spectrum.compute()
    assert datasets.open_folder(path, KIND).attrs["kind"] == KIND  # its variables are not read yet
    with pytest.raises(DamagedError, match=re.escape(f"{path}: its spectrum is damaged")):
        datasets.check_opened()


@pytest.mark.parametrize("name", ["count", "flag", "value", "text"])
def test_damage_of_a_variable_of_any_type_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(datasets, "_opened", {})  # without the stores of other tests
    path = tmp_path / "waves.zarr"
    several = {
        "count": ("x", np.arange(9)),
        "flag": ("x", np.arange(9) > 4),
        "value": ("x", np.arange(9.0)),
        "text": ("x", np.array(list("abcdefghi"), dtype=object)),
    }
    datasets.write(xr.Dataset(several), path, KIND, {})
    (chunk,) = (
        (path / name).glob("c*/*") if (path / name / "c").is_dir() else (path / name).glob("c*")
    )
    whole = bytearray(chunk.read_bytes())
    whole[len(whole) // 2] ^= 1
    chunk.write_bytes(whole)
    datasets.open_folder(path, KIND)
    with pytest.raises(
        DamagedError, match=rf"waves.zarr: its {name} is damaged: .*; delete it and"
    ):
        datasets.check_opened()


@pytest.mark.parametrize("name", ["good\x1b[31m", "a\nb"])
def test_a_name_that_would_change_a_terminal_is_refused(tmp_path, name):
    path = tmp_path / "waves.zarr.zip"
    for found in (
        xr.Dataset({name: ("x", [1, 2])}),
        xr.Dataset({"a": (name, [1, 2])}),
        xr.Dataset({"a": ("x", [1, 2])}, {"x": np.array(["b", name], dtype=object)}),
    ):
        datasets.write(found, path, KIND, {})
        assert "it has the name" in refusal(path)
        assert refusal(path).isprintable()


@pytest.mark.slow
def test_a_store_that_is_set_aside_is_kept_under_a_new_name(tmp_path):
    path = tmp_path / "waves.zarr"
    asides = []
    for content in ("first", "second", "third"):
        path.mkdir()
        (path / content).touch()
        asides.append(integrity.set_aside(path))
        assert not path.exists()
    assert [aside.name for aside in asides] == [f"waves.zarr.damaged{n}" for n in ("", 2, 3)]
    assert [names(aside) for aside in asides] == [["first"], ["second"], ["third"]]


# Second names


@pytest.mark.parametrize("links", [True, False], ids=["", "a file system without links"])
def test_a_second_name_outlives_the_first(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError))
    path, other = tmp_path / "a" / "file", tmp_path / "b" / "file"
    for content in ("first", "second"):
        with atomic.replacing(path) as beside:
            beside.write_text(content)
        for _ in range(2):  # again, it changes nothing
            atomic.link(path, other)
            assert other.read_text() == content
            assert names(other.parent) == ["file"]
        assert other.samefile(path) == links
        path.unlink()
        assert other.read_text() == content
    atomic.link(other, path)
    assert path.read_text() == "second"


# A lease, and a full disk


def test_what_a_job_puts_in_place_is_its_own_to_do(tmp_path):
    folder = tmp_path / "one.lease"

    def write_late():
        with lease.held(folder), atomic.replacing(tmp_path / "file") as beside:
            beside.write_text("late")
            (file,) = folder.iterdir()
            file.rename(folder / "another")

    with pytest.raises(lease.LostError):
        write_late()
    assert names(tmp_path) == ["one.lease"]


def test_the_next_attempt_removes_files_of_killed_attempts(tmp_path):
    others = {".other-7.file2", "file.txt", ".hidden"}
    for name in {".other-7.file", ".old-8.old.file", *others}:
        (tmp_path / name).touch()
    with atomic.replacing(tmp_path / "file") as beside:
        beside.touch()
    assert set(names(tmp_path)) >= {".other-7.file", ".old-8.old.file"}  # without a lease
    with lease.held(tmp_path / "lease"), atomic.replacing(tmp_path / "file") as beside:
        beside.touch()
    assert set(names(tmp_path)) == {"file", *others}


def test_the_next_attempt_removes_no_file_that_passband_did_not_write(tmp_path):
    (tmp_path / ".my.file").touch()
    (tmp_path / ".my-copy.file").mkdir()
    with lease.held(tmp_path / "lease"), atomic.replacing(tmp_path / "file") as beside:
        beside.touch()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"file", ".my.file", ".my-copy.file"}


def test_a_link_is_replaced_and_what_it_names_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/own").touch()
    for name in ("store", "to remove"):
        (tmp_path / name).symlink_to("elsewhere")
    with atomic.replacing(tmp_path / "store") as beside:
        beside.mkdir()
    atomic.remove(tmp_path / "to remove")
    assert (tmp_path / "elsewhere/own").exists()
    assert (tmp_path / "store").is_dir()
    assert not (tmp_path / "store").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "store"]


def test_the_next_attempt_removes_a_killed_attempts_zip(tmp_path):
    """The killed attempt's incomplete folder is removed, even if the next job writes nothing."""
    path, output = tmp_path / "cache" / "00001.zarr.zip", tmp_path / "waves" / "00001.zarr.zip"
    datasets.write(dataset(), path, KIND, {})

    def leave():
        for name in (".host-7.00001.zarr", ".host-7.00002.zarr", ".host-7.00001.zarr.zip"):
            shutil.copytree(tmp_path / "cache", path.with_name(name), dirs_exist_ok=True)

    leave()
    datasets.write(dataset(), path, KIND, {})
    assert len(names(path.parent)) == 4  # without a lease
    with lease.held(tmp_path / "lease"):
        datasets.write(dataset(), path, KIND, {})
    assert names(path.parent) == [".host-7.00002.zarr", "00001.zarr.zip"]
    leave()
    with lease.held(tmp_path / "lease"):
        atomic.link(path, output)
    assert names(path.parent) == [".host-7.00002.zarr", "00001.zarr.zip"]


@form
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_is_named_and_the_old_file_is_kept(disk, form, there):
    path = disk.folder / "some" / form
    if there:
        datasets.write(dataset(), path, KIND, {})
    large = xr.Dataset({"a": ("x", np.random.default_rng(0).normal(size=500_000))})
    with pytest.raises(FullError) as caught:
        datasets.write(large, path, KIND, {})
    free = r"0(\.\d+)?(e-\d+)? of 0.0021 GB are free"
    assert re.fullmatch(
        rf"{path}: no space left: {free}; make room and run again", str(caught.value)
    )
    assert (names(path.parent) if path.parent.exists() else []) == [form] * there
    if there:
        xr.testing.assert_equal(datasets.read(path, KIND), dataset())
    disk.resize("20m")
    datasets.write(large, path, KIND, {})
    xr.testing.assert_equal(datasets.read(path, KIND), large)


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EDQUOT, FullError), (errno.EACCES, ValueError)]
)
def test_a_quota_is_a_full_disk_too(tmp_path, number, expected):
    def write():
        with atomic.replacing(tmp_path / "file"):
            try:
                raise OSError(number, os.strerror(number))
            except OSError as error:
                raise ValueError("cannot write") from error

    with pytest.raises(expected, match=r"the disk quota is used up; make room|cannot write"):
        write()


# Several stores


@form
def test_read_many_sorts_along_the_dimension(tmp_path, form):
    paths = []
    for first in (10, 0, 5):
        paths.append(str(tmp_path / f"{first}.{form}"))
        datasets.write(dataset(first), paths[-1], KIND, {"shard": first})
    found = datasets.read_many(paths, KIND, "structure")
    assert found.structure.values.tolist() == list(range(15))
    assert found.attrs["shard"] == 10  # the first store's
    for first in (0, 5, 10):
        part = found.sel(structure=slice(first, first + 4))
        for name in ("spectrum", "mask", "counts", "score", "note", "shape", "energy", "outcome"):
            xr.testing.assert_equal(part[name], dataset(first)[name])
    assert found.counts.dtype == np.uint32


def test_read_many_reads_chosen_variables(tmp_path):
    for first in (0, 5):
        datasets.write(dataset(first), tmp_path / f"{first}.zarr.zip", KIND, {})
    paths = [tmp_path / f"{first}.zarr.zip" for first in (0, 5)]
    found = datasets.read_many(paths, KIND, "structure", variables=["loss"])
    assert set(found.data_vars) == {"loss"}
    assert found.sizes["structure"] == 10


def test_read_many_names_the_store_that_is_not_whole(tmp_path):
    paths = [tmp_path / f"{i}.zarr.zip" for i in range(3)]
    for path in paths:
        datasets.write(dataset(), path, KIND, {})
    paths[1].write_bytes(paths[1].read_bytes()[:50])
    with pytest.raises(StoreError, match=re.escape(f"{paths[1]}: not a whole store")):
        datasets.read_many(paths, KIND, "structure")


def test_read_many_takes_only_what_is_expected(tmp_path):
    paths = [str(tmp_path / f"{k}.zarr.zip") for k in range(2)]
    for k, split in enumerate(("train", "val")):
        part = dataset().assign_coords(structure=dataset().structure + 100 * k)
        datasets.write(part, paths[k], KIND, {"split": split})
    datasets.read_many(paths, KIND, "structure")
    with pytest.raises(StoreError, match=re.escape(f"{paths[1]}: its split is 'val', expected")):
        datasets.read_many(paths, KIND, "structure", {"split": "train"})
    with pytest.raises(StoreError, match="its field_px is None, expected 64"):
        datasets.read_many(paths, KIND, "structure", {"field_px": 64})


def test_read_many_refuses_the_same_structure_twice(tmp_path):
    paths = [str(tmp_path / f"{k}.zarr.zip") for k in range(2)]
    for path in paths:
        datasets.write(dataset(), path, KIND, {})
    with pytest.raises(StoreError, match=re.escape(f"{paths[1]}: its structure ")):
        datasets.read_many(paths, KIND, "structure")


# Provenance


def test_provenance():
    found = provenance.attributes("demo", "0123abcd", "snakemake results/demo/a.zarr")
    made = datetime.fromisoformat(found.pop("created"))
    assert made.utcoffset().total_seconds() == 0
    assert abs((datetime.now(made.tzinfo) - made).total_seconds()) < 3600
    revision = found.pop("git_revision")
    assert revision == "unknown" or re.fullmatch(r"[\w.-]+", revision)
    assert found == {
        "study": "demo",
        "config_digest": "0123abcd",
        "passband_version": passband.__version__,
        "command": "snakemake results/demo/a.zarr",
    }


@pytest.mark.parametrize(
    ("answer", "revision"),
    [
        ("0123456789ab-dirty\n", "0123456789ab-dirty"),
        ("", "unknown"),
        (FileNotFoundError("git"), "unknown"),
        (subprocess.TimeoutExpired("git", 30), "unknown"),
    ],
)
def test_revision_without_git_is_unknown(monkeypatch, answer, revision):
    def run(command, **options):
        assert command[0] == "git"
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert provenance._git_revision.__wrapped__() == revision


@pytest.mark.slow
@form
def test_a_full_disk_leaves_nothing_though_other_chunks_are_still_written(
    tmp_path, form, monkeypatch
):
    """A late chunk would make its folder again, after the folder was removed."""
    local = zarr.storage._local
    failed, removed, written = (threading.Event() for _ in range(3))
    put, remove = local._put, shutil.rmtree

    def put_late(path, value, exclusive=False):
        if "/mask/c" not in path.as_posix():
            return put(path, value, exclusive)
        if path.name.startswith("c.0"):
            failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        removed.wait(0.3)
        put(path, value, exclusive)
        written.set()

    def remove_first(*given, **options):
        remove(*given, **options)
        if failed.is_set():
            removed.set()

    monkeypatch.setattr(local, "_put", put_late)
    monkeypatch.setattr(shutil, "rmtree", remove_first)
    small = dataset()[["mask"]].isel(structure=slice(2)).drop_vars("shape")
    with pytest.raises(FullError):
        datasets.write(small, tmp_path / form, KIND, {}, {"structure": 1})
    assert written.wait(60)
    assert names(tmp_path) == []
