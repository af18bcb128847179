"""Results of networks in records of Passband 0.2, as this version would have written them.

A record of 0.2 says by one digest for each test specimen and set of exit waves what its results
depend on, see :func:`passband.store.version_02.formulas.of_results`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from passband.results import Results, wave_layout
from passband.storage import json_text, records
from passband.storage.partial_record import PartialRecord
from passband.storage.records import CELL, DEVICES
from passband.storage.weights import CellWeights, fingerprint, load_cells
from passband.store.results import ResultRecipes, StoredResults
from passband.store.version_02 import formulas
from passband.wave_sets import wave_set_of

#: The kinds of devices on which 0.2 tested networks, beside that on which it trained them.
_CPUS = tuple(f"cpu ({name})" for name in ("DEFAULT", "AVX2", "AVX512"))
#: The attribute with the digests of 0.2, and those that are kept.
_CONTEXTS = "contexts"
_KEPT = (
    *("study", "config_digest", "passband_version", "git_revision", "command", "created"),
    *("configuration", "specimen", "architecture"),
)


def read(
    results: Results, path: Path, networks: Path, digest: Callable[[str, str, str], str | None]
) -> dict[str, xr.Dataset]:
    """Return the records with the valid results of a file of 0.2, by training condition.

    Args:
        path: The file of results.
        networks: The file of the networks, which were taken over.
        digest: Returns 0.2's digest of a specimen's split in a set of exit waves, or None.

    Raises:
        StoreError: If a file is missing or damaged.
    """
    cells = load_cells(networks)
    recipes = ResultRecipes(results, wave_layout.evaluated_waves(results.study, cells))
    found: dict[str, xr.Dataset] = {}
    for id, record in records.read_all(path).items():
        cell = cells.get(id)
        if cell is None or record.replica.values.tolist() != list(cell.weights):
            continue
        device, valid = _valid(results, record, cell, recipes=recipes, digest=digest)
        specimens = record.test_specimen.values[valid.any(1)].tolist()
        tests = record.test.values[valid[valid.any(1)].all(0)].tolist()
        if specimens and tests:
            chosen = PartialRecord(list(cell.weights), specimens, tests)
            made_on = record.assign_attrs({DEVICES: json.dumps([device])})
            chosen.take(made_on, np.broadcast_to(valid, [record.sizes[name] for name in CELL]))
            stored = StoredResults(recipes, cells={id: cell}, tests={id: tests}, file=path)
            finished = stored.finished(id, chosen)
            found[id] = finished.assign_attrs({**record.attrs, **finished.attrs})
    return found


def write(found: Mapping[str, xr.Dataset], target: Path) -> None:
    """Write records from :func:`read` to a file of the store, with their provenance from 0.2."""
    first = next(iter(found.values()))
    attrs = {name: first.attrs[name] for name in _KEPT if name in first.attrs}
    records.write(found, target, attrs)


def _valid(
    results: Results,
    record: xr.Dataset,
    cell: CellWeights,
    recipes: ResultRecipes,
    digest: Callable[[str, str, str], str | None],
) -> tuple[str, np.ndarray]:
    """Return the kind of device that a record was made on, and which results are valid.

    The results are (test_specimen, test) bool; none are valid if the device is unknown.
    """
    before = json_text.parse(record.attrs.get(_CONTEXTS, "{}"))
    before = before.get(record.condition, before)
    specimens, tests = (record[name].values.tolist() for name in CELL[1:])
    known = recipes.digests(specimens, tests) != ""
    networks = fingerprint(cell.weights)
    for device in dict.fromkeys([cell.metadata.device, *_CPUS]):
        valid = known.copy()
        for place, specimen in enumerate(specimens):
            same = {}
            for waves in {*map(wave_set_of, tests)}:
                name = f"{specimen}/{waves}" if waves else specimen
                context = formulas.of_results(
                    results.study,
                    cell.metadata,
                    networks=networks,
                    device=device,
                    structures=digest(specimen, "test", waves),
                )
                same[waves] = before.get(name) == context
            valid[place] &= [same[wave_set_of(id)] for id in tests]
        if valid.any():
            return device, valid
    return "", np.zeros_like(known)
