"""Finds files of the store, whichever replicas, conditions or structures their jobs had.

Snakemake deletes a job's outputs before the job starts and after it fails. So what takes long to
make is written to the study's store, ``results/<study>/store``, and a job's output is a hard link
to a file there. A file of the store has the digest of its recipe, see :mod:`passband.store.recipe`,
in the attribute :data:`DIGEST`; its name only says where to look. So if the number of structures,
of replicas or of conditions in a job changes, nothing is made again.

A job fails with NewerError if a newer version of Passband wrote its file, which must not be
overwritten, and with UnreachableError if a file cannot be read now, since it may be undamaged.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from passband.groups import may_have
from passband.results import layout
from passband.storage import UnreachableError, datasets
from passband.storage.integrity import read_if_valid
from passband.store.recipe import DIGEST

#: How often the file of a single condition is written, see :func:`write_single`.
_TRIALS = 100


def has_digest(path: str | Path, kind: str, digest: str) -> bool:
    """Return whether a store exists, is complete, and was made by the recipe with a digest.

    Raises:
        NewerError: If a newer Passband wrote the store, which must not be overwritten.
        UnreachableError: If the store cannot be read now.
    """
    opened = datasets.read_metadata if Path(path).suffix == ".zip" else datasets.open_folder
    found = read_if_valid(opened, path, kind, newer=True)
    return found is not None and found.attrs.get(DIGEST) == digest


def listed(folder: Path) -> list[Path]:
    """Return the content of a folder in order. Another job may have removed the folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnreachableError(folder, error.strerror) from None


def of_networks(file: Path, missing: Mapping[str, Collection[int]]) -> Iterator[Path]:
    """Yield the files that may have networks of a job, or their results, the job's own file first.

    The names of the files decide; the files are not opened. The first file need not exist.

    Args:
        file: The job's own file in the store. The name of its folder is that of a group of training
            conditions, and its name is that of a batch of replicas.
        missing: For each training condition, by its id, the replicas that are not found yet. The
            caller may remove replicas that it finds.
    """
    yield file
    for folder in listed(file.parents[1]):
        wanted = [left for id, left in missing.items() if may_have(folder.name, id)]
        for path in listed(folder) if any(wanted) else ():
            if path == file or path.suffix != file.suffix:
                continue
            if not set().union(*wanted).isdisjoint(layout.replicas_of(path)):
                yield path


# A job of several conditions writes the file of each condition as soon as it is complete, so that a
# job that is killed loses no finished condition. Its own file has all of them.


def of_single(file: Path, condition: str) -> Path:
    """Return the file for one condition of the job whose own file is given."""
    return file.parents[1] / condition / file.name


def write_single(write: Callable[[], None]) -> None:
    """Write the file of a single condition.

    Another job with further replicas of this condition may remove its own file, and then the empty
    folder, before this job writes to the same folder. Then this job writes again.
    """
    for _ in range(_TRIALS):
        with suppress(FileNotFoundError, FileExistsError):
            return write()
    return write()


def remove_single(paths: Iterable[Path]) -> None:
    """Remove files of single conditions, after their content is in the file of their job.

    A file with a second name is an output of a job of one condition, and is kept. An empty folder
    is removed, see :func:`write_single`.
    """
    for path in paths:
        with suppress(OSError):
            if path.stat().st_nlink == 1:
                path.unlink()
            path.parent.rmdir()  # fails if the folder has other files
