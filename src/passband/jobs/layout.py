"""The jobs of a study, and the names of their files.

The workflow's rules, `passband plan` and `passband status` use this module. All paths in this
module are relative to the study's folder of results. A template of a path has Snakemake's wildcards
in braces. Every job parses
the workflow, so this module imports no numerical library.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from passband import PassbandError
from passband.config import FEWEST_PREDICTED, FIGURES_OF_PREDICTION, SPLITS, Study
from passband.grid import AXES, MAIN_AXES, Condition, batches

# ── Templates of paths ───────────────────────────────────────────────────────────────────────────

#: The path of one training job, which trains the networks of a batch of replicas.
TRAINING_JOB = "{specimen}/{architecture}/{condition}/{batch}"

WAVES = "waves/{specimen}/{split}/{shard}.zarr.zip"
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
    "simulate": "simulate/{specimen}/{split}/{shard}",
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


def train_version(study: Study, condition: str, version: str) -> str:
    """Return the param with the stage's version of the training under a condition.

    Networks of earlier versions are valid if the lens is round, or without augmentation.
    """
    lens = study.microscope.optics(Condition.parse(condition))
    turned = study.training.augment and not lens.round
    return f"{version}, structures turned" if turned else version


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
    return {
        "specimen": _one_of(study.specimens),
        "split": _one_of(SPLITS),
        "shard": r"\d{5}",
        "architecture": _one_of(study.training.architectures),
        "condition": pattern(study.train_products, study.own_values),
        "batch": _one_of(batches(study.study.replicas, study.study.replicas_per_job)),
    }


def _one_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


# ── Names of jobs ────────────────────────────────────────────────────────────────────────────────


def shards(study: Study, specimen: str, split: str) -> list[str]:
    """Return the files with the exit waves of one split of a specimen."""
    number = -(-getattr(study.study.structures, split) // study.study.structures_per_shard)
    return [
        WAVES.format(specimen=specimen, split=split, shard=f"{shard:05d}")
        for shard in range(number)
    ]


def structures_of_shard(study: Study, split: str, shard: str) -> list[int]:
    """Return the number of a shard's first structure, and the number after its last structure."""
    first = int(shard) * study.study.structures_per_shard
    number = getattr(study.study.structures, split)
    return [first, min(first + study.study.structures_per_shard, number)]


@dataclass(frozen=True)
class TrainingJob:
    """The networks that one `train` job trains and one `evaluate` job tests.

    Attributes
    ----------
    specimen, architecture, condition, batch : str
        Wildcards of :data:`TRAINING_JOB`; `condition` is the id of the training condition.
    replicas : tuple of int
        Numbers of the replicas, one for each network.
    """

    specimen: str
    architecture: str
    condition: str
    batch: str
    replicas: tuple[int, ...]

    @property
    def cell(self) -> tuple[str, str, str]:
        """The job's specimen, architecture and id of the training condition."""
        return self.specimen, self.architecture, self.condition

    @property
    def wildcards(self) -> dict[str, str]:
        """The values of Snakemake's wildcards for this job."""
        return {name: value for name, value in vars(self).items() if name != "replicas"}

    def path(self, template: str) -> str:
        """Return the path of one of the job's files from its template, such as :data:`RECORD`."""
        return template.format_map(vars(self))


def training_jobs(
    specimens: Iterable[str],
    architectures: Iterable[str],
    conditions: Iterable[str],
    batches: Mapping[str, Sequence[int]],
) -> Iterator[TrainingJob]:
    """Yield the training jobs of all given combinations.

    Parameters
    ----------
    specimens, architectures, conditions : iterable of str
        Names of the specimens and architectures, and ids of the training conditions.
    batches : mapping of str to sequence of int
        The replicas of each batch, see :func:`passband.grid.batches`.
    """
    for specimen, architecture, condition, (batch, replicas) in product(
        specimens, architectures, conditions, batches.items()
    ):
        yield TrainingJob(specimen, architecture, condition, batch, tuple(replicas))


def training_jobs_of(study: Study) -> Iterator[TrainingJob]:
    """Yield the training jobs of a study."""
    return training_jobs(
        study.trained_specimens,
        study.training.architectures,
        [condition.id for condition in study.train_conditions],
        batches(study.study.replicas, study.study.replicas_per_job),
    )


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
        Condition.parse(condition)
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


