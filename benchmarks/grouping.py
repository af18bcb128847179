"""Measure what it costs to start jobs, with one and with several training conditions in a job.

    python benchmarks/grouping.py            # a few minutes
    python benchmarks/grouping.py --quick    # two conditions

The networks are those of the smallest study, under more training conditions, with one replica each.
Snakemake trains and tests them one job after another on one core, first with one condition in each
job, and then with all conditions in one job. Processor times include Snakemake's own time for
`train` and `evaluate`; exit waves are simulated before. The last part changes the number of
conditions in a job of the finished study, so that all its jobs only link or copy results.
"""

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from harness import Table, snakemake
from schedule import ROOT, clone

from passband.config import Study, validate
from passband.jobs.counts import count

STAGES = ("train", "evaluate")
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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    snakemake(folder, "--cores", "1", *targets)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def records(study: dict) -> list[str]:
    """Return the records of a study, as targets of Snakemake."""
    from passband.jobs import layout

    jobs = layout.training_jobs_of(validate(study))
    return [f"results/smallest/{job.path(layout.RECORD)}" for job in jobs]


def started(folder: Path, since: set[Path]) -> list[tuple[float, float]]:
    """Return wall time and processor time [s] of each new job, from Snakemake's benchmarks."""
    found = []
    for path in sorted(set(benchmarks(folder)) - since):
        with path.open(encoding="utf-8") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        found.append((float(row["s"]), float(row["cpu_time"])))
    return found


def benchmarks(folder: Path) -> list[Path]:
    """Return Snakemake's benchmarks of `train` and `evaluate` jobs."""
    results = folder / "results/smallest/benchmarks"
    return [path for stage in STAGES for path in (results / stage).rglob("*.tsv")]


def imports() -> float:
    """Return the processor time in which a process imports what training needs [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import passband.jobs.training_job"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two conditions")
    number = 2 if parser.parse_args().quick else 4
    table, times = Table(), {}
    table.row("imports of a process that trains, processor time [s]", None, imports())
    for together in (1, number):
        with tempfile.TemporaryDirectory() as name:
            folder, study = clone(name), smallest(number, together)
            waves = [f"results/smallest/waves/gold/{s}/00000.zarr.zip" for s in ("val", "test")]
            waves += [f"results/smallest/waves/gold/train/0000{k}.zarr.zip" for k in (0, 1)]
            run(folder, study, *waves)
            times[together] = run(folder, study, *records(study))
            words = f"{number} networks, {together} condition(s) in a job"
            table.row(f"{words}: processor time [s]", None, times[together])
            if together == 1:
                continue
            run(folder, study, "results/smallest/table.zarr")
            counted = count(validate(study)).files
            for part, made in (("networks", "networks"), ("records", "records"), ("cache", "*")):
                top = "cache" if part == "cache" else made
                files = [p for p in (folder / "results/smallest" / top).rglob("*") if p.is_file()]
                table.row(f"files of {part} less the counted files", 0, len(files) - counted[part])
            before, other = set(benchmarks(folder)), smallest(number, 1)
            run(folder, other, *records(other))
            links = started(folder, before)
            logs = (folder / "results/smallest/logs").rglob("r*.log")
            again = sum("made by an earlier job" in log.read_text() for log in logs)
            table.row("jobs that made results again after a change", 0, 2 * number - again)
            table.row(
                "a job that only links, longest processor time [s]",
                LINK_S,
                max(c for _, c in links),
            )
            table.row(
                "a job that only links, shortest wall time [s]", LINK_S, min(w for w, _ in links)
            )
    share = (times[1] - times[number]) / (number - 1) * number / times[1]
    table.row("share of starting jobs, 1 condition in a job", None, share)
    table.row(
        "share of starting jobs, all conditions in a job",
        None,
        share * times[1] / number / times[number],
    )
    for together in (1, 6, 12):
        goal = FILES if together > 1 else None
        files = sum(count(large(together)).files.values())
        table.row(
            f"files of 12,096 networks, {together} condition(s) in a job", goal, files, digits=0
        )


if __name__ == "__main__":
    main()
