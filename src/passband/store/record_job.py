"""Finds the results of an `evaluate` job in the records of earlier jobs, and writes its record.

See :mod:`passband.store.files`, also for its errors. This module does not import torch.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

import xarray as xr

from passband.imaging.structures import digests_of_specimens
from passband.results import layout
from passband.seeds import digest
from passband.storage import atomic, json_text, records
from passband.storage.integrity import read_if_valid
from passband.storage.weights import WeightsMetadata, fingerprint, load_parts
from passband.store import files
from passband.store.networks import Parts

#: Kinds of CPU, in the words of :func:`passband.learning.devices.describe`.
_CPUS = tuple(f"cpu ({name})" for name in ("DEFAULT", "AVX2", "AVX512"))


@dataclass(frozen=True)
class RecordJob:
    """What one `evaluate` job tests.

    Attributes:
        own: The job's own record in the cache, which need not exist.
        parts: The networks by training condition.
        params: Params of the rule on which the counts depend.
        splits: For each test specimen, the digest of the test structures by the id of their set of
            exit waves, see :mod:`passband.wave_sets`.
        tests: For each training condition, the ids of what its networks are tested under.
    """

    own: Path
    parts: Parts
    params: tuple
    splits: dict[str, dict[str, str]]
    tests: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return sum(len(part.weights) for part in self.parts.values())

    def contexts(self, condition: str, device: str, networks: str | None = None) -> dict[str, str]:
        """Return the contexts of a record of a condition's networks on a kind of device.

        `networks` is the fingerprint of these networks; by default, they are those of the job.
        """
        part, splits = self.parts[condition], digests_of_specimens(self.splits)
        networks = networks or fingerprint(part.weights)
        return record_contexts(self.params, part.metadata, networks, splits, device)

    def lacking(self, condition: str, found: Sequence[xr.Dataset] = ()) -> set[tuple[str, str]]:
        """Return the pairs of test specimen and test condition that records lack.

        Args:
            condition: Id of the training condition.
            found: Records of some of its replicas each. If a replica is in none of them, all pairs
                are returned.
        """
        replicas = {replica for record in found for replica in record.replica.values.tolist()}
        if not self.parts[condition].weights.keys() <= replicas:
            return self._wanted(condition)
        return set().union(*(self._lacking(condition, record) for record in found))

    def _wanted(self, condition: str) -> set[tuple[str, str]]:
        """Return the pairs of test specimen and test condition of a condition's networks."""
        return set(product(self.splits, self.tests[condition]))

    def _lacking(self, condition: str, record: xr.Dataset) -> set[tuple[str, str]]:
        """Return the pairs of test specimen and test condition that one record lacks."""
        return self._wanted(condition) - _results(record)

    def whole(self) -> dict[str, xr.Dataset] | None:
        """Return the job's own record if it is undamaged and has exactly what the job makes."""
        found = read_if_valid(records.parts, self.own, newer=True)
        if found is None or list(found) != list(self.parts):
            return None
        for id, record in found.items():
            devices = usual_devices(self.parts[id].metadata)
            contexts = (self.contexts(id, device) for device in devices)
            valid = (records.still_valid(record, each) for each in contexts)
            replicas = list(self.parts[id].weights)
            exactly = replicas, list(self.splits), self.tests[id]
            if not any(v is not None and records.covers(v, *exactly) for v in valid):
                return None
        return found

    def found_whole(self) -> dict[str, xr.Dataset] | None:
        """Return the records of all conditions from those of earlier jobs; None if results lack.

        The results may have been made on another kind of CPU, or on the kind of device that trained
        the networks. Only this comparison needs no torch.
        """
        complete, devices = {}, {id: usual_devices(x.metadata) for id, x in self.parts.items()}
        for device in dict.fromkeys(name for names in devices.values() for name in names):
            left = [id for id in self.parts if id not in complete and device in devices[id]]
            for id, found in (self.find(device, left) if left else {}).items():
                if not self.lacking(id, found):
                    complete[id] = self.labelled(id, self._selected(id, found), device)
        return {id: complete[id] for id in self.parts} if len(complete) == len(self.parts) else None

    def find(self, device: str, conditions: Collection[str]) -> dict[str, list[xr.Dataset]]:
        """Return records of the networks that were made on a kind of device, by condition.

        A record that lacks results gives only those replicas that no fuller record has. For
        example, a killed job leaves fuller records of single conditions beside its own record.

        Returns:
            For each condition, records of some of its replicas, with the test specimens that are
            still valid. No replica is in two of them.
        """
        # The replicas without a record that lacks nothing.
        missing = {id: set(self.parts[id].weights) for id in conditions}
        found: dict[str, list[xr.Dataset]] = {id: [] for id in conditions}
        for path in files.of_networks(self.own, missing):
            stored = read_if_valid(records.parts, path) or {}
            networks = cache(partial(_networks_of, path))
            for id in missing.keys() & stored.keys():
                replicas = stored[id].replica.values.tolist()
                if missing[id].isdisjoint(replicas):
                    continue
                if (known := self._fingerprint(id, replicas, networks)) is None:
                    continue
                contexts = self.contexts(id, device, known)
                if (valid := records.still_valid(stored[id], contexts)) is None:
                    continue
                own = [replica for replica in replicas if replica in self.parts[id].weights]
                found[id].append(records.with_replicas(valid, own))
                if not self._lacking(id, found[id][-1]):
                    missing[id] -= set(own)
            if not any(missing.values()):
                break
        return {id: self._fullest(id, records_of) for id, records_of in found.items()}

    def labelled(self, condition: str, record: xr.Dataset, device: str) -> xr.Dataset:
        """Return a record of all networks of a condition with its condition and its contexts."""
        contexts = json.dumps(self.contexts(condition, device))
        return record.assign_attrs(condition=condition, contexts=contexts)

    def write(self, parts: Mapping[str, xr.Dataset], output: str, attrs: Mapping[str, str]) -> None:
        """Write the record of the job to the cache, and link the output to it."""
        keep_others(self.own, parts)
        records.write(parts, self.own, attrs)
        self.hand_over(parts, output)

    def hand_over(self, parts: Mapping[str, xr.Dataset], output: str) -> None:
        """Link the output to the job's record, and remove the records of its single conditions."""
        atomic.link(self.own, output)
        if len(parts) > 1:
            single = {files.of_single(self.own, id): {id: part} for id, part in parts.items()}
            files.remove_single(path for path in single if not others(path, single[path]))

    def write_single(self, condition: str, record: xr.Dataset, attrs: Mapping[str, str]) -> None:
        """Write the record of one condition of the job to the cache."""
        path, part = files.of_single(self.own, condition), {condition: record}
        keep_others(path, part)
        files.write_single(partial(records.write, part, path, attrs))

    def _selected(self, condition: str, found: Sequence[xr.Dataset]) -> xr.Dataset:
        """Return one record with exactly the job's results from records of some replicas each."""
        chosen = {"test_specimen": list(self.splits), "test": list(self.tests[condition])}
        return records.joined([record.sel(chosen) for record in found])

    def _fullest(self, condition: str, found: Sequence[xr.Dataset]) -> list[xr.Dataset]:
        """Return for each replica of a condition the record that lacks the fewest results."""

        def shortage(record: xr.Dataset) -> int:
            return len(self._lacking(condition, record))

        missing, chosen = set(self.parts[condition].weights), []
        for record in sorted(found, key=shortage) if len(found) > 1 else found:
            if replicas := [r for r in record.replica.values.tolist() if r in missing]:
                chosen.append(records.with_replicas(record, replicas))
                missing -= set(replicas)
        return chosen

    def _fingerprint(
        self, condition: str, replicas: Sequence[int], networks: Callable[[], Parts]
    ) -> str | None:
        """Return the fingerprint of all networks of an earlier record, or None.

        If the earlier job had further replicas, their weights are read from the earlier job's file
        of networks. None is returned if one of its networks differs from the present network.
        """
        own = self.parts[condition].weights
        if set(replicas) <= set(own):
            return fingerprint({replica: own[replica] for replica in replicas})
        if condition not in networks():
            return None
        weights = networks()[condition].weights
        same = all(
            fingerprint({0: weights[r]}) == fingerprint({0: own[r]})
            for r in weights.keys() & own.keys()
        )
        return fingerprint(weights) if same and list(weights) == list(replicas) else None


