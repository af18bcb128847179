"""The names of a study's files, relative to the study's folder of results.

A template of a path has Snakemake's wildcards in braces. Every job parses the workflow, so the
modules of this room that name files and jobs import no numerical library.
"""

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
