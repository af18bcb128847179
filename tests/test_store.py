"""Stores: what is written is read, whole or not at all."""

import errno
import os
import re
import shutil
import subprocess
import warnings
import zipfile
from datetime import datetime

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import passband
from passband import lease, store
from passband.store import StoreError

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
    """The path of a whole store, alone in its folder."""
    path = tmp_path / form
    store.write(dataset(), path, KIND, {"study": "demo"})
    return path


def refusal(path, kind=KIND, read=store.read):
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
    store.write(given, path, KIND, {"study": "demo"}, chunks)
    found = store.read(path, KIND)
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
    store.write(dataset(), path, KIND, {})
    assert path.is_file()
    with zipfile.ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert "zarr.json" in archive.namelist()
        assert archive.testzip() is None
    with zarr.storage.ZipStore(path, mode="r") as opened:
        assert zarr.open_group(opened, mode="r").metadata.zarr_format == 3


def test_folder_is_read_by_name_with_its_metadata_in_one_file(tmp_path):
    path = tmp_path / "waves.zarr"
    store.write(dataset(), path, KIND, {}, {"structure": 2})
    group = zarr.open_group(path, mode="r", use_consolidated=True)
    assert group.metadata.zarr_format == 3
    assert group["spectrum"].chunks == (2, 3, 3)
    xr.testing.assert_equal(xr.open_zarr(path).load(), dataset())


@form
def test_compression(tmp_path, form):
    zeros = xr.Dataset({"a": (("x",), np.zeros(10**6) + 1)})
    store.write(zeros, tmp_path / form, KIND, {})
    size = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert size < 10**5


@form
def test_writing_again_replaces(full):
    store.write(dataset(first=7), full, KIND, {})
    xr.testing.assert_equal(store.read(full, KIND), dataset(first=7))
    assert names(full.parent) == [full.name]


@form
def test_chosen_variables_are_read_alone_with_their_coordinates(full):
    found = store.read(full, KIND, ["mask", "loss"])
    assert set(found.variables) == {"mask", "loss", "structure", "shape"}
    xr.testing.assert_equal(found, dataset()[["mask", "loss"]])
    assert found.attrs["specimen"] == "gold"
    with pytest.raises(StoreError, match=r"not a whole store of exit waves: KeyError: .*'phase'"):
        store.read(full, KIND, ["phase"])


def test_open_reads_when_used(tmp_path):
    path = tmp_path / "waves.zarr"
    store.write(dataset(), path, KIND, {})
    opened = store.open(path, KIND)
    assert isinstance(opened.spectrum.data, da.Array)
    xr.testing.assert_equal(opened.load(), dataset())


def test_create_lays_out_for_writing_by_region(tmp_path):
    path = tmp_path / "table.zarr"
    missing = xr.Dataset(
        {
            "counts": (("train", "x"), da.full((3, 2), np.nan, chunks=2)),
            "dice": (("train",), da.full(3, np.nan, dtype="float32", chunks=2)),
        },
        {"train": ["a", "b", "c"]},
    )
    store.create(missing.assign_attrs(kind="table"), path, {"train": 1}, fill=2**32 - 1)
    row = xr.Dataset(
        {"counts": (("train", "x"), [[5.0, np.nan]]), "dice": ("train", np.float32([0]))}
    )
    row.to_zarr(path, region={"train": slice(1, 2)}, consolidated=False)
    store.consolidate(path)
    found = store.read(path, "table")
    np.testing.assert_array_equal(found.counts, [[np.nan] * 2, [5, np.nan], [np.nan] * 2])
    np.testing.assert_array_equal(found.dice, [np.nan, 0, np.nan])
    assert zarr.open_group(path, mode="r")["counts"].dtype == np.uint32


# Whole or absent


@form
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_nothing(tmp_path, form, monkeypatch, error):
    def interrupt(*args, **options):
        create(*args, **options)
        raise error

    create = store.create
    monkeypatch.setattr(store, "create", interrupt)
    with pytest.raises(error):
        store.write(dataset(), tmp_path / form, KIND, {})
    assert names(tmp_path) == []


