"""Stores of data sets, in Zarr format 3, which are written and read with xarray.

A store whose path ends in ``.zarr.zip`` is one zip file. With such stores, a large study has fewer
files. A store in one zip file is replaced atomically, and every entry of the zip file has a
checksum. A store whose path ends in ``.zarr`` is a directory, which any Zarr reader can open. A
store of either kind is complete or absent; see :mod:`passband.storage.atomic`.
"""

import contextlib
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.buffer import default_buffer_prototype
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from passband.storage import integrity, metadata
from passband.storage.atomic import remove, replacing, wait_for_writes
from passband.storage.integrity import DamagedError, StoreError, UnreachableError

#: The kinds of the folders that this process has opened, see :func:`check_opened`.
_opened: dict[Path, str] = {}

# The kinds of stores. Each kind is a value of the attribute `kind` of a store.
WAVES = "exit waves"
RECORD = "record"
INFORMATION = "information metrics"
TABLE = "table"
OOD = "OOD metrics"
PREDICTION = "prediction"
IMAGES = "images"


def described(
    dims: str | Sequence[str], values: object, words: str, units: str = "1"
) -> tuple[str | Sequence[str], object, dict[str, str]]:
    """Return a variable for a data set, with a description and units."""
    return dims, values, {"long_name": words, "units": units}


def write(
    dataset: xr.Dataset,
    path: str | Path,
    kind: str,
    attrs: dict,
    chunks: dict | None = None,
    shards: dict | None = None,
) -> None:
    """Write a data set to a store. The store is written completely or not at all.

    Args:
        dataset: The data set to write. Its data are in memory.
        path: Path of the store: ``*.zarr.zip`` for one zip file, ``*.zarr`` for a directory.
        kind: The kind of store, such as ``"exit waves"``. :func:`read` compares this kind with the
            expected kind.
        attrs: Attributes to add to the store, including the attributes from
            :func:`passband.storage.provenance.attributes`.
        chunks: Length of a chunk along each dimension. A dimension that is not in `chunks` has one
            chunk.
        shards: Number of chunks in one file along each dimension, see :func:`create`.
    """
    path = Path(path)
    dataset = dataset.assign_attrs(attrs, kind=kind)
    with replacing(path) as beside:
        if path.suffix == ".zip":
            folder = beside.with_suffix("")
            try:
                create(dataset, folder, chunks or {}, shards=shards)
                _write_number_of_files(folder)
                _pack(folder, beside)
            except Exception:
                wait_for_writes()
                raise
            finally:
                remove(folder)
        else:
            create(dataset, beside, chunks or {}, shards=shards)
            consolidate(beside)


def create(
    dataset: xr.Dataset,
    folder: Path,
    chunks: dict[str, int],
    fill: Mapping[str, int] | None = None,
    shards: dict[str, int] | None = None,
    add: bool = False,
) -> None:
    """Create a Zarr folder. For dask arrays, write only metadata; add their chunks later.

    Args:
        folder: A temporary path from :func:`passband.storage.atomic.replacing`, because a folder is
            not written in one atomic step.
        chunks: Length of a chunk along each dimension. A dimension that is not in `chunks` has one
            chunk. Every coordinate is one chunk, because opening one file for each value of a
            coordinate would take longer than opening all other data.
        fill: Names of float64 variables that are stored as uint32, each with the number that is
            stored in place of NaN.
        shards: If given, one file stores several chunks: for each dimension, `shards` has the
            number of chunks in one file (by default 1). If not given, every chunk is one file.
        add: Whether to add the variables of the data set to an existing Zarr folder.
    """
    encoding = {}
    texts = {}
    dataset = dataset.assign_attrs(format=integrity.FORMAT)
    for name, variable in dataset.variables.items():
        # Neither Zstandard nor Blosc notices all damage of a chunk; the checksum does.
        encoding[name] = {"compressors": (ZstdCodec(level=0), Crc32cCodec())}
        if variable.dtype.kind in "OUT":
            # Zarr 3 specifies variable-length strings, but not yet fixed-length strings.
            texts[name] = variable.astype(object)
        elif variable.ndim:
            cut = chunks if name in dataset.data_vars else {}
            lengths = {d: min(cut.get(d, n), n) for d, n in variable.sizes.items()}
            encoding[name] = {
                "chunks": tuple(lengths.values()),
                "compressors": (
                    BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
                    Crc32cCodec(),
                ),
                # The names of the chunks are chosen so that all chunks of a variable are in one
                # folder. By default, Zarr makes a level of folders for every dimension.
                "chunk_key_encoding": {"name": "default", "separator": "."},
            }
            if shards is not None:
                together = shards if name in dataset.data_vars else {}
                encoding[name]["shards"] = tuple(n * together.get(d, 1) for d, n in lengths.items())
            if fill and (missing := fill.get(str(name))) is not None:
                # With Zarr's own fill_value, a chunk that is never written reads as NaN, not as 0.
                encoding[name] |= {
                    "dtype": "uint32",
                    "_FillValue": missing,
                    "fill_value": missing,
                }
    dataset.assign(texts).to_zarr(
        folder,
        mode="a" if add else "w",
        zarr_format=3,
        consolidated=False,
        encoding=encoding,
        compute=False,
    )


