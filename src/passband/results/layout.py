"""The jobs of a study, and the names of their files.

The workflow's rules, `passband plan` and `passband status` use this module. All paths in this
module are relative to the study's folder of results. A template of a path has Snakemake's wildcards
in braces. Every job parses the workflow, so this module imports no numerical library.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from passband import PassbandError
from passband.axes import AXES, MAIN_AXES
from passband.config import FEWEST_PREDICTED, FIGURES_OF_PREDICTION, SPLITS, Study
from passband.grid import batches, is_condition
from passband.groups import PATTERN, groups
from passband.mixtures import check_id, extremes
from passband.wave_sets import folder_of

# ── Templates of paths ───────────────────────────────────────────────────────────────────────────

#: The path of one training job, which trains the networks of a batch of replicas, under one or
#: several conditions. `condition` is the name of the group of conditions, see
#: :mod:`passband.groups`; the group of one condition has the condition's id as its name.
TRAINING_JOB = "{specimen}/{architecture}/{condition}/{batch}"

#: `waves` is the folder of a set of exit waves: "" for the study's own values, and otherwise the id
#: of the set with a slash, such as ``en0200.00/``. See :mod:`passband.wave_sets`.
WAVES = "waves/{specimen}/{waves}{split}/{shard}.zarr.zip"
WEIGHTS = f"networks/{TRAINING_JOB}.safetensors"
HISTORY = f"networks/{TRAINING_JOB}.csv"
RECORD = f"records/{TRAINING_JOB}.zarr.zip"
INFORMATION, TABLE, OOD = "information.zarr", "table.zarr", "ood.zarr"
DISTANCES_PART = "distances/{specimen}/{architecture}/{part}.zarr.zip"
DISTANCES, PREDICTION = "distances.zarr", "prediction.zarr"
FIGURE = "figures/{figure}.{format}"
GALLERY = "gallery/{specimen}.{format}"
IMAGES = "images/{specimen}/{split}/{condition}{whose}.zarr"
PREFLIGHT = "preflight.txt"
#: The page that presents the study, see :mod:`passband.jobs.report_page`.
REPORT = "report.html"
#: Snakemake's own report, which a user makes with ``snakemake --report``.
SNAKEMAKE_REPORT = "snakemake-report.html"
#: The page of ``passband explore``.
EXPLORER = "explorer.html"
#: Results of a job's networks under conditions that are not test conditions of the study; and the
#: lease of the process that makes these files. No rule of Snakemake makes or reads them.
EXTRA = f"extra/{TRAINING_JOB}.zarr.zip"
EXTRA_LEASE = "extra/evaluate.lease"

#: The folder with second names (hard links) of those files that take long to make. A second name is
#: necessary because Snakemake deletes a job's outputs before the job starts and after it fails. See
#: :mod:`passband.jobs.reuse`.
CACHE = "cache"
#: The saved state from which an interrupted training job continues. The saved state is not an
#: output of the rule, since Snakemake would delete it.
CHECKPOINTS = "checkpoints/" + TRAINING_JOB.replace("/", "_")

#: The name of each rule's log and benchmark, without the folder `logs` or `benchmarks` and without
#: the suffix.
JOB_NAMES = {
    "simulate": "simulate/{specimen}/{waves}{split}/{shard}",
    "train": f"train/{TRAINING_JOB}",
    "evaluate": f"evaluate/{TRAINING_JOB}",
    "information": "information",
    "aggregate": "aggregate",
    "ood": "ood",
    "distances_part": "distances/{specimen}/{architecture}/{part}",
    "distances": "distances",
    "prediction": "prediction",
    "figure": "figures/{figure}",
    "gallery_sheet": "gallery/{specimen}",
    "images": "images/{specimen}/{split}/{condition}{whose}",
    "preflight": "preflight",
    "report": "report",
}


#: The suffix of a job's lease, beside its log. The time of the lease's last change shows whether
#: the job is alive.
LEASE = ".lease"


def log(name: str) -> str:
    """Return the path of a log from one of :data:`JOB_NAMES`."""
    return f"logs/{name}.log"


def benchmark(name: str) -> str:
    """Return the path of Snakemake's benchmark file from one of :data:`JOB_NAMES`."""
    return f"benchmarks/{name}.tsv"