@form
def test_an_interrupted_write_leaves_what_was_there(full, monkeypatch):
    def interrupt(*args, **options):
        create(*args, **options)
        raise RuntimeError

    create = store.create
    monkeypatch.setattr(store, "create", interrupt)
    with pytest.raises(RuntimeError):
        store.write(dataset(first=7), full, KIND, {})
    assert names(full.parent) == [full.name]
    xr.testing.assert_equal(store.read(full, KIND), dataset())


def test_a_store_is_absent_until_it_is_whole(tmp_path):
    path = tmp_path / "a" / "model.safetensors"
    with store.replacing(path) as beside:
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
        with store.replacing(path) as beside:
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
    with pytest.raises(FileNotFoundError), store.replacing(path):
        pass  # nothing was written
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("made", ["file", "folder"])
def test_replacing_a_folder(tmp_path, made):
    path = tmp_path / "thing"
    path.mkdir()
    (path / "old").touch()
    with store.replacing(path) as beside:
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


def test_a_flipped_bit_in_a_zip_is_refused_wherever_it_changes_the_data(tmp_path):
    full = tmp_path / "waves.zarr.zip"
    store.write(dataset()[["mask"]].drop_vars("shape"), full, KIND, {})
    whole, good = full.read_bytes(), store.read(full, KIND)
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
            found = store.read(full, KIND)
        except StoreError:
            refused += 1
        else:
            assert place not in content
            assert found.identical(good), place
    assert refused > 200


@form
def test_a_store_of_another_kind_is_refused(full):
    assert "expected a store of record, found exit waves" in refusal(full, "record")
    assert "expected a store of record, found exit waves" in refusal(
        full, "record", store.read if full.suffix == ".zip" else store.open
    )


def test_a_foreign_store_is_refused(tmp_path):
    foreign = xr.Dataset({"a": ("x", [1, 2])})
    folder = tmp_path / "waves.zarr"
    foreign.to_zarr(folder, zarr_format=3, consolidated=False)
    for read in (store.read, store.open):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            refusal(folder, read=read)
        assert not warned  # the error's one line is all that a user sees
    store.consolidate(folder)
    assert "found something that Passband did not write" in refusal(folder)
    assert "found something that Passband did not write" in refusal(folder, read=store.open)
    packed = tmp_path / "waves.zarr.zip"
    shutil.make_archive(folder, "zip", folder)
    assert "found something that Passband did not write" in refusal(packed)


@form
def test_what_is_no_store_is_refused(tmp_path, form):
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
    store.write(dataset(), path, KIND, {})
    chunk = path / "spectrum" / "c.0.0.0"
    whole = chunk.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1], b"", whole[:99] + b"?" + whole[100:]):
        chunk.write_bytes(damaged)
        refusal(path)
    chunk.write_bytes(whole)
    store.read(path, KIND)
    (path / "zarr.json").unlink()
    refusal(path)


