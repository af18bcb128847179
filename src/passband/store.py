"""Stores on disk: Zarr format 3, whole or absent, with their provenance.

A path that ends in ``.zarr.zip`` is one file, which keeps a study of thousands of jobs to few
files, is replaced atomically and has a checksum on every entry. A path that ends in ``.zarr`` is a
directory, which any Zarr reader opens by name. Both are written beside and then renamed.
"""

import contextlib
import errno
import glob
import os
import shutil
import socket
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from passband import PassbandError, __version__, lease

# What a store can be: its attribute `kind`.
WAVES = "exit waves"
RECORD = "record"
INFORMATION = "information metrics"
TABLE = "table"
OOD = "OOD metrics"
DISTANCES = "distances"
PREDICTION = "prediction"
IMAGES = "images"


class StoreError(PassbandError):
    """A store that is missing, torn, or not what its place says."""


class DamagedError(StoreError):
    """A store whose content is not what belongs in its place; to be made again.

    Never a store that cannot be reached: that may be well.

    Attributes
    ----------
    path : Path
        The store.
    what : str
        Path and what is wrong, without what to do about it.
    """

    def __init__(self, path: str | Path, what: str):
        self.path, self.what = Path(path), f"{path}: {what}"
        super().__init__(f"{self.what}; delete it and run again")


class FullError(PassbandError):
    """No space is left to write to, or none that this user may have."""

    def __init__(self, path: str | Path, error: OSError):
        place = Path(path).absolute()
        while not place.exists():
            place = place.parent
        disk = shutil.disk_usage(place)
        if error.errno == errno.EDQUOT:
            what = "the disk quota is used up"
        else:
            what = f"no space left: {disk.free / 1e9:.3g} of {disk.total / 1e9:.3g} GB are free"
        super().__init__(f"{path}: {what}; make room and run again")