def _networks_of(record: Path) -> Parts:
    """Return the networks of the job that wrote a record to the cache; none if they are lost."""
    path = record.parents[4] / layout.WEIGHTS.format_map(layout.wildcards_of(record))
    return read_if_valid(load_parts, path) or {}


def keep_others(path: Path, parts: Mapping[str, xr.Dataset]) -> None:
    """Give a file of records a second name if it has results that its next content lacks.

    So if a test condition is taken out of a study and comes back, no network is tested again.

    Args:
        path: The file, which need not exist.
        parts: The records that replace the file's content, by training condition.
    """
    if lacking := others(path, parts):
        batch, *suffixes = path.name.split(".")
        atomic.link(path, path.with_name(".".join([batch, digest(lacking)[:8], *suffixes])))


def others(path: Path, parts: Mapping[str, xr.Dataset]) -> list[tuple[str, ...]]:
    """Return training condition, test specimen and test condition of results that records lack.

    Results of changed networks or changed exit waves are left out. Exit waves that the records do
    not use count as unchanged.
    """
    stored, found = read_if_valid(records.parts, path) or {}, []
    for id in stored.keys() & parts.keys():
        before, now = (
            json_text.parse(each[id].attrs.get("contexts", "{}")) for each in (stored, parts)
        )
        if before.items().isdisjoint(now.items()):
            continue
        if (valid := records.still_valid(stored[id], before | now)) is not None:
            found += [(id, *each) for each in _results(valid) - _results(parts[id])]
    return sorted(found)


def _results(record: xr.Dataset) -> set[tuple[str, str]]:
    """Return the pairs of test specimen and test condition of a record."""
    return set(product(record.test_specimen.values.tolist(), record.test.values.tolist()))


def record_contexts(
    params: Sequence[object],
    metadata: WeightsMetadata,
    networks_digest: str,
    splits: Mapping[str, str],
    device: str | None,
) -> dict[str, str]:
    """Return the digests of everything that the counts depend on, by the names of `splits`.

    Args:
        params: Further values that the digest includes.
        networks_digest: The fingerprint of the networks' weights.
        splits: The digest of the test structures, see
            :func:`passband.imaging.structures.digests_of_specimens`.
        device: The kind of device, from :func:`passband.learning.devices.describe`. With None, the
            digest is the same on all kinds of device. The counts of two kinds of device differ by
            rounding, and by the random numbers of the noise.
    """
    training = {
        key: getattr(metadata, key) for key in ("architecture", "normalisation", "precision")
    }
    common = [*params, training, *([] if device is None else [device])]
    return {specimen: digest(common, networks_digest, split) for specimen, split in splits.items()}


def usual_devices(metadata: WeightsMetadata) -> list[str]:
    """Return the kinds of device on which earlier jobs probably tested the networks."""
    return list(dict.fromkeys([metadata.device, *_CPUS]))
