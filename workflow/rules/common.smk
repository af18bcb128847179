# The study, and the names of its files. Nothing here reads data, since every job parses it again.
import os
import sys
from os.path import relpath

from passband import PassbandError, STAGES, footprint
from passband.config import FEWEST_PREDICTED, SPLITS, validate
from passband.grid import AXES, Condition, batches

try:
    STUDY = validate(config, relpath(workflow.configfiles[-1]))
    # Takes seconds, so no job does it again.
    if workflow.is_main_process and not STUDY.settled:
        from passband import specimen

        specimen.check(STUDY)
except PassbandError as error:
    sys.exit(str(error))

# Only for --software-deployment-method conda: which of envs/*.yaml jobs run in.
ENVIRONMENT = f"../../envs/{os.environ.get('PASSBAND_ENVIRONMENT', 'cpu')}.yaml"
RESULTS = f"results/{STUDY.study.name}"
NETWORK = "{specimen}/{architecture}/{condition}/{batch}"
# Second names of what takes long to make, for Snakemake deletes a job's outputs before it starts and
# after it fails. One that finds here what it would make, to the same configuration, is done.
KEPT = f"{RESULTS}/kept"
RECORD = f"{RESULTS}/records/{NETWORK}.zarr.zip"
BATCHES = batches(STUDY.study.replicas, STUDY.study.replicas_per_job)
# Megabytes that jobs ask for, by architecture.
TRAIN_MB = {name: footprint.train_mb(STUDY, name) for name in STUDY.training.architectures}
EVALUATE_MB = {name: footprint.evaluate_mb(STUDY, name) for name in STUDY.training.architectures}
CONDITIONS = [condition.id for condition in STUDY.train_conditions]
TRAINED = list(STUDY.trained_specimens)


def pattern_of(axes):
    """What matches the conditions of a grid and no other. Thousands of jobs match it against all
    rules, so it goes axis by axis: a list of all products makes building the graph a third slower.
    """
    return "_".join(
        f"(?:{'|'.join(re.escape(AXES[name].format(value)) for value in axis)})"
        for name, axis in axes.items()
    )


GRID = pattern_of(STUDY.grid.axes())


wildcard_constraints:
    specimen="|".join(map(re.escape, STUDY.specimens)),
    split="|".join(SPLITS),
    shard=r"\d{5}",
    architecture="|".join(map(re.escape, STUDY.training.architectures)),
    condition=GRID,
    batch="|".join(BATCHES),