def cache(path: str) -> str:
    """Return the path of a file's second name, which is a hard link."""
    return f"{CACHE}/{path}"


def pattern(
    products: Sequence[Mapping[str, Sequence[float]]], own: Mapping[str, float] | None = None
) -> str:
    """Return a regular expression that matches only the ids of a grid's conditions.

    Snakemake matches thousands of file names against this expression. For each product, the
    expression lists the values of each axis. If it listed all conditions, building the graph of
    jobs would take a third longer. `own` has the study's own values of further axes, which are not
    in ids.
    """
    return "|".join(dict.fromkeys(_pattern(axes, own or {}) for axes in products))


def _pattern(axes: Mapping[str, Sequence[float]], own: Mapping[str, float]) -> str:
    parts = []
    for name, values in axes.items():
        kept = [x for x in values if name not in own or x != own[name]]
        choice = "|".join(re.escape(AXES[name].format(value)) for value in kept)
        if name in MAIN_AXES:
            parts.append(f"{'_' if parts else ''}(?:{choice})")
        elif kept:
            parts.append(f"(?:_(?:{choice})){'?' * (len(kept) < len(values))}")
    return "".join(parts)


def train_version(study: Study, conditions: Sequence[str], version: str) -> str | list[str]:
    """Return the param with the stage's version of the training under a job's conditions.

    Networks of earlier versions are valid if the lens is round, or without augmentation. If the
    conditions of a job have different versions, the param is a list with the version of each.
    """
    seen = (map(study.microscope.optics, extremes(study.trained_under(id))) for id in conditions)
    turned = [study.training.augment and not all(lens.round for lens in of) for of in seen]
    versions = [f"{version}, structures turned" if each else version for each in turned]
    return versions[0] if len(set(versions)) == 1 else versions


@dataclass(frozen=True)
class Figure:
    """A figure of the study.

    Attributes
    ----------
    inputs : tuple of str
        The stores that the figure shows.
    category : str
        The figure's heading in Snakemake's report.
    on_request : bool
        Whether the figure is drawn only if the user names it.
    """

    inputs: tuple[str, ...] = (OOD,)
    category: str = "Generalization"
    on_request: bool = False


FIGURES = {
    "matrix": Figure(),
    "decay": Figure(),
    "examples": Figure(),
    "ctf": Figure((), "Transfer functions"),
    "metrics": Figure((OOD, INFORMATION), "Prediction"),
    **dict.fromkeys(FIGURES_OF_PREDICTION, Figure((PREDICTION,), "Prediction")),
    "structure": Figure((OOD, INFORMATION, DISTANCES), on_request=True),
}


def wildcard_patterns(study: Study) -> dict[str, str]:
    """Return a regular expression for each wildcard in the templates of paths."""
    sets = dict.fromkeys([*study.train_waves, *study.test_waves])
    return {
        "specimen": _one_of(study.specimens),
        "split": _one_of(SPLITS),
        "shard": r"\d{5}",
        # Snakemake ignores an empty expression, so the study's own set has an empty group.
        "waves": "(?:)" + "".join(f"|{re.escape(id)}/" for id in sets if id),
        "architecture": _one_of(study.training.architectures),
        "condition": _of_groups(study),
        "batch": _one_of(batches(study.study.replicas, study.study.replicas_per_job)),
    }


def _of_groups(study: Study) -> str:
    """Return a regular expression for the names of groups of training conditions."""
    ids = pattern(study.train_products, study.own_values)
    conditions = f"(?:{ids}){PATTERN}" if study.study.conditions_per_job > 1 else ids
    return "|".join([conditions, *(mixture.id for mixture in study.mixtures)])


def _one_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


# ── Names of jobs ────────────────────────────────────────────────────────────────────────────────


