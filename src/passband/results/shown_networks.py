"""The networks that figures show, which are first replicas."""

from collections.abc import Callable, Iterator
from pathlib import Path

from passband.config import Study
from passband.grid import batches
from passband.results.layout import RECORD, WEIGHTS
from passband.results.network_batches import NetworkBatch, TrainingCell, batches_of
from passband.results.study_folder import Results
from passband.wave_sets import wave_set


def _first_batch(study: Study) -> str:
    return next(iter(batches(study.study.replicas, study.study.replicas_per_job)))


def _batches_of_first_replicas(study: Study) -> Iterator[NetworkBatch]:
    """Yield the batches of networks with the first replicas."""
    first = _first_batch(study)
    return (batch for batch in batches_of(study) if batch.batch == first)


def first_files(results: Results, architecture: str) -> dict[tuple[str, str], Path]:
    """Return the file with the first batch of replicas of each specimen and training condition."""
    return {
        (batch.specimen, id): results.weights(batch)
        for batch in _batches_of_first_replicas(results.study)
        if batch.architecture == architecture
        for id in batch.conditions
    }


def example_cell(study: Study, is_counted: Callable[[str], bool]) -> TrainingCell | None:
    """Return the networks for the figure of examples, which shows the first one, or None.

    Only networks of the first specimen and the first architecture are considered. Those of
    :attr:`passband.config.Study.middle_condition` are returned if their record is counted, and
    otherwise the first ones whose record is counted, if possible of a condition whose exit waves
    test structures have. None is returned if no record is counted. See
    :func:`passband.results.network_batches.counted_records`.
    """
    specimen = next(iter(study.trained_specimens))
    kind = specimen, study.training.architectures[0]
    batches_of_kind = (
        batch for batch in batches_of(study) if (batch.specimen, batch.architecture) == kind
    )
    mixed = {mixture.id for mixture in study.mixtures}
    cells = [
        cell for batch in batches_of_kind for cell in batch.cells if cell.condition not in mixed
    ]
    middle, sets = study.middle_condition.id, study.waves(specimen, "test")
    known = {condition.id for condition in study.train_conditions if wave_set(condition) in sets}
    cells.sort(key=lambda cell: (cell.condition != middle, cell.condition not in known))
    return next((cell for cell in cells if is_counted(cell.batch.path(RECORD))), None)


def example_networks(
    study: Study, example: TrainingCell | None, is_counted: Callable[[str], bool]
) -> list[str]:
    """Return the files of networks that the figure of examples compares with the example.

    Each file has the first batch of replicas, trained on the specimen of the example and with its
    architecture. Networks without a counted record are left out.
    """
    if example is None:
        return []
    kind = example.id.specimen, example.id.architecture
    batches_of_kind = (
        batch
        for batch in _batches_of_first_replicas(study)
        if (batch.specimen, batch.architecture) == kind
    )
    return [batch.path(WEIGHTS) for batch in batches_of_kind if is_counted(batch.path(RECORD))]