@form
def test_damage_is_told_from_a_store_that_cannot_be_reached(full, monkeypatch):
    """A good store must not be set aside because its disk does not answer."""
    for number in (errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE):
        with monkeypatch.context() as patch:
            error = OSError(number, os.strerror(number))
            patch.setattr(
                xr, "open_zarr", lambda *_, error=error, **__: (_ for _ in ()).throw(error)
            )
            with pytest.raises(StoreError, match=r"cannot be read: .*; run again") as caught:
                store.read(full, KIND)
        assert not isinstance(caught.value, store.DamagedError)
    with monkeypatch.context() as patch:
        patch.setattr(xr, "open_zarr", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            store.read(full, KIND)
    with pytest.raises(store.DamagedError, match="delete it and run again") as caught:
        store.read(full, "another kind")
    assert caught.value.path == full


def test_a_chunk_that_is_gone_is_missed(tmp_path):
    """It would read as a fill value."""
    path = tmp_path / "waves.zarr"
    store.write(dataset(), path, KIND, {}, {"structure": 1})
    (path / ".snakemake_timestamp").touch()
    store.read(path, KIND)
    (path / "spectrum" / "c.0.0.0").unlink()
    for read in (store.read, store.open):
        assert re.search(
            r"not a whole store of exit waves: .*\d+ of \d+ files", refusal(path, read=read)
        )


def test_damage_that_shows_late_is_named_and_other_errors_are_not_taken_for_it(tmp_path):
    path = tmp_path / "waves.zarr"
    store.write(dataset(), path, KIND, {})
    with store.reading(path, KIND) as opened:
        xr.testing.assert_equal(opened.load(), dataset())
    with pytest.raises(ZeroDivisionError), store.reading(path, KIND):
        _ = 1 / 0
    chunk = path / "spectrum" / "c.0.0.0"
    whole = bytearray(chunk.read_bytes())
    whole[50] ^= 1
    chunk.write_bytes(whole)
    with (
        pytest.raises(store.DamagedError, match=re.escape(f"{path}: not a whole store")),
        store.reading(path, KIND) as opened,
    ):
        opened.spectrum.compute()


def test_what_is_set_aside_is_kept_and_out_of_the_way(tmp_path):
    path = tmp_path / "waves.zarr"
    asides = []
    for content in ("first", "second", "third"):
        path.mkdir()
        (path / content).touch()
        asides.append(store.set_aside(path))
        assert not path.exists()
    assert [aside.name for aside in asides] == [f"waves.zarr.damaged{n}" for n in ("", 2, 3)]
    assert [names(aside) for aside in asides] == [["first"], ["second"], ["third"]]


def test_a_file_is_known_by_its_context(tmp_path):
    path = tmp_path / "waves.zarr.zip"
    assert not store.holds(path, KIND, "a")
    store.write(dataset(), path, KIND, {"context": "a"})
    assert store.holds(path, KIND, "a")
    assert not store.holds(path, KIND, "b")
    assert not store.holds(path, "record", "a")
    path.write_bytes(path.read_bytes()[:-1])
    assert not store.holds(path, KIND, "a")


# Second names


@pytest.mark.parametrize("links", [True, False], ids=["", "a file system without links"])
def test_a_second_name_outlives_the_first(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError))
    path, other = tmp_path / "a" / "file", tmp_path / "b" / "file"
    for content in ("first", "second"):
        with store.replacing(path) as beside:
            beside.write_text(content)
        for _ in range(2):  # again, it changes nothing
            store.link(path, other)
            assert other.read_text() == content
            assert names(other.parent) == ["file"]
        assert other.samefile(path) == links
        path.unlink()
        assert other.read_text() == content
    store.link(other, path)
    assert path.read_text() == "second"


# A lease, and a full disk


def test_what_a_job_puts_in_place_is_its_own_to_do(tmp_path):
    folder = tmp_path / "one.lease"

    def write_late():
        with lease.held(folder), store.replacing(tmp_path / "file") as beside:
            beside.write_text("late")
            (file,) = folder.iterdir()
            file.rename(folder / "another")

    with pytest.raises(lease.LostError):
        write_late()
    assert names(tmp_path) == ["one.lease"]


def test_what_killed_attempts_left_goes_with_the_next(tmp_path):
    others = {".other-7.file2", "file.txt", ".hidden"}
    for name in {".other-7.file", ".old-8.old.file", *others}:
        (tmp_path / name).touch()
    with store.replacing(tmp_path / "file") as beside:
        beside.touch()
    assert set(names(tmp_path)) >= {".other-7.file", ".old-8.old.file"}  # without a lease
    with lease.held(tmp_path / "lease"), store.replacing(tmp_path / "file") as beside:
        beside.touch()
    assert set(names(tmp_path)) == {"file", *others}


