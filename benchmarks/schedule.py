"""Measure Snakemake's time and memory for a study whose jobs take no time.

    python benchmarks/schedule.py                       # studies/paper.yaml, a few minutes
    python benchmarks/schedule.py --quick               # studies/smallest.yaml

The workflow runs with the SLURM profile, but with the executor `instant` of this folder instead of
`slurm`. A job of this executor makes empty output files and ends at once. Snakemake prepares,
schedules, registers, checks and records the jobs as it does on a cluster. The times do not include
what a cluster adds: sbatch and status commands, the wait in the queue, and network file systems.
The profile's rate limit, which protects SLURM's controller, is switched off.

The study runs once from start to end. In a second folder the study runs until half of its records
exist. Then Snakemake starts again and runs it to the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graph import PARTS, ROOT
from harness import Table

OPTIONS = (
    *("--profile", "profiles/slurm", "--executor", "instant"),
    *("--max-jobs-per-timespan", "1000000/1s", "--seconds-between-status-checks", "1"),
)


@dataclass(frozen=True)
class Run:
    """Measurements of one call of Snakemake.

    Attributes:
        seconds: Time from start to end [s].
        first: Time from start to the first job's files [s].
        jobs: Number of jobs, without the job `all`.
        memory: Peak memory of Snakemake's process [MB].
    """

    seconds: float
    first: float
    jobs: int
    memory: float

    @property
    def rate(self) -> float:
        """Number of jobs per second after the graph of jobs is built."""
        return self.jobs / (self.seconds - self.first)


def files(folder: Path) -> Iterator[Path]:
    """Yield the study's own files, and the files of Snakemake."""
    for name in ("results", ".snakemake"):
        yield from (path for path in (folder / name).rglob("*") if path.is_file())


def run(folder: Path, study: Path, *options: str) -> Run:
    """Run Snakemake in a folder. If it fails, exit with its output."""
    benchmarks = {path: path.stat().st_mtime for path in files(folder) if path.suffix == ".tsv"}
    python = os.pathsep.join(filter(None, (str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile("w+") as printed:
        began, started = time.time(), time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *OPTIONS, "--configfile", study, *options],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": python},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        # wait4 gives the memory of this child; getrusage gives the largest of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            printed.seek(0)
            sys.exit(f"{study.name}: Snakemake failed:\n{printed.read()[-4000:]}")
    # Every job leaves one benchmark file.
    made = [path for path in files(folder) if path.suffix == ".tsv" and path not in benchmarks]
    first = min(path.stat().st_mtime for path in made) - began
    per_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # bytes on macOS, KiB elsewhere
    return Run(seconds, first, len(made), usage.ru_maxrss / per_MB)


def clone(folder: str) -> Path:
    """Make a folder look like a clone without results."""
    for name in PARTS:
        (Path(folder) / name).symlink_to(ROOT / name)
    return Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", type=Path, default=ROOT / "studies/paper.yaml")
    parser.add_argument("--quick", action="store_true", help="the smallest study")
    options = parser.parse_args()
    study = ROOT / "studies/smallest.yaml" if options.quick else options.study.resolve()
    with tempfile.TemporaryDirectory() as folder:
        whole = run(clone(folder), study)
        number = sum(1 for _ in files(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        half = run(clone(folder), study, "--batch", "aggregate=1/2")
        rest = run(Path(folder), study)
    print(f"{study.name}: {whole.jobs:,} jobs in {whole.seconds:.0f} s\n")
    table = Table()
    for what, sign, goal, value in (
        ("jobs a second", "≥", 20, whole.rate),
        ("seconds to the first job, nothing done", "≤", 30, whole.first),
        (f"seconds to the first job, {half.jobs:,} jobs done", "≤", 30, rest.first),
        (f"jobs a second, the other {rest.jobs:,}", "≥", 20, rest.rate),
        ("peak memory of Snakemake [GB]", "≤", 1, max(whole.memory, rest.memory) / 1e3),
        ("all files, with Snakemake's files", "≤", 40_000, number),
    ):
        table.row(what, goal, value, sign == "≥", digits=0 if goal > 1000 else 2)


if __name__ == "__main__":
    main()
