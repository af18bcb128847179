"""Results that `passband evaluate` of Passband 0.2 wrote, in the folder ``extra``.

A record of 0.2 names the networks that it is of by other digests, and has the configuration of its
study, from which the recipe of its results follows.
"""

from functools import lru_cache
from pathlib import Path

import xarray as xr

from passband.config import validate_stored
from passband.results import Results, layout
from passband.results.network_batches import TrainingCell
from passband.storage import json_text, records
from passband.storage.integrity import DamagedError, read_if_valid
from passband.storage.weights import fingerprint, load_cells
from passband.store import files
from passband.store.results import ResultRecipes
from passband.wave_sets import wave_set_of

#: The folder in a study's folder of results.
FOLDER = "extra"


def stored(results: Results, cell: TrainingCell) -> list[xr.Dataset]:
    """Return the records of networks of a condition with the variables `network` and `recipe`.

    Raises:
        StoreError: If a record is damaged.
    """
    own = results.folder / FOLDER / str(cell.id)
    replicas = set(cell.batch.replicas)
    paths = (path for path in files.listed(own) if path.suffixes == [".zarr", ".zip"])
    return [
        _as_now(results, cell, path)
        for path in paths
        if not replicas.isdisjoint(layout.replicas_of(path))
    ]


def _as_now(results: Results, cell: TrainingCell, path: Path) -> xr.Dataset:
    record = records.read(path, cell.condition)
    try:
        before = json_text.parse(record.attrs["networks"])
        study = str(record.attrs["configuration"])
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedError(path, f"its attributes cannot be read: {error}") from None
    now = _networks(results.weights(cell.batch)).get(cell.condition, {})
    tested = [
        (before.get(str(replica)), *now.get(replica, ("", "")))
        for replica in record.replica.values.tolist()
    ]
    tests, specimens = (record[name].values.tolist() for name in ("test", "test_specimen"))
    recipes = _recipes(study, results.folder, frozenset(map(wave_set_of, tests)))
    record["network"] = "replica", [id if was == is_now else "" for was, is_now, id in tested]
    record["recipe"] = ("test_specimen", "test"), recipes.digests(specimens, tests)
    return record


@lru_cache(4)
def _recipes(configuration: str, folder: Path, waves: frozenset[str]) -> ResultRecipes:
    study = validate_stored(json_text.parse(configuration), str(folder))
    return ResultRecipes(Results(study, folder), sorted(waves))


@lru_cache(4)
def _networks(path: Path) -> dict[str, dict[int, tuple[str, str]]]:
    """Return what 0.2 and what this version calls each network in a file, by condition."""
    cells = read_if_valid(load_cells, path) or {}
    return {
        id: {
            replica: (fingerprint({0: state}), cell.identities[replica])
            for replica, state in cell.weights.items()
        }
        for id, cell in cells.items()
    }