def shards(specimen, split):
    """The files of a specimen's split."""
    number = -(-getattr(STUDY.study.structures, split) // STUDY.study.structures_per_shard)
    return [f"{RESULTS}/waves/{specimen}/{split}/{k:05d}.zarr.zip" for k in range(number)]


def networks(pattern):
    """The files that a pattern names over every job of the grid."""
    return expand(
        pattern,
        specimen=TRAINED,
        architecture=STUDY.training.architectures,
        condition=CONDITIONS,
        batch=BATCHES,
    )


def values(block, *keys):
    """The named leaves of a block of the configuration: what a stage depends on, and no more."""
    return {key: value for key, value in block.model_dump().items() if key in keys}


def inactive(block, *keys):
    """The leaves of a block without those that leave a stage's results as they are."""
    return {key: value for key, value in block.model_dump().items() if key not in keys}


def structures_of_shard(wildcards):
    """The first structure of a shard, and the one after its last."""
    first = int(wildcards.shard) * STUDY.study.structures_per_shard
    number = getattr(STUDY.study.structures, wildcards.split)
    return [first, min(first + STUDY.study.structures_per_shard, number)]


FOCAL = {"focal-series": [], "quasi-coherent": ["focal_members"]}[STUDY.microscope.coherence]
# Keys of the training without effect: what others leave unused, and what changes no result.
UNUSED = ["architectures", "recipe", "save_every_s"]
UNUSED += [] if STUDY.training.schedule == "exponential" else ["decay"]
UNUSED += [] if STUDY.training.optimizer == "sgd" else ["momentum"]
UNUSED += [] if STUDY.study.replicas_per_job > 1 else ["replicas_together"]
IMAGING = inactive(STUDY.microscope, *FOCAL)
TRAINING = inactive(STUDY.training, *UNUSED)
# Linear transfer has the temporal envelope, however images are formed. Metrics are of the images;
# the figure is of the lens.
LINEAR = inactive(STUDY.microscope, "coherence", "focal_members")
TRANSFER = {
    key: value for key, value in LINEAR.items() if key not in ("spread", "vibration_A", "detector")
}
WEIGHTED_BY = {
    specimen: shards(specimen, "train")
    for specimen in TRAINED
    if "specimen" in STUDY.information.weights
}


def made(record):
    """Whether a job's record counts as there: all do, unless holes in the grid are allowed."""
    return not STUDY.study.allow_incomplete or exists(record)


RECORDS = list(filter(made, networks(RECORD)))
if not RECORDS:
    sys.exit(
        f"study.allow_incomplete = true: there is no record under {RESULTS}/records yet; run the "
        "study with false first"
    )


# Test conditions by the jobs that take distances to them, as many as there is memory for images of.
TESTED = [condition.id for condition in STUDY.test_conditions]
SIZE = STUDY.distances.conditions_per_job
PARTS = {f"{k:05d}": TESTED[k * SIZE : (k + 1) * SIZE] for k in range(-(-len(TESTED) // SIZE))}
FIRST = f"{RESULTS}/networks/{{specimen}}/{{architecture}}/{{condition}}/{next(iter(BATCHES))}.safetensors"


def compared(wildcards):
    """A specimen's networks, and those trained where they are tested."""
    files = (
        FIRST.format(specimen=specimen, architecture=wildcards.architecture, condition=condition)
        for specimen in TRAINED
        for condition in CONDITIONS
        if specimen == wildcards.specimen or condition in PARTS[wildcards.part]
    )
    return list(filter(made, files))


# What is pictured: the middle of the grid, at its highest dose.
MIDDLE = Condition(
    *(
        axis[-1] if name == "dose_e_per_A2" else axis[len(axis) // 2]
        for name, axis in STUDY.grid.axes().items()
    )
).id


def example():
    """The job whose first network is pictured: the middle's, or the next one made."""
    jobs = (
        {
            "specimen": TRAINED[0],
            "architecture": STUDY.training.architectures[0],
            "condition": condition,
            "batch": batch,
        }
        for condition in [MIDDLE, *CONDITIONS]
        for batch in BATCHES
    )
    return next((job for job in jobs if made(RECORD.format(**job))), None)


EXAMPLE = example()


# Whether the matrix is large enough for its prediction to be judged; `passband check` says so too.
PREDICTED = (
    STUDY.predictable and len({record.split("/")[-2] for record in RECORDS}) >= FEWEST_PREDICTED
)

FIGURES = {
    "ctf": "Transfer functions",
    "matrix": "Generalization",
    "metrics": "Prediction",
    "decay": "Generalization",
    "examples": "Generalization",
}
if EXAMPLE is None:
    del FIGURES["examples"]
# Those of a study that is too small to be predicted are left out.
OF_PREDICTION = ["prediction", "smoothness", "design"]
FIGURES |= dict.fromkeys(OF_PREDICTION, "Prediction")
DRAWN = [name for name in FIGURES if PREDICTED or name not in OF_PREDICTION]


def figure_files(names=DRAWN):
    """The files of figures, in every format."""
    return expand(
        f"{RESULTS}/figures/{{name}}.{{format}}", name=names, format=STUDY.figures.formats
    )


def figure(name):
    """A figure's files; the first is in the report, since one format of each is enough there."""
    first, *others = figure_files([name])
    category = FIGURES.get(name, "Generalization")
    shown = report(first, caption=f"../report/{name}.rst", category=category)
    return [shown, *others]
