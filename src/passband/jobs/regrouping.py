"""Finds results of earlier jobs, whichever replicas, conditions or structures these jobs had.

A network is found by its own key, see :mod:`passband.learning.identities`. So if the number of
replicas or of conditions in a job changes, no network is trained or tested again. Exit waves are
found by their structure, so that no structure is simulated again if the number of structures in a
shard changes. This module reads files of the study's cache, and does not import torch.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import xarray as xr

from passband.grid import Condition
from passband.groups import may_have
from passband.imaging.wave_files import digests_of_specimens
from passband.learning.identities import NetworkContexts, record_contexts
from passband.mixtures import Mixture, of_id
from passband.seeds import digest
from passband.storage import NewerError, StoreError, atomic, datasets, records
from passband.storage.integrity import check_attributes
from passband.storage.weight_parts import Part, load_parts
from passband.storage.weights import fingerprint

#: The networks that were found, by training condition.
Parts = dict[str, Part]


def files(own: str | Path, missing: Mapping[str, Collection[int]]) -> Iterator[Path]:
    """Yield the files in the cache that may have results of a job, the job's own file first.

    The names of the files decide; the files are not opened.

    Parameters
    ----------
    own : path
        The job's own file in the cache, which need not exist. The name of its folder is that of a
        group of training conditions, and its own name is that of a batch of replicas.
    missing : mapping of str to collection of int
        For each training condition, by its id, the replicas that are not found yet. The caller may
        remove replicas that it finds.
    """
    own = Path(own)
    if own.exists():
        yield own
    with suppress(FileNotFoundError):
        for folder in sorted(own.parents[1].iterdir()):
            if not any(left and may_have(folder.name, id) for id, left in missing.items()):
                continue
            for path in sorted(folder.glob(f"r*{''.join(own.suffixes)}")):
                named = re.match(r"r(\d+)-(\d+)\.", path.name)
                batch = range(int(named[1]), int(named[2]) + 1) if named else ()
                wanted = (left for id, left in missing.items() if may_have(folder.name, id))
                if path != own and any(replica in batch for left in wanted for replica in left):
                    yield path


# ── Exit waves ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shard:
    """What one `simulate` job makes: the exit waves of a shard of structures.

    Attributes
    ----------
    own : Path
        The job's own file in the cache, which need not exist. Its folder has all shards of the
        specimen and split.
    values : tuple
        Everything that the exit waves depend on, except the structures.
    structures : range
        The indices of the shard's structures within the split.
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
        while missing and (new := set(self.own.parent.glob("[0-9]*.zarr.zip")) - seen):
            seen |= new
            for path in sorted(new):
                if missing.isdisjoint(self._held(path) or ()):
                    continue
                try:
                    waves = datasets.read(path, datasets.WAVES)
                except StoreError:
                    continue
                if chosen := missing.intersection(self._structures(waves) or ()):
                    found.append(waves.sel(structure=sorted(chosen)))
                    missing -= chosen
        return found

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
        try:
            return self._structures(
                datasets.read_selection(path, datasets.WAVES, ["particles"], {})
            )
        except StoreError:
            return None

    def _structures(self, waves: xr.Dataset) -> range | None:
        """Return the structures of a data set of exit waves, or None if it is not valid."""
        held = range(int(waves.structure[0]), int(waves.structure[-1]) + 1)
        return held if waves.attrs.get("context") == self.context(held) else None


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


def is_whole(
    path: str | Path, contexts: NetworkContexts, conditions: Sequence[str], replicas: Sequence[int]
) -> Parts | None:
    """Return the networks in a job's own file if it is undamaged and has all of them.

    Raises
    ------
    NewerError
        If a newer version of Passband wrote the file, which must not be overwritten.
    """
    try:
        found = load_parts(path)
    except NewerError:
        raise
    except StoreError:
        return None
    valid = list(found) == list(conditions) and all(
        part.metadata.context == contexts.context(id, replicas)
        and list(part.weights) == list(replicas)
        for id, part in found.items()
    )
    return found if valid else None


