"""The names of a study's files, relative to the study's folder of results.

A template of a path has Snakemake's wildcards in braces. Every job parses the workflow, so the
modules of this room that name files and jobs import no numerical library.
"""

import re
from pathlib import Path

#: The path of a batch of networks, which one job trains: some replicas under one or several
#: conditions. `condition` is the name of the group of conditions, see
#: :mod:`passband.groups`; the group of one condition has the condition's id as its name.
BATCH_WILDCARDS = "specimen", "architecture", "condition", "batch"
BATCH = "{specimen}/{architecture}/{condition}/{batch}"

#: `waves` is the folder of a set of exit waves: "" for the study's own values, and otherwise the id
#: of the set with a slash, such as ``en0200.00/``. See :mod:`passband.wave_sets`.
WAVES = "waves/{specimen}/{waves}{split}/{shard}.zarr.zip"
NETWORKS = "networks"
WEIGHTS = f"{NETWORKS}/{BATCH}.safetensors"
HISTORY = f"{NETWORKS}/{BATCH}.csv"
RECORD = f"records/{BATCH}.zarr.zip"
INFORMATION, TABLE, OOD = "information.zarr", "table.zarr", "ood.zarr"
PREDICTION = "prediction.zarr"
FIGURE = "figures/{figure}.{format}"
GALLERY = "gallery/{specimen}.{format}"
#: A store of images; `IMAGES_OF` is the part of its name that says of what.
IMAGES_OF = "{specimen}/{split}/{condition}{whose}"
IMAGES = f"images/{IMAGES_OF}.zarr"
PREFLIGHT = "preflight.txt"
#: The copy of the configuration that jobs read, see :mod:`passband.results.snapshot`.
CONFIGURATION = "configuration/{digest}.json"
#: The copy of the study's own parts, beside that of its configuration.
PARTS = CONFIGURATION.replace(".json", ".parts")
#: The file of a study that ``passband run --set`` has made from another.
STUDY = "study.yaml"
#: The page that presents the study, see :mod:`passband.runs.report_page`.
REPORT = "report.html"
#: Snakemake's own report, which a user makes with ``snakemake --report``.
SNAKEMAKE_REPORT = "snakemake-report.html"
#: The page with every cell of the matrices, see :mod:`passband.answers.explorer_page`.
EXPLORER = "explorer.html"
#: The folder with second names (hard links) of those files that take long to make. A second name is
#: necessary because Snakemake deletes a job's outputs before the job starts and after it fails. See
#: :mod:`passband.store.files`.
STORE = "store"
#: Results of networks of one training condition under conditions of `passband evaluate`; and the
#: lease of the process that makes these files. No rule of Snakemake makes them.
FURTHER = f"{STORE}/records/{BATCH}.further.zarr.zip"
FURTHER_LEASE = f"{STORE}/evaluate.lease"
#: The parameters of fitted models of Dice, see :mod:`passband.store.kept`.
FITTED = f"{STORE}/recommend/{{name}}.json"
#: The saved state from which an interrupted training job continues. The saved state is not an
#: output of the rule, since Snakemake would delete it.
CHECKPOINTS = "checkpoints/" + BATCH.replace("/", "_")

#: The name of each rule's log and benchmark, without the folder `logs` or `benchmarks` and without
#: the suffix.
JOB_NAMES = {
    "simulate": "simulate/{specimen}/{waves}{split}/{shard}",
    "train": f"train/{BATCH}",
    "evaluate": f"evaluate/{BATCH}",
    "information": "information",
    "aggregate": "aggregate",
    "ood": "ood",
    "prediction": "prediction",
    "figure": "figures/{figure}",
    "gallery_sheet": "gallery/{specimen}",
    "images": f"images/{IMAGES_OF}",
    "preflight": "preflight",
    "report": "report",
    "explorer": "explorer",
}


#: The suffix of a job's lease, beside its log. The time of the lease's last change shows whether
#: the job is alive.
LEASE = ".lease"
#: The folders of logs and of Snakemake's benchmark files.
LOGS, BENCHMARKS = "logs", "benchmarks"


def log(name: str) -> str:
    """Return the path of a log from one of :data:`JOB_NAMES`."""
    return f"{LOGS}/{name}.log"


def benchmark(name: str) -> str:
    """Return the path of Snakemake's benchmark file from one of :data:`JOB_NAMES`."""
    return f"{BENCHMARKS}/{name}.tsv"


def stored(path: str) -> str:
    """Return the path of the file in the store of which an output is a second name."""
    return f"{STORE}/{path}"


#: The folders whose files show the state of jobs.
FOLDERS = (
    *(path.split("/")[0] for path in (WAVES, WEIGHTS, RECORD, FIGURE, GALLERY)),
    IMAGES.split("/")[0],
    LOGS,
)
#: All names in a study's folder that Passband writes.
WRITTEN = (
    *FOLDERS,
    *(path.split("/")[0] for path in (CONFIGURATION, CHECKPOINTS)),
    *(STORE, BENCHMARKS),
    *(INFORMATION, TABLE, OOD, PREDICTION),
    *(PREFLIGHT, STUDY, REPORT, SNAKEMAKE_REPORT, EXPLORER),
)


def results_of(log: Path) -> Path | None:
    """Return the folder of results that has a job's log; None if the log is elsewhere."""
    return next((folder.parent for folder in log.parents if folder.name == LOGS), None)


def wildcards_of(path: str | Path) -> dict[str, str]:
    """Return the wildcards of :data:`BATCH` from the path of one of the batch's files."""
    *folders, name = Path(path).parts[-4:]
    return dict(zip(BATCH_WILDCARDS, (*folders, name.partition(".")[0]), strict=True))


def replicas_of(path: Path) -> range:
    """Return the replicas of the job that made a file; none if its name is not that of a job."""
    batch = re.match(r"r(\d+)-(\d+)\.", path.name)
    return range(int(batch[1]), int(batch[2]) + 1) if batch else range(0)
