"""The networks that one job trains, and another one tests: batches of a study's networks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from passband.config import Study
from passband.errors import PassbandError
from passband.grid import batches
from passband.groups import grouped
from passband.network_id import NetworkId
from passband.results.layout import BATCH_WILDCARDS, FURTHER, RECORD


@dataclass(frozen=True)
class NetworkBatch:
    """The networks that one `train` job trains and one `evaluate` job tests.

    Attributes:
        specimen, architecture, condition, batch: Wildcards of
            :data:`passband.results.layout.BATCH`; `condition` is the name of the group of training
            conditions, and `batch` that of the replicas.
        conditions: Ids of the training conditions.
    """

    specimen: str
    architecture: str
    condition: str
    batch: str
    replicas: tuple[int, ...]
    conditions: tuple[str, ...]

    @property
    def cells(self) -> tuple["TrainingCell", ...]:
        """The networks of each training condition."""
        return tuple(TrainingCell(self, id) for id in self.conditions)

    @property
    def networks(self) -> int:
        """The number of networks."""
        return len(self.replicas) * len(self.conditions)

    @property
    def wildcards(self) -> dict[str, str]:
        """The values of Snakemake's wildcards for the jobs of this batch."""
        return {name: getattr(self, name) for name in BATCH_WILDCARDS}

    def path(self, template: str) -> str:
        """Return the path of one of its files from its template, such as :data:`RECORD`."""
        return template.format_map(self.wildcards)


@dataclass(frozen=True)
class TrainingCell:
    """The networks of a batch that are trained under one condition."""

    batch: NetworkBatch
    condition: str

    @property
    def id(self) -> NetworkId:
        """The id of all replicas of these networks."""
        return NetworkId(self.batch.specimen, self.batch.architecture, self.condition)

    @property
    def further(self) -> str:
        """The path of the networks' results under further conditions, from :data:`FURTHER`."""
        return FURTHER.format_map({**self.batch.wildcards, "condition": self.condition})


def combinations(
    specimens: Iterable[str],
    architectures: Iterable[str],
    groups: Mapping[str, Sequence[str]],
    batches: Mapping[str, Sequence[int]],
) -> Iterator[NetworkBatch]:
    """Yield the batches of all given combinations.

    Args:
        groups: Ids of the training conditions of each group, see :func:`passband.groups.grouped`.
        batches: The replicas of each batch, see :func:`passband.grid.batches`.
    """
    for specimen, architecture, (group, ids), (batch, replicas) in product(
        specimens, architectures, groups.items(), batches.items()
    ):
        yield NetworkBatch(
            specimen=specimen,
            architecture=architecture,
            condition=group,
            batch=batch,
            replicas=tuple(replicas),
            conditions=tuple(ids),
        )


def groups_of(study: Study) -> dict[str, tuple[str, ...]]:
    """Return the ids of the training conditions of each group by name; a mixture is a group."""
    ids = [condition.id for condition in study.train_conditions]
    alone = {mixture.id: (mixture.id,) for mixture in study.mixtures}
    return grouped(ids, study.study.conditions_per_job) | alone


def files_by_condition(paths: Iterable[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return files of batches by the id of the training condition.

    A folder whose name is not that of a group has the name of a condition.
    """
    named = ((path, path.split("/")[-2]) for path in paths)
    return {id: path for path, group in named for id in groups.get(group, [group])}


def batches_of(study: Study) -> Iterator[NetworkBatch]:
    """Yield the batches of a study's networks."""
    return combinations(
        study.trained_specimens,
        study.training.architectures,
        groups_of(study),
        batches(study.study.replicas, study.study.replicas_per_job),
    )


def cells_of(study: Study) -> Iterator[TrainingCell]:
    """Yield the networks of each batch of a study, condition by condition."""
    for batch in batches_of(study):
        yield from batch.cells


def batch_of(study: Study, wildcards: Mapping[str, str]) -> NetworkBatch:
    """Return the batch of a study with these values of Snakemake's wildcards."""
    given = {name: wildcards[name] for name in BATCH_WILDCARDS}
    replicas = batches(study.study.replicas, study.study.replicas_per_job)[given["batch"]]
    conditions = groups_of(study)[given["condition"]]
    return NetworkBatch(**given, replicas=tuple(replicas), conditions=conditions)


def counted_records(study: Study, is_counted: Callable[[str], bool]) -> list[str]:
    """Return the paths of the records that the table gathers.

    Args:
        is_counted: A function that returns whether a file is part of the study.

    Raises:
        PassbandError: If no record is part of the study.
    """
    records = [batch.path(RECORD) for batch in batches_of(study)]
    counted = list(filter(is_counted, records))
    if not counted:
        raise PassbandError(
            "study.allow_incomplete = true: there is no record under "
            f"results/{study.study.name}/records yet; run the study with false first"
        )
    return counted