def find_networks(
    own: str | Path, contexts: NetworkContexts, conditions: Sequence[str], replicas: Sequence[int]
) -> dict[str, list[Part]]:
    """Return the finished networks of a job, by training condition.

    Parameters
    ----------
    own : path
        The job's own file in the cache, which need not exist.
    contexts : NetworkContexts
        What the networks depend on.
    conditions, replicas : sequence
        Ids of the training conditions, and numbers of the replicas of each condition.

    Returns
    -------
    dict of str to list of Part
        For each condition, parts of several files. All parts of a condition have the same
        precision, and no network is in two of them. Networks that are not found are left out.
    """
    missing = {id: set(replicas) for id in conditions}
    found: dict[str, list[Part]] = {id: [] for id in conditions}
    for path in files(own, missing):
        try:
            parts = load_parts(path, damaged=True)
        except StoreError:
            continue
        for id in missing.keys() & parts.keys():
            part = parts[id]
            chosen = [replica for replica in part.weights if replica in missing[id]]
            alike = not found[id] or found[id][0].metadata.precision == part.metadata.precision
            if chosen and alike and contexts.accepts(part.metadata):
                found[id].append(_with_replicas(part, chosen))
                missing[id] -= set(chosen)
        if not any(missing.values()):
            break
    return found


def trained(path: str | Path, of: Mapping[str, str], conditions: Sequence[str]) -> Parts:
    """Return the networks in the output of a `train` job.

    Parameters
    ----------
    path : path
        The file.
    of : mapping of str to str
        The expected specimen and architecture.
    conditions : sequence of str
        The expected training conditions.

    Raises
    ------
    StoreError
        If the file is missing or damaged, or has other networks.
    """
    parts = load_parts(path)
    for part, condition in zip(parts.values(), conditions, strict=False):
        expected = {**of, "condition": condition}
        actual = {name: getattr(part.metadata, name) for name in expected}
        check_attributes(path, actual, expected)
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


def joined(parts: Sequence[Part], context: str) -> Part:
    """Return the networks of several parts of one condition as one part with a new context."""
    first = parts[0].metadata
    weights = {r: state for part in parts for r, state in part.weights.items()}
    replicas = sorted(weights)
    best = {r: record for part in parts for r, record in part.metadata.best.items()}
    history = {r: rows for part in parts for r, rows in part.metadata.history.items()}
    return Part(
        {replica: weights[replica] for replica in replicas},
        replace(
            first,
            context=context,
            device=", ".join(sorted({part.metadata.device for part in parts})),
            vectorized=any(part.metadata.vectorized for part in parts),
            best={replica: best[replica] for replica in replicas},
            history={replica: history[replica] for replica in replicas},
        ),
    )


