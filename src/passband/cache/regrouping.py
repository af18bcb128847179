"""Finds results of earlier jobs, whichever replicas, conditions or structures these jobs had.

A network is found by its own key, see :mod:`passband.cache.identities`. So if the number of
replicas or of conditions in a job changes, no network is trained or tested again. Exit waves are
found by their structure, so that no structure is simulated again if the number of structures in a
shard changes. This module reads files of the study's cache, and does not import torch. If a file
cannot be read now, its results may be undamaged, and UnreachableError is raised.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from passband.cache.identities import NetworkContexts
from passband.groups import may_have
from passband.results import layout
from passband.seeds import digest
from passband.storage import UnreachableError, atomic, datasets
from passband.storage.integrity import check_attributes, read_if_valid
from passband.storage.weights import Part, load_parts

#: How often the file of a single condition is written, see :func:`write_single`.
_TRIALS = 100
#: The networks that were found, by training condition.
Parts = dict[str, Part]


def files(own: Path, missing: Mapping[str, Collection[int]]) -> Iterator[Path]:
    """Yield the files in the cache that may have results of a job, the job's own file first.

    The names of the files decide; the files are not opened. The first file need not exist.

    Args:
        own: The job's own file in the cache, which need not exist. The name of its folder is that
            of a group of training conditions, and its own name is that of a batch of replicas.
        missing: For each training condition, by its id, the replicas that are not found yet. The
            caller may remove replicas that it finds.
    """
    yield own
    for folder in _listed(own.parents[1]):
        wanted = [left for id, left in missing.items() if may_have(folder.name, id)]
        for path in _listed(folder) if any(wanted) else ():
            if path == own or not path.name.endswith("".join(own.suffixes)):
                continue
            if not set().union(*wanted).isdisjoint(layout.replicas_of(path)):
                yield path


def _listed(folder: Path) -> list[Path]:
    """Return the content of a folder in order. Another job may have removed the folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnreachableError(folder, error.strerror) from None


def single(own: Path, condition: str) -> Path:
    """Return the file in the cache for one condition of the job that has the file `own`."""
    return own.parents[1] / condition / own.name


def write_single(write: Callable[[], None]) -> None:
    """Write the file of a single condition of a job to the cache.

    Another job with further replicas of this condition may remove its own file, and then the empty
    folder, before this job writes to the same folder. Then this job writes again.
    """
    for _ in range(_TRIALS):
        with suppress(FileNotFoundError, FileExistsError):
            return write()
    return write()


def remove_single(paths: Iterable[Path]) -> None:
    """Remove files of single conditions from the cache, after their content is in a group's file.

    A file with a second name is an output of a job of one condition, and is kept. An empty folder
    is removed, see :func:`write_single`.
    """
    for path in paths:
        with suppress(OSError):
            if path.stat().st_nlink == 1:
                path.unlink()
            path.parent.rmdir()  # fails if the folder has other files