def shortage(error: BaseException | None) -> OSError | None:
    """Return the error that says that a disk is full, if there is one behind an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None


def provenance(study: str, digest: str, command: str) -> dict[str, str]:
    """Return the attributes that every store carries.

    Parameters
    ----------
    study : str
        The study's name.
    digest : str
        Digest of the study's configuration.
    command : str
        What makes it again.

    Returns
    -------
    dict
        study, config_digest, passband_version, git_revision, command, created (UTC, ISO 8601).
    """
    return {
        "study": study,
        "config_digest": digest,
        "passband_version": __version__,
        "git_revision": _git_revision(),
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _git_revision() -> str:
    """Return the revision of the source tree, ``-dirty`` if changed, or ``unknown``."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    try:
        answer = subprocess.run(git, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path to write beside `path`; take its place when all went well, else leave nothing.

    Parameters
    ----------
    path : path
        A file or directory; what stood there is replaced, a file atomically.

    Raises
    ------
    FullError
        If there is no space left.
    LostError
        If this job's work was taken over by another, see :mod:`passband.lease`.
    """
    path = Path(path)
    tag = f"{socket.gethostname()}-{os.getpid()}"
    # The suffix stays last, since writers choose their format by it.
    beside = path.with_name(f".{tag}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if lease.confirm():
            # Nobody else writes here: these are of attempts that were killed.
            for left in glob.glob(f".*.{glob.escape(path.name)}", root_dir=path.parent):
                _remove(path.with_name(left))
        yield beside
        lease.confirm()
        if path.is_dir():
            old = path.with_name(f".{tag}.old.{path.name}")
            path.rename(old)
            try:
                beside.rename(path)
            except OSError:
                old.rename(path)
                raise
            shutil.rmtree(old)
        else:
            beside.replace(path)
    except Exception as error:
        if full := shortage(error):
            raise FullError(path, full) from None
        raise
    finally:
        _remove(beside)


def link(path: str | Path, to: str | Path) -> None:
    """Give a finished file a second name, which outlives the first; where none can be, a copy.

    Parameters
    ----------
    path, to : path
        The file, and where it is to stand too, in place of what is there.
    """
    with replacing(to) as beside:
        try:
            os.link(path, beside)
        except OSError:
            shutil.copy2(path, beside)


def set_aside(path: Path) -> Path:
    """Rename a damaged store, so that it is missing and made again, and return its new path."""
    names = (path.with_name(f"{path.name}.damaged{n}") for n in ("", *map(str, range(2, 10**6))))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(
    dataset: xr.Dataset,
    path: str | Path,
    kind: str,
    attrs: dict,
    chunks: dict | None = None,
    shards: dict | None = None,
) -> None:
    """Write a dataset as a store, whole or not at all.

    Parameters
    ----------
    dataset : xarray.Dataset
        What to write, in memory.
    path : path
        Where: ``*.zarr.zip`` for one file, ``*.zarr`` for a directory.
    kind : str
        What it is, such as ``"exit waves"``; :func:`read` compares it.
    attrs : dict
        Attributes to add, :func:`provenance` among them.
    chunks : dict of str to int, optional
        Chunk length per dimension; a dimension not named is one chunk.
    shards : dict of str to int, optional
        See :func:`create`.
    """
    path = Path(path)
    dataset = dataset.assign_attrs(attrs, kind=kind)
    with replacing(path) as beside:
        if path.suffix == ".zip":
            folder = beside.with_suffix("")
            try:
                create(dataset, folder, chunks or {}, shards=shards)
                _pack(folder, beside)
            finally:
                _remove(folder)
        else:
            create(dataset, beside, chunks or {}, shards=shards)
            consolidate(beside)


def create(
    dataset: xr.Dataset,
    folder: Path,
    chunks: dict[str, int],
    fill: int | None = None,
    shards: dict[str, int] | None = None,
    add: bool = False,
) -> None:
    """Create a Zarr folder; arrays that are dask's are laid out and left to be written.

    Parameters
    ----------
    dataset : Dataset
        What to write.
    folder : path
        Where; inside :func:`replacing`, since a folder is not written in one step.
    chunks : dict of str to int
        Chunk length per dimension; a dimension not named is one chunk, and so is a coordinate:
        a file for each of its values would take longer to open than all the rest.
    fill : int, optional
        With it, float64 variables are stored as uint32 and NaN as this number.
    shards : dict of str to int, optional
        With it, this many chunks along each dimension, one where it is not named, go into one
        file; else every chunk is a file.
    add : bool
        Whether to add the variables to a folder that is there.
    """
    encoding = {}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "OUT":
            # Fixed-length strings have no Zarr 3 specification yet; variable-length ones do.
            dataset = dataset.assign({name: variable.astype(object)})
        elif variable.ndim:
            cut = chunks if name in dataset.data_vars else {}
            lengths = {d: min(cut.get(d, n), n) for d, n in variable.sizes.items()}
            encoding[name] = {
                "chunks": tuple(lengths.values()),
                # Blosc reads a torn chunk as numbers; the checksum refuses it.
                "compressors": (
                    BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
                    Crc32cCodec(),
                ),
                # Files of one folder: by default each chunk has a folder for every dimension.
                "chunk_key_encoding": {"name": "default", "separator": "."},
            }
            if shards is not None:
                together = shards if name in dataset.data_vars else {}
                encoding[name]["shards"] = tuple(n * together.get(d, 1) for d, n in lengths.items())
            if fill is not None and variable.dtype == float and name in dataset.data_vars:
                # Zarr's own fill_value, so that what is never written reads as NaN and not as 0.
                encoding[name] |= {"dtype": "uint32", "_FillValue": fill, "fill_value": fill}
    dataset.to_zarr(
        folder,
        mode="a" if add else "w",
        zarr_format=3,
        consolidated=False,
        encoding=encoding,
        compute=False,
    )


def consolidate(folder: Path) -> None:
    """Gather a folder's metadata in one file, so that opening it reads one file.

    Its attribute `files` says how many others there are: a chunk that is missing reads as a fill
    value, and what is missing in an emptied folder would not be missed.
    """
    zarr.open_group(folder, mode="r+").attrs["files"] = _number_of_files(folder)
    with warnings.catch_warnings():
        # Zarr 3's specification does not have it yet; readers that do not know it pass it over.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(folder)


def _number_of_files(folder: Path) -> int:
    """Return how many files a folder has, without those that others put there, as `.…`."""
    names = (name for _, _, files in os.walk(folder) for name in files)
    return sum(not name.startswith(".") for name in names)


def _open_folder(path: str | Path, **options) -> xr.Dataset:
    dataset = xr.open_zarr(path, consolidated=True, **options)
    expected, found = dataset.attrs.pop("files", None), _number_of_files(Path(path))
    if expected != found:
        raise ValueError(f"{found} of {expected} files")
    return dataset


def _pack(folder: Path, file: Path) -> None:
    """Pack a folder into a zip file without compressing again."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry in sorted(folder.rglob("*")):
            if entry.is_file():
                archive.write(entry, entry.relative_to(folder).as_posix())
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def read(path: str | Path, kind: str, variables: Sequence[str] | None = None) -> xr.Dataset:
    """Read a store into memory.

    Parameters
    ----------
    path : path
        Where :func:`write` put it.
    kind : str
        What it must be.
    variables : sequence of str, optional
        Read these alone, and their coordinates; by default all.

    Raises
    ------
    StoreError
        If the store is missing, torn or of another kind; the message names it.
    """
    path = Path(path)

    def wanted(opened: xr.Dataset) -> xr.Dataset:
        return (opened if variables is None else opened[list(variables)]).load()

    def load() -> xr.Dataset:
        if path.suffix != ".zip":
            return wanted(_open_folder(path, chunks=None))
        _check_entries(path)
        with _archive(path) as archive:
            return wanted(xr.open_zarr(archive, chunks=None, consolidated=False))

    return _checked(path, kind, load)


@contextlib.contextmanager
def _archive(path: str | Path) -> Iterator[zarr.storage.ZipStore]:
    archive = zarr.storage.ZipStore(path, mode="r")
    try:
        yield archive
    finally:
        # One that could not be opened cannot be closed, and says so in place of the reason.
        with contextlib.suppress(AttributeError):
            archive.close()


def _check_entries(path: str | Path) -> None:
    """Raise an error if an entry is damaged: under a damaged name it would read as zeros."""
    with zipfile.ZipFile(path) as archive:
        if torn := archive.testzip():
            raise zipfile.BadZipFile(f"{torn} is damaged")


def _checked(path: str | Path, kind: str, load: Callable[[], xr.Dataset]) -> xr.Dataset:
    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path}: no such store of {kind}")
    try:
        dataset = load()
    except MemoryError:
        raise
    except Exception as error:  # whatever damage makes the readers raise, the store is not whole
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if is_unreachable(error, path):
            raise StoreError(f"{path}: cannot be read: {words}; run again") from None
        raise DamagedError(path, f"not a whole store of {kind}: {words}") from None
    found = dataset.attrs.get("kind", "something that Passband did not write")
    if found != kind:
        raise DamagedError(path, f"expected a store of {kind}, found {found}")
    return dataset


