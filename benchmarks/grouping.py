"""Measure what it costs to start jobs, with one and with several training conditions in a job.

    python benchmarks/grouping.py            # three minutes of processor time
    python benchmarks/grouping.py --quick    # two conditions

The networks are those of the smallest study under several training conditions, with one replica
each. Snakemake trains and tests them one job after another on one core, first with one condition in
each job, and then with all conditions in one job. Processor times include Snakemake's own time for
`train` and `evaluate`; exit waves are simulated before. The last part changes the number of
conditions and the number of structures in a job of the finished study, so that all its jobs only
link or copy results.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from harness import Table, snakemake
from schedule import ROOT, clone

from passband.config import SPLITS, Study, validate
from passband.results import layout, network_batches, wave_layout
from passband.runs.counts import count

#: The files that a study of 12,096 networks may leave, and the time of a job without work [s].
FILES, LINK_S = 6000, 2.0


def smallest(conditions: int, together: int) -> dict:
    """Return the smallest study with further training conditions, and with larger jobs."""
    study = yaml.safe_load((ROOT / "studies/smallest.yaml").read_text(encoding="utf-8"))
    study["study"] |= {"replicas": 1, "replicas_per_job": 1, "conditions_per_job": together}
    study["grid"]["dose_e_per_A2"] = [1000]
    study["grid"]["defocus_nm"] = [5 + 2 * k for k in range(conditions)]
    study["test_grid"] = {"defocus_nm": [5, 20]}
    return study


def large(together: int) -> Study:
    """Return a study of 12,096 networks, tested under 144 conditions."""
    return validate(
        smallest(1, together)
        | {
            "study": {
                "name": "large",
                "replicas": 7,
                "replicas_per_job": 7,
                "conditions_per_job": together,
                "structures": {"train": 96, "val": 24, "test": 8},
            },
            "grid": {
                "defocus_nm": {"start": -20, "stop": 60, "num": 12},
                "cs_um": [1.2, 20, 40, 60],
                "aperture_mrad": [7, 8, 9, 10, 11.5, 13],
                "dose_e_per_A2": [50, 100, 200, 400, 800, 1600],
            },
            "test_grid": {
                "defocus_nm": [-20, 0, 20, 40],
                "cs_um": [1.2, 20, 60],
                "aperture_mrad": [7, 9, 11.5, 13],
                "dose_e_per_A2": [50, 200, 800],
            },
        }
    )


def run(folder: Path, study: dict, *targets: str) -> float:
    """Run Snakemake on one core, and return the processor time of all its processes [s]."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return used(lambda: snakemake(folder, "--cores", "1", *targets))


def used(call: Callable[[], object]) -> float:
    """Return the processor time of the processes that a call starts [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def waves(study: dict) -> list[str]:
    """Return the exit waves of a study, as targets of Snakemake."""
    made = validate(study)
    files = (file for split in SPLITS for file in wave_layout.shards(made, "gold", split))
    return [f"results/smallest/{file}" for file in files]


def records(study: dict) -> list[str]:
    """Return the records of a study, as targets of Snakemake."""
    batches = network_batches.batches_of(validate(study))
    return [f"results/smallest/{batch.path(layout.RECORD)}" for batch in batches]


def linked(folder: Path) -> int:
    """Return how many jobs took over a result of an earlier job, from their logs."""
    logs = (folder / "results/smallest/logs").rglob("*.log")
    return sum("made by an earlier job" in log.read_text(encoding="utf-8") for log in logs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two conditions")
    number = 2 if parser.parse_args().quick else 3
    table, times = Table(), {}
    command = [sys.executable, "-c", "import passband.jobs.missing_networks"]
    imports = used(lambda: subprocess.run(command, check=True))
    table.row("imports of a process that trains, processor time [s]", None, imports)
    with tempfile.TemporaryDirectory() as name:
        folder, single = Path(name, "single"), smallest(number, 1)
        folder.mkdir()
        clone(folder)
        run(folder, single, *waves(single))
        other = Path(shutil.copytree(folder, f"{name}/grouped", symlinks=True))
        times[1] = run(folder, single, *records(single))
        words = f"{number} networks, 1 condition in a job"
        table.row(f"{words}: processor time [s]", None, times[1])

        grouped = smallest(number, number)
        times[number] = run(other, grouped, *records(grouped))
        words = f"{number} networks, {number} conditions in a job"
        table.row(f"{words}: processor time [s]", None, times[number])
        jobs = count(validate(grouped)).jobs
        of_store = jobs["simulate"] + jobs["train"] + jobs["evaluate"]
        parts = {"networks": 2 * jobs["train"], "records": jobs["evaluate"], "store": of_store}
        for part, expected in parts.items():
            found = [p for p in (other / "results/smallest" / part).rglob("*") if p.is_file()]
            table.row(f"files of {part} less the counted files", 0, len(found) - expected)

        single["study"]["structures_per_shard"] = 5  # shards of 8 before
        smaller = validate(single)
        shards = [file for split in SPLITS for file in wave_layout.shards(smaller, "gold", split)]
        targets, jobs = records(single), len(shards) + 2 * number
        graph = run(other, single, "--dry-run", *targets)
        spent = run(other, single, *targets) - graph
        table.row("jobs that made results again after a change", 0, jobs - linked(other))
        table.row("a job that only links, mean processor time [s]", LINK_S, spent / jobs)
    share = (times[1] - times[number]) / (number - 1) * number / times[1]
    table.row("share of starting jobs, 1 condition in a job", None, share)
    table.row(
        "share of starting jobs, all conditions in a job",
        None,
        share * times[1] / number / times[number],
    )
    for together in (1, 6, 12):
        goal = FILES if together > 1 else None
        files = count(large(together)).files
        table.row(
            f"files of 12,096 networks, {together} condition(s) in a job", goal, files, digits=0
        )


if __name__ == "__main__":
    main()
