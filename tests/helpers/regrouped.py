"""Jobs of the smallest study in other groups, whose scripts run without Snakemake."""

import shutil
from pathlib import Path

import scripts

from passband import STAGES
from passband.config import Study, load
from passband.jobs import layout
from passband.storage import records
from passband.storage.weight_parts import load_parts
from passband.storage.weights import fingerprint

SMALLEST = load(Path(__file__).parents[2] / "studies" / "smallest.yaml")
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


def train(study: Study, results: Path, job: layout.TrainingJob) -> str:
    """Run a `train` job, and return the last line of its log."""
    output = {
        "weights": str(results / job.path(layout.WEIGHTS)),
        "history": str(results / job.path(layout.HISTORY)),
    }
    for path in output.values():
        Path(path).unlink(missing_ok=True)
    return scripts.run(
        "train",
        results / "logs/train.log",
        input={
            split: [str(results / file) for file in layout.shards(study, "gold", split)]
            for split in ("train", "val")
        },
        output=output,
        wildcards=job.wildcards,
        config=study.model_dump(mode="json"),
        params={
            "version": f"train {STAGES['train']}",
            "seed": study.study.seed,
            "microscope": study.microscope.imaging_params(),
            "training": study.training.params(study.study.replicas_per_job),
            "replicas": list(job.replicas),
            "cache": str(results / "cache" / job.path(layout.WEIGHTS)),
            "checkpoints": str(results / job.path(layout.CHECKPOINTS)),
            **({"conditions": list(job.conditions)} if len(job.conditions) > 1 else {}),
        },
    )


def evaluate(study: Study, results: Path, job: layout.TrainingJob, test: dict | None = None) -> str:
    """Run an `evaluate` job, and return the last line of its log."""
    output = results / job.path(layout.RECORD)
    output.unlink(missing_ok=True)
    return scripts.run(
        "evaluate",
        results / "logs/evaluate.log",
        input={"weights": str(results / job.path(layout.WEIGHTS))},
        output=[str(output)],
        wildcards=job.wildcards,
        config=study.model_dump(mode="json"),
        params={
            "version": f"evaluate {STAGES['evaluate']}",
            "seed": study.study.seed,
            "microscope": study.microscope.imaging_params(),
            "test": test or study.test_axes,
            "cache": str(results / "cache" / job.path(layout.RECORD)),
            "waves": {
                "gold": [str(results / file) for file in layout.shards(study, "gold", "test")]
            },
            **({"conditions": list(job.conditions)} if len(job.conditions) > 1 else {}),
        },
    )


def networks(study: Study, results: Path) -> dict[tuple[str, int], str]:
    """Return the fingerprint of every network of a study, by condition and replica."""
    return {
        (id, replica): fingerprint({0: state})
        for job in layout.training_jobs_of(study)
        for id, part in load_parts(results / job.path(layout.WEIGHTS)).items()
        for replica, state in part.weights.items()
    }


def counts(study: Study, results: Path) -> dict[tuple[str, int], list]:
    """Return the counts of every network of a study, by condition and replica."""
    return {
        (id, replica): record.counts.sel(replica=replica).values.tolist()
        for job in layout.training_jobs_of(study)
        for id, record in records.parts(results / job.path(layout.RECORD)).items()
        for replica in record.replica.values.tolist()
    }