def is_unreachable(error: Exception, path: Path) -> bool:
    """Return whether an error tells of the way to a file, and nothing of what is in it."""
    if not isinstance(error, OSError) or error.errno in (None, errno.EINVAL):
        return False  # a format's own errors, and places outside of a file
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return not path.exists()
    return True


def open(path: str | Path, kind: str) -> xr.Dataset:
    """Open a folder; variables are read when they are used.

    Raises
    ------
    StoreError
        As :func:`read`, but damage inside a variable shows only when it is read.
    """

    def load() -> xr.Dataset:
        dataset = _open_folder(path)
        return dataset.assign_coords({name: c.compute() for name, c in dataset.coords.items()})

    return _checked(path, kind, load)


@contextlib.contextmanager
def reading(path: str | Path, kind: str) -> Iterator[xr.Dataset]:
    """Open a folder for as long as its variables are read, and look for damage if that fails.

    Raises
    ------
    StoreError
        As :func:`read`. An error that is no fault of the store is raised as it is.
    """

    def read_through() -> xr.Dataset:
        for variable in dataset.data_vars.values():
            variable.count().compute()
        return dataset

    dataset = open(path, kind)
    try:
        yield dataset
    except Exception:
        _checked(path, kind, read_through)
        raise


def read_many(
    paths: Sequence[str],
    kind: str,
    dimension: str,
    expected: dict | None = None,
    variables: Sequence[str] | None = None,
) -> xr.Dataset:
    """Read several stores and concatenate them along a dimension, sorted by its coordinate.

    Attributes are the first store's.

    Parameters
    ----------
    paths, kind, variables
        As for :func:`read`.
    dimension : str
        The dimension to concatenate along; no value of its coordinate may be in two stores.
    expected : dict, optional
        Attributes that every store must have.

    Raises
    ------
    StoreError
        As :func:`read`, and if an attribute is not as expected or a value is in two stores.
    """
    parts = [read(path, kind, variables) for path in paths]
    check_many(parts, paths, dimension, expected)
    whole = xr.concat(
        parts,
        dimension,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return whole.isel({dimension: np.argsort(whole[dimension].values, kind="stable")})


def check_many(
    parts: Sequence[xr.Dataset], paths: Sequence[str], dimension: str, expected: dict | None = None
) -> None:
    """Check that stores belong together; see :func:`read_many`.

    Raises
    ------
    StoreError
        If an attribute is not as expected or a value of the dimension is in two stores.
    """
    earlier: set = set()
    for part, path in zip(parts, paths, strict=True):
        check_attributes(path, part.attrs, expected)
        values = set(part[dimension].values.tolist())
        if shared := earlier & values:
            raise DamagedError(path, f"its {dimension} {min(shared)} is in another store too")
        earlier |= values


def holds(path: str | Path, kind: str, context: str) -> bool:
    """Return whether a file is a whole store whose attribute `context` is the given one."""
    try:
        return outline(path, kind).attrs.get("context") == context
    except StoreError:
        return False


def check_attributes(path: str | Path, attrs: Mapping, expected: Mapping | None) -> None:
    """Check that a store's attributes are as expected.

    Raises
    ------
    DamagedError
        If one is not: the store is whole, but another's.
    """
    for name, value in (expected or {}).items():
        if attrs.get(name) != value:
            raise DamagedError(path, f"its {name} is {attrs.get(name)!r}, expected {value!r}")


def outline(path: str | Path, kind: str) -> xr.Dataset:
    """Return a file's attributes and coordinates, and variables that have no more than a shape.

    Raises
    ------
    StoreError
        As :func:`read`: the whole file is checked.
    """

    def load() -> xr.Dataset:
        _check_entries(path)
        with _archive(path) as archive:
            dataset = xr.open_zarr(archive, chunks=None, consolidated=False)
            empty = {
                name: (v.dims, np.broadcast_to(np.zeros((), v.dtype), v.shape), v.attrs)
                for name, v in dataset.data_vars.items()
            }
            return dataset.coords.to_dataset().load().assign(empty).assign_attrs(dataset.attrs)

    return _checked(path, kind, load)


def part(
    path: str | Path, kind: str, variables: Sequence[str], where: dict[str, np.ndarray]
) -> xr.Dataset:
    """Read a part of a file into memory: some variables, by place along dimensions.

    Raises
    ------
    StoreError
        As :func:`read`, of what is read.
    """

    def load() -> xr.Dataset:
        with _archive(path) as archive:
            dataset = xr.open_zarr(archive, chunks=None, consolidated=False)
            return dataset[list(variables)].isel(where).load()

    return _checked(path, kind, load)