def consolidate(folder: Path) -> None:
    """Copy all metadata of a Zarr folder to one file, the only file needed to open the folder.

    The number of files in the folder is written too. Without this number, a missing chunk would not
    be detected. The last file has the checksums of all metadata.
    """
    _write_number_of_files(folder, 1)
    with warnings.catch_warnings():
        # The specification of Zarr 3 does not include a file with all metadata yet, so some readers
        # ignore this file.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(folder)
    integrity.write_checksums(folder, folder.rglob("zarr.json"))


def _write_number_of_files(folder: Path, more: int = 0) -> None:
    """Write the number of files in a folder, and of `more` files, to its attribute `files`.

    The number of files is needed because Zarr reads a missing chunk as the fill value, without an
    error.
    """
    zarr.open_group(folder, mode="r+").attrs["files"] = integrity.number_of_files(folder) + more


def _pack(folder: Path, file: Path) -> None:
    """Pack a Zarr folder into a zip file. The zip file's entries are not compressed again."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry in sorted(folder.rglob("*")):
            if entry.is_file():
                archive.write(entry, entry.relative_to(folder).as_posix())
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def zip_store(path: Path) -> zarr.storage.ZipStore | zarr.storage.MemoryStore:
    """Return the store in a zip file, after its entries have been checked.

    Raises:
        StoreError, zipfile.BadZipFile: See :func:`passband.storage.metadata.opened_zip`.
    """
    content = metadata.unpacked(path)
    if content is None:
        return zarr.storage.ZipStore(path, mode="r")
    buffer = default_buffer_prototype().buffer
    return zarr.storage.MemoryStore({n: buffer.from_bytes(each) for n, each in content.items()})


@contextlib.contextmanager
def _open(
    path: str | Path, kind: str, chunks: dict | None = None, whole: bool = True
) -> Iterator[xr.Dataset]:
    """Open a store for a block of code that reads it, whose errors become StoreErrors.

    Args:
        chunks: As for :func:`xarray.open_zarr`: with {}, variables are dask arrays.
        whole: Whether to check a whole zip file for damage, or only what is read.
    """
    path, archive = Path(path), None
    try:
        path.stat()  # reports a missing store in the same way for all readers
        if path.suffix == ".zip":
            metadata.check_zip(path, whole)
            archive = zip_store(path)
            dataset = xr.open_zarr(archive, chunks=chunks, consolidated=False)
        else:
            number = integrity.number_of_files(path)
            metadata.check_folder(path)
            expected = metadata.read_attributes(path).get("files")
            dataset = xr.open_zarr(path, chunks=chunks, consolidated=True)
            if number != expected:
                raise ValueError(f"{number} of {expected} files")
        for name in ("files", "format"):  # which describe the store and not the data
            dataset.attrs.pop(name, None)
        if (actual := dataset.attrs.get("kind")) != kind:
            raise DamagedError(path, f"expected a store of {kind}, found {actual}")
        _check_names(dataset)
        yield dataset
    except StoreError:
        raise
    except MemoryError:
        raise UnreachableError(path, "it does not fit into memory, or is damaged") from None
    except Exception as error:  # readers raise errors of all types for damaged content
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if integrity.is_unreachable(error):
            raise UnreachableError(path, words) from None
        if not path.exists():
            raise StoreError(f"{path}: no such store of {kind}") from None
        raise DamagedError(path, f"not a whole store of {kind}: {words}") from None
    finally:
        with contextlib.suppress(AttributeError):  # there is no zip file, or it was not opened
            archive.close()


def _check_names(dataset: xr.Dataset) -> None:
    """Raise ValueError if a name has characters that would change a terminal that shows it."""
    texts = [*map(str, dataset.variables), *map(str, dataset.dims)]
    for coordinate in dataset.coords.values():
        if coordinate.dtype.kind in "OUT":
            texts += map(str, coordinate.values.ravel().tolist())
    for text in texts:
        if not text.isprintable():
            raise ValueError(f"it has the name {text[:80]!r}")


def read(path: str | Path, kind: str, variables: Sequence[str] | None = None) -> xr.Dataset:
    """Read a store into memory.

    Args:
        path: The path of the store, as it was given to :func:`write`.
        kind: The expected kind of the store.
        variables: Names of the variables to read, together with their coordinates; by default all
            variables.

    Raises:
        StoreError: If the store is missing or damaged, has another kind than the expected kind, or
            has a newer format. The error's message names the store.
    """
    with _open(path, kind) as dataset:
        return (dataset if variables is None else dataset[list(variables)]).load()


def check(path: str | Path, kind: str, most_bytes: float) -> None:
    """Check a store for damage; of one that has more bytes in memory, only its metadata.

    Raises:
        StoreError: As :func:`read`.
    """
    with _open(path, kind) as dataset:
        if dataset.nbytes <= most_bytes:
            dataset.load()


def open_folder(path: str | Path, kind: str) -> xr.Dataset:
    """Open a store in a folder. Each variable is read from the folder when it is used.

    Raises:
        StoreError: If :func:`read` would raise a StoreError, except that damage inside a variable
            raises an error only when the variable is read.
    """
    with _open(path, kind, chunks={}) as dataset:
        _opened[Path(path)] = kind
        # Together, since a coordinate alone would be read again with each other one that it has.
        return dataset.assign_coords(dataset.coords.to_dataset().load().coords)


def check_opened() -> None:
    """After an error of a reader, find out whether a store from :func:`open_folder` is damaged.

    Raises:
        StoreError: If :func:`read` of one of the stores would raise a StoreError.
    """
    for path, kind in _opened.items():
        if path.exists():
            with _open(path, kind, chunks={}) as dataset:
                for name, variable in dataset.variables.items():
                    try:
                        (variable == variable).all().load()  # a count would not read integers
                    except (ValueError, RuntimeError) as error:
                        words = " ".join(str(error).split())
                        raise DamagedError(path, f"its {name} is damaged: {words}") from None


@contextlib.contextmanager
def open_checked(path: str | Path, kind: str) -> Iterator[xr.Dataset]:
    """Open a store in a folder for a block of code; if the block fails, call :func:`check_opened`.

    If the block fails and no store is damaged, the error of the block is raised.
    """
    dataset = open_folder(path, kind)
    try:
        yield dataset
    except Exception:
        check_opened()
        raise


def read_many(
    paths: Sequence[str],
    kind: str,
    dimension: str,
    expected: dict | None = None,
    variables: Sequence[str] | None = None,
) -> xr.Dataset:
    """Read several stores, and concatenate them along a dimension, sorted by its coordinate.

    The concatenated data set has the attributes of the first store. No value of the coordinate may
    be in two stores, and every store must have the `expected` attributes. See also :func:`read`.

    Raises:
        StoreError: If :func:`read` would raise a StoreError, if an attribute of a store is not as
            expected, or if a value of the dimension's coordinate is in two stores.
    """
    found = [read(path, kind, variables) for path in paths]
    check_many(found, paths, dimension, expected)
    return concatenated(found, dimension)


def concatenated(found: Sequence[xr.Dataset], dimension: str) -> xr.Dataset:
    """Concatenate data sets as :func:`read_many` does."""
    whole = xr.concat(
        found,
        dimension,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return whole.isel({dimension: np.argsort(whole[dimension].values, kind="stable")})


def check_many(
    found: Sequence[xr.Dataset], paths: Sequence[str], dimension: str, expected: dict | None = None
) -> None:
    """Check that stores belong together, so that :func:`read_many` can concatenate them.

    Raises:
        DamagedError: If an attribute of a store is not as expected, or if a value of the
            dimension's coordinate is in two stores.
    """
    earlier: set = set()
    for each, path in zip(found, paths, strict=True):
        integrity.check_attributes(path, each.attrs, expected)
        values = set(each[dimension].values.tolist())
        if shared := earlier & values:
            raise DamagedError(path, f"its {dimension} {min(shared)} is in another store too")
        earlier |= values


def read_metadata(path: str | Path, kind: str) -> xr.Dataset:
    """Return the attributes and coordinates of a store in a zip file; all variables are 0.

    Each variable has its shape from the store, but takes no memory.

    Raises:
        StoreError: If :func:`read` would raise a StoreError. The whole zip file is checked for
            damage.
    """
    with _open(path, kind) as dataset:
        empty = {
            name: (v.dims, np.broadcast_to(np.zeros((), v.dtype), v.shape), v.attrs)
            for name, v in dataset.data_vars.items()
        }
        return dataset.coords.to_dataset().load().assign(empty).assign_attrs(dataset.attrs)


def read_selection(
    path: str | Path, kind: str, variables: Sequence[str], indices: dict[str, np.ndarray]
) -> xr.Dataset:
    """Read the given variables of a store in a zip file, at the given indices along dimensions.

    Raises:
        StoreError: If :func:`read` would raise a StoreError, except that only the selected part of
            the store is checked for damage.
    """
    with _open(path, kind, whole=False) as dataset:
        return dataset[list(variables)].isel(indices).load()