@form
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_is_named_and_what_was_there_stays(disk, form, there):
    path = disk.folder / "some" / form
    if there:
        store.write(dataset(), path, KIND, {})
    large = xr.Dataset({"a": ("x", np.random.default_rng(0).normal(size=500_000))})
    with pytest.raises(store.FullError) as caught:
        store.write(large, path, KIND, {})
    free = r"0(\.\d+)?(e-\d+)? of 0.0021 GB are free"
    assert re.fullmatch(
        rf"{path}: no space left: {free}; make room and run again", str(caught.value)
    )
    assert (names(path.parent) if path.parent.exists() else []) == [form] * there
    if there:
        xr.testing.assert_equal(store.read(path, KIND), dataset())
    disk.resize("20m")
    store.write(large, path, KIND, {})
    xr.testing.assert_equal(store.read(path, KIND), large)


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EDQUOT, store.FullError), (errno.EACCES, ValueError)]
)
def test_a_quota_is_a_full_disk_too(tmp_path, number, expected):
    def write():
        with store.replacing(tmp_path / "file"):
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
        store.write(dataset(first), paths[-1], KIND, {"shard": first})
    found = store.read_many(paths, KIND, "structure")
    assert found.structure.values.tolist() == list(range(15))
    assert found.attrs["shard"] == 10  # the first store's
    for first in (0, 5, 10):
        part = found.sel(structure=slice(first, first + 4))
        for name in ("spectrum", "mask", "counts", "score", "note", "shape", "energy", "outcome"):
            xr.testing.assert_equal(part[name], dataset(first)[name])
    assert found.counts.dtype == np.uint32


def test_read_many_reads_chosen_variables(tmp_path):
    for first in (0, 5):
        store.write(dataset(first), tmp_path / f"{first}.zarr.zip", KIND, {})
    paths = [tmp_path / f"{first}.zarr.zip" for first in (0, 5)]
    found = store.read_many(paths, KIND, "structure", variables=["loss"])
    assert set(found.data_vars) == {"loss"}
    assert found.sizes["structure"] == 10


def test_read_many_names_the_store_that_is_not_whole(tmp_path):
    paths = [tmp_path / f"{i}.zarr.zip" for i in range(3)]
    for path in paths:
        store.write(dataset(), path, KIND, {})
    paths[1].write_bytes(paths[1].read_bytes()[:50])
    with pytest.raises(StoreError, match=re.escape(f"{paths[1]}: not a whole store")):
        store.read_many(paths, KIND, "structure")


def test_read_many_takes_only_what_is_expected(tmp_path):
    paths = [str(tmp_path / f"{k}.zarr.zip") for k in range(2)]
    for k, split in enumerate(("train", "val")):
        part = dataset().assign_coords(structure=dataset().structure + 100 * k)
        store.write(part, paths[k], KIND, {"split": split})
    store.read_many(paths, KIND, "structure")
    with pytest.raises(StoreError, match=re.escape(f"{paths[1]}: its split is 'val', expected")):
        store.read_many(paths, KIND, "structure", {"split": "train"})
    with pytest.raises(StoreError, match="its field_px is None, expected 64"):
        store.read_many(paths, KIND, "structure", {"field_px": 64})


def test_read_many_refuses_the_same_structure_twice(tmp_path):
    paths = [str(tmp_path / f"{k}.zarr.zip") for k in range(2)]
    for path in paths:
        store.write(dataset(), path, KIND, {})
    with pytest.raises(StoreError, match=re.escape(f"{paths[1]}: its structure ")):
        store.read_many(paths, KIND, "structure")


# Provenance


def test_provenance():
    found = store.provenance("demo", "0123abcd", "snakemake results/demo/a.zarr")
    made = datetime.fromisoformat(found.pop("created"))
    assert made.utcoffset().total_seconds() == 0
    assert abs((datetime.now(made.tzinfo) - made).total_seconds()) < 60
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
    assert store._git_revision.__wrapped__() == revision