def shards(study: Study, specimen: str, split: str, waves: str = "") -> list[str]:
    """Return the files with the exit waves of one split of a specimen.

    `waves` is the id of the set of exit waves, see :mod:`passband.wave_sets`.
    """
    number = -(-getattr(study.study.structures, split) // study.study.structures_per_shard)
    waves = folder_of(waves)
    return [
        WAVES.format(specimen=specimen, waves=waves, split=split, shard=f"{shard:05d}")
        for shard in range(number)
    ]


@dataclass(frozen=True)
class TrainingJob:
    """The networks that one `train` job trains and one `evaluate` job tests.

    Attributes
    ----------
    specimen, architecture, condition, batch : str
        Wildcards of :data:`TRAINING_JOB`; `condition` is the name of the group of training
        conditions.
    replicas : tuple of int
        Numbers of the replicas, one for each network of a condition.
    conditions : tuple of str
        Ids of the training conditions.
    """

    specimen: str
    architecture: str
    condition: str
    batch: str
    replicas: tuple[int, ...]
    conditions: tuple[str, ...]

    @property
    def cells(self) -> tuple["TrainingCell", ...]:
        """The job's networks of each training condition."""
        return tuple(TrainingCell(self, id) for id in self.conditions)

    @property
    def networks(self) -> int:
        """The number of networks."""
        return len(self.replicas) * len(self.conditions)

    @property
    def wildcards(self) -> dict[str, str]:
        """The values of Snakemake's wildcards for this job."""
        return {
            name: getattr(self, name) for name in ("specimen", "architecture", "condition", "batch")
        }

    def path(self, template: str) -> str:
        """Return the path of one of the job's files from its template, such as :data:`RECORD`."""
        return template.format_map(self.wildcards)


@dataclass(frozen=True)
class TrainingCell:
    """The networks of a training job that are trained under one condition.

    Attributes
    ----------
    job : TrainingJob
        The job.
    condition : str
        Id of the training condition.
    """

    job: TrainingJob
    condition: str

    @property
    def names(self) -> tuple[str, str, str]:
        """Specimen, architecture and id of the training condition."""
        return self.specimen, self.architecture, self.condition

    @property
    def specimen(self) -> str:
        """Name of the training specimen."""
        return self.job.specimen

    @property
    def architecture(self) -> str:
        """Name of the architecture."""
        return self.job.architecture

    @property
    def replicas(self) -> tuple[int, ...]:
        """Numbers of the replicas."""
        return self.job.replicas

    @property
    def extra(self) -> str:
        """The path of the networks' results under further conditions, from :data:`EXTRA`."""
        return EXTRA.format_map({**self.job.wildcards, "condition": self.condition})

    def path(self, template: str) -> str:
        """Return the path of one of the job's files, see :meth:`TrainingJob.path`."""
        return self.job.path(template)


def training_jobs(
    specimens: Iterable[str],
    architectures: Iterable[str],
    groups: Mapping[str, Sequence[str]],
    batches: Mapping[str, Sequence[int]],
) -> Iterator[TrainingJob]:
    """Yield the training jobs of all given combinations.

    Parameters
    ----------
    specimens, architectures : iterable of str
        Names of the specimens and architectures.
    groups : mapping of str to sequence of str
        Ids of the training conditions of each group, see :func:`passband.groups.groups`.
    batches : mapping of str to sequence of int
        The replicas of each batch, see :func:`passband.grid.batches`.
    """
    for specimen, architecture, (group, ids), (batch, replicas) in product(
        specimens, architectures, groups.items(), batches.items()
    ):
        yield TrainingJob(specimen, architecture, group, batch, tuple(replicas), tuple(ids))


def groups_of(study: Study) -> dict[str, tuple[str, ...]]:
    """Return the ids of the training conditions of each group by name; a mixture is a group."""
    ids = [condition.id for condition in study.train_conditions]
    alone = {mixture.id: (mixture.id,) for mixture in study.mixtures}
    return groups(ids, study.study.conditions_per_job) | alone


def group_by_condition(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the name of each training condition's group, by the id of the condition."""
    return {id: group for group, ids in groups.items() for id in ids}


def files_by_condition(paths: Iterable[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return files of training jobs by the id of the training condition.

    A folder whose name is not that of a group has the name of a condition.
    """
    named = ((path, path.split("/")[-2]) for path in paths)
    return {id: path for path, group in named for id in groups.get(group, [group])}


def training_jobs_of(study: Study) -> Iterator[TrainingJob]:
    """Yield the training jobs of a study."""
    return training_jobs(
        study.trained_specimens,
        study.training.architectures,
        groups_of(study),
        batches(study.study.replicas, study.study.replicas_per_job),
    )


def training_cells_of(study: Study) -> Iterator[TrainingCell]:
    """Yield the networks of each training job of a study, condition by condition."""
    for job in training_jobs_of(study):
        yield from job.cells


def network_id(specimen: str, architecture: str, condition: str, replica: int) -> str:
    """Return a network's id, which names the network in commands and in their output.

    The id is ``<specimen>/<architecture>/<condition id>/<replica>``, such as
    ``gold/compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0``. Specimen and condition
    are those of the training images.
    """
    return f"{specimen}/{architecture}/{condition}/{replica}"


def parse_network_id(id: str) -> tuple[str, str, str, int]:
    """Return the specimen, architecture, condition id and replica of a network's id.

    Raises
    ------
    PassbandError
        If `id` is not the id of a network, see :func:`network_id`.
    """
    parts = id.split("/")
    try:
        specimen, architecture, condition, replica = parts
        check_id(condition)
        if not (specimen and architecture and replica == str(int(replica)) and int(replica) >= 0):
            raise ValueError
    except ValueError:
        raise PassbandError(
            f"network = {id!r}: must be SPECIMEN/ARCHITECTURE/CONDITION/REPLICA, such as "
            "gold/compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0"
        ) from None
    return specimen, architecture, condition, int(replica)


def counted_records(study: Study, is_counted: Callable[[str], bool]) -> list[str]:
    """Return the paths of the records that the table gathers.

    Parameters
    ----------
    study : Study
        The configuration.
    is_counted : callable
        A function that returns whether a file is part of the study.

    Raises
    ------
    PassbandError
        If no record is part of the study.
    """
    records = [job.path(RECORD) for job in training_jobs_of(study)]
    counted = list(filter(is_counted, records))
    if not counted:
        raise PassbandError(
            "study.allow_incomplete = true: there is no record under "
            f"results/{study.study.name}/records yet; run the study with false first"
        )
    return counted


def distance_parts(study: Study) -> list[str]:
    """Return the files of distances whose content is gathered into one store."""
    return [
        DISTANCES_PART.format(specimen=specimen, architecture=architecture, part=part)
        for specimen, architecture, part in product(
            study.trained_specimens, study.training.architectures, study.compared
        )
    ]


def is_predicted(study: Study, records: Iterable[str]) -> bool:
    """Return whether the matrix of these records is large enough for evaluating its prediction.

    For the whole study, `passband check` prints whether the matrix is predicted.
    """
    if not study.predictable:
        return False
    conditions = groups_of(study)
    trained = {record.split("/")[-2] for record in records}
    return sum(is_condition(id) for g in trained for id in conditions[g]) >= FEWEST_PREDICTED


def figures(study: Study, predicted: bool, pictured: bool = True) -> list[str]:
    """Return the names of the figures that a complete study has.

    Parameters
    ----------
    study : Study
        The configuration.
    predicted : bool
        Whether the matrix is predicted, see :func:`is_predicted`.
    pictured : bool
        Whether there is a network for the figure of examples, see
        :func:`passband.results.shown_networks.example_cell`.
    """
    left_out = () if predicted else FIGURES_OF_PREDICTION
    left_out = left_out if pictured else ("examples", *left_out)
    return [name for name in study.drawn if name not in left_out]