# ── Exit waves ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shard:
    """What one `simulate` job makes: the exit waves of a shard of structures.

    Attributes:
        own: The job's own file in the cache, which need not exist. Its folder has all shards of the
            specimen and split.
        values: Everything that the exit waves depend on, except the structures.
        structures: The indices of the shard's structures within the split.
    """

    own: Path
    values: tuple
    structures: range

    def context(self, structures: range | None = None) -> str:
        """Return the context of the shard, or that of a shard with other structures."""
        held = self.structures if structures is None else structures
        return digest(*self.values, [held.start, held.stop])

    def find(self) -> list[xr.Dataset]:
        """Return exit waves of the shard's structures from earlier shards of any size.

        No structure is in two of the data sets. Structures that are not found are left out.
        """
        missing, found = set(self.structures), []
        seen: set[Path] = set()
        # Another job may replace a file while this job reads, see `keep_others`. So the folder is
        # listed until it has no new name, and what was read says which structures it has.
        while missing and (new := [p for p in _listed(self.own.parent) if p not in seen]):
            seen |= set(new)
            for path in new:
                if not path.match("[0-9]*.zarr.zip") or missing.isdisjoint(self._held(path) or ()):
                    continue
                waves = read_if_valid(datasets.read, path, datasets.WAVES)
                if chosen := missing.intersection(self._structures(waves) or ()):
                    found.append(waves.sel(structure=sorted(chosen)))
                    missing -= chosen
        return found

    def write(
        self, parts: Sequence[xr.Dataset], output: str, attrs: Mapping[str, str]
    ) -> xr.Dataset:
        """Write the shard to the cache, link the output to it, and return its content."""
        waves = datasets.concatenated(parts, "structure")
        self.keep_others()
        attrs = {**attrs, "context": self.context()}
        datasets.write(waves, self.own, datasets.WAVES, attrs, {"structure": 1})
        atomic.link(self.own, output)
        return waves

    def keep_others(self) -> None:
        """Give the job's own file a second name if it has structures of other jobs.

        The job then replaces its own file. The other jobs find their structures in the second file.
        """
        held = self._held(self.own)
        if held is not None and not set(held) <= set(self.structures):
            name = f"{held.start:05d}-{held.stop - 1:05d}.zarr.zip"
            atomic.link(self.own, self.own.with_name(name))

    def _held(self, path: Path) -> range | None:
        """Return the structures of an earlier shard, or None if the shard is not valid."""
        kept = datasets.WAVES, ["particles"], {}
        return self._structures(read_if_valid(datasets.read_selection, path, *kept))

    def _structures(self, waves: xr.Dataset | None) -> range | None:
        """Return the structures of a data set of exit waves, or None if it is not valid."""
        if waves is None:
            return None
        held = range(int(waves.structure[0]), int(waves.structure[-1]) + 1)
        return held if waves.attrs.get("context") == self.context(held) else None


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class NetworkJob:
    """What one `train` job trains: the same replicas under each of its conditions.

    Attributes:
        own: The job's own file in the cache, which need not exist.
        contexts: What the networks depend on.
        conditions: Ids of the training conditions.
        replicas: Numbers of the replicas of each condition.
    """

    own: Path
    contexts: NetworkContexts
    conditions: Sequence[str]
    replicas: Sequence[int]

    def __len__(self) -> int:
        return len(self.conditions) * len(self.replicas)

    def whole(self) -> Parts | None:
        """Return the networks in the job's own file if it is undamaged and has all of them.

        Raises:
            NewerError: If a newer version of Passband wrote the file, which must not be
                overwritten.
        """
        found = read_if_valid(load_parts, self.own, newer=True) or {}
        valid = list(found) == list(self.conditions) and all(
            part.metadata.context == self.contexts.context(id, self.replicas)
            and list(part.weights) == list(self.replicas)
            for id, part in found.items()
        )
        return found if valid else None

    def find(self) -> dict[str, list[Part]]:
        """Return the finished networks, whatever job trained them, by training condition.

        Returns:
            For each condition, parts of several files. All parts of a condition have the same
            precision, and no network is in two of them. Networks that are not found are left out.
        """
        missing = {id: set(self.replicas) for id in self.conditions}
        found: dict[str, list[Part]] = {id: [] for id in self.conditions}
        for path in files(self.own, missing):
            parts = read_if_valid(load_parts, path) or {}
            for id in missing.keys() & parts.keys():
                part = parts[id]
                chosen = [replica for replica in part.weights if replica in missing[id]]
                alike = not found[id] or found[id][0].metadata.precision == part.metadata.precision
                if chosen and alike and self.contexts.accepts(part.metadata):
                    found[id].append(_with_replicas(part, chosen))
                    missing[id] -= set(chosen)
            if not any(missing.values()):
                break
        return found

    def joined(self, condition: str, parts: Sequence[Part]) -> Part:
        """Return the networks of a condition from parts that have all of them, with the context."""
        every = [part.metadata for part in parts]
        weights = {r: state for part in parts for r, state in part.weights.items()}
        metadata = replace(
            every[0],
            context=self.contexts.context(condition, self.replicas),
            device=", ".join(sorted({each.device for each in every})),
            vectorized=any(each.vectorized for each in every),
            best={r: record for each in every for r, record in each.best.items()},
            history={r: rows for each in every for r, rows in each.history.items()},
        )
        return _with_replicas(Part(weights, metadata), sorted(weights))


def trained(path: str | Path, of: Mapping[str, str], conditions: Sequence[str]) -> Parts:
    """Return the networks in the output of a `train` job.

    Args:
        of: The expected specimen and architecture.
        conditions: The expected training conditions.

    Raises:
        StoreError: If the file is missing or damaged, or has other networks.
    """
    parts = load_parts(path)
    for part, condition in zip(parts.values(), conditions, strict=False):
        check_attributes(path, vars(part.metadata), {**of, "condition": condition})
    check_attributes(path, {"conditions": len(parts)}, {"conditions": len(conditions)})
    return parts


def _with_replicas(part: Part, replicas: Sequence[int]) -> Part:
    metadata = part.metadata
    return Part(
        {replica: part.weights[replica] for replica in replicas},
        replace(
            metadata,
            best={replica: metadata.best[replica] for replica in replicas},
            history={replica: metadata.history[replica] for replica in replicas},
        ),
    )