# ── Records ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RecordJob:
    """What one `evaluate` job tests.

    Attributes
    ----------
    own : Path
        The job's own record in the cache, which need not exist.
    parts : dict of str to Part
        The networks by training condition.
    params : tuple
        Params of the rule on which the counts depend.
    splits : dict of str to dict of str to str
        For each test specimen, the digest of the test structures by the id of their set of exit
        waves, see :mod:`passband.wave_sets`.
    test : tuple of Condition
        The test conditions.
    test_own : bool
        Whether networks are also tested under their own training condition.
    microscopes : tuple of Condition
        The drawn microscopes under which the first replicas are also tested.
    mixtures : tuple of Mixture
        The study's mixtures, under which networks may be trained.
    """

    own: Path
    parts: Parts
    params: tuple
    splits: dict[str, dict[str, str]]
    test: tuple[Condition, ...]
    test_own: bool = False
    microscopes: tuple[Condition, ...] = ()
    mixtures: tuple[Mixture, ...] = ()

    def tests(self, condition: str) -> list[Condition | Mixture]:
        """Return the conditions under which the networks of a training condition are tested."""
        ids = records.with_own([test.id for test in self.test], condition, self.test_own)
        return [of_id(self.mixtures, id) for id in ids]

    def further_tests(self, replicas: Collection[int]) -> list[Condition]:
        """Return the microscopes under which one of these replicas, the first, is also tested."""
        return list(self.microscopes) if records.FIRST in replicas else []

    def contexts(self, condition: str, device: str) -> dict[str, str]:
        """Return the contexts of the record of a condition's networks on a kind of device."""
        part = self.parts[condition]
        return self._contexts(part, fingerprint(part.weights), device)

    def _contexts(self, part: Part, networks: str, device: str) -> dict[str, str]:
        splits = digests_of_specimens(self.splits)
        return record_contexts(self.params, part.metadata, networks, splits, device)

    def lacking(self, condition: str, record: xr.Dataset | None = None) -> set[tuple[str, str]]:
        """Return the pairs of test specimen and id of condition or microscope that a record lacks.

        Parameters
        ----------
        condition : str
            Id of the training condition.
        record : Dataset, optional
            The record. Without a record, all pairs are returned.
        """
        replicas = list(self.parts[condition].weights)
        if record is not None:
            replicas = record.replica.values.tolist()
        wanted = {"test": self.tests(condition), records.MICROSCOPE: self.further_tests(replicas)}
        lacking = set()
        for dimension, conditions in wanted.items():
            pairs = set(product(self.splits, (condition.id for condition in conditions)))
            if record is not None:
                known = records.values_along(record, dimension)
                pairs -= set(product(record.test_specimen.values.tolist(), known))
            lacking |= pairs
        return lacking

    def is_whole(self, devices: Mapping[str, Sequence[str]]) -> bool:
        """Return whether the job's own record is undamaged and has exactly what the job makes.

        Parameters
        ----------
        devices : mapping of str to sequence of str
            For each condition, the kinds of device on which the record may have been made.

        Raises
        ------
        NewerError
            If a newer version of Passband wrote the record, which must not be overwritten.
        """
        try:
            found = records.parts(self.own)
        except NewerError:
            raise
        except StoreError:
            return False
        if list(found) != list(self.parts):
            return False
        for id, record in found.items():
            valid = (
                records.still_valid(record, self.contexts(id, device)) for device in devices[id]
            )
            replicas = list(self.parts[id].weights)
            tests = self.tests(id), self.further_tests(replicas)
            if not any(
                v is not None and records.covers(v, replicas, list(self.splits), *tests)
                for v in valid
            ):
                return False
        return True

    def find(self, device: str, conditions: Collection[str]) -> dict[str, list[xr.Dataset]]:
        """Return records of the networks that were made on a kind of device, by condition.

        Returns
        -------
        dict of str to list of Dataset
            For each condition, records of some of its replicas, with the test specimens that are
            still valid. No replica is in two of them.
        """
        missing = {id: set(self.parts[id].weights) for id in conditions}
        found: dict[str, list[xr.Dataset]] = {id: [] for id in conditions}
        for path in files(self.own, missing):
            try:
                stored = records.parts(path)
            except StoreError:
                continue
            for id in missing.keys() & stored.keys():
                record = stored[id]
                replicas = record.replica.values.tolist()
                chosen = [replica for replica in replicas if replica in missing[id]]
                if not chosen or (networks := self._fingerprint(path, id, replicas)) is None:
                    continue
                contexts = self._contexts(self.parts[id], networks, device)
                if (valid := records.still_valid(record, contexts)) is not None:
                    found[id].append(records.with_replicas(valid, chosen))
                    missing[id] -= set(chosen)
            if not any(missing.values()):
                break
        return found

    def _fingerprint(self, path: Path, condition: str, replicas: Sequence[int]) -> str | None:
        """Return the fingerprint of all networks of an earlier record, or None.

        If the earlier job had further replicas, their weights are read from the earlier job's file
        of networks. None is returned if one of its networks differs from the present network.
        """
        own = self.parts[condition].weights
        if set(replicas) <= set(own):
            return fingerprint({replica: own[replica] for replica in replicas})
        parts = path.parts
        place = len(parts) - 5  # cache/records/<specimen>/<architecture>/<group>/<batch>
        file = Path(*parts[:place], "networks", *parts[place + 1 :])
        file = file.with_name(path.name.partition(".")[0] + ".safetensors")
        try:
            weights = load_parts(file, damaged=True)[condition].weights
        except (StoreError, KeyError):
            return None
        same = all(
            fingerprint({0: weights[r]}) == fingerprint({0: own[r]})
            for r in weights.keys() & own.keys()
        )
        return fingerprint(weights) if same and list(weights) == list(replicas) else None
