"""Measure what Snakemake needs for a study besides its jobs: every job here takes no time.

    python benchmarks/schedule.py                       # studies/paper.yaml, some minutes
    python benchmarks/schedule.py --quick               # studies/smallest.yaml, for a look

The workflow and the SLURM profile are run as they are, but with the executor `instant`, beside this
file, in place of `slurm`: a job leaves its files, empty, and is done. Jobs are prepared, scheduled,
registered, checked and recorded as a cluster's are. What is not measured is the cluster: sbatch and
status commands, the wait in the queue, network file systems. The profile's rate limit, which is
there for the controller's sake, is lifted.

The study runs once from the start to its end, then in another folder to the half of its records,
and from there to its end.
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

OPTIONS = (
    *("--profile", "profiles/slurm", "--executor", "instant"),
    *("--max-jobs-per-timespan", "1000000/1s", "--seconds-between-status-checks", "1"),
)


@dataclass(frozen=True)
class Run:
    """What one call of Snakemake took.

    Attributes
    ----------
    seconds : float
        From start to end.
    first : float
        From start to the first job's files.
    jobs : int
        Jobs run, less `all`.
    memory : float
        Peak of the process [MB].
    """

    seconds: float
    first: float
    jobs: int
    memory: float

    @property
    def rate(self) -> float:
        """Jobs a second, once the graph is built."""
        return self.jobs / (self.seconds - self.first)


def files(folder: Path) -> Iterator[Path]:
    """Yield the study's own files, and Snakemake's."""
    for name in ("results", ".snakemake"):
        yield from (path for path in (folder / name).rglob("*") if path.is_file())


def run(folder: Path, study: Path, *options: str) -> Run:
    """Run Snakemake in a folder; exit with what it printed if it fails."""
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
        # wait4 gives this child's own usage; getrusage would give the largest of all so far.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            printed.seek(0)
            sys.exit(f"{study.name}: Snakemake failed:\n{printed.read()[-4000:]}")
    # Every job leaves one benchmark file.
    made = [path for path in files(folder) if path.suffix == ".tsv" and path not in benchmarks]
    first = min(path.stat().st_mtime for path in made) - began
    per_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # bytes there, KiB elsewhere
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
    print("| what | goal | measured | |\n|---|---|---|---|")
    for what, sign, goal, value in (
        ("jobs a second", "≥", 20, whole.rate),
        ("seconds to the first job, nothing done", "≤", 30, whole.first),
        (f"seconds to the first job, {half.jobs:,} jobs done", "≤", 30, rest.first),
        (f"jobs a second, the other {rest.jobs:,}", "≥", 20, rest.rate),
        ("peak memory of Snakemake [GB]", "≤", 1, max(whole.memory, rest.memory) / 1e3),
        ("files in all, Snakemake's included", "≤", 40_000, number),
    ):
        verdict = "met" if (value >= goal if sign == "≥" else value <= goal) else "missed"
        digits = 0 if goal > 1000 else 2
        print(f"| {what} | {sign} {goal:.{digits}f} | {value:.{digits}f} | {verdict} |")


if __name__ == "__main__":
    main()
