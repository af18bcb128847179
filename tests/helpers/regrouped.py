"""The smallest study with its jobs in other groups."""

import shutil
from pathlib import Path

from passband.config import Study, load
from passband.results import layout, network_batches
from passband.storage import records
from passband.storage.weights import fingerprint, load_cells

SMALLEST = load(Path(__file__).parents[1] / "data" / "smallest.yaml")
IDS = [condition.id for condition in SMALLEST.train_conditions]


def copied(unpacked: Path, folder: Path) -> Path:
    """Return a copy of the finished study's results."""
    results = Path(shutil.copytree(unpacked, folder / "results"))
    # The copy of the configuration for jobs would say that the study has changed.
    shutil.rmtree(results / "configuration")
    return results


def regrouped(conditions: int, replicas: int = 2, **changes: dict) -> Study:
    """The smallest study with other jobs."""
    values = SMALLEST.model_dump()
    values["study"] |= {"conditions_per_job": conditions, "replicas_per_job": replicas}
    for block, keys in changes.items():
        values[block] |= keys
    return Study.model_validate(values)


def networks(study: Study, results: Path) -> dict[tuple[str, int], str]:
    """Return the fingerprint of every network of a study, by condition and replica."""
    return {
        (id, replica): fingerprint({0: state})
        for batch in network_batches.batches_of(study)
        for id, cell in load_cells(results / batch.path(layout.WEIGHTS)).items()
        for replica, state in cell.weights.items()
    }


def counts(study: Study, results: Path) -> dict[tuple[str, int], list]:
    """Return the counts of every network of a study, by condition and replica."""
    return {
        (id, replica): record.counts.sel(replica=replica).values.tolist()
        for batch in network_batches.batches_of(study)
        for id, record in records.read_all(results / batch.path(layout.RECORD)).items()
        for replica in record.replica.values.tolist()
    }
