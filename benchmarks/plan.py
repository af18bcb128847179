"""Compares what `passband plan` predicts with what studies then take.

Each study is planned and then run in a temporary folder, on the same machine, one after the other.
The processor time of a run is that of all its processes. If other programs run, both numbers
grow, but not by the same factor, so the load is printed too.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from passband.config import Study, load
from passband.results import Results
from passband.runs import calibration, plan, rates

ROOT = Path(__file__).resolve().parents[1]
#: The allowed ratio of prediction and measurement is between 1 / (1 + this) and 1 + this.
TOLERANCE = 0.3


def pilot_slice(folder: Path) -> Path:
    """Write a study with two of the pilot's 135 conditions, and return its file."""
    content = yaml.safe_load((ROOT / "studies" / "pilot.yaml").read_text(encoding="utf-8"))
    full = load(ROOT / "studies" / "pilot.yaml").grid.axes()
    content["grid"] = {name: sorted(values)[:1] for name, values in full.items()}
    content["grid"]["dose_e_per_A2"] = sorted(full["dose_e_per_A2"])[-2:]
    content.pop("test_grid", None)
    content["study"]["name"] = "slice"
    file = folder / "slice.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def predicted(study: Study, seconds: float) -> tuple[float, float, dict[str, float]]:
    """Return the predicted processor time and the time until the end [s], and the times by rule."""
    speeds = calibration.calibrate(study, seconds).speeds
    took = rates.seconds_by_rule(study, speeds)
    return (
        sum(took.values()),
        plan.elapsed(study, took, speeds, os.cpu_count() or 1),
        took,
    )


def run(file: Path, folder: Path) -> tuple[float, float]:
    """Run a study, and return its processor time and the time until its end [s]."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "passband.cli", "run", str(file)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - began


def of_rules(results: Path) -> dict[str, float]:
    """Return the seconds of all jobs of each stage, from Snakemake's measurements of the jobs."""
    took: dict[str, float] = {}
    for file in (results / "benchmarks").rglob("*.tsv"):
        stage = file.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        name = stage if stage in ("simulate", "train", "evaluate") else rates.OTHERS
        with open(file, encoding="utf-8", newline="") as rows:
            took[name] = took.get(name, 0.0) + sum(
                float(row["s"]) for row in csv.DictReader(rows, delimiter="\t")
            )
    return took


def row(name: str, prediction: float, measured: float, limited: bool = True) -> str:
    """Return a row of the table."""
    ratio = prediction / measured
    verdict = ""
    if limited:
        verdict = "met" if 1 / (1 + TOLERANCE) <= ratio <= 1 + TOLERANCE else "missed"
    return f"| {name} | {prediction:.0f} s | {measured:.0f} s | {ratio:.2f} | {verdict} |"


def main() -> None:
    """Print a table of predictions and measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only studies/smallest.yaml")
    parser.add_argument("--seconds", type=float, default=12.0, help="as that of passband plan")
    parser.add_argument(
        "--finished",
        metavar="STUDY",
        help="compare the plan of a finished study with its jobs, instead",
    )
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| what | predicted | measured | ratio | within 30% |\n|---|---|---|---|---|")
    if options.finished:
        results = Results.find(options.finished)
        _, _, took = predicted(results.study, options.seconds)
        found, name = of_rules(results.folder), results.study.study.name
        # A job's own measurement does not include the first of its two processes, which starts it.
        whole = sum(took.values()) - took["starting"] / 2
        print(row(f"{name}, all jobs without Snakemake", whole, sum(found.values())))
        for rule, seconds in found.items():
            print(row(f"{name}, {rule} (with its start)", took[rule], seconds, False))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = [ROOT / "studies" / "smallest.yaml"]
        if not options.quick:
            files.append(pilot_slice(folder))
        for file in files:
            study = load(file)
            work, until, _ = predicted(study, options.seconds)
            used, took_until = run(file, folder)
            name = study.study.name
            print(row(f"{name}, processor time", work, used), flush=True)
            print(row(f"{name}, until the end", until, took_until), flush=True)
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
