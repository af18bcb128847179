# The study, and the names of its files. Nothing here reads data, since every job parses it again.
import sys
from os.path import relpath

from passband import PassbandError, STAGES
from passband.config import SPLITS, validate
from passband.grid import AXES, Condition, batches

try:
    STUDY = validate(config, relpath(workflow.configfiles[-1]))
except PassbandError as error:
    sys.exit(str(error))

RESULTS = f"results/{STUDY.study.name}"
NETWORK = "{specimen}/{architecture}/{condition}/{batch}"
BATCHES = batches(STUDY.study.replicas, STUDY.study.replicas_per_job)
CONDITIONS = [condition.id for condition in STUDY.train_conditions]
# What matches the grid's conditions and no other. Thousands of jobs match it against all rules, so
# it goes axis by axis: a list of all products makes building the graph a third slower.
GRID = "_".join(
    f"(?:{'|'.join(re.escape(AXES[name].format(value)) for value in axis)})"
    for name, axis in STUDY.grid.axes().items()
)


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
        specimen=STUDY.specimens,
        architecture=STUDY.training.architectures,
        condition=CONDITIONS,
        batch=BATCHES,
    )


def values(block, *keys):
    """The named leaves of a block of the configuration: what a stage depends on, and no more."""
    return {key: value for key, value in block.model_dump().items() if key in keys}


def records_for_table(wildcards):
    """The records that must be there before the table is made."""
    files = networks(rules.evaluate.output[0])
    return [f for f in files if exists(f)] if STUDY.study.allow_incomplete else files


# The network whose predictions are pictured: the middle of the grid, at its highest dose.
EXAMPLE = {
    "specimen": next(iter(STUDY.specimens)),
    "architecture": STUDY.training.architectures[0],
    "condition": Condition(
        *(
            values[-1] if name == "dose_e_per_A2" else values[len(values) // 2]
            for name, values in STUDY.grid.axes().items()
        )
    ).id,
    "batch": next(iter(BATCHES)),
}

FIGURES = {
    "ctf": "Transfer functions",
    "matrix": "Generalization",
    "metrics": "Prediction",
    "decay": "Generalization",
    "examples": "Generalization",
}


def figure_files(names=FIGURES):
    """The files of figures, in every format."""
    return expand(
        f"{RESULTS}/figures/{{name}}.{{format}}", name=names, format=STUDY.figures.formats
    )


def figure(name):
    """A figure's files; the first is in the report, since one format of each is enough there."""
    first, *others = figure_files([name])
    shown = report(first, caption=f"../report/{name}.rst", category=FIGURES[name])
    return [shown, *others]