def compared_networks(
    study: Study, specimen: str, architecture: str, tested: Sequence[str]
) -> list[str]:
    """Return the files of networks that a part of the distances needs.

    The part needs the networks that were trained on the specimen itself under all conditions, and
    the networks that were trained on other specimens under the part's test conditions. Each file
    has the first batch of replicas of a specimen, architecture and training condition.

    Parameters
    ----------
    study : Study
        The configuration.
    specimen, architecture : str
        Specimen and architecture of the part's networks.
    tested : sequence of str
        Ids of the part's test conditions.
    """
    template, ids = first_network(study), set(tested)
    return [
        template.format(specimen=trained, architecture=architecture, condition=condition.id)
        for trained in study.trained_specimens
        for condition in study.train_conditions
        if trained == specimen or condition.id in ids
    ]


def first_network(study: Study) -> str:
    """Return the template of the paths of files with the first batch of replicas."""
    first = next(iter(batches(study.study.replicas, study.study.replicas_per_job)))
    return WEIGHTS.replace("{batch}", first)


def middle_condition(study: Study) -> str:
    """Return the id of the condition that figures show.

    This condition has the highest dose, the middle value of each other main axis of the training
    grid, and the study's own value of each further axis, or its first value if the grid does not
    have the study's own value. If the grid is no product, it is the training condition that is
    nearest to these values, by their places among the values of each axis.
    """
    own, axes = study.own_values, study.train_axes
    values = {
        name: axis[-1]
        if name == "dose_e_per_A2"
        else axis[len(axis) // 2]
        if name in MAIN_AXES
        else own[name]
        if own[name] in axis
        else axis[0]
        for name, axis in axes.items()
    }
    middle = Condition.of(values, own)
    if len(study.train_products) == 1:
        return middle.id
    places = {name: {value: k for k, value in enumerate(axis)} for name, axis in axes.items()}

    def apart(condition: Condition) -> float:
        return sum(
            abs(places[name][value] - places[name][values[name]]) / len(axes[name])
            for name, value in condition.values(own).items()
        )

    return min(study.train_conditions, key=apart).id


def example_job(study: Study, is_counted: Callable[[str], bool]) -> TrainingJob | None:
    """Return the job whose first network is shown in the figure of examples, or None.

    Only jobs of the first specimen and the first architecture are considered. The job of
    the condition from :func:`middle_condition` is returned if its record is counted, and otherwise
    the first job whose record is counted. None is returned if no record is counted. See
    :func:`counted_records`.
    """
    jobs = list(
        training_jobs(
            [next(iter(study.trained_specimens))],
            study.training.architectures[:1],
            [middle_condition(study), *(condition.id for condition in study.train_conditions)],
            batches(study.study.replicas, study.study.replicas_per_job),
        )
    )
    return next((job for job in jobs if is_counted(job.path(RECORD))), None)


def example_networks(
    study: Study, example: TrainingJob | None, is_counted: Callable[[str], bool]
) -> list[str]:
    """Return the files of networks that the figure of examples compares with the example.

    Each file has the first batch of replicas that were trained under one condition, on the specimen
    of the example and with its architecture. Networks without a counted record are left out.
    """
    if example is None:
        return []
    first = next(iter(batches(study.study.replicas, study.study.replicas_per_job).items()))
    jobs = training_jobs(
        [example.specimen],
        [example.architecture],
        [condition.id for condition in study.train_conditions],
        dict([first]),
    )
    return [job.path(WEIGHTS) for job in jobs if is_counted(job.path(RECORD))]


def is_predicted(study: Study, records: Iterable[str]) -> bool:
    """Return whether the matrix of these records is large enough for evaluating its prediction.

    For the whole study, `passband check` prints whether the matrix is predicted.
    """
    trained = {record.split("/")[-2] for record in records} if study.predictable else ()
    return len(trained) >= FEWEST_PREDICTED


def figures(study: Study, predicted: bool, pictured: bool = True) -> list[str]:
    """Return the names of the figures that a complete study has.

    Parameters
    ----------
    study : Study
        The configuration.
    predicted : bool
        Whether the matrix is predicted, see :func:`is_predicted`.
    pictured : bool
        Whether there is a network for the figure of examples, see :func:`example_job`.
    """
    left_out = () if predicted else FIGURES_OF_PREDICTION
    left_out = left_out if pictured else ("examples", *left_out)
    return [name for name in study.drawn if name not in left_out]
